#include "data/dataset.h"
#include "base/file.h"
#include "base/json.h"
#include "data/origins.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "data set files are mapped as they are: a big-endian host needs its own reader"
#endif

enum { ALIGN = 4096, HEADER_BYTES = 64, MAX_DESCRIPTION = 16 << 20, SOME = 4096 };
static const char magic[8] = "cnndset";
static const char *const type_names[] = {[DATASET_U8] = "u8", [DATASET_F32] = "f32"};
static const char *const split_names[] = {[DATASET_TRAIN] = "train", [DATASET_VAL] = "val"};

struct header {
        char magic[8];
        uint32_t version, description_len;
        uint64_t file_len;
        uint32_t description_crc, crc; /* `crc` of what stands before it */
        char zeros[HEADER_BYTES - 32];
};
_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header is laid out without padding");

/* Where the sections lie, by the description alone. */
struct layout {
        uint64_t images[DATASET_SPLITS], image_bytes[DATASET_SPLITS];
        uint64_t labels[DATASET_SPLITS], label_bytes[DATASET_SPLITS];
        uint64_t origins, file_len;
};

static uint32_t crc_of(const void *bytes, size_t len)
{
        return (uint32_t)crc32_z(0, bytes, len);
}

static uint64_t aligned(uint64_t offset)
{
        return (offset + ALIGN - 1) / ALIGN * ALIGN;
}

size_t dataset_image_bytes(const struct dataset *d)
{
        return (size_t)d->c * (size_t)d->h * (size_t)d->w * (d->type == DATASET_F32 ? sizeof(float) : 1);
}

/* Sides of 2^16, 2^12 channels, 4-byte values and 2^31 images stay below 2^78, so only the last product can
   overflow. */
static int lay_out(const struct dataset *d, size_t description_len, struct layout *ret, struct err *e)
{
        struct layout l;
        uint64_t at = HEADER_BYTES + description_len;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                uint64_t count = (uint64_t)d->split[s].count;
                if (__builtin_mul_overflow(count, dataset_image_bytes(d), &l.image_bytes[s]) ||
                        l.image_bytes[s] > INT64_MAX / 4)
                        return err_set(e, ERR_TOO_LARGE, "%llu images of %zu bytes are too many",
                                (unsigned long long)count, dataset_image_bytes(d));
                l.label_bytes[s] = count * sizeof(int32_t);
                l.images[s] = aligned(at);
                l.labels[s] = aligned(l.images[s] + l.image_bytes[s]);
                at = l.labels[s] + l.label_bytes[s];
        }
        l.origins = aligned(at);
        l.file_len = d->origins.len ? l.origins + d->origins.len : at;
        *ret = l;
        return 0;
}

/* What holds for every data set, read or written. */
static int check_shape(const struct dataset *d, struct err *e)
{
        if (d->c < 1 || d->c > DATASET_MAX_CHANNELS || d->h < 1 || d->h > DATASET_MAX_SIDE || d->w < 1 ||
                d->w > DATASET_MAX_SIDE)
                return err_set(e, ERR_INVALID, "images of %dx%dx%d are outside 1x1x1 to %dx%dx%d", d->c, d->h,
                        d->w, DATASET_MAX_CHANNELS, DATASET_MAX_SIDE, DATASET_MAX_SIDE);
        if (d->num_classes < 1 || d->num_classes > DATASET_MAX_CLASSES)
                return err_set(e, ERR_INVALID, "%d classes, allowed are 1 to %d", d->num_classes,
                        DATASET_MAX_CLASSES);
        int64_t total = 0;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                if (d->split[s].count < 0 || d->split[s].count > INT_MAX / 2)
                        return err_set(
                                e, ERR_INVALID, "%d images in split %s", d->split[s].count, split_names[s]);
                total += d->split[s].count;
        }
        if (total == 0)
                return err_set(e, ERR_INVALID, "no images");
        return 0;
}

/* The labels of `count` images from `first` on. Adds to `counts` where it is not NULL. */
static int check_labels(const struct dataset *d, int s, const int32_t *labels, int first, int count,
        int64_t *counts, struct err *e)
{
        for (int i = 0; i < count; i++) {
                int32_t label = labels[i];
                if (label < 0 || label >= d->num_classes)
                        return err_set(e, ERR_INVALID, "label %d of %s image %d is outside 0 to %d", label,
                                split_names[s], first + i, d->num_classes - 1);
                if (counts)
                        counts[label]++;
        }
        return 0;
}

static int check_names(const struct dataset *d, struct err *e)
{
        if (d->name[0] == '\0')
                return err_set(e, ERR_INVALID, "the data set has no name");
        for (int i = 0; i < d->num_classes; i++) {
                size_t n = strlen(d->classes[i]);
                if (n == 0 || n > DATASET_CLASS_NAME_MAX)
                        return err_set(e, ERR_INVALID,
                                "the name of class %d has %zu bytes, allowed are 1 to %d", i, n,
                                DATASET_CLASS_NAME_MAX);
        }
        return 0;
}

