#include "daemon/decoder/decoderequest.h"

#include "base/json.h"
#include "base/str.h"
#include "daemon/common/wire.h"
#include "daemon/decoder/album.h"
#include "daemon/decoder/decoder_role.h"
#include "daemon/decoder/imagefacts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void decode_request_free(struct decode_request *r)
{
        if (!r)
                return;
        cJSON_Delete(r->head);
        free(r->raw);
        free(r->user);
        free(r);
}

/* Takes `head`; `raw` is two parts one behind the other, copied. */
static struct decode_request *create(int64_t id, cJSON *head, const void *raw[2], const size_t len[2],
        const struct decode_caller *caller, struct err *e)
{
        struct decode_request *r = calloc(1, sizeof *r);
        const size_t raw_len = len[0] + len[1];
        if (r) {
                *r = (struct decode_request){.id = id,
                        .head = head,
                        .raw = raw_len ? malloc(raw_len) : NULL,
                        .raw_len = raw_len,
                        .user = strdup(caller->user),
                        .done = caller->done,
                        .ctx = caller->ctx};
                head = NULL;
        }
        if (!r || !r->user || (raw_len && !r->raw) || json_fell_short()) {
                cJSON_Delete(head);
                decode_request_free(r);
                err_set(e, ERR_NO_MEMORY, "no memory for a body of %zu bytes", raw_len);
                return NULL;
        }
        if (len[0])
                memcpy(r->raw, raw[0], len[0]);
        if (len[1])
                memcpy((char *)r->raw + len[0], raw[1], len[1]);
        return r;
}

struct decode_request *decode_request_command(int64_t id, cJSON *head, const void *raw, size_t raw_len,
        const struct decode_caller *caller, struct err *e)
{
        cJSON_AddNumberToObject(head, "request", (double)id);
        const void *parts[2] = {NULL, raw};
        return create(id, head, parts, (size_t[2]){0, raw_len}, caller, e);
}

struct decode_request *decode_request_image(int64_t id, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e)
{
        struct decoder_body b = {.len = len};
        snprintf(b.media_type, sizeof b.media_type, "%s", media_type ? media_type : "");
        const void *parts[2] = {&b, body};
        struct decode_request *r = create(id, NULL, parts, (size_t[2]){sizeof b, len}, caller, e);
        if (!r)
                return NULL;
        r->image = true;
        r->recipe = *target->recipe;
        r->to = *target;
        r->to.recipe = &r->recipe;
        return r;
}

void decode_add_target(cJSON *head, const struct decode_target *to)
{
        cJSON_AddNumberToObject(head, "c", to->c);
        cJSON_AddNumberToObject(head, "h", to->h);
        cJSON_AddNumberToObject(head, "w", to->w);
        json_add(head, "import", recipe_json(to->recipe));
}

/* --- messages --- */

bool decode_request_joins(const struct decode_request *r, const struct decode_request *first)
{
        const struct decode_target *a = &r->to, *b = &first->to;
        return first->image && !first->tried && r->image && !r->tried && a->c == b->c && a->h == b->h &&
               a->w == b->w && recipe_same(a->recipe, b->recipe);
}

static int send_images(
        const struct decode_request *first, int count, uint64_t most, struct child *child, struct err *e)
{
        struct str raw = {0};
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "images");
        cJSON_AddNumberToObject(head, "request", (double)first->id);
        if (most)
                cJSON_AddNumberToObject(head, "most", (double)most);
        decode_add_target(head, &first->to);
        const struct decode_request *r = first;
        for (int i = 0; count > 1 && i < count; i++, r = TAILQ_NEXT(r, place))
                str_add_bytes(&raw, r->raw, r->raw_len);
        int rc = !head || raw.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request") : 0;
        if (rc == 0 && count > 1)
                rc = child_send(child, head, raw.data, raw.len, e);
        else if (rc == 0)
                rc = child_send(child, head, first->raw, first->raw_len, e);
        cJSON_Delete(head);
        str_free(&raw);
        return rc;
}

int decode_request_send(
        const struct decode_request *first, int count, uint64_t most, struct child *child, struct err *e)
{
        return first->image ? send_images(first, count, most, child, e)
                            : child_send(child, first->head, first->raw, first->raw_len, e);
}

/* Bytes of what a body became: its images and their facts. ERR_INTERNAL where `left` has not as many. */
static int measure(
        const struct decode_request *r, const cJSON *entry, size_t left, size_t *ret, struct err *e)
{
        const size_t image = (size_t)r->to.c * (size_t)r->to.h * (size_t)r->to.w * sizeof(float);
        const cJSON *files = json_field(entry, "files");
        int images = cJSON_IsNumber(entry) ? entry->valueint : 0, facts = 1;
        int rc = files ? album_count(files, &images, &facts, e) : 0;
        const size_t tail = (size_t)facts * sizeof(struct image_facts);
        if (rc)
                return rc;
        if (images < 1 || left < tail || (left - tail) / image < (size_t)images)
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        *ret = (size_t)images * image + tail;
        return 0;
}

int decode_request_part(const struct decode_request *r, cJSON *entry, const struct chan_message *m,
        size_t *at, struct chan_message *ret, struct err *e)
{
        const cJSON *error = json_field(entry, "error");
        size_t bytes = 0;
        *ret = (struct chan_message){.head = entry};
        int rc = error ? wire_error_read(error, e) : measure(r, entry, m->raw_len - *at, &bytes, e);
        if (rc == 0 && !(ret->raw = malloc(bytes)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for an image");
        if (rc == 0) {
                memcpy(ret->raw, (const char *)m->raw + *at, bytes);
                ret->raw_len = bytes;
        }
        *at += bytes;
        return rc;
}
