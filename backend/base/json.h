/* Strict JSON (RFC 8259) over cJSON, and field readers whose errors carry the pointer of the field.

   cJSON alone lets through 1e999, leading zeros, duplicate keys, invalid UTF-8 and control characters, cuts
   strings at \u0000, ignores the case of keys and loses digits above 2^53; json_parse refuses all of these
   before cJSON sees the text. */
#ifndef CNND_JSON_H
#define CNND_JSON_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_MAX_DEPTH = 64 };
/* 2^53: to here a double holds every integer. */
#define JSON_WHOLE_MAX 9007199254740992.0

/* ERR_SYNTAX with the byte offset, the text before it and what is often meant in the message when `text` is
   not one strict JSON value, nests deeper than JSON_MAX_DEPTH, repeats a key, or holds a number that a double
   cannot (1e999) or an integer beyond 2^53. NULL on error, else a tree that the caller frees with
   cJSON_Delete. */
cJSON *json_parse(const char *text, size_t len, struct err *e);
/* Whether json_parse would read it, but that keys may repeat; nothing is built. */
int json_check(const char *text, size_t len, struct err *e);
/* For what strangers send: a tree takes some hundred bytes for each value and each key. ERR_TOO_LARGE where
   there are more than `most` of both. */
cJSON *json_parse_most(const char *text, size_t len, size_t most, struct err *e);

/* Field readers. `at` is the pointer of `obj` itself ("" for the root); errors name at/key. Each returns 0 or
   ERR_INVALID and leaves *ret untouched when the key is absent, so that the caller puts the default there
   first; json_need makes absence an error. `obj` must be an object: json_is_object checks. */
int json_is_object(const cJSON *obj, const char *at, struct err *e);
int json_need(const cJSON *obj, const char *key, const char *at, struct err *e);
/* Whether `key` stands in a list separated by blanks. */
bool json_listed(const char *keys, const char *key);
/* `keys` is such a list; any other key of `obj` is an error that names it. */
int json_only(const cJSON *obj, const char *keys, const char *at, struct err *e);
/* A finite number in [min, max]. */
int json_get_number(const cJSON *obj, const char *key, double min, double max, const char *at, double *ret,
        struct err *e);
/* A whole number in [min, max]. */
int json_get_int(const cJSON *obj, const char *key, int64_t min, int64_t max, const char *at, int64_t *ret,
        struct err *e);
int json_get_bool(const cJSON *obj, const char *key, const char *at, bool *ret, struct err *e);
/* 1 to max_len bytes; *ret is borrowed from the tree. */
int json_get_string(
        const cJSON *obj, const char *key, size_t max_len, const char *at, const char **ret, struct err *e);

/* Tree access that never ignores case. NULL where absent. */
const cJSON *json_field(const cJSON *obj, const char *key);

/* Building trees: cJSON's cJSON_Add… calls need not be looked at one by one, for the thread remembers that
   they could not add something, until json_begin, json_text or json_fell_short. */

/* Something new begins: what was short before is not its concern. */
void json_begin(void);

/* Take `item`, also on failure, when it is freed; NULL is one. */
void json_add(cJSON *obj, const char *key, cJSON *item);
/* Returns the item, NULL on failure. */
cJSON *json_push(cJSON *list, cJSON *item);
/* True when memory was short for a tree since it was last asked for, which it forgets: a tree that was built
   since then may lack something. For one that is kept before it becomes text. */
bool json_fell_short(void);

/* Compact text of a tree, which json_parse reads as the same tree; the caller frees it. Bytes that are no
   UTF-8 become U+FFFD; what is raw (cJSON_CreateRaw) is taken as it is. NULL for NULL, and when memory is out
   or was when the tree was built. */
char *json_text(const cJSON *tree);

#endif
