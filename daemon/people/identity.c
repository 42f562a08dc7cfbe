#include "daemon/people/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ENTRY_MOST: of a group with all its members. */
enum { ENTRY_BYTES = 16 << 10, ENTRY_MOST = 16 << 20, MAX_GROUPS = 1024, WORD_BYTES = 256 };

static const char separators[] = ", \t";

bool identity_owns(const struct identity *who, const char *owner)
{
        return who->operator||(owner[0] && strcmp(who->user, owner) == 0);
}

bool identity_name_ok(const char *user)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@";
        size_t n = strlen(user);
        return n > 0 && n <= IDENTITY_USER_MAX && user[0] != '-' && strspn(user, allowed) == n;
}

/* Calls `look` with room for what it finds, and again with more where that is too little. What it returned,
   ENOMEM where there is no such room. */
static int with_room(int (*look)(void *ctx, char *text, size_t size), void *ctx)
{
        int rc = ERANGE;
        for (size_t size = ENTRY_BYTES; rc == ERANGE && size <= ENTRY_MOST; size *= 4) {
                char *text = malloc(size);
                rc = text ? look(ctx, text, size) : ENOMEM;
                free(text);
        }
        return rc;
}

struct group_look {
        const char *name;
        gid_t gid;
        bool found;
};

static int look_for_group(void *ctx, char *text, size_t size)
{
        struct group_look *g = ctx;
        struct group entry, *found = NULL;
        int rc = getgrnam_r(g->name, &entry, text, size, &found);
        g->found = rc == 0 && found;
        if (g->found)
                g->gid = found->gr_gid;
        return rc;
}

struct user_look {
        uid_t uid;
        char name[IDENTITY_USER_MAX + 2]; /* cut, and then none that is one */
        gid_t gid;
        bool found;
};

static int look_for_user(void *ctx, char *text, size_t size)
{
        struct user_look *u = ctx;
        struct passwd entry, *found = NULL;
        int rc = getpwuid_r(u->uid, &entry, text, size, &found);
        u->found = rc == 0 && found;
        if (u->found) {
                snprintf(u->name, sizeof u->name, "%s", found->pw_name);
                u->gid = found->pw_gid;
        }
        return rc;
}

/* Of a lookup that found nothing: whether there is nothing, as getpwuid_r(3) has it, or that is not known. */
static bool tells(int rc)
{
        return rc == 0 || rc == ENOENT || rc == ESRCH || rc == EBADF || rc == EPERM;
}

/* 1 for yes, 0 for no; -1 where the directory does not tell. */
static int in_group(const char *user, gid_t first, const char *group)
{
        struct group_look g = {.name = group};
        gid_t groups[MAX_GROUPS];
        int count = MAX_GROUPS;
        const int rc = with_room(look_for_group, &g);
        if (!g.found)
                return tells(rc) ? 0 : -1;
        if (getgrouplist(user, first, groups, &count) < 0)
                count = MAX_GROUPS;
        for (int i = 0; i < count; i++)
                if (groups[i] == g.gid)
                        return 1;
        return 0;
}

/* Takes the next word of *list; false at its end. */
static bool next_word(const char **list, char *out, size_t size)
{
        const char *word = *list + strspn(*list, separators);
        size_t n = strcspn(word, separators);
        *list = word + n;
        snprintf(out, size, "%.*s", (int)n, word);
        return n > 0;
}

/* As in_group; what is not told of one group is no matter where another says yes. */
static int is_named(const struct user_look *user, const char *operators)
{
        char word[WORD_BYTES];
        int all = 0;
        while (all <= 0 && next_word(&operators, word, sizeof word)) {
                const int named = word[0] == '@' ? in_group(user->name, user->gid, word + 1)
                                                 : strcmp(word, user->name) == 0;
                all = named ? named : all;
        }
        return all;
}

int identity_of_uid(uid_t uid, const char *operators, struct identity *ret, struct err *e)
{
        struct user_look u = {.uid = uid};
        struct identity who = {.operator= uid == 0 || uid == geteuid()};
        const int rc = with_room(look_for_user, &u);
        if (!u.found && !tells(rc))
                return err_set(e, ERR_UNAVAILABLE,
                        "this machine's directory of users does not tell who uid %u is: %s", (unsigned)uid,
                        strerror(rc));
        if (!u.found || !identity_name_ok(u.name)) {
                snprintf(who.user, sizeof who.user, "uid-%u", (unsigned)uid);
        } else {
                const int named = who.operator? 1 : is_named(&u, operators);
                if (named < 0)
                        return err_set(e, ERR_UNAVAILABLE,
                                "this machine's directory of users does not tell whether %s is an operator",
                                u.name);
                memcpy(who.user, u.name, sizeof who.user);
                who.operator= named> 0;
        }
        *ret = who;
        return 0;
}

int identity_check_operators(const char *operators, struct err *e)
{
        char word[WORD_BYTES];
        while (next_word(&operators, word, sizeof word)) {
                const char *name = word[0] == '@' ? word + 1 : word;
                if (!identity_name_ok(name))
                        return err_set(
                                e, ERR_INVALID, "operators: \"%s\" is neither a user nor an @group", word);
        }
        return 0;
}

bool identity_exists(const char *name)
{
        char text[ENTRY_BYTES];
        struct passwd user, *found_user = NULL;
        struct group group, *found_group = NULL;
        int rc = name[0] == '@' ? getgrnam_r(name + 1, &group, text, sizeof text, &found_group)
                                : getpwnam_r(name, &user, text, sizeof text, &found_user);
        return found_user || found_group || (rc != 0 && rc != ENOENT);
}

bool identity_next_unknown(const char **operators, char word[WORD_BYTES])
{
        while (next_word(operators, word, WORD_BYTES))
                if (!identity_exists(word))
                        return true;
        return false;
}
