#include "client/rest.h"
#include "base/json.h"
#include "client/port.h"
#include "client/text.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum { SUBMIT_TRIES = 6, SUBMIT_PAUSE_MS = 200 };

static int code_of(int status)
{
        static const struct {
                int status, code;
        } table[] = {{400, ERR_SYNTAX}, {401, ERR_LOGIN}, {403, ERR_DENIED}, {404, ERR_NOT_FOUND},
                {409, ERR_STATE}, {413, ERR_TOO_LARGE}, {415, ERR_MEDIA}, {422, ERR_INVALID},
                {429, ERR_QUOTA}, {502, ERR_UNAVAILABLE}, {503, ERR_UNAVAILABLE}, {504, ERR_UNAVAILABLE},
                {507, ERR_DISK}};
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (table[i].status == status)
                        return table[i].code;
        return ERR_INTERNAL;
}

int rest_refused(const struct fetch_reply *r, struct err *e)
{
        int code = code_of(r->status);
        struct err ignored;
        cJSON *tree = NULL;
        if (r->body.len && (strcasecmp(r->type, "application/problem+json") == 0 ||
                                   strcasecmp(r->type, "application/json") == 0))
                tree = json_parse(r->body.data, r->body.len, &ignored);
        const char *title = rest_text(tree, "title", "");
        const char *detail = rest_text(tree, "detail", title);
        if (detail[0])
                err_at(e, code, rest_text(tree, "pointer", ""), "%s", detail);
        else if (r->status == 401)
                err_set(e, code, "the server asks for a token");
        else
                err_set(e, code, "the server answered with status %d", r->status);
        cJSON_Delete(tree);
        return code;
}

int rest_call(struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret_reply, cJSON **ret_tree,
        struct err *e)
{
        struct fetch_reply reply = {0};
        cJSON *tree = NULL;
        int rc = fetch_send(h, q, &reply, NULL, e);
        if (rc == 0 && reply.status / 100 != 2) {
                rc = rest_refused(&reply, e);
                if (q->source_name)
                        err_wrap(e, "%s", q->source_name);
        }
        if (rc == 0 && ret_tree) {
                tree = json_parse(reply.body.data ? reply.body.data : "", reply.body.len, e);
                if (!tree) {
                        err_wrap(e, "what answers at %s is not cnnd", fetch_url(h));
                        rc = ERR_SYNTAX;
                }
        }
        if (rc == 0 && ret_tree)
                *ret_tree = tree;
        if (rc == 0 && ret_reply)
                *ret_reply = reply;
        else
                fetch_reply_finish(&reply);
        return rc;
}

int rest_get(
        struct fetch *h, const char *path, struct fetch_reply *ret_reply, cJSON **ret_tree, struct err *e)
{
        struct fetch_request q = {.method = "GET", .path = path, .headers = {"Accept: application/json"}};
        return rest_call(h, &q, ret_reply, ret_tree, e);
}

static int make_key(char *out, size_t len, struct err *e)
{
        unsigned char bytes[16];
        int rc = port_random(bytes, sizeof bytes, e);
        if (rc != 0)
                return rc;
        size_t n = (size_t)snprintf(out, len, "Idempotency-Key: cnnctl-");
        for (size_t i = 0; i < sizeof bytes; i++)
                n += (size_t)snprintf(out + n, len - n, "%02x", bytes[i]);
        return 0;
}

int rest_submit(struct fetch *h, const char *job, size_t job_len, struct fetch_reply *ret_reply,
        int64_t *ret_id, struct err *e)
{
        char key[80];
        struct fetch_reply reply = {0};
        cJSON *tree = NULL;
        int rc = make_key(key, sizeof key, e), reached = 0, once = 0;
        struct fetch_request q = {.method = "POST",
                .path = "/v1/jobs",
                .headers = {"Content-Type: application/json", "Accept: application/json", key},
                .body = job,
                .body_len = job_len};
        if (rc != 0)
                return rc;
        for (long i = 0, ms = SUBMIT_PAUSE_MS; i < SUBMIT_TRIES; i++, ms *= 2) {
                rc = fetch_send(h, &q, &reply, &once, e);
                reached |= once;
                if (rc != ERR_CLOSED || !reached || i + 1 == SUBMIT_TRIES)
                        break;
                nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
        }
        if (rc == 0 && reply.status / 100 != 2)
                rc = rest_refused(&reply, e);
        if (rc == 0 && !(tree = json_parse(reply.body.data ? reply.body.data : "", reply.body.len, e)))
                rc = ERR_SYNTAX;
        if (rc == 0 && !(rest_number(tree, "id") >= 0))
                rc = err_set(e, ERR_SYNTAX, "the server's answer names no job");
        if (rc == 0) {
                *ret_id = (int64_t)rest_number(tree, "id");
                *ret_reply = reply;
        } else {
                fetch_reply_finish(&reply);
        }
        cJSON_Delete(tree);
        return rc;
}

const cJSON *rest_list(const cJSON *tree, const char *key)
{
        const cJSON *list = cJSON_IsArray(tree) ? tree : json_field(tree, key);
        return cJSON_IsArray(list) ? list : NULL;
}

const char *rest_text(const cJSON *obj, const char *key, const char *otherwise)
{
        const cJSON *v = json_field(obj, key);
        return cJSON_IsString(v) ? v->valuestring : otherwise;
}

double rest_number(const cJSON *obj, const char *key)
{
        const cJSON *v = json_field(obj, key);
        return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}

void rest_add_sides(struct str *s, const cJSON *list, const char *between)
{
        const cJSON *side;
        cJSON_ArrayForEach(side, list)
        {
                str_addf(s, "%s%s", side == list->child ? "" : between,
                        cJSON_IsNumber(side) ? text_number(side->valuedouble).s : "?");
        }
}
