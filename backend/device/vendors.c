#include "device/vendors.h"

#include "base/file.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char platform_variable[] = "CNND_PLATFORM";

static const char *loaders_folder(void)
{
        static const char *const names[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                const char *value = getenv(names[i]);
                if (value && *value)
                        return value;
        }
        return "/etc/OpenCL/vendors";
}

static int is_vendor(const struct dirent *file)
{
        const char *dot = strrchr(file->d_name, '.');
        return dot && dot > file->d_name && strcmp(dot, ".icd") == 0;
}

int vendors_find(struct vendors *ret, struct err *e)
{
        char folder[PATH_MAX];
        struct dirent **files = NULL;
        *ret = (struct vendors){0};
        if (getenv("OCL_ICD_FILENAMES") || !realpath(loaders_folder(), folder))
                return 0;
        errno = 0;
        int found = scandir(folder, &files, is_vendor, alphasort), rc = 0;
        if (found < 0)
                return errno == ENOMEM ? err_errno(e, errno, "%s", folder) : 0;
        for (int i = 0; i < found; i++) {
                if (rc == 0 && i < VENDORS_MAX) {
                        if (asprintf(&ret->file[i], "%s/%s", folder, files[i]->d_name) < 0)
                                rc = err_set(e, ERR_NO_MEMORY, "no memory for a driver's name");
                        else
                                ret->count++;
                }
                free(files[i]);
        }
        free(files);
        if (rc)
                vendors_finish(ret);
        return rc;
}

void vendors_finish(struct vendors *v)
{
        for (int i = 0; i < v->count; i++)
                free(v->file[i]);
        *v = (struct vendors){0};
}

static int make_folder(const char *path, struct err *e)
{
        return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : err_errno(e, errno, "%s", path);
}

static bool holds(const char *path, const void *text, size_t len)
{
        void *there = NULL;
        size_t there_len = 0;
        if (file_map(path, &there, &there_len, NULL))
                return false;
        const bool same = there_len == len && memcmp(there, text, len) == 0;
        file_unmap(there, there_len);
        return same;
}

/* A copy, not a link: whoever tidies or damages a state folder is to reach nothing outside. Processes of one
   driver may do so at the same time; where it is there already, a full disk is no matter. */
static int copy_file(const char *from, const char *to, struct err *e)
{
        void *text = NULL;
        size_t len = 0;
        struct file_new *f = NULL;
        int rc = file_map(from, &text, &len, e);
        if (rc == 0 && holds(to, text, len)) {
                file_unmap(text, len);
                return 0;
        }
        if (rc == 0)
                rc = file_create(to, &f, e);
        if (rc == 0)
                rc = file_write(f, text, len, e);
        if (rc == 0)
                rc = file_commit(f, e);
        else
                file_abandon(f);
        file_unmap(text, len);
        return rc;
}

int vendors_use(const char *folder, const char *file, int platform, struct err *e)
{
        const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
        char alone[PATH_MAX], path[PATH_MAX], number[16];
        if (snprintf(alone, sizeof alone, "%s/%s", folder, name) >= (int)sizeof alone ||
                snprintf(path, sizeof path, "%s/%s", alone, name) >= (int)sizeof path)
                return err_set(e, ERR_INVALID, "the path of driver %s is too long", name);
        snprintf(number, sizeof number, "%d", platform);
        int rc = make_folder(folder, e);
        if (rc == 0)
                rc = make_folder(alone, e);
        if (rc == 0)
                rc = copy_file(file, path, e);
        if (rc == 0 &&
                (setenv("OCL_ICD_VENDORS", alone, 1) != 0 || setenv(platform_variable, number, 1) != 0))
                rc = err_errno(e, errno, "choosing driver %s", name);
        return rc;
}

int vendors_check(const char *file, struct err *e)
{
        void *text = NULL;
        size_t len = 0;
        char name[PATH_MAX];
        int rc = file_map(file, &text, &len, e);
        if (rc)
                return rc;
        int name_len = 0;
        while ((size_t)name_len < len && !isspace(((unsigned char *)text)[name_len]))
                name_len++;
        const bool fits = snprintf(name, sizeof name, "%.*s", name_len, (char *)text) < (int)sizeof name;
        file_unmap(text, len);
        if (!fits || !name[0])
                return err_set(e, ERR_UNAVAILABLE, "it names no library");
        /* It stays loaded: threads of a driver may outlive the loader's interest in it. */
        return dlopen(name, RTLD_LAZY | RTLD_LOCAL)
                       ? 0
                       : err_set(e, ERR_UNAVAILABLE, "its library cannot be loaded: %s", dlerror());
}

int vendors_platform(void)
{
        const char *number = getenv(platform_variable);
        return number ? atoi(number) : -1;
}