static char *describe(const struct dataset *d)
{
        struct str s = {0};
        str_add(&s, "{\"name\":");
        str_add_json(&s, d->name);
        str_add(&s, ",\"source\":");
        str_add_json(&s, d->source);
        str_addf(&s, ",\"channels\":%d,\"height\":%d,\"width\":%d,\"type\":\"%s\"", d->c, d->h, d->w,
                type_names[d->type]);
        for (int i = 0; i < DATASET_SPLITS; i++)
                str_addf(&s, ",\"%s\":%d", split_names[i], d->split[i].count);
        str_add(&s, ",\"classes\":[");
        for (int i = 0; i < d->num_classes; i++) {
                if (i)
                        str_add(&s, ",");
                str_add_json(&s, d->classes[i]);
        }
        str_add(&s, "]");
        if (d->recipe.h) {
                str_add(&s, ",\"import\":");
                recipe_write(&s, &d->recipe);
        }
        if (d->origins.len)
                origins_describe(&s, &d->origins);
        str_add(&s, "}");
        return str_take(&s);
}

static int check_header(const struct dataset *d, const struct header *h, struct err *e)
{
        if (memcmp(h->magic, magic, sizeof magic) != 0)
                return err_set(e, ERR_SYNTAX, "not a data set file");
        if (h->version < 1 || h->version > DATASET_VERSION)
                return err_set(e, ERR_STATE, "layout version %u, this build reads up to %d: import it again",
                        h->version, DATASET_VERSION);
        if (h->crc != crc_of(h, offsetof(struct header, crc)))
                return err_set(e, ERR_SYNTAX, "the header's checksum is wrong");
        if (h->file_len != d->file_len)
                return err_set(e, ERR_SYNTAX, "%zu bytes where the header tells %llu", d->file_len,
                        (unsigned long long)h->file_len);
        if (h->description_len > MAX_DESCRIPTION || h->description_len > d->file_len - sizeof *h)
                return err_set(e, ERR_SYNTAX, "a description of %u bytes does not fit", h->description_len);
        return 0;
}

static int read_classes(struct dataset *d, const cJSON *json, struct err *e)
{
        const cJSON *list = json_field(json, "classes"), *name;
        int n = cJSON_GetArraySize(list);
        if (!cJSON_IsArray(list) || n < 1 || n > DATASET_MAX_CLASSES)
                return err_set(
                        e, ERR_SYNTAX, "\"classes\" must be a list of 1 to %d names", DATASET_MAX_CLASSES);
        d->classes = calloc((size_t)n, sizeof *d->classes);
        if (!d->classes)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d class names", n);
        cJSON_ArrayForEach(name, list)
        {
                if (!cJSON_IsString(name))
                        return err_set(e, ERR_SYNTAX, "class %d has no name", d->num_classes);
                d->classes[d->num_classes] = strdup(name->valuestring);
                if (!d->classes[d->num_classes])
                        return err_set(e, ERR_NO_MEMORY, "no memory for %d class names", n);
                d->num_classes++;
        }
        return 0;
}

static int read_int(const cJSON *json, const char *key, int max, int *ret, struct err *e)
{
        int64_t v = 0;
        int rc = json_need(json, key, "", e);
        if (rc == 0)
                rc = json_get_int(json, key, 0, max, "", &v, e);
        if (rc == 0)
                *ret = (int)v;
        return rc;
}

/* "" where the text is empty, which json_get_string refuses. */
static int read_text(const cJSON *json, const char *key, char *out, size_t size, struct err *e)
{
        const cJSON *v = json_field(json, key);
        if (!cJSON_IsString(v) || strlen(v->valuestring) >= size)
                return err_set(e, ERR_SYNTAX, "\"%s\" must be a text of at most %zu bytes", key, size - 1);
        memcpy(out, v->valuestring, strlen(v->valuestring) + 1);
        return 0;
}

static int read_type(const cJSON *json, enum dataset_type *ret, struct err *e)
{
        const cJSON *v = json_field(json, "type");
        for (int i = 0; i < (int)(sizeof type_names / sizeof type_names[0]); i++)
                if (cJSON_IsString(v) && strcmp(v->valuestring, type_names[i]) == 0) {
                        *ret = (enum dataset_type)i;
                        return 0;
                }
        return err_set(e, ERR_SYNTAX, "\"type\" must be u8 or f32");
}

