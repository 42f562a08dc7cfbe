#include "data/intake.h"

#include "data/origins.h"
#include "data/prepare.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int intake_begin(struct intake *in, const struct import_options *o, const struct import_place *place,
        const struct import_hooks *hooks, struct err *e)
{
        *in = (struct intake){.o = *o,
                .place = place,
                .hooks = hooks,
                .spool.fd = -1,
                .c = o->channels,
                .recipe = o->recipe};
        return spool_open(&in->spool, place->tmp_dir, IMPORT_MAX_BYTES, e);
}

void intake_finish(struct intake *in)
{
        for (size_t i = 0; i < in->count; i++) {
                free(in->sources[i].name);
                free(in->sources[i].problem);
        }
        free(in->sources);
        for (int i = 0; in->classes && i < in->num_classes; i++)
                free(in->classes[i]);
        free(in->classes);
        spool_close(&in->spool);
}

static int tell(struct intake *in, struct err *e)
{
        return in->hooks->progress ? in->hooks->progress(in->hooks->ctx, &in->progress, e) : 0;
}

static int add_source(
        struct intake *in, const char *name, uint64_t id, struct intake_source **ret, struct err *e)
{
        if (in->count == in->cap) {
                size_t cap = in->cap ? in->cap * 2 : 1024;
                struct intake_source *more = realloc(in->sources, cap * sizeof *more);
                if (!more)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %zu files", cap);
                in->sources = more;
                in->cap = cap;
        }
        struct intake_source *s = &in->sources[in->count];
        *s = (struct intake_source){.name = strdup(name),
                .id = id,
                .label = -1,
                .split = INTAKE_OPEN,
                .offset = in->spool.len,
                .bytes = true};
        if (!s->name)
                return err_set(e, ERR_NO_MEMORY, "no memory for a file's name");
        in->count++;
        *ret = s;
        return 0;
}

