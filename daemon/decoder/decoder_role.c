#include "daemon/decoder/decoder_role.h"

#include "base/asan.h"
#include "base/chan.h"
#include "base/json.h"
#include "daemon/decoder/album.h"
#include "daemon/common/children.h"
#include "daemon/decoder/decode.h"
#include "daemon/decoder/modelcheck.h"
#include "daemon/decoder/posted.h"
#include "daemon/decoder/sandbox.h"
#include "daemon/common/wire.h"
#include "data/grid.h"
#include "data/image.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { CPU_SECONDS = 30 };        /* for one request */
enum { KEEP_BYTES = 4 << 20 };    /* of free memory */
enum { ANSWER_BYTES = 64 << 20 }; /* from which on no more images are added to it */
/* A body, its copy in the channel and the pixels of IMAGE_MAX_BYTES with their fitted copy. */
#define ADDRESS_SPACE ((uint64_t)6 << 30)

struct answer {
        cJSON *head; /* owned, as raw */
        void *raw;
        size_t raw_len;
};

/* A target that came in a request's head. */
static int read_target(const cJSON *head, struct decode_target *ret, struct recipe *ret_recipe, struct err *e)
{
        int64_t c = 0, h = 0, w = 0;
        int rc = json_get_int(head, "c", 1, IMAGE_MAX_CHANNELS, "", &c, e);
        if (rc == 0)
                rc = json_get_int(head, "h", 1, IMAGE_MAX_SIDE, "", &h, e);
        if (rc == 0)
                rc = json_get_int(head, "w", 1, IMAGE_MAX_SIDE, "", &w, e);
        if (rc == 0)
                rc = recipe_parse(json_field(head, "import"), "/import", ret_recipe, e);
        *ret = (struct decode_target){(int)c, (int)h, (int)w, ret_recipe};
        return rc;
}