static int read_description(struct dataset *d, const cJSON *json, struct err *e)
{
        int rc = json_is_object(json, "", e);
        if (rc == 0)
                rc = json_only(json,
                        "name source channels height width type train val classes import origins", "", e);
        if (rc == 0)
                rc = read_text(json, "name", d->name, sizeof d->name, e);
        if (rc == 0)
                rc = read_text(json, "source", d->source, sizeof d->source, e);
        if (rc == 0)
                rc = read_type(json, &d->type, e);
        if (rc == 0)
                rc = read_int(json, "channels", DATASET_MAX_CHANNELS, &d->c, e);
        if (rc == 0)
                rc = read_int(json, "height", DATASET_MAX_SIDE, &d->h, e);
        if (rc == 0)
                rc = read_int(json, "width", DATASET_MAX_SIDE, &d->w, e);
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++)
                rc = read_int(json, split_names[s], INT_MAX, &d->split[s].count, e);
        if (rc == 0)
                rc = read_classes(d, json, e);
        if (rc == 0)
                rc = recipe_parse(json_field(json, "import"), "/import", &d->recipe, e);
        if (rc == 0)
                rc = origins_parse(json_field(json, "origins"), &d->origins, e);
        if (rc == 0)
                rc = check_shape(d, e);
        return rc != 0 ? rc : check_names(d, e);
}

static int place_sections(struct dataset *d, size_t description_len, struct err *e)
{
        struct layout l;
        int rc = lay_out(d, description_len, &l, e);
        if (rc == 0 && l.file_len != d->file_len)
                rc = err_set(e, ERR_SYNTAX, "%zu bytes where the description needs %llu", d->file_len,
                        (unsigned long long)l.file_len);
        d->origins.at = l.origins;
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++) {
                d->split[s].images_at = l.images[s];
                d->split[s].labels_at = l.labels[s];
                d->split[s].class_counts = calloc((size_t)d->num_classes, sizeof *d->split[s].class_counts);
                if (!d->split[s].class_counts)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for %d class counts", d->num_classes);
        }
        return rc;
}

static int take_description(struct dataset *d, const char *description, const struct header *h, struct err *e)
{
        if (h->description_crc != crc_of(description, h->description_len))
                return err_set(e, ERR_SYNTAX, "the description's checksum is wrong");
        cJSON *json = json_parse(description, h->description_len, e);
        if (!json)
                return e ? e->code : ERR_SYNTAX;
        int rc = read_description(d, json, e);
        cJSON_Delete(json);
        return rc ? rc : place_sections(d, h->description_len, e);
}

/* Points at all and looks at every label. */
static int read_map(struct dataset *d, struct err *e)
{
        struct header h;
        memcpy(&h, d->map, sizeof h);
        int rc = check_header(d, &h, e);
        if (rc == 0)
                rc = take_description(d, (const char *)d->map + sizeof h, &h, e);
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++) {
                d->split[s].images = (const char *)d->map + d->split[s].images_at;
                d->split[s].labels =
                        (const int32_t *)(const void *)((const char *)d->map + d->split[s].labels_at);
                rc = check_labels(
                        d, s, d->split[s].labels, 0, d->split[s].count, d->split[s].class_counts, e);
        }
        if (rc == 0 && d->origins.len)
                d->origins.section = (const char *)d->map + d->origins.at;
        return rc;
}

static int count_labels(struct dataset *d, int fd, struct err *e)
{
        int32_t labels[SOME];
        int rc = 0;
        for (int s = 0; s < DATASET_SPLITS; s++)
                for (int i = 0; i < d->split[s].count && rc == 0; i += SOME) {
                        const int n = d->split[s].count - i < SOME ? d->split[s].count - i : SOME;
                        rc = dataset_labels(d, (enum dataset_split)s, fd, i, n, labels, e);
                        if (rc == 0)
                                rc = check_labels(d, s, labels, i, n, d->split[s].class_counts, e);
                }
        return rc;
}

static int read_file(struct dataset *d, int fd, struct err *e)
{
        struct header h;
        int rc = file_piece(fd, "its file", 0, &h, sizeof h, e);
        if (rc == 0)
                rc = check_header(d, &h, e);
        if (rc)
                return rc;
        char *description = malloc((size_t)h.description_len + 1);
        if (!description)
                return err_set(e, ERR_NO_MEMORY, "no memory for %u bytes", h.description_len);
        rc = file_piece(fd, "its file", sizeof h, description, h.description_len, e);
        if (rc == 0)
                rc = take_description(d, description, &h, e);
        free(description);
        return rc ? rc : count_labels(d, fd, e);
}