int intake_failed(struct intake *in, const char *name, uint64_t id, const char *problem, struct err *e)
{
        struct intake_source *s = NULL;
        int rc = add_source(in, name, id, &s, e);
        if (rc == 0 && !(s->problem = strdup(problem)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a file's name");
        return rc;
}

/* The first image without a size or channels in the options sets them. */
static int check_shape(struct intake *in, const struct image *im, struct err *e)
{
        struct recipe *r = &in->recipe;
        bool convertible = (im->c == 1 || im->c == 3) && (in->c == 1 || in->c == 3);
        if (in->c == 0)
                in->c = im->c;
        if (im->c != in->c && !in->o.channels)
                return err_set(e, ERR_INVALID,
                        "%d channels where the images before have %d; the option channels, 1 or 3, makes "
                        "them equal%s",
                        im->c, in->c, image_order_hint(im));
        if (im->c != in->c && !convertible)
                return err_set(
                        e, ERR_INVALID, "%d channels cannot become %d%s", im->c, in->c, image_order_hint(im));
        if (r->h == 0) {
                r->h = im->h;
                r->w = im->w;
        }
        if (!in->o.recipe.h && (im->h != r->h || im->w != r->w))
                return err_set(e, ERR_INVALID,
                        "%dx%d pixels where the images before have %dx%d; the option size makes them equal",
                        im->h, im->w, r->h, r->w);
        if (r->fit == RECIPE_TILE && (im->h < r->h || im->w < r->w))
                return err_set(e, ERR_INVALID, "%dx%d pixels are smaller than a tile of %dx%d", im->h, im->w,
                        r->h, r->w);
        return 0;
}

static size_t sample_values(const struct intake *in)
{
        return (size_t)in->c * (size_t)in->recipe.h * (size_t)in->recipe.w;
}

/* Appends one sample, as bytes where the source is of bytes. Takes it. */
static int store(struct intake *in, struct intake_source *s, struct image *im, struct err *e)
{
        const size_t n = sample_values(in);
        unsigned char *bytes = s->bytes ? malloc(n) : NULL;
        int rc = 0;
        if (++in->samples > INT_MAX / 2)
                rc = err_set(e, ERR_TOO_LARGE, "more than %d images", INT_MAX / 2);
        else if (s->bytes && !bytes)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for an image");
        s->samples++;
        for (size_t i = 0; rc == 0 && s->bytes && i < n; i++)
                bytes[i] = (unsigned char)lrintf(im->pixels[i] * 255.0f);
        if (rc == 0)
                rc = s->bytes ? spool_add(&in->spool, bytes, n, e)
                              : spool_add(&in->spool, im->pixels, n * sizeof *im->pixels, e);
        free(bytes);
        image_finish(im);
        return rc;
}

/* How many tiles begin at multiples of `step`. */
static uint32_t tiles(int side, int tile, int step)
{
        return (uint32_t)((side - tile) / step + 1);
}

static int store_tiles(
        struct intake *in, struct intake_source *s, const struct image *im, int frame, struct err *e)
{
        const struct recipe *r = &in->recipe;
        int step_y = in->o.stride ? in->o.stride : r->h, step_x = in->o.stride ? in->o.stride : r->w, rc = 0;
        s->rows = tiles(im->h, r->h, step_y);
        s->columns = tiles(im->w, r->w, step_x);
        for (int y = 0; rc == 0 && y + r->h <= im->h; y += step_y)
                for (int x = 0; rc == 0 && x + r->w <= im->w; x += step_x) {
                        struct image tile;
                        rc = prepare_part(im, frame, y, x, r->h, r->w, r, in->c, s->bytes, &tile, e);
                        if (rc == 0)
                                rc = store(in, s, &tile, e);
                }
        return rc;
}

static int store_frame(
        struct intake *in, struct intake_source *s, const struct image *im, int frame, struct err *e)
{
        struct image whole;
        if (in->recipe.fit == RECIPE_TILE)
                return store_tiles(in, s, im, frame, e);
        int rc = prepare_frame(im, frame, &in->recipe, in->c, s->bytes, &whole, e);
        return rc != 0 ? rc : store(in, s, &whole, e);
}

int intake_image(struct intake *in, const char *name, uint64_t id, struct image *im,
        struct intake_source **ret, struct err *e)
{
        struct intake_source *s = NULL;
        bool bytes = false;
        int rc = prepare_image(im, &in->recipe, true, &bytes, e);
        if (rc == 0)
                rc = check_shape(in, im, e);
        if (rc == 0)
                rc = add_source(in, name, id, &s, e);
        if (rc != 0)
                return rc;
        s->bytes = bytes;
        s->frames = (uint32_t)im->n;
        s->rows = s->columns = 1;
        for (int i = 0; rc == 0 && i < im->n; i++) {
                rc = store_frame(in, s, im, i, e);
                in->progress.images = in->samples;
                if (rc == 0)
                        rc = tell(in, e);
        }
        if (rc == 0 && ret)
                *ret = s;
        return rc;
}

/* --- writing --- */

struct section {
        struct spool spool;
        const unsigned char *images;
        int32_t *labels; /* owned */
        int count;
};

int intake_by_name(const void *a, const void *b)
{
        const struct intake_source *x = *(struct intake_source *const *)a,
                                   *y = *(struct intake_source *const *)b;
        int order = strcmp(x->name, y->name);
        return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* The sources that are used, in the order they are written in; the caller frees *ret. */
static int list_sources(const struct intake *in, struct intake_source ***ret, size_t *ret_n, struct err *e)
{
        size_t n = 0;
        struct intake_source **list = malloc((in->count + 1) * sizeof *list);
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory to order %zu files", in->count);
        for (size_t i = 0; i < in->count; i++)
                if (in->sources[i].split != INTAKE_OUT)
                        list[n++] = &in->sources[i];
        if (!in->in_order)
                qsort(list, n, sizeof *list, intake_by_name);
        for (size_t i = 1; !in->in_order && i < n; i++)
                if (intake_by_name(&list[i], &list[i - 1]) == 0) {
                        int rc = err_set(e, ERR_INVALID, "%.200s is in the archive twice", list[i]->name);
                        free(list);
                        return rc;
                }
        *ret = list;
        *ret_n = n;
        return 0;
}

static int copy_samples(struct section *to, const struct intake_source *s, const unsigned char *from,
        size_t values, bool widen, struct err *e)
{
        size_t n = values * s->samples, size = s->bytes ? 1 : sizeof(float);
        if (!widen || !s->bytes)
                return spool_add(&to->spool, from + s->offset, n * size, e);
        float *wide = malloc(values * sizeof *wide);
        if (!wide)
                return err_set(e, ERR_NO_MEMORY, "no memory for an image");
        int rc = 0;
        for (size_t k = 0; rc == 0 && k < s->samples; k++) {
                for (size_t i = 0; i < values; i++)
                        wide[i] = (float)from[s->offset + k * values + i] / 255.0f;
                rc = spool_add(&to->spool, wide, values * sizeof *wide, e);
        }
        free(wide);
        return rc;
}

static int fill_section(struct intake *in, struct section *to, int split, struct intake_source **list,
        size_t n, const unsigned char *from, bool widen, struct err *e)
{
        size_t values = sample_values(in), count = 0;
        int rc = spool_open(&to->spool, in->place->tmp_dir, IMPORT_MAX_BYTES, e);
        for (size_t i = 0; i < n; i++)
                count += list[i]->split == (enum intake_split)split ? list[i]->samples : 0;
        if (rc == 0 && !(to->labels = malloc((count + 1) * sizeof *to->labels)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %zu labels", count);
        for (size_t i = 0; rc == 0 && i < n; i++) {
                if (list[i]->split != (enum intake_split)split)
                        continue;
                for (size_t k = 0; k < list[i]->samples; k++)
                        to->labels[to->count++] = list[i]->label;
                rc = copy_samples(to, list[i], from, values, widen, e);
                in->progress.split = split == INTAKE_TRAIN ? "train" : "val";
                in->progress.written += list[i]->samples;
                if (rc == 0)
                        rc = tell(in, e);
        }
        return rc != 0 ? rc : spool_map(&to->spool, &to->images, e);
}

static int list_files(const struct intake *in, struct intake_source **list, size_t n,
        struct origins_draft *to, struct err *e)
{
        int rc = origins_begin(to, in->place->tmp_dir, e);
        for (int names = 0; names < 2; names++)
                for (int s = 0; s < DATASET_SPLITS; s++)
                        for (size_t i = 0; rc == 0 && i < n; i++) {
                                const struct intake_source *f = list[i];
                                if (f->split != (s == DATASET_TRAIN ? INTAKE_TRAIN : INTAKE_VAL))
                                        continue;
                                rc = names ? origins_put_name(to, f->name, e)
                                           : origins_put_file(to, (enum dataset_split)s, f->name,
                                                     (struct origins_file){0, f->frames, f->rows, f->columns},
                                                     e);
                        }
        if (rc == 0 && in->recipe.fit == RECIPE_TILE) {
                to->facts.step_y = in->o.stride ? in->o.stride : in->recipe.h;
                to->facts.step_x = in->o.stride ? in->o.stride : in->recipe.w;
        }
        return rc ? rc : origins_seal(to, e);
}

int intake_write(struct intake *in, const char *source, struct err *e)
{
        struct dataset d = {.c = in->c,
                .h = in->recipe.h,
                .w = in->recipe.w,
                .recipe = in->recipe,
                .type = DATASET_U8,
                .num_classes = in->num_classes,
                .classes = in->classes};
        struct section sections[DATASET_SPLITS] = {{.spool.fd = -1}, {.spool.fd = -1}};
        struct origins_draft origins = {.spool.fd = -1};
        struct intake_source **list = NULL;
        const unsigned char *from = NULL;
        size_t n = 0;
        int rc = list_sources(in, &list, &n, e);
        for (size_t i = 0; rc == 0 && i < n; i++)
                if (!list[i]->bytes)
                        d.type = DATASET_F32;
        if (rc == 0)
                rc = spool_map(&in->spool, &from, e);
        for (int s = 0; rc == 0 && s < DATASET_SPLITS; s++) {
                int split = s == DATASET_TRAIN ? INTAKE_TRAIN : INTAKE_VAL;
                rc = fill_section(in, &sections[s], split, list, n, from, d.type == DATASET_F32, e);
                d.split[s].count = sections[s].count;
                d.split[s].images = sections[s].images;
                d.split[s].labels = sections[s].labels;
        }
        if (rc == 0 && !in->in_order) /* elements of arrays are no files */
                rc = list_files(in, list, n, &origins, e);
        d.origins = origins.facts;
        snprintf(d.name, sizeof d.name, "%s", in->place->name);
        snprintf(d.source, sizeof d.source, "%s", source);
        if (rc == 0)
                rc = dataset_write(&d, in->place->out_path, e);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                spool_close(&sections[s].spool);
                free(sections[s].labels);
        }
        origins_finish(&origins);
        free(list);
        return rc;
}
