#include "daemon/decoder_role.h"

#include "base/asan.h"
#include "base/chan.h"
#include "base/json.h"
#include "daemon/children.h"
#include "daemon/decode.h"
#include "daemon/modelcheck.h"
#include "daemon/sandbox.h"
#include "daemon/wire.h"
#include "data/grid.h"
#include "data/image.h"
#include "data/prepare.h"

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

static void add_pixel(cJSON *o, const struct image *im)
{
        static const char *const units[] = {[IMAGE_METRES] = "m", [IMAGE_PER_METRE] = "1/m"};
        const double size[2] = {im->pixel_h, im->pixel_w};
        if (im->unit == IMAGE_UNKNOWN) {
                cJSON_AddNullToObject(o, "pixel_size");
                cJSON_AddNullToObject(o, "pixel_unit");
        } else {
                json_add(o, "pixel_size", cJSON_CreateDoubleArray(size, 2));
                cJSON_AddStringToObject(o, "pixel_unit", units[im->unit]);
        }
}

/* The picture as it came, before it was prepared. */
static cJSON *describe(const struct image *im)
{
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "format", im->format);
        cJSON_AddNumberToObject(o, "frames", im->n);
        cJSON_AddNumberToObject(o, "channels", im->c);
        cJSON_AddNumberToObject(o, "height", im->h);
        cJSON_AddNumberToObject(o, "width", im->w);
        cJSON_AddNumberToObject(o, "databar_height", im->databar_h);
        add_pixel(o, im);
        return o;
}

/* What the recipe did to it, before it was cut or fitted. `h` and `w` are the sides that it came with. */
static void describe_preparation(
        cJSON *picture, const struct image *im, int h, int w, const struct recipe *r, bool bytes)
{
        cJSON *o = r->h ? cJSON_AddObjectToObject(picture, "prepared")
                        : cJSON_AddNullToObject(picture, "prepared");
        if (!o || r->h == 0)
                return;
        cJSON_AddBoolToObject(o, "rescaled", im->h != h || im->w != w);
        cJSON_AddNumberToObject(o, "height", im->h);
        cJSON_AddNumberToObject(o, "width", im->w);
        add_pixel(o, im);
        cJSON_AddStringToObject(o, "normalize", recipe_values_name(bytes ? RECIPE_KEEP : r->values));
}

/* Whether one image can go on in full with c channels. */
static int check_field(const struct image *im, int c, struct err *e)
{
        if (im->n != 1)
                return err_set(e, ERR_INVALID, "a map is made of one image; this holds %d", im->n);
        if (im->h > DECODE_FIELD_SIDE || im->w > DECODE_FIELD_SIDE ||
                (uint64_t)c * (uint64_t)im->h * (uint64_t)im->w > DECODE_FIELD_BYTES / sizeof(float))
                return err_set(e, ERR_TOO_LARGE,
                        "an image of %dx%dx%d is more than a map takes: %d pixels a side, %d MiB of floats",
                        c, im->h, im->w, DECODE_FIELD_SIDE, DECODE_FIELD_BYTES >> 20);
        return 0;
}

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

/* As an import would (prepare.h), then to what the model takes; of a field only the channels. */
static int prepare(
        struct image *im, const struct decode_target *to, bool field, cJSON *picture, struct err *e)
{
        const struct recipe *r = to->recipe;
        const int h = im->h, w = im->w;
        bool bytes = false;
        int rc = r->h ? prepare_image(im, r, false, &bytes, e) : 0;
        if (rc == 0)
                describe_preparation(picture, im, h, w, r, bytes);
        if (rc == 0 && field)
                rc = check_field(im, to->c, e);
        if (rc == 0 && !field && r->h)
                rc = prepare_frames(im, r, to->c, bytes, e);
        if (rc == 0)
                rc = image_fit(im, to->c, field ? im->h : to->h, field ? im->w : to->w, e);
        if (rc == 0 && field && bytes)
                prepare_round(im->pixels, (size_t)im->c * (size_t)im->h * (size_t)im->w);
        return rc;
}

