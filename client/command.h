/* The commands of cnnctl, one table of them, and what a command is given to run with. */
#ifndef CNND_COMMAND_H
#define CNND_COMMAND_H

#include "base/err.h"
#include "client/fetch.h"
#include "client/term.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct args;

/* Exit statuses. An interrupted command ends with 128 + the signal's number, as shells have it. */
enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_NO_SERVER = 3, STATUS_SIGNAL = 128 };

struct ctl {
        struct fetch *http; /* owned; NULL in commands that need no server */
        struct term term;
        bool json; /* print what the server sent */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_INT, OPTION_NUMBER, OPTION_SHAPE };

struct command_option {
        const char *name; /* without the dashes; NULL ends a list */
        enum option_kind kind;
        const char *value; /* what help calls the value, NULL for a flag */
        const char *help;
        const char *field; /* where its value goes in a train job: "optimizer/lr"; NULL: nowhere by itself */
        char letter;       /* -o, 0 for none */
};

struct command {
        const char *name;
        const char *words; /* synopsis of what is no option, "" for none */
        int min_words, max_words;
        bool ids; /* the words are numbers of jobs */
        const char *help;
        const char *more;                     /* further lines of help, NULL for none */
        const struct command_option *options; /* NULL for none */
        /* An exit status, or a negative ERR_… with *e filled. */
        int (*run)(struct ctl *c, const struct args *a, struct err *e);
};

/* All of them; an entry without a name ends the table. */
extern const struct command command_table[];
/* Options that every command takes. */
extern const struct command_option command_globals[];

/* NULL where there is none of that name. */
const struct command *command_find(const char *name);

int cmd_train(struct ctl *c, const struct args *a, struct err *e);
int cmd_submit(struct ctl *c, const struct args *a, struct err *e);
int cmd_jobs(struct ctl *c, const struct args *a, struct err *e);
int cmd_show(struct ctl *c, const struct args *a, struct err *e);
int cmd_follow(struct ctl *c, const struct args *a, struct err *e);
int cmd_control(struct ctl *c, const struct args *a, struct err *e); /* cancel, pause, resume */
int cmd_curve(struct ctl *c, const struct args *a, struct err *e);
int cmd_result(struct ctl *c, const struct args *a, struct err *e);
int cmd_classify(struct ctl *c, const struct args *a, struct err *e);
int cmd_map(struct ctl *c, const struct args *a, struct err *e);
int cmd_summary(struct ctl *c, const struct args *a, struct err *e);
int cmd_datasets(struct ctl *c, const struct args *a, struct err *e);
int cmd_import(struct ctl *c, const struct args *a, struct err *e);
int cmd_models(struct ctl *c, const struct args *a, struct err *e);
int cmd_delete(struct ctl *c, const struct args *a, struct err *e);
int cmd_export(struct ctl *c, const struct args *a, struct err *e);
int cmd_upload(struct ctl *c, const struct args *a, struct err *e);
int cmd_devices(struct ctl *c, const struct args *a, struct err *e);
int cmd_help(struct ctl *c, const struct args *a, struct err *e);

/* What several commands share. */

/* Says on standard error what is wrong with the command line; returns STATUS_USAGE. */
int command_misused(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says on standard error what went wrong, in words for people; returns the exit status that belongs to it. */
int command_failed(const struct err *e);
/* A line on standard error, safe for a terminal. */
void command_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* To standard output, at once. A failure is never ERR_CLOSED, which is a server's: a reader that has gone is
 * ERR_CANCELLED without a message, for it has seen enough. */
int command_write(const void *bytes, size_t len, struct err *e);
/* Prints a body as the server sent it, with a line end. */
void command_print_json(const struct fetch_reply *r);
/* A GET of JSON. With --json the answer is printed and *ret stays NULL; else the caller frees it with
 * cJSON_Delete. */
int command_get(struct ctl *c, const char *path, cJSON **ret, struct err *e);
/* The same of a list that the server gives in parts by name, the arrays `key` of its answers: *ret is all of
 * them as one, and with --json each answer is printed. */
int command_list(struct ctl *c, const char *path, const char *key, cJSON **ret, struct err *e);
/* What follows a model's name in the path of its file: ONNX where the file is called so, else safetensors. */
const char *command_model_form(const char *file);
/* Submits a job and says so, or follows it to its end; see cmd_follow for the rest. */
int command_submit(struct ctl *c, const struct args *a, const char *job, size_t len, struct err *e);
/* Follows a job to its end; options of `a`: wait. */
int command_follow(struct ctl *c, const struct args *a, int64_t id, struct err *e);

#endif
