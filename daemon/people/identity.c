#include "daemon/people/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ENTRY_BYTES = 16 << 10, MAX_GROUPS = 1024, WORD_BYTES = 256 };

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

static bool in_group(const char *user, gid_t first, const char *group)
{
        struct group entry, *found = NULL;
        gid_t groups[MAX_GROUPS];
        int count = MAX_GROUPS;
        char text[ENTRY_BYTES];
        if (getgrnam_r(group, &entry, text, sizeof text, &found) != 0 || !found)
                return false;
        gid_t gid = found->gr_gid;
        if (getgrouplist(user, first, groups, &count) < 0)
                count = MAX_GROUPS;
        for (int i = 0; i < count; i++)
                if (groups[i] == gid)
                        return true;
        return false;
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

static bool is_named(const struct passwd *user, const char *operators)
{
        char word[WORD_BYTES];
        while (next_word(&operators, word, sizeof word)) {
                bool named = word[0] == '@' ? in_group(user->pw_name, user->pw_gid, word + 1)
                                            : strcmp(word, user->pw_name) == 0;
                if (named)
                        return true;
        }
        return false;
}

void identity_of_uid(uid_t uid, const char *operators, struct identity *ret)
{
        struct passwd entry, *found = NULL;
        char text[ENTRY_BYTES];
        *ret = (struct identity){.operator= uid == 0 || uid == geteuid()};
        bool known = getpwuid_r(uid, &entry, text, sizeof text, &found) == 0 && found;
        if (!known || !identity_name_ok(found->pw_name)) {
                snprintf(ret->user, sizeof ret->user, "uid-%u", (unsigned)uid);
                return;
        }
        snprintf(ret->user, sizeof ret->user, "%s", found->pw_name);
        ret->operator= ret->operator|| is_named(found, operators);
}

int identity_check_operators(const char *operators, struct err *e)
{
        char word[WORD_BYTES];
        while (next_word(&operators, word, sizeof word)) {
                const char *name = word[0] == '@' ? word + 1 : word;
                if (!identity_name_ok(name))
                        return err_set(e, ERR_INVALID, "operators: \"%s\" is no user and no @group", word);
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
