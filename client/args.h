/* The command line, read by the table of commands. */
#ifndef CNND_ARGS_H
#define CNND_ARGS_H

#include "base/err.h"
#include "client/command.h"

#include <stdint.h>

enum { ARGS_MAX_OPTIONS = 48 };

struct args {
        const struct command *command; /* NULL where none was named */
        struct {
                const struct command_option *option;
                const char *value; /* "" for a flag */
        } given[ARGS_MAX_OPTIONS];
        int given_count;
        const char **words; /* owned array of borrowed words */
        int word_count;
};

/* Options may stand anywhere, as --name VALUE, --name=VALUE or -n VALUE; "--" ends them. Values are checked
   against their option's kind, words against the command. ERR_INVALID with a message for the user; `ret` is
   to be finished in every case and holds the command as soon as it is known. */
int args_parse(int argc, char **argv, struct args *ret, struct err *e);
void args_finish(struct args *a);

/* NULL where the option was not given; the last one counts. */
const char *args_get(const struct args *a, const char *name);
bool args_has(const struct args *a, const char *name);
int64_t args_int(const struct args *a, const char *name, int64_t otherwise);
/* A word that args_parse has checked to be a job's number. */
int64_t args_id(const struct args *a, int word);
/* "1x224x224" to at most `most` numbers; returns how many, 0 where the text is no such shape. */
int args_shape(const char *text, int *ret, int most);

#endif
