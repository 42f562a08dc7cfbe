#include "daemon/decoder/posted.h"

#include "data/prepare.h"

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

/* As an import would (prepare.h), then to what the model takes; of a field only the channels. */
static int prepare(struct image *im, const struct decode_target *to, bool field, struct image_facts *facts,
        struct err *e)
{
        const struct recipe *r = to->recipe;
        bool bytes = false;
        int rc = r->h ? prepare_image(im, r, false, &bytes, e) : 0;
        if (rc == 0 && r->h)
                image_facts_prepared(facts, im, bytes ? RECIPE_KEEP : r->values);
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

size_t posted_bytes(const struct image *im)
{
        return (size_t)im->n * (size_t)im->c * (size_t)im->h * (size_t)im->w * sizeof *im->pixels;
}

int posted_read(const void *body, size_t len, const char *media, const struct decode_target *to, bool field,
        struct image *ret, struct image_facts *ret_facts, struct err *e)
{
        struct image im = {0};
        int rc = image_decode(body, len, media, &im, e);
        if (rc)
                return rc;
        image_facts_describe(ret_facts, &im);
        rc = prepare(&im, to, field, ret_facts, e);
        if (rc) {
                image_finish(&im);
                return rc;
        }
        *ret = im;
        return 0;
}