static int open_either(const char *path, bool map, struct dataset **ret, struct err *e)
{
        struct err why = {0};
        int fd = -1;
        uint64_t len = 0;
        struct dataset *d = calloc(1, sizeof *d);
        if (!d)
                return err_set(e, ERR_NO_MEMORY, "no memory for data set %s", path);
        int rc = map ? file_map(path, &d->map, &d->file_len, e) : file_open(path, &fd, &len, e);
        if (rc) {
                dataset_close(d);
                return rc;
        }
        if (!map)
                d->file_len = (size_t)len;
        if (!map && !(d->path = strdup(path)))
                rc = err_set(&why, ERR_NO_MEMORY, "no memory for a path");
        else if (d->file_len < HEADER_BYTES)
                rc = err_set(&why, ERR_SYNTAX, "%zu bytes are not a data set", d->file_len);
        else
                rc = map ? read_map(d, &why) : read_file(d, fd, &why);
        if (fd >= 0)
                close(fd);
        if (rc == 0) {
                *ret = d;
                return 0;
        }
        dataset_close(d);
        /* Readers of fields speak of invalid input; in a file of our own that is damage. */
        if (rc == ERR_INVALID || rc == ERR_TOO_LARGE)
                rc = ERR_SYNTAX;
        return err_set(e, rc, "%s: %s", path, why.message);
}

int dataset_open(const char *path, struct dataset **ret, struct err *e)
{
        return open_either(path, true, ret, e);
}

int dataset_look(const char *path, struct dataset **ret, struct err *e)
{
        return open_either(path, false, ret, e);
}

void dataset_close(struct dataset *d)
{
        if (!d)
                return;
        for (int i = 0; i < d->num_classes; i++)
                free(d->classes[i]);
        free(d->classes);
        for (int s = 0; s < DATASET_SPLITS; s++)
                free(d->split[s].class_counts);
        file_unmap(d->map, d->file_len);
        free(d->path);
        free(d);
}

static int write_section(
        struct file_new *f, uint64_t *at, uint64_t offset, const void *bytes, uint64_t len, struct err *e)
{
        static const char zeros[ALIGN];
        int rc = file_write(f, zeros, offset - *at, e);
        if (rc == 0)
                rc = file_write(f, bytes, len, e);
        *at = offset + len;
        return rc;
}

static int write_all(struct file_new *f, const struct dataset *d, const char *description, struct err *e)
{
        size_t len = strlen(description);
        struct layout l;
        struct header h = {.version = d->origins.len ? DATASET_VERSION : 1, .description_len = (uint32_t)len};
        int rc = lay_out(d, len, &l, e);
        if (rc != 0)
                return rc;
        memcpy(h.magic, magic, sizeof magic);
        h.file_len = l.file_len;
        h.description_crc = crc_of(description, len);
        h.crc = crc_of(&h, offsetof(struct header, crc));
        rc = file_write(f, &h, sizeof h, e);
        if (rc == 0)
                rc = file_write(f, description, len, e);
        uint64_t at = sizeof h + len;
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++) {
                rc = write_section(f, &at, l.images[s], d->split[s].images, l.image_bytes[s], e);
                if (rc == 0)
                        rc = write_section(f, &at, l.labels[s], d->split[s].labels, l.label_bytes[s], e);
        }
        if (rc == 0 && d->origins.len)
                rc = write_section(f, &at, l.origins, d->origins.section, d->origins.len, e);
        return rc;
}

/* Reads the description back, so that nothing is written that dataset_open would refuse: a name that is no
   UTF-8 grows in JSON. */
static int check_description(const char *description, struct err *e)
{
        size_t len = strlen(description);
        if (len > MAX_DESCRIPTION)
                return err_set(e, ERR_TOO_LARGE, "the class names fill more than %d bytes", MAX_DESCRIPTION);
        struct err local = {0};
        struct dataset *d = calloc(1, sizeof *d);
        cJSON *json = d ? json_parse(description, len, &local) : NULL;
        if (!d || !json)
                err_set(&local, ERR_NO_MEMORY, "no memory to check the description");
        else if (read_description(d, json, &local) != 0)
                local.code = ERR_INVALID;
        cJSON_Delete(json);
        dataset_close(d);
        return local.code ? err_set(e, local.code, "%s", local.message) : 0;
}

int dataset_write(const struct dataset *d, const char *path, struct err *e)
{
        struct file_new *f = NULL;
        char *description = NULL;
        int rc = check_shape(d, e);
        if (rc == 0)
                rc = check_names(d, e);
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++)
                rc = check_labels(d, s, d->split[s].labels, 0, d->split[s].count, NULL, e);
        if (rc == 0 && !(description = describe(d)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory to describe data set %s", d->name);
        if (rc == 0)
                rc = check_description(description, e);
        if (rc == 0)
                rc = file_create(path, &f, e);
        if (rc == 0)
                rc = write_all(f, d, description, e);
        if (rc == 0)
                rc = file_commit(f, e);
        else
                file_abandon(f);
        free(description);
        return rc;
}
