#include "daemon/admin.h"

#include "base/clock.h"
#include "daemon/conf.h"
#include "daemon/datasets/datasetrow.h"
#include "daemon/datasets/datasets.h"
#include "daemon/models/modelrow.h"
#include "daemon/store/store.h"
#include "daemon/people/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, MAX_WORDS = 4, MAX_DAYS = 36500 };
enum { PATIENCE_TRIES = 50, PATIENCE_STEP_MS = 100 };

struct order {
        const char *word[MAX_WORDS]; /* borrowed: "token", "add", "anna" */
        int words;
        bool operator;
        int64_t days;
        struct conf conf; /* owned */
};

bool admin_requested(int argc, char **argv)
{
        static const char *const commands[] = {"token", "dataset", "model", "backup"};
        for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
                if (strcmp(argv[1], commands[i]) == 0)
                        return true;
        return false;
}

/* Takes the command's own words out of argv and leaves the daemon's options, whose number is returned. */
static int take_words(struct order *o, int argc, char **argv, struct err *e)
{
        int left = 1, i = 1;
        for (; i < argc && argv[i][0] != '-'; i++) {
                if (o->words == MAX_WORDS)
                        return err_set(e, ERR_INVALID, "\"%s\" is one word too many", argv[i]);
                o->word[o->words++] = argv[i];
        }
        for (; i < argc; i++) {
                if (strcmp(argv[i], "--operator") == 0) {
                        o->operator= true;
                } else if (strcmp(argv[i], "--days") == 0 && i + 1 < argc) {
                        char *end;
                        o->days = strtol(argv[++i], &end, 10);
                        if (*end || o->days < 1 || o->days > MAX_DAYS)
                                return err_set(
                                        e, ERR_INVALID, "--days is 1 to %d, not \"%s\"", MAX_DAYS, argv[i]);
                } else {
                        argv[left++] = argv[i];
                }
        }
        argv[left] = NULL;
        return left;
}

/* Root does as the folder's owner would, so that the daemon can read what is made. */
static int become_owner(const char *dir, struct err *e)
{
        struct stat st;
        if (stat(dir, &st) != 0)
                return err_errno(e, errno, "state folder %s", dir);
        if (geteuid() != 0 || st.st_uid == 0)
                return 0;
        if (setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0)
                return err_errno(e, errno, "state folder %s", dir);
        return 0;
}

/* While *ret is open no daemon starts; -1 where one is there. */
static int lock_out(const char *state, int *ret, struct err *e)
{
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/lock", state) >= (int)sizeof path)
                return err_errno(e, ENAMETOOLONG, "%s", state);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_errno(e, errno, "%s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
                close(fd);
                fd = -1;
        }
        *ret = fd;
        return 0;
}

/* To this version, but not below a daemon of an older one, which could not start again. One that has just
   begun does so itself. */
static int bring_up(const char *state, struct store *s, struct err *e)
{
        for (int tries = 0;; tries++) {
                int version = 0, fd = -1, rc = store_version(s, &version, e);
                if (rc == 0 && version < STORE_VERSION)
                        rc = lock_out(state, &fd, e);
                if (rc == 0 && (fd >= 0 || version >= STORE_VERSION)) {
                        rc = store_migrate(s, e);
                        if (fd >= 0)
                                close(fd);
                        return rc;
                }
                if (rc)
                        return rc;
                if (tries == PATIENCE_TRIES)
                        return err_set(e, ERR_STATE,
                                "the database has schema version %d, for the cnnd that runs is older than "
                                "this one: restart it first, or use its own program",
                                version);
                nanosleep(&(struct timespec){.tv_nsec = PATIENCE_STEP_MS * 1000000L}, NULL);
        }
}

static int open_store(const struct order *o, struct store **ret, struct err *e)
{
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/cnnd.db", o->conf.state) >= (int)sizeof path)
                return err_set(e, ERR_INVALID, "the state folder's path is too long");
        const bool backup = strcmp(o->word[0], "backup") == 0;
        int rc;
        if (backup) /* the copy is whose it is who asks for it */
                rc = access(path, R_OK) == 0 ? 0 : err_errno(e, errno, "%s", path);
        else
                rc = become_owner(o->conf.state, e);
        if (rc == 0)
                rc = store_open_as_is(path, ret, e);
        return rc || backup ? rc : bring_up(o->conf.state, *ret, e);
}

static int add(const struct order *o, struct store *s, struct err *e)
{
        char token[TOKEN_BYTES];
        struct identity who = {.operator= o->operator};
        if (snprintf(who.user, sizeof who.user, "%s", o->word[2]) >= (int)sizeof who.user)
                return err_set(e, ERR_INVALID, "a user's name has at most %d bytes", IDENTITY_USER_MAX);
        int rc = token_add(s, &who, o->days, token, e);
        if (rc)
                return rc;
        printf("%s\n", token);
        fprintf(stderr,
                "this is shown once; %s sends it as `Authorization: Bearer …`, cnnctl takes it from "
                "CNND_TOKEN\n",
                who.user);
        return 0;
}

/* Fails where a daemon is there, which knows whose what is; else none comes until the end of this process. */
static int keep_daemons_away(const char *state, const struct err *owned, struct err *e)
{
        int fd = -1, rc = lock_out(state, &fd, e);
        return rc || fd >= 0 ? rc : err_set(e, owned->code, "%s: stop cnnd to hand it on", owned->message);
}

