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

#include <string.h>

enum { CPU_SECONDS = 30 }; /* for one request */
/* A body, its copy in the channel and the pixels of IMAGE_MAX_BYTES with their fitted copy. */
#define ADDRESS_SPACE ((uint64_t)6 << 30)

static int send_refusal(const cJSON *request, const struct err *why, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        if (!head)
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        cJSON_AddStringToObject(head, "op", "refused");
        json_add(head, "request", cJSON_Duplicate(request, true));
        json_add(head, "error", wire_error_json(why));
        int rc = chan_send(CHILD_FD, head, NULL, 0, e);
        cJSON_Delete(head);
        return rc;
}

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

static int decode_body(
        const struct chan_message *m, bool field, cJSON *head, struct image *ret, struct err *e)
{
        struct image im = {0};
        struct recipe recipe = {0};
        struct decode_target to;
        const cJSON *media = json_field(m->head, "media_type");
        int rc = read_target(m->head, &to, &recipe, e);
        if (rc == 0)
                rc = image_decode(
                        m->raw, m->raw_len, cJSON_IsString(media) ? media->valuestring : NULL, &im, e);
        if (rc)
                return rc;
        cJSON *picture = describe(&im);
        rc = prepare(&im, &to, field, picture, e);
        if (rc) {
                cJSON_Delete(picture);
                image_finish(&im);
                return rc;
        }
        json_add(head, "image", picture);
        cJSON_AddStringToObject(head, "op", "decoded");
        cJSON_AddNumberToObject(head, "n", im.n);
        cJSON_AddNumberToObject(head, "h", im.h);
        cJSON_AddNumberToObject(head, "w", im.w);
        *ret = im;
        return 0;
}

static int check_model(const struct chan_message *m, cJSON *head, struct err *e)
{
        cJSON *model = NULL;
        const cJSON *path = json_field(m->head, "path"), *overrides = json_field(m->head, "overrides");
        int rc = cJSON_IsString(path) ? modelcheck_file(path->valuestring,
                                                cJSON_IsObject(overrides) ? overrides : NULL, &model, e)
                                      : err_set(e, ERR_INTERNAL, "no path to check");
        if (rc)
                return rc;
        cJSON_AddStringToObject(head, "op", "checked");
        json_add(head, "model", model);
        return 0;
}

static int draw_grid(const struct chan_message *m, cJSON *head, struct str *png, struct err *e)
{
        int64_t v[5] = {0};
        static const char *const keys[] = {"count", "columns", "c", "h", "w"};
        int rc = 0;
        for (int i = 0; rc == 0 && i < 5; i++)
                rc = json_get_int(m->head, keys[i], 1, IMAGE_MAX_SIDE, "", &v[i], e);
        if (rc == 0 && (double)m->raw_len !=
                               (double)v[0] * (double)v[2] * (double)v[3] * (double)v[4] * sizeof(float))
                rc = err_set(e, ERR_INTERNAL, "a picture that cannot be read");
        if (rc == 0)
                rc = grid_rows_png(m->raw, (int)v[0], (int)v[1], (int)v[2], (int)v[3], (int)v[4], png, e);
        if (rc == 0)
                cJSON_AddStringToObject(head, "op", "drawn");
        return rc;
}

/* Answers one request; an error is the channel's. */
static int serve(const struct chan_message *m, struct err *e)
{
        struct image im = {0};
        struct str png = {0};
        struct err why = {0};
        const cJSON *op = json_field(m->head, "op"), *request = json_field(m->head, "request");
        int rc = sandbox_allow_cpu(CPU_SECONDS, e);
        cJSON *head = cJSON_CreateObject();
        if (rc == 0 && (!head || !cJSON_IsString(op)))
                rc = err_set(e, ERR_INTERNAL, "a request that cannot be read");
        if (rc)
                goto out;
        if (strcmp(op->valuestring, "image") == 0 || strcmp(op->valuestring, "field") == 0)
                rc = decode_body(m, op->valuestring[0] == 'f', head, &im, &why);
        else if (strcmp(op->valuestring, "grid") == 0)
                rc = draw_grid(m, head, &png, &why);
        else
                rc = check_model(m, head, &why);
        if (rc) {
                rc = send_refusal(request, &why, e);
        } else {
                size_t values = (size_t)im.n * (size_t)im.c * (size_t)im.h * (size_t)im.w;
                json_add(head, "request", cJSON_Duplicate(request, true));
                rc = png.len ? chan_send(CHILD_FD, head, png.data, png.len, e)
                             : chan_send(CHILD_FD, head, im.pixels, values * sizeof *im.pixels, e);
        }
out:
        image_finish(&im);
        str_free(&png);
        cJSON_Delete(head);
        return rc;
}

int decoder_role_run(const char *uploads, struct err *e)
{
        const struct sandbox_options o = {.folder = uploads, .memory_bytes = ADDRESS_SPACE};
        int rc = sandbox_enter(&o, e);
        while (rc == 0) {
                struct chan_message m = {0};
                rc = chan_receive(CHILD_FD, &m, e);
                if (rc == 0)
                        rc = serve(&m, e);
                bool last = rc == 0 && image_distrusted(m.raw, m.raw_len);
                chan_message_finish(&m);
                asan_check_leaks();
                if (last)
                        return 0;
        }
        return rc == ERR_CLOSED ? 0 : rc;
}
