/* Calls of the JSON API: an answer that is no success becomes the error that the server explains. */
#ifndef CNND_REST_H
#define CNND_REST_H

#include "client/fetch.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Makes an error of an answer that is no 2xx: the `detail` and `pointer` of its problem+json, or else its
   status. Returns the ERR_… that belongs to the status. */
int rest_refused(const struct fetch_reply *r, struct err *e);

/* Sends `q`; 0 only for a 2xx answer. `ret_reply` (to be finished by the caller) and `ret_tree` (to be freed
   by the caller with cJSON_Delete) may be NULL; with a tree wanted, an answer that is no JSON is ERR_SYNTAX.
 */
int rest_call(struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret_reply, cJSON **ret_tree,
        struct err *e);
/* A GET of JSON. `ret_reply` may be NULL. */
int rest_get(
        struct fetch *h, const char *path, struct fetch_reply *ret_reply, cJSON **ret_tree, struct err *e);

/* Posts a job under an idempotency key of its own, and again under the same key where the connection broke,
   so that the job is there once. *ret_id is its number. */
int rest_submit(struct fetch *h, const char *job, size_t job_len, struct fetch_reply *ret_reply,
        int64_t *ret_id, struct err *e);

/* The array `key` of an answer, or the answer itself where it is an array; NULL where there is none. */
const cJSON *rest_list(const cJSON *tree, const char *key);
/* Readers for answers, where an absent field is no error: `otherwise`, or NAN. */
const char *rest_text(const cJSON *obj, const char *key, const char *otherwise);
double rest_number(const cJSON *obj, const char *key);
/* Appends the numbers of a list, such as a shape's, with `between` them. */
void rest_add_sides(struct str *s, const cJSON *list, const char *between);

#endif
