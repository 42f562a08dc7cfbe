#include "data/import.h"

#include "data/arrays.h"
#include "data/codepage.h"
#include "data/divide.h"
#include "data/folders.h"
#include "data/idxpair.h"
#include "data/packed.h"
#include "data/vacant.h"
#include "data/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ARRAYS = 16, CSV_MAX_BYTES = 256 << 20 };
_Static_assert((int)WALK_PEEK >= (int)IMAGE_HEAD_BYTES, "image_format is asked with what walk_peek gives");

/* What one archive holds, until it is known what it is. */
struct haul {
        struct intake in;
        struct import_array arrays[MAX_ARRAYS];
        struct {
                char name[32];
                void *bytes; /* owned */
        } npy[MAX_ARRAYS];
        int array_count;
        struct idxpair idx;
        char csv_name[WALK_NAME_MAX + 1];
        char *csv; /* owned; the labels.csv nearest to the top */
        struct folders folders;
        struct vacant vacant;
        const char *kind;
        int files, skipped;                    /* `skipped`: of text, beside images */
        char first_skipped[WALK_NAME_MAX + 1]; /* one of them */
};

static void haul_finish(struct haul *h)
{
        for (int i = 0; i < h->array_count; i++)
                free(h->npy[i].bytes);
        idxpair_finish(&h->idx);
        free(h->csv);
        folders_finish(&h->folders);
        vacant_finish(&h->vacant);
        intake_finish(&h->in);
}

static const char *base_of(const char *name)
{
        const char *slash = strrchr(name, '/');
        return slash ? slash + 1 : name;
}

static int depth_of(const char *name)
{
        int n = 0;
        for (; *name; name++)
                n += *name == '/';
        return n;
}

/* An array at the top of a zip by its name. */
static bool is_array(const char *name, char stem[32])
{
        size_t len = strlen(name);
        if (len < 5 || len - 4 >= 32 || strcmp(name + len - 4, ".npy") != 0 || strchr(name, '/'))
                return false;
        memcpy(stem, name, len - 4);
        stem[len - 4] = '\0';
        return arrays_is_name(stem);
}

static bool is_fault_of_the_file(int code)
{
        return code == ERR_SYNTAX || code == ERR_INVALID || code == ERR_MEDIA || code == ERR_TOO_LARGE;
}

/* The archive is sound where a file in it is not. */
static int blame_file(struct err *e)
{
        if (is_fault_of_the_file(e->code))
                e->code = ERR_INVALID;
        return e->code;
}

/* Takes the bytes. */
static int take_array(struct haul *h, const char *stem, void *bytes, size_t len, struct err *e)
{
        struct import_array a = {0};
        int rc = h->array_count == MAX_ARRAYS ? err_set(e, ERR_TOO_LARGE, "more than %d arrays", MAX_ARRAYS)
                                              : npy_array(bytes, len, &a, e);
        if (rc != 0) {
                free(bytes);
                err_wrap(e, "%s.npy", stem);
                return blame_file(e);
        }
        int i = h->array_count++;
        snprintf(h->npy[i].name, sizeof h->npy[i].name, "%s", stem);
        h->npy[i].bytes = bytes;
        a.name = h->npy[i].name;
        h->arrays[i] = a;
        return 0;
}

/* Takes the bytes. */
static int take_csv(struct haul *h, const char *name, char *bytes, size_t len, struct err *e)
{
        if (len > CSV_MAX_BYTES || memchr(bytes, 0, len)) {
                free(bytes);
                return err_set(e, ERR_INVALID, "%.200s is not a list of labels", name);
        }
        if (h->csv && depth_of(h->csv_name) <= depth_of(name)) {
                free(bytes);
                return 0;
        }
        char *text = realloc(bytes, len + 1);
        if (!text) {
                free(bytes);
                return err_set(e, ERR_NO_MEMORY, "no memory for %s", name);
        }
        text[len] = '\0';
        /* Spreadsheets may write the code page of their country. */
        struct str utf8 = {0};
        codepage_add(&utf8, text, CODEPAGE_LATIN1);
        free(text);
        free(h->csv);
        h->csv = str_take(&utf8);
        if (!h->csv)
                return err_set(e, ERR_NO_MEMORY, "no memory for %s", name);
        snprintf(h->csv_name, sizeof h->csv_name, "%s", name);
        return 0;
}