static int give(const struct order *o, struct store *s, const char *user, struct err *e)
{
        return strcmp(o->word[0], "model") == 0 ? modelrow_give(s, o->word[2], user, e)
                                                : datasets_settle(o->conf.state, s, o->word[2], user, e);
}

/* What another's job saves when it ends would take the model's place. */
static int look_for_jobs(struct store *s, const char *name, const char *user, struct err *e)
{
        int64_t job = 0;
        int rc = modelrow_awaited(s, name, user, &job, e);
        return job ? err_set(e, ERR_STATE, "job %lld is to save its model as '%s': cancel it first",
                             (long long)job, name)
                   : rc;
}

/* Of what has an owner. Where the second step fails it is the operators', and may be given once more. */
static int hand_on(const struct order *o, struct store *s, const char *user, struct err *e)
{
        const struct err owned = *e;
        int rc = keep_daemons_away(o->conf.state, &owned, e);
        if (rc)
                return rc;
        const bool model = strcmp(o->word[0], "model") == 0;
        rc = model ? look_for_jobs(s, o->word[2], user, e) : 0;
        if (rc == 0)
                rc = model ? modelrow_disown(s, o->word[2], e) : datasetrow_drop(s, o->word[2], e);
        return rc ? rc : give(o, s, user, e);
}

static int settle(const struct order *o, struct store *s, struct err *e)
{
        const char *user = o->words > 3 ? o->word[3] : "";
        if (o->words > 3 && !identity_name_ok(user))
                return err_set(e, ERR_INVALID, "\"%s\" is not a user's name", user);
        if (o->words > 3 && strncmp(user, "uid-", 4) != 0 && !identity_exists(user) && !token_known(s, user))
                return err_set(e, ERR_NOT_FOUND,
                        "nobody is called \"%s\": this machine has no such user, and nobody of that name has "
                        "ever "
                        "had a token",
                        user);
        int rc = give(o, s, user, e);
        return rc == ERR_EXISTS ? hand_on(o, s, user, e) : rc;
}

static void print_row(void *ctx, const struct token_row *r)
{
        char created[CLOCK_TEXT], expires[CLOCK_TEXT] = "never";
        const char *state = r->revoked_ms ? "revoked" : "good";
        (void)ctx;
        clock_text(r->created_ms, created);
        if (r->expires_ms)
                clock_text(r->expires_ms, expires);
        if (!r->revoked_ms && r->expires_ms && r->expires_ms <= clock_wall_ms())
                state = "expired";
        printf("%s  %-20s  %-8s  %s  %-20s  %s\n", r->id, r->user, r->role, created, expires, state);
}

static int run(const struct order *o, struct store *s, struct err *e)
{
        const char *verb = o->word[1];
        if (strcmp(o->word[0], "backup") == 0)
                return store_backup(s, o->word[1], e);
        if (strcmp(o->word[0], "token") != 0)
                return settle(o, s, e);
        if (strcmp(verb, "add") == 0)
                return add(o, s, e);
        if (strcmp(verb, "revoke") == 0)
                return token_revoke(s, o->word[2], e);
        printf("%-8s  %-20s  %-8s  %-20s  %-20s  state\n", "id", "user", "role", "created", "expires");
        return token_each(s, print_row, NULL, e);
}

/* The verb and as many words as it takes. */
static bool understood(const struct order *o)
{
        const char *verb = o->words > 1 ? o->word[1] : "";
        bool token = strcmp(o->word[0], "token") == 0, add = token && strcmp(verb, "add") == 0;
        if (strcmp(o->word[0], "backup") == 0)
                return o->words == 2 && !o->operator&& !o->days;
        if ((o->operator|| o->days) && !add)
                return false;
        if (!token && strcmp(verb, "share") == 0)
                return o->words == 3 && strcmp(o->word[0], "dataset") == 0;
        if (!token)
                return o->words == 4 && strcmp(verb, "give") == 0;
        return o->words == (strcmp(verb, "list") == 0 ? 2 : add || strcmp(verb, "revoke") == 0 ? 3 : 0);
}

int admin_main(int argc, char **argv)
{
        struct order o = {0};
        struct store *store = NULL;
        struct err e = {0};
        enum conf_action action;
        int left = take_words(&o, argc, argv, &e), status = EXIT_SUCCESS;
        if (left > 0 && !understood(&o))
                left = err_set(&e, ERR_INVALID,
                        "usage: cnnd token add USER [--operator] [--days N] | list | revoke ID, cnnd "
                        "dataset give NAME USER | share NAME, cnnd model give NAME USER, or cnnd backup "
                        "FILE");
        if (left < 0 || conf_load(left, argv, &o.conf, &action, &e) != 0) {
                fprintf(stderr, "cnnd: %s\n", e.message);
                return EXIT_USAGE;
        }
        int rc = open_store(&o, &store, &e);
        if (rc == 0)
                rc = run(&o, store, &e);
        if (rc == 0 && fflush(stdout) != 0)
                rc = err_errno(&e, errno, "standard output");
        if (rc) {
                fprintf(stderr, "cnnd: %s\n", e.message);
                status = EXIT_FAILURE;
        }
        store_close(store);
        conf_finish(&o.conf);
        return status;
}
