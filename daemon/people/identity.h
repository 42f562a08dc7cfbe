/* Who asks: a user's name, and whether everything or only the user's own is open to them. Any thread, but for
   identity_of_uid, which may ask the machine's directory service. */
#ifndef CNND_IDENTITY_H
#define CNND_IDENTITY_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

enum { IDENTITY_USER_MAX = 64 };

struct identity {
        char user[IDENTITY_USER_MAX + 1]; /* never "" for somebody who is known */
        bool operator;                    /* sees and changes what is others' too */
};

/* True when an object of `owner` may be seen and changed; an owner of "" is nobody. */
bool identity_owns(const struct identity *who, const char *owner);
/* 1 to IDENTITY_USER_MAX letters, digits, '.', '_', '-' and '@', not first '-'. */
bool identity_name_ok(const char *user);

/* The login name of a user of this machine, "uid-N" for one without. An operator is root, the daemon's own
   user, and whom `operators` names: login names and @groups, with commas or blanks between. ERR_UNAVAILABLE
   where the directory does not tell the name: what is the user's must not be another's for that time. */
int identity_of_uid(uid_t uid, const char *operators, struct identity *ret, struct err *e);
/* ERR_INVALID for words of `operators` that can be no name. Whether they exist is not asked. */
int identity_check_operators(const char *operators, struct err *e);
/* False where this machine has no user, or no @group, of that name; true where that cannot be found out. */
bool identity_exists(const char *name);
/* The next word of *operators that does not exist, as "word" of 256 bytes, and what follows it in *operators;
   false at their end. */
bool identity_next_unknown(const char **operators, char word[256]);

#endif
