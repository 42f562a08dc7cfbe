#include "daemon/worker/mapper.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/decoder/decode.h"
#include "daemon/common/wire.h"
#include "data/image.h"
#include "data/overlay.h"
#include "train/mapping.h"

#include <stdlib.h>
#include <string.h>

/* Lanes of several samples alone (infer.c), so that the result does not hang on the machine's load. */
enum { BATCH_FIRST = 16, BATCH_GROWTH = 4, BATCH_QUICK_MS = 100, BATCH_SLOW_MS = 1000 };

struct mapper {
        struct loaded *loaded;   /* borrowed */
        struct chan_message m;   /* owned; its raw bytes are the image */
        struct mapping *mapping; /* owned */
        struct windows at;
        const char **classes; /* owned; names within m.head */
        int num_classes, c, batch;
};

static int number_of(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsNumber(v) ? v->valueint : 0;
}

static int read_classes(struct mapper *mp, struct err *e)
{
        const cJSON *list = json_field(mp->m.head, "classes"), *item;
        const int count = cJSON_GetArraySize(list);
        if (count < 1)
                return err_set(e, ERR_INTERNAL, "a map without classes");
        mp->classes = calloc((size_t)count, sizeof *mp->classes);
        if (!mp->classes)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        cJSON_ArrayForEach(item, list)
        {
                mp->classes[mp->num_classes++] = cJSON_IsString(item) ? item->valuestring : "?";
        }
        return 0;
}

static int read_order(struct mapper *mp, struct err *e)
{
        const cJSON *head = mp->m.head;
        const int h = number_of(head, "h"), w = number_of(head, "w");
        mp->c = number_of(head, "c");
        mp->batch = BATCH_FIRST;
        if (mp->c < 1 || mp->c > IMAGE_MAX_CHANNELS || h < 1 || h > DECODE_FIELD_SIDE || w < 1 ||
                w > DECODE_FIELD_SIDE ||
                mp->m.raw_len != (size_t)mp->c * (size_t)h * (size_t)w * sizeof(float))
                return err_set(
                        e, ERR_INTERNAL, "an image of %dx%dx%d in %zu bytes", mp->c, h, w, mp->m.raw_len);
        if (!cJSON_IsObject(json_field(head, "image")))
                return err_set(e, ERR_INTERNAL, "a map without what its image is");
        int rc = windows_layout(h, w, number_of(head, "window"), number_of(head, "stride"), &mp->at, e);
        return rc ? rc : read_classes(mp, e);
}

int mapper_create(struct dev *d, struct loaded *l, struct chan_message *m, struct mapper **ret, struct err *e)
{
        struct mapper *mp = calloc(1, sizeof *mp);
        if (!mp)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        mp->loaded = l;
        mp->m = *m;
        *m = (struct chan_message){0};
        int rc = read_order(mp, e);
        if (rc == 0)
                do
                        rc = mapping_create(d, &mp->at, mp->m.raw, mp->c, mp->num_classes, &mp->mapping, e);
                while (loaded_make_room(l, NULL, rc));
        if (rc) {
                mapper_destroy(mp);
                return rc;
        }
        *ret = mp;
        return 0;
}

void mapper_destroy(struct mapper *mp)
{
        if (!mp)
                return;
        mapping_destroy(mp->mapping);
        chan_message_finish(&mp->m);
        free(mp->classes);
        free(mp);
}

int mapper_step(struct mapper *mp, struct err *e)
{
        struct infer *model = NULL;
        const int64_t before = clock_now_ms();
        int rc = loaded_get(
                mp->loaded, wire_text(mp->m.head, "model"), wire_int(mp->m.head, "generation"), &model, e);
        if (rc == 0)
                do
                        rc = mapping_step(mp->mapping, model, mp->batch, e);
                while (loaded_make_room(mp->loaded, model, rc));
        const int64_t took = clock_now_ms() - before;
        if (took < BATCH_QUICK_MS && mp->batch < INFER_MAX_BATCH)
                mp->batch *= BATCH_GROWTH;
        else if (took > BATCH_SLOW_MS && mp->batch > BATCH_FIRST)
                mp->batch /= BATCH_GROWTH;
        return rc;
}

void mapper_progress(const struct mapper *mp, int *ret_done, int *ret_windows)
{
        *ret_done = mapping_done(mp->mapping);
        *ret_windows = mp->at.down * mp->at.across;
}