/* The answer's "n", "h", "w" and "image" into `head`, the floats into *ret. */
static int decode_body(const void *body, size_t len, const char *media, const struct decode_target *to,
        bool field, cJSON *head, struct image *ret, struct err *e)
{
        struct image im = {0};
        int rc = image_decode(body, len, media, &im, e);
        if (rc)
                return rc;
        cJSON *picture = describe(&im);
        rc = prepare(&im, to, field, picture, e);
        if (rc) {
                cJSON_Delete(picture);
                image_finish(&im);
                return rc;
        }
        json_add(head, "image", picture);
        cJSON_AddNumberToObject(head, "n", im.n);
        cJSON_AddNumberToObject(head, "h", im.h);
        cJSON_AddNumberToObject(head, "w", im.w);
        *ret = im;
        return 0;
}

static size_t image_bytes(const struct image *im)
{
        return (size_t)im->n * (size_t)im->c * (size_t)im->h * (size_t)im->w * sizeof *im->pixels;
}

static const char *text_of(const cJSON *v)
{
        return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* One image in full. */
static int read_field(const struct chan_message *m, struct answer *a, struct err *e)
{
        struct image im = {0};
        struct recipe recipe = {0};
        struct decode_target to;
        int rc = read_target(m->head, &to, &recipe, e);
        if (rc == 0)
                rc = decode_body(m->raw, m->raw_len, text_of(json_field(m->head, "media_type")), &to, true,
                        a->head, &im, e);
        if (rc)
                return rc;
        a->raw = im.pixels;
        a->raw_len = image_bytes(&im);
        return 0;
}

/* The next body, whose entry is [bytes, media type]: appends its floats to `raw`, and what is to be said of
   it to `list`. */
static int decode_one(const char *body, size_t len, const cJSON *entry, const struct decode_target *to,
        cJSON *list, struct str *raw, struct err *e)
{
        struct image im = {0};
        struct err why;
        cJSON *head = cJSON_CreateObject();
        int rc = decode_body(body, len, text_of(cJSON_GetArrayItem(entry, 1)), to, false, head, &im, &why);
        if (rc)
                json_add(head, "error", wire_error_json(&why));
        else
                str_add_bytes(raw, im.pixels, image_bytes(&im));
        image_finish(&im);
        if (!json_push(list, head) || raw->failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        return 0;
}

/* Bodies one behind the other, each for itself. Those for which the answer has grown too large are left over.
 */
static int read_images(const struct chan_message *m, struct answer *a, struct err *e)
{
        const cJSON *entry, *bodies = json_field(m->head, "bodies");
        struct str raw = {0};
        struct recipe recipe = {0};
        struct decode_target to;
        size_t at = 0;
        int rc = read_target(m->head, &to, &recipe, e);
        cJSON *list = cJSON_AddArrayToObject(a->head, "images");
        cJSON_ArrayForEach(entry, bodies)
        {
                const cJSON *len = cJSON_GetArrayItem(entry, 0);
                if (rc || raw.len > ANSWER_BYTES)
                        break;
                if (!cJSON_IsNumber(len) || len->valuedouble < 0 ||
                        len->valuedouble > (double)(m->raw_len - at)) {
                        rc = err_set(e, ERR_INTERNAL, "a request that cannot be read");
                        break;
                }
                const char *body = (const char *)m->raw + at;
                rc = decode_one(body, (size_t)len->valuedouble, entry, &to, list, &raw, e);
                at += (size_t)len->valuedouble;
        }
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
        const char *op = text_of(json_field(m->head, "op"));
        for (size_t i = 0; op && i < sizeof ops / sizeof ops[0]; i++)
                if (strcmp(ops[i].op, op) == 0)
                        return ops[i].serve(m, a, e);
        return err_set(e, ERR_INTERNAL, "a request that cannot be read");
}

/* Answers one request; an error is the channel's. */
static int serve(const struct chan_message *m, struct err *e)
{
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
        json_add(a.head, "request", cJSON_Duplicate(json_field(m->head, "request"), true));
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
