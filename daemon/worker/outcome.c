#include "daemon/worker/outcome.h"

#include "base/file.h"
#include "base/str.h"
#include "daemon/worker/scores.h"

enum { PIECE_BYTES = 64 << 10 };

struct writer {
        struct file_new *file; /* owned */
        struct str text;       /* owned; what is not written yet */
        int rc;
        struct err *e;
};

static void flush(struct writer *w)
{
        if (w->rc == 0 && w->text.failed)
                w->rc = err_set(w->e, ERR_NO_MEMORY, "no memory for the result");
        if (w->rc == 0)
                w->rc = file_write(w->file, w->text.data, w->text.len, w->e);
        str_clear(&w->text);
}

/* The text that grows, once what came before is no longer in the way. */
static struct str *text(struct writer *w)
{
        if (w->text.len >= PIECE_BYTES)
                flush(w);
        return &w->text;
}

static void add_ints(struct writer *w, const char *key, const int32_t *v, int count)
{
        str_addf(text(w), ",\"%s\":[", key);
        for (int i = 0; i < count; i++) {
                str_add(text(w), i ? "," : "");
                str_add_int(&w->text, v[i]);
        }
        str_add(&w->text, "]");
}

static void add_probabilities(struct writer *w, const float *v, int count)
{
        str_add(text(w), ",\"probabilities\":[");
        for (int i = 0; i < count; i++) {
                str_add(text(w), i ? "," : "");
                str_add_decimal(&w->text, (double)v[i]);
        }
        str_add(&w->text, "]");
}

/* An entry for image `at` of file `file`. */
typedef void (*origin_entry)(
        struct str *out, const struct dataset *d, const struct origins *o, int file, uint64_t at);

static void add_file(struct str *out, const struct dataset *d, const struct origins *o, int file, uint64_t at)
{
        (void)d;
        (void)o;
        (void)at;
        str_add_int(out, file);
}

static uint64_t tiles(const struct origins_file *f)
{
        return (uint64_t)f->rows * f->columns;
}

static void add_frame(
        struct str *out, const struct dataset *d, const struct origins *o, int file, uint64_t at)
{
        (void)d;
        str_add_int(out, (int64_t)(at / tiles(&o->files[file])));
}

static void add_tile(struct str *out, const struct dataset *d, const struct origins *o, int file, uint64_t at)
{
        const struct origins_file *f = &o->files[file];
        const uint64_t tile = at % tiles(f);
        str_add(out, "[");
        str_add_int(out, (int64_t)(tile / f->columns) * d->origins.step_y);
        str_add(out, ",");
        str_add_int(out, (int64_t)(tile % f->columns) * d->origins.step_x);
        str_add(out, "]");
}

static void add_column(struct writer *w, const char *key, const struct outcome *oc, origin_entry entry)
{
        const struct origins *o = oc->origins;
        int image = 0;
        str_addf(text(w), ",\"%s\":[", key);
        for (int file = 0; image < oc->count; file++)
                for (uint64_t at = 0; at < origins_images(&o->files[file]) && image < oc->count; at++) {
                        str_add(text(w), image++ ? "," : "");
                        entry(&w->text, oc->data, o, file, at);
                }
        str_add(&w->text, "]");
}

/* Where the images came from; nothing where nobody knows. */
static void add_origins(struct writer *w, const struct outcome *oc)
{
        const struct origins *o = oc->origins;
        bool frames = false, tiled = false;
        if (!o->count)
                return;
        str_add(text(w), ",\"files\":[");
        uint64_t images = 0;
        for (int i = 0; images < (uint64_t)oc->count; i++) {
                str_add(text(w), i ? "," : "");
                str_add_json(&w->text, origins_name(o, i));
                images += origins_images(&o->files[i]);
                frames = frames || o->files[i].frames > 1;
                tiled = tiled || tiles(&o->files[i]) > 1;
        }
        str_add(&w->text, "]");
        add_column(w, "file", oc, add_file);
        if (frames)
                add_column(w, "frame", oc, add_frame);
        if (tiled)
                add_column(w, "tile", oc, add_tile);
}

static void add_head(struct str *s, const struct outcome *o)
{
        const struct dataset *d = o->data;
        str_add(s, "{\"model\":");
        str_add_json(s, o->model);
        str_add(s, ",\"dataset\":");
        str_add_json(s, d->name);
        str_add(s, ",\"model_import\":");
        recipe_write(s, o->model_import);
        str_add(s, ",\"dataset_import\":");
        recipe_write(s, &d->recipe);
        str_addf(s, ",\"classes_by\":\"%s\",\"count\":%d,\"classes\":[", o->by_name ? "name" : "number",
                o->count);
        for (int k = 0; k < o->classes; k++) {
                str_add(s, k ? "," : "");
                str_add_json(s, d->classes[k]);
        }
        str_add(s, "]");
}

int outcome_write(const struct outcome *o, const char *path, struct err *e)
{
        struct writer w = {.e = e};
        w.rc = file_create(path, &w.file, e);
        if (w.rc)
                return w.rc;
        add_head(&w.text, o);
        add_ints(&w, "labels", o->data->split[DATASET_VAL].labels, o->count);
        add_ints(&w, "predictions", o->predictions, o->count);
        add_probabilities(&w, o->probabilities, o->count);
        add_origins(&w, o);
        str_add(text(&w), ",");
        scores_write(&w.text, o->counts, o->classes, o->data->classes);
        str_add(&w.text, "}\n");
        flush(&w);
        int rc = w.rc;
        if (rc == 0)
                rc = file_commit(w.file, e);
        else
                file_abandon(w.file);
        str_free(&w.text);
        return rc;
}