static int take_image(struct haul *h, const struct walk_file *f, const void *bytes, size_t len, struct err *e)
{
        struct image im = {0};
        struct err why = {0};
        int rc = h->in.hooks->file ? h->in.hooks->file(h->in.hooks->ctx, e) : 0;
        if (rc != 0)
                return rc;
        rc = image_decode(bytes, len, NULL, &im, &why);
        if (rc != 0 && is_fault_of_the_file(rc))
                return intake_failed(&h->in, f->name, f->id, why.message, e);
        if (rc == 0)
                rc = intake_image(&h->in, f->name, f->id, &im, NULL, &why);
        image_finish(&im);
        return rc != 0 ? err_set(e, rc, "%.200s: %s", f->name, why.message) : 0;
}

/* What people and microscopes leave beside images. */
static bool is_sidecar(const char *name)
{
        static const char *const ends[] = {
                ".txt", ".xml", ".json", ".csv", ".md", ".log", ".ini", ".emi", ".hdr", ".mdoc"};
        const char *end = strrchr(base_of(name), '.');
        for (size_t i = 0; end && i < sizeof ends / sizeof ends[0]; i++)
                if (strcasecmp(end, ends[i]) == 0)
                        return true;
        return false;
}

/* A file that is no image. */
static int pass_over(struct haul *h, const struct walk_file *f, struct err *e)
{
        if (!is_sidecar(f->name))
                return intake_failed(&h->in, f->name, f->id, "no image of a format that is read here", e);
        if (h->skipped++ == 0)
                snprintf(h->first_skipped, sizeof h->first_skipped, "%s", f->name);
        vacant_add(&h->vacant, f->name, (size_t)(base_of(f->name) - f->name));
        return 0;
}

static int take_file(struct haul *h, struct walk *w, const struct walk_file *f, struct err *e)
{
        char stem[32];
        const void *head = NULL;
        void *bytes = NULL;
        size_t len = 0;
        h->kind = walk_kind(w);
        h->files++;
        h->in.progress.files++;
        h->in.progress.bytes = walk_bytes(w);
        bool array = h->kind[0] == 'z' && is_array(f->name, stem);
        bool csv = strcasecmp(base_of(f->name), "labels.csv") == 0, idx = idxpair_is_name(base_of(f->name));
        int rc = walk_peek(w, &head, &len, e);
        if (rc != 0)
                return rc;
        /* What nobody reads is not even unpacked. */
        if (!array && !csv && !idx && !image_format(head, (size_t)f->size))
                return pass_over(h, f, e);
        rc = walk_read(w, &bytes, &len, e);
        if (rc != 0)
                return rc;
        if (array)
                return take_array(h, stem, bytes, len, e);
        if (csv)
                return take_csv(h, f->name, bytes, len, e);
        if (idx)
                rc = idxpair_take(&h->idx, h->in.place->tmp_dir, base_of(f->name), bytes, len, e)
                             ? blame_file(e)
                             : 0;
        else
                rc = take_image(h, f, bytes, len, e);
        free(bytes);
        return rc;
}

static int walk_all(struct haul *h, const char *path, struct err *e)
{
        struct walk *w = NULL;
        int rc = walk_open(path, DEFLATE_RATIO, &w, e);
        while (rc == 0) {
                struct walk_file f;
                rc = walk_next(w, &f, e);
                if (rc <= 0)
                        break;
                if (f.folder)
                        vacant_add(&h->vacant, f.name, strlen(f.name));
                rc = f.folder ? 0 : take_file(h, w, &f, e);
        }
        walk_close(w);
        return rc;
}

