/* A pull parser: JSON of any size is read from a file value by value, as strictly as json_parse reads it, but
   that keys which nobody asks for may repeat. One thread. */
#ifndef CNND_PULL_H
#define CNND_PULL_H

#include "base/json.h"
#include "base/str.h"
#include "client/path.h"

enum { PULL_BYTES = 1 << 14 };

struct pull {
        struct path_file *file; /* borrowed */
        uint64_t begin;         /* where `bytes` lie in the file */
        size_t at, len;         /* of them: what comes next, and how many there are */
        int depth;
        bool first;                 /* nothing of the innermost array or object has come yet */
        char close[JSON_MAX_DEPTH]; /* what ends each */
        struct str token;           /* owned; the last key, or value that is neither array nor object */
        struct str *copy;           /* gets all that is read, while not NULL */
        char bytes[PULL_BYTES];
};

/* Begins with the value at `at`. To be finished. */
void pull_init(struct pull *p, struct path_file *file, uint64_t at);
void pull_finish(struct pull *p);
/* Goes to where an array's element begins; pull_next comes to that and to those behind it. */
void pull_seek(struct pull *p, uint64_t at);
/* Where the value that comes next begins, once pull_kind has told of it. */
uint64_t pull_at(const struct pull *p);

/* Below: ERR_SYNTAX with the place in bytes for what is no JSON, or ends too early; ERR_TOO_LARGE for a text
   of more than a MiB; path_read_at's errors. After an error there is nothing more to be read. */

/* The first byte of the value that comes next, which tells of what kind it is: { [ " - 0 to 9 t f n. */
int pull_kind(struct pull *p, struct err *e);
/* Begins the array or object that comes next. */
int pull_enter(struct pull *p, struct err *e);
/* 1: comes to the next element, or behind the next key, of the innermost array or object. 0: that has ended.
 */
int pull_next(struct pull *p, struct err *e);
/* The key that pull_next came by. */
int pull_key(const struct pull *p, struct str *ret, struct err *e);
/* Passes over a value. */
int pull_skip(struct pull *p, struct err *e);
/* Passes over a value: NAN where it is no number; "" where it is no text. */
int pull_number(struct pull *p, double *ret, struct err *e);
int pull_text(struct pull *p, struct str *ret, struct err *e);
/* The whole value, to be freed with cJSON_Delete. */
int pull_tree(struct pull *p, cJSON **ret, struct err *e);
/* Nothing but blanks may come any more. */
int pull_end(struct pull *p, struct err *e);

#endif