static const char *text_of(const cJSON *v)
{
        return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* One image in full, which is large: its memory becomes the answer's. */
static int read_field(const struct chan_message *m, struct answer *a, struct err *e)
{
        struct image im = {0};
        struct image_facts facts;
        struct recipe recipe = {0};
        struct decode_target to;
        int rc = read_target(m->head, &to, &recipe, e);
        if (rc == 0)
                rc = posted_read(m->raw, m->raw_len, text_of(json_field(m->head, "media_type")), &to, true,
                        &im, &facts, e);
        if (rc)
                return rc;
        const size_t bytes = posted_bytes(&im);
        char *raw = realloc(im.pixels, bytes + sizeof facts);
        if (!raw) {
                image_finish(&im);
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        }
        memcpy(raw + bytes, &facts, sizeof facts);
        a->raw = raw;
        a->raw_len = bytes + sizeof facts;
        return 0;
}

/* An image: what came of it behind `raw`, and the number of its frames. */
static int decode_single(const char *body, size_t len, const char *media, const struct decode_target *to,
        cJSON **ret, struct str *raw, struct err *e)
{
        struct image im = {0};
        struct image_facts facts;
        int rc = posted_read(body, len, media, to, false, &im, &facts, e);
        if (rc)
                return rc;
        str_add_bytes(raw, im.pixels, posted_bytes(&im));
        str_add_bytes(raw, &facts, sizeof facts);
        *ret = cJSON_CreateNumber(im.n);
        image_finish(&im);
        return 0;
}

/* The next body: appends what came of it to `raw`, and the number of its frames, an archive's files or why
   there are none to `list`. */
static int decode_one(const char *body, const struct decoder_body *b, const struct decode_target *to,
        cJSON *list, struct str *raw, struct err *e)
{
        const char *media = b->media_type[0] ? b->media_type : NULL;
        const size_t before = raw->len;
        struct err why;
        cJSON *entry = NULL;
        int rc = album_is(body, b->len, media) ? album_read(body, b->len, to, &entry, raw, &why)
                                               : decode_single(body, b->len, media, to, &entry, raw, &why);
        if (rc) {
                raw->len = before;
                entry = cJSON_CreateObject();
                json_add(entry, "error", wire_error_json(&why));
        }
        if (!json_push(list, entry) || raw->failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        return 0;
}

/* The head before the next body of `left` bytes of message. */
static int read_body_head(const char *at, size_t left, struct decoder_body *ret, struct err *e)
{
        if (left >= sizeof *ret) {
                memcpy(ret, at, sizeof *ret);
                if (ret->len <= left - sizeof *ret && memchr(ret->media_type, '\0', sizeof ret->media_type))
                        return 0;
        }
        return err_set(e, ERR_INTERNAL, "a request that cannot be read");
}

/* Bodies one behind the other, each for itself. Those for which the answer has grown too large are left over.
 */
static int read_images(const struct chan_message *m, struct answer *a, struct err *e)
{
        const char *p = m->raw ? m->raw : "", *end = p + m->raw_len;
        struct str raw = {0};
        struct recipe recipe = {0};
        struct decode_target to;
        int64_t most = 0;
        int rc = json_get_int(m->head, "most", 0, IMAGE_MAX_BYTES, "", &most, e);
        if (rc == 0)
                rc = read_target(m->head, &to, &recipe, e);
        image_bound((uint64_t)most);
        cJSON *list = cJSON_AddArrayToObject(a->head, "images");
        while (rc == 0 && p < end && raw.len <= ANSWER_BYTES) {
                struct decoder_body b;
                rc = read_body_head(p, (size_t)(end - p), &b, e);
                if (rc)
                        break;
                p += sizeof b;
                rc = decode_one(p, &b, &to, list, &raw, e);
                p += b.len;
        }
        image_bound(0);
        a->raw_len = raw.len;
        a->raw = raw.len ? str_take(&raw) : NULL;
        str_free(&raw);
        return rc;
}

static int check_model(const struct chan_message *m, struct answer *a, struct err *e)
{
        cJSON *model = NULL;
        const cJSON *path = json_field(m->head, "path"), *overrides = json_field(m->head, "overrides");
        int rc = cJSON_IsString(path) ? modelcheck_file(path->valuestring,
                                                cJSON_IsObject(overrides) ? overrides : NULL, &model, e)
                                      : err_set(e, ERR_INTERNAL, "no path to check");
        if (rc)
                return rc;
        json_add(a->head, "model", model);
        return 0;
}

static int draw_grid(const struct chan_message *m, struct answer *a, struct err *e)
{
        int64_t v[5] = {0};
        static const char *const keys[] = {"count", "columns", "c", "h", "w"};
        struct str png = {0};
        int rc = 0;
        for (int i = 0; rc == 0 && i < 5; i++)
                rc = json_get_int(m->head, keys[i], 1, IMAGE_MAX_SIDE, "", &v[i], e);
        for (int i = 0; rc == 0 && i < 5; i++) /* none may be absent */
                rc = v[i] ? 0 : err_set(e, ERR_INTERNAL, "a picture without \"%s\"", keys[i]);
        if (rc == 0 && (double)m->raw_len !=
                               (double)v[0] * (double)v[2] * (double)v[3] * (double)v[4] * sizeof(float))
                rc = err_set(e, ERR_INTERNAL, "a picture that cannot be read");
        if (rc == 0)
                rc = grid_rows_png(m->raw, (int)v[0], (int)v[1], (int)v[2], (int)v[3], (int)v[4], &png, e);
        if (rc == 0) {
                a->raw_len = png.len;
                a->raw = str_take(&png);
        }
        str_free(&png);
        return rc;
}

static const struct {
        const char *op;
        int (*serve)(const struct chan_message *m, struct answer *a, struct err *e);
} ops[] = {{"images", read_images}, {"field", read_field}, {"model", check_model}, {"grid", draw_grid}};

/* What is asked for, or why not. */
static int work(const struct chan_message *m, struct answer *a, struct err *e)
{
        const char *op = json_field(m->head, "request") ? text_of(json_field(m->head, "op")) : NULL;
        for (size_t i = 0; op && i < sizeof ops / sizeof ops[0]; i++)
                if (strcmp(ops[i].op, op) == 0)
                        return ops[i].serve(m, a, e);
        return err_set(e, ERR_INTERNAL, "a request that cannot be read");
}

/* Answers one request; an error is the channel's. */
static int serve(const struct chan_message *m, struct err *e)
{
        const cJSON *number = json_field(m->head, "request");
        struct answer a = {.head = cJSON_CreateObject()};
        struct err why;
        int rc = sandbox_allow_cpu(CPU_SECONDS, e);
        if (rc == 0 && !a.head)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        if (rc)
                goto out;
        if (work(m, &a, &why)) {
                free(a.raw);
                a.raw = NULL;
                a.raw_len = 0;
                json_add(a.head, "error", wire_error_json(&why));
        }
        json_add(a.head, "request", number ? cJSON_Duplicate(number, true) : cJSON_CreateNull());
        rc = chan_send(CHILD_FD, a.head, a.raw, a.raw_len, e);
out:
        free(a.raw);
        cJSON_Delete(a.head);
        return rc;
}

/* Every answer takes and gives back large pieces: they stay with the process, and small ones are not merged
   each time. */
static void keep_memory(void)
{
        mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
        mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
        mallopt(M_MXFAST, 0);
}

int decoder_role_run(const char *uploads, struct err *e)
{
        keep_memory();
        const struct sandbox_options o = {.folder = uploads, .memory_bytes = ADDRESS_SPACE};
        int rc = sandbox_enter(&o, e);
        while (rc == 0) {
                struct chan_message m = {0};
                rc = chan_receive(CHILD_FD, &m, e);
                if (rc == 0)
                        rc = serve(&m, e);
                chan_message_finish(&m);
                asan_check_leaks();
        }
        return rc == ERR_CLOSED ? 0 : rc;
}