/* Classes and splits of whatever was found. */
static int interpret(struct haul *h, struct err *e)
{
        int rc;
        if (h->array_count) {
                if (h->in.count)
                        return err_set(e, ERR_INVALID, "%.200s stands beside arrays", h->in.sources[0].name);
                h->kind = "NPZ";
                return arrays_read(&h->in, h->arrays, h->array_count, e);
        }
        if (idxpair_any(&h->idx)) {
                struct import_array arrays[IDXPAIR_ARRAYS];
                int n = 0;
                h->kind = "IDX";
                rc = idxpair_arrays(&h->idx, arrays, &n, e);
                return rc != 0 ? rc : arrays_read(&h->in, arrays, n, e);
        }
        if (h->in.count == 0 && h->skipped)
                return err_set(
                        e, ERR_INVALID, "there are no images in the archive, but %.200s", h->first_skipped);
        rc = h->csv ? folders_read_csv(&h->in, h->csv_name, h->csv, e) : folders_read(&h->in, &h->folders, e);
        return rc != 0 ? rc : divide_classes(&h->in, e);
}

/* 8-bit images stay as they are and all others are stretched: where that parts classes, a model learns it. */
static void tell_mixed(const struct intake *in)
{
        const struct intake_source *one[2] = {NULL, NULL};
        char text[300];
        for (size_t i = 0; i < in->count; i++)
                if (in->sources[i].split != INTAKE_OUT && !one[in->sources[i].bytes])
                        one[in->sources[i].bytes] = &in->sources[i];
        if (!one[0] || !one[1] || in->o.recipe.values != RECIPE_PERCENTILES || !in->hooks->warning)
                return;
        snprintf(text, sizeof text,
                "%.80s has 8 bits and stays as it is, %.80s has others and is stretched between its "
                "percentiles: normalize=per_image treats all alike",
                one[1]->name, one[0]->name);
        in->hooks->warning(in->hooks->ctx, text);
}

static void tell_vacant(const struct haul *h)
{
        struct str text = {0};
        vacant_tell(&h->vacant, &h->folders, &h->in, &text);
        if (text.len && !text.failed && h->in.hooks->warning)
                h->in.hooks->warning(h->in.hooks->ctx, text.data);
        str_free(&text);
}

static int finish(struct intake *in, const char *kind, int files, struct err *e)
{
        char source[256], fit[64] = "", pixel[40] = "";
        const struct recipe *r = &in->o.recipe;
        int rc = divide_splits(in, e);
        if (r->h)
                snprintf(fit, sizeof fit, ", fit %s", recipe_fit_name(r->fit));
        if (in->o.stride)
                snprintf(fit + strlen(fit), sizeof fit - strlen(fit), " with stride %d", in->o.stride);
        if (r->pixel_nm > 0)
                snprintf(pixel, sizeof pixel, ", pixels of %g nm", r->pixel_nm);
        snprintf(source, sizeof source, "imported %s of %d files%s%s%s", kind, files, pixel, fit,
                r->values == RECIPE_KEEP        ? ", values kept"
                : r->values == RECIPE_PER_IMAGE ? ", each by its own mean and deviation"
                                                : "");
        return rc != 0 ? rc : intake_write(in, source, e);
}

int import_archive(const char *path, const struct import_options *o, const struct import_place *place,
        const struct import_hooks *hooks, struct err *e)
{
        struct haul *h = calloc(1, sizeof *h);
        if (!h)
                return err_set(e, ERR_NO_MEMORY, "no memory to import");
        int rc = intake_begin(&h->in, o, place, hooks, e);
        if (rc == 0)
                rc = walk_all(h, path, e);
        if (rc == 0 && h->files == 0)
                rc = err_set(e, ERR_INVALID, "there are no files in the archive");
        if (rc == 0)
                rc = interpret(h, e);
        if (rc == 0)
                rc = finish(&h->in, h->kind, h->files, e);
        if (rc == 0) {
                tell_vacant(h);
                tell_mixed(&h->in);
        }
        if (rc == 0 && h->skipped && hooks->skipped)
                hooks->skipped(hooks->ctx, h->skipped, h->first_skipped);
        haul_finish(h);
        free(h);
        return rc;
}

int import_arrays(const struct import_array *arrays, int count, const char *from,
        const struct import_options *o, const struct import_place *place, const struct import_hooks *hooks,
        struct err *e)
{
        struct intake in;
        int rc = intake_begin(&in, o, place, hooks, e);
        if (rc == 0)
                rc = arrays_read(&in, arrays, count, e);
        if (rc == 0)
                rc = finish(&in, from, 1, e);
        intake_finish(&in);
        return rc;
}
