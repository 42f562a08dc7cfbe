#include "base/file.h"
#include "base/win.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

enum { TRIES = 100, RANDOM_BYTES = 6, TEMP_NAME = 32, WRITE_MOST = 1 << 24 };

struct file_new {
        HANDLE handle;
        char *path;
        wchar_t *place, *temp;
};

static void file_free(struct file_new *f)
{
        if (f->handle != INVALID_HANDLE_VALUE)
                CloseHandle(f->handle);
        free(f->path);
        free(f->place);
        free(f->temp);
        free(f);
}

/* Length of the folder that `path` names, with what ends it. */
static size_t folder_len(const char *path)
{
        size_t n = strlen(path);
        while (n && !strchr("/\\:", path[n - 1]))
                n--;
        return n;
}

/* A file of a new name beside `path`. */
static int create_temp(struct file_new *f, const char *path, struct err *e)
{
        size_t dir_len = folder_len(path);
        char *name = malloc(dir_len + TEMP_NAME);
        int rc = name ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
        for (int i = 0; rc == 0 && f->handle == INVALID_HANDLE_VALUE; i++) {
                unsigned char r[RANDOM_BYTES];
                rc = win_random(r, sizeof r, e);
                if (rc != 0)
                        break;
                snprintf(name, dir_len + TEMP_NAME, "%.*s.new-%02x%02x%02x%02x%02x%02x", (int)dir_len, path,
                        r[0], r[1], r[2], r[3], r[4], r[5]);
                free(f->temp);
                f->temp = win_path(name);
                if (!f->temp)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
                else
                        f->handle = CreateFileW(
                                f->temp, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
                DWORD code = GetLastError();
                if (rc == 0 && f->handle == INVALID_HANDLE_VALUE && (code != ERROR_FILE_EXISTS || i == TRIES))
                        rc = win_err(e, code, "cannot create a file beside %s", path);
        }
        free(name);
        return rc;
}

int file_create(const char *path, struct file_new **ret, struct err *e)
{
        struct file_new *f = calloc(1, sizeof *f);
        if (!f)
                return err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
        f->handle = INVALID_HANDLE_VALUE;
        f->path = strdup(path);
        f->place = win_path(path);
        int rc = f->path && f->place ? create_temp(f, path, e)
                                     : err_set(e, ERR_NO_MEMORY, "no memory to write %s", path);
        if (rc == 0)
                *ret = f;
        else
                file_free(f);
        return rc;
}

int file_write(struct file_new *f, const void *bytes, size_t len, struct err *e)
{
        for (const char *p = bytes; len;) {
                DWORD n = 0;
                if (!WriteFile(f->handle, p, len < WRITE_MOST ? (DWORD)len : WRITE_MOST, &n, NULL))
                        return win_err(e, GetLastError(), "cannot write %s", f->path);
                p += n;
                len -= n;
        }
        return 0;
}

int file_share(struct file_new *f, struct err *e)
{
        (void)f; /* it has what its folder hands down to it */
        (void)e;
        return 0;
}

int file_commit(struct file_new *f, struct err *e)
{
        int rc = 0;
        if (!FlushFileBuffers(f->handle))
                rc = win_err(e, GetLastError(), "cannot sync %s", f->path);
        CloseHandle(f->handle);
        f->handle = INVALID_HANDLE_VALUE;
        if (rc == 0 && !MoveFileExW(f->temp, f->place, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
                rc = win_err(e, GetLastError(), "cannot rename to %s", f->path);
        if (rc != 0)
                file_abandon(f);
        else
                file_free(f);
        return rc;
}

void file_abandon(struct file_new *f)
{
        if (!f)
                return;
        if (f->handle != INVALID_HANDLE_VALUE)
                CloseHandle(f->handle);
        f->handle = INVALID_HANDLE_VALUE;
        DeleteFileW(f->temp);
        file_free(f);
}
