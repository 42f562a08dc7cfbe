/* What a request asks for: path segments and query parameters, decoded strictly from the raw request target.

   The HTTP library decodes too, but cuts at %00 and takes %2F for a separator; so nothing of its is used. */
#ifndef CNND_TARGET_H
#define CNND_TARGET_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { TARGET_MAX_PARTS = 6, TARGET_MAX_QUERY = 16 };

struct target {
        char *text;                         /* owned; the strings below point into it */
        const char *part[TARGET_MAX_PARTS]; /* "/v1/jobs/7" -> "v1", "jobs", "7" */
        int part_count;
        struct {
                const char *name, *value; /* value "" where there is no '=' */
        } query[TARGET_MAX_QUERY];
        int query_count;
};

/* ERR_SYNTAX for bad escapes, NUL and control characters, an escaped '/', empty or dot segments, more parts
   or parameters than above and parameters given twice. ERR_NO_MEMORY. The caller calls target_finish. */
int target_parse(const char *raw, struct target *ret, struct err *e);
void target_finish(struct target *t);

/* Readers of the query; *ret is untouched where the parameter is absent. Errors are ERR_INVALID, name the
   parameter in the message, and have no pointer: the body is not at fault. */
/* `names` is a list separated by blanks; any other parameter is an error. */
int target_only(const struct target *t, const char *names, struct err *e);
/* NULL where absent. */
const char *target_get(const struct target *t, const char *name);
int target_get_int(
        const struct target *t, const char *name, int64_t min, int64_t max, int64_t *ret, struct err *e);
/* A whole number, digits only; `what` is for the message. Of a path's id: ERR_NOT_FOUND when it is none. */
int target_id(const char *text, const char *what, int64_t *ret, struct err *e);

#endif
