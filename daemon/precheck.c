#include "daemon/precheck.h"

#include "daemon/people/identity.h"
#include "device/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* `path` without its last part, in place: "/" of "/a", "." of "a". */
static void go_up(char *path)
{
        char *slash = strrchr(path, '/');
        if (!slash)
                memcpy(path, ".", 2);
        else
                slash[slash == path] = '\0';
}

/* Whether something can be made in this folder: rights alone do not tell, for a file system may be read-only
   or none that holds files. */
static int try_folder(const char *what, const char *path, struct err *e)
{
        char probe[PATH_MAX];
        if (snprintf(probe, sizeof probe, "%s/.cnnd-check-XXXXXX", path) >= (int)sizeof probe)
                return err_set(e, ERR_INVALID, "the path of the %s is too long", what);
        if (!mkdtemp(probe))
                return err_errno(e, errno, "%s: nothing can be made in %s", what, path);
        rmdir(probe);
        return 0;
}

/* What a run of another user, as root by hand, has left in the folder. */
static int check_files(const char *state, struct err *e)
{
        static const char *const names[] = {"lock", "cnnd.db", "cnnd.db-wal", "cnnd.db-shm", "reserve",
                "jobs", "models", "datasets", "cache", "tmp"};
        char path[PATH_MAX];
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                snprintf(path, sizeof path, "%s/%s", state, names[i]);
                if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0 && errno != ENOENT)
                        return err_errno(e, errno, "state folder: %s cannot be written", path);
        }
        return 0;
}

static int check_state(const char *state, struct err *e)
{
        char path[PATH_MAX];
        struct stat st;
        if (snprintf(path, sizeof path, "%s", state) >= (int)sizeof path - 16)
                return err_set(e, ERR_INVALID, "the state folder's path is too long");
        while (stat(path, &st) != 0) {
                if (errno != ENOENT)
                        return err_errno(e, errno, "state folder %s", path);
                go_up(path);
        }
        if (!S_ISDIR(st.st_mode))
                return err_set(e, ERR_INVALID, "state folder %s: %s is not a folder", state, path);
        int rc = try_folder("state folder", path, e);
        return rc ? rc : check_files(state, e);
}

static int check_socket(const char *socket, struct err *e)
{
        char path[sizeof((struct sockaddr_un *)0)->sun_path];
        struct stat st;
        if (strlen(socket) >= sizeof path)
                return err_set(
                        e, ERR_INVALID, "socket path %s is longer than %zu bytes", socket, sizeof path - 1);
        if (lstat(socket, &st) == 0 && !S_ISSOCK(st.st_mode))
                return err_set(e, ERR_INVALID, "%s exists and is not a socket", socket);
        memcpy(path, socket, strlen(socket) + 1);
        go_up(path);
        return try_folder("socket", path, e);
}

int precheck_people(const struct conf *conf, struct err *e)
{
        char word[256];
        const char *rest = conf->operators;
        if (!identity_next_unknown(&rest, word))
                return 0;
        return err_set(e, ERR_INVALID, "operators: this machine has no %s \"%s\"",
                word[0] == '@' ? "group" : "user", word + (word[0] == '@'));
}

int precheck_places(const struct conf *conf, struct err *e)
{
        int rc = dev_check_spec(conf->device, e);
        if (rc == 0)
                rc = check_state(conf->state, e);
        if (rc == 0 && conf->socket[0])
                rc = check_socket(conf->socket, e);
        return rc;
}