/* `format` of cell i, row by row. */
static void add_cells(
        const struct mapper *mp, const char *key, const int *whole, const float *parts, struct str *out)
{
        str_addf(out, ",\"%s\":[", key);
        for (int r = 0; r < mp->at.rows; r++) {
                str_add(out, r ? ",[" : "[");
                for (int i = 0; i < mp->at.columns; i++) {
                        const int cell = r * mp->at.columns + i;
                        if (i)
                                str_add(out, ",");
                        if (whole)
                                str_addf(out, "%d", whole[cell]);
                        else
                                str_addf(out, "%.6g", (double)parts[cell]);
                }
                str_add(out, "]");
        }
        str_add(out, "]");
}

static int add_counts(const struct mapper *mp, float threshold, struct str *out, struct err *e)
{
        const int *labels = windows_mean_labels(mapping_mean(mp->mapping));
        const float *probabilities = windows_mean_probabilities(mapping_mean(mp->mapping));
        int *counts = calloc((size_t)mp->num_classes, sizeof *counts), uncertain = 0;
        if (!counts)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        for (int i = 0; i < mp->at.rows * mp->at.columns; i++) {
                if (probabilities[i] < threshold)
                        uncertain++;
                else
                        counts[labels[i]]++;
        }
        str_add(out, ",\"counts\":[");
        for (int k = 0; k < mp->num_classes; k++)
                str_addf(out, k ? ",%d" : "%d", counts[k]);
        str_addf(out, "],\"uncertain\":%d", uncertain);
        free(counts);
        return 0;
}

static int add_json(const struct mapper *mp, float threshold, struct str *out, struct err *e)
{
        const struct windows_mean *mean = mapping_mean(mp->mapping);
        char *image = json_text(json_field(mp->m.head, "image"));
        if (!image)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        str_add(out, "{\"model\":");
        str_add_json(out, wire_text(mp->m.head, "name"));
        str_addf(out,
                ",\"image\":%s,\"width\":%d,\"height\":%d,\"window\":%d,\"stride\":%d,\"threshold\":", image,
                mp->at.w, mp->at.h, mp->at.window, mp->at.stride);
        free(image);
        str_add_float(out, threshold);
        str_add(out, ",\"classes\":[");
        for (int k = 0; k < mp->num_classes; k++) {
                if (k)
                        str_add(out, ",");
                str_add_json(out, mp->classes[k]);
        }
        str_addf(out, "],\"grid\":{\"rows\":%d,\"columns\":%d},\"windows\":{\"rows\":%d,\"columns\":%d}",
                mp->at.rows, mp->at.columns, mp->at.down, mp->at.across);
        int rc = add_counts(mp, threshold, out, e);
        add_cells(mp, "labels", windows_mean_labels(mean), NULL, out);
        add_cells(mp, "probabilities", NULL, windows_mean_probabilities(mean), out);
        str_add(out, "}\n");
        return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a map") : rc;
}

/* Metres a pixel of the field is wide, 0 for unknown. */
static double pixel_of(const cJSON *image)
{
        const cJSON *prepared = json_field(image, "prepared");
        const cJSON *field = cJSON_IsObject(prepared) ? prepared : image;
        const cJSON *width = cJSON_GetArrayItem(json_field(field, "pixel_size"), 1);
        return strcmp(wire_text(field, "pixel_unit"), "m") == 0 && cJSON_IsNumber(width) ? width->valuedouble
                                                                                         : 0;
}

int mapper_body(const struct mapper *mp, struct str *out, struct err *e)
{
        const cJSON *threshold = json_field(mp->m.head, "threshold");
        const float least = cJSON_IsNumber(threshold) ? (float)threshold->valuedouble : 0;
        if (!cJSON_IsTrue(json_field(mp->m.head, "picture")))
                return add_json(mp, least, out, e);
        const struct overlay o = {.pixels = mp->m.raw,
                .c = mp->c,
                .h = mp->at.h,
                .w = mp->at.w,
                .rows = mp->at.rows,
                .columns = mp->at.columns,
                .stride = mp->at.stride,
                .labels = windows_mean_labels(mapping_mean(mp->mapping)),
                .probabilities = windows_mean_probabilities(mapping_mean(mp->mapping)),
                .threshold = least,
                .num_classes = mp->num_classes,
                .classes = mp->classes,
                .pixel_m = pixel_of(json_field(mp->m.head, "image"))};
        return overlay_png(&o, out, e);
}
