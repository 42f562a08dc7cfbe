#include "model/safetensors.h"
#include "base/file.h"
#include "base/half.h"
#include "base/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian in the file and used as they are"
#endif

static const struct {
        const char *name;
        enum safetensors_type type;
        unsigned size;
} types[] = {
        {"F32", SAFETENSORS_F32, 4},
        {"F16", SAFETENSORS_F16, 2},
        {"BF16", SAFETENSORS_BF16, 2},
        {"F64", SAFETENSORS_F64, 8},
        {"I64", SAFETENSORS_I64, 8},
        {"I32", SAFETENSORS_I32, 4},
        {"U8", SAFETENSORS_U8, 1},
        {"BOOL", SAFETENSORS_OTHER, 1},
        {"I8", SAFETENSORS_OTHER, 1},
        {"I16", SAFETENSORS_OTHER, 2},
        {"U16", SAFETENSORS_OTHER, 2},
        {"U32", SAFETENSORS_OTHER, 4},
        {"U64", SAFETENSORS_OTHER, 8},
        {"C64", SAFETENSORS_OTHER, 8},
        {"F8_E5M2", SAFETENSORS_OTHER, 1},
        {"F8_E4M3", SAFETENSORS_OTHER, 1},
        {"F8_E8M0", SAFETENSORS_OTHER, 1},
};
enum { TYPES = sizeof types / sizeof types[0], LENGTH_BYTES = sizeof(uint64_t) };

static const char metadata_key[] = "__metadata__";

/* Index into `types`, -1 where unknown. */
static int type_of_name(const char *name)
{
        for (int i = 0; i < TYPES; i++)
                if (strcmp(types[i].name, name) == 0)
                        return i;
        return -1;
}

/* The part of a file that holds the tensors. */
struct span {
        const unsigned char *bytes; /* NULL where they are not at hand */
        uint64_t at;
        size_t len;
};

/* Elements of the shape; false when they pass 2^63. */
static bool count_elements(const struct safetensors_tensor *t, uint64_t *ret)
{
        uint64_t n = 1;
        bool zero = false;
        for (int i = 0; i < t->ndim; i++) {
                if (t->dims[i] < 0)
                        return false;
                zero = zero || t->dims[i] == 0;
        }
        for (int i = 0; i < t->ndim && !zero; i++)
                if (__builtin_mul_overflow(n, (uint64_t)t->dims[i], &n) || n > INT64_MAX)
                        return false;
        *ret = zero ? 0 : n;
        return true;
}

static int read_shape(struct safetensors_tensor *t, const cJSON *shape, struct err *e)
{
        const cJSON *dim;
        if (!cJSON_IsArray(shape))
                return err_set(e, ERR_SYNTAX, "tensor %s has no shape", t->name);
        cJSON_ArrayForEach(dim, shape)
        {
                double v = cJSON_IsNumber(dim) ? dim->valuedouble : -1;
                if (!(v >= 0 && v <= 9007199254740992.0) || v != (double)(int64_t)v)
                        return err_set(
                                e, ERR_SYNTAX, "tensor %s: a dimension is not a whole number", t->name);
                if (t->ndim == SAFETENSORS_MAX_DIMS)
                        return err_set(
                                e, ERR_INVALID, "tensor %s has more than %d dimensions", t->name, t->ndim);
                t->dims[t->ndim++] = (int64_t)v;
        }
        return 0;
}

/* Begin and end within the data, and exactly what shape and type need. */
static int read_place(struct safetensors_tensor *t, const cJSON *offsets, unsigned size,
        const struct span *data, struct err *e)
{
        const cJSON *begin = cJSON_GetArrayItem(offsets, 0), *end = cJSON_GetArrayItem(offsets, 1);
        uint64_t elements, bytes;
        if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !cJSON_IsNumber(begin) ||
                !cJSON_IsNumber(end))
                return err_set(e, ERR_SYNTAX, "tensor %s: data_offsets are not two numbers", t->name);
        double from = begin->valuedouble, to = end->valuedouble;
        if (!(from >= 0 && from <= to && to <= (double)data->len) || from != (double)(uint64_t)from ||
                to != (double)(uint64_t)to)
                return err_set(e, ERR_SYNTAX, "tensor %s: bytes %.0f to %.0f do not lie in %zu", t->name,
                        from, to, data->len);
        t->data = data->bytes ? data->bytes + (size_t)from : NULL;
        t->at = data->at + (uint64_t)from;
        t->bytes = (size_t)to - (size_t)from;
        if (!count_elements(t, &elements) || __builtin_mul_overflow(elements, (uint64_t)size, &bytes) ||
                bytes != t->bytes)
                return err_set(
                        e, ERR_SYNTAX, "tensor %s: %zu bytes are not those of its shape", t->name, t->bytes);
        return 0;
}

static int read_tensor(
        struct safetensors_tensor *t, const cJSON *entry, const struct span *data, struct err *e)
{
        size_t n = strlen(entry->string);
        if (n > SAFETENSORS_NAME_MAX)
                return err_set(e, ERR_INVALID, "tensor %.40s…: a name of %zu bytes, allowed are %d",
                        entry->string, n, SAFETENSORS_NAME_MAX);
        memcpy(t->name, entry->string, n + 1);
        const cJSON *dtype = json_field(entry, "dtype");
        if (!cJSON_IsObject(entry) || json_only(entry, "dtype shape data_offsets", "", NULL) != 0 ||
                !cJSON_IsString(dtype))
                return err_set(e, ERR_SYNTAX, "tensor %s is not described by dtype, shape and data_offsets",
                        t->name);
        int type = type_of_name(dtype->valuestring);
        if (type < 0)
                return err_set(
                        e, ERR_INVALID, "tensor %s has the unknown type %.20s", t->name, dtype->valuestring);
        t->type = types[type].type;
        int rc = read_shape(t, json_field(entry, "shape"), e);
        if (rc == 0)
                rc = read_place(t, json_field(entry, "data_offsets"), types[type].size, data, e);
        return rc;
}

static int read_metadata(struct safetensors *s, const cJSON *pairs, struct err *e)
{
        const cJSON *pair;
        if (!cJSON_IsObject(pairs))
                return err_set(e, ERR_SYNTAX, "the metadata is not an object");
        int n = cJSON_GetArraySize(pairs);
        s->metadata = calloc((size_t)n + 1, sizeof *s->metadata);
        if (!s->metadata)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d metadata", n);
        cJSON_ArrayForEach(pair, pairs)
        {
                if (!cJSON_IsString(pair))
                        return err_set(e, ERR_SYNTAX, "the metadata \"%.40s\" is not a text", pair->string);
                int i = s->metadata_count++;
                s->metadata[i].key = strdup(pair->string);
                s->metadata[i].value = strdup(pair->valuestring);
                if (!s->metadata[i].key || !s->metadata[i].value)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %d metadata", n);
        }
        return 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(
                ((const struct safetensors_tensor *)a)->name, ((const struct safetensors_tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
        const struct safetensors_tensor *x = a, *y = b;
        if (x->at != y->at)
                return x->at < y->at ? -1 : 1;
        return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Side by side, the tensors must fill the data from its first byte to its last. */
static int check_places(struct safetensors *s, const struct span *data, struct err *e)
{
        const uint64_t end = data->at + data->len;
        uint64_t at = data->at;
        if (s->count)
                qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_place);
        for (int i = 0; i < s->count; i++) {
                const struct safetensors_tensor *t = &s->tensors[i];
                if (t->at != at)
                        return err_set(e, ERR_SYNTAX, "tensor %s %s the one before it", t->name,
                                t->at < at ? "overlaps" : "leaves a hole behind");
                at += t->bytes;
        }
        if (at != end)
                return err_set(e, ERR_SYNTAX, "%zu bytes of data belong to no tensor", (size_t)(end - at));
        if (s->count)
                qsort(s->tensors, (size_t)s->count, sizeof *s->tensors, by_name);
        return 0;
}

static int read_tree(struct safetensors *s, const cJSON *head, const struct span *data, struct err *e)
{
        const cJSON *entry;
        if (!cJSON_IsObject(head))
                return err_set(e, ERR_SYNTAX, "the head is not an object");
        s->tensors = calloc((size_t)cJSON_GetArraySize(head) + 1, sizeof *s->tensors);
        if (!s->tensors)
                return err_set(e, ERR_NO_MEMORY, "no memory for the list of tensors");
        cJSON_ArrayForEach(entry, head)
        {
                int rc = strcmp(entry->string, metadata_key) == 0
                                 ? read_metadata(s, entry, e)
                                 : read_tensor(&s->tensors[s->count++], entry, data, e);
                if (rc != 0)
                        return rc;
        }
        return check_places(s, data, e);
}

/* Of the head in a file of `file_len` bytes. */
static int read_length(const void *first, size_t file_len, size_t *ret, struct err *e)
{
        uint64_t len;
        memcpy(&len, first, sizeof len);
        if (memcmp(first, "PK\3\4", 4) == 0)
                return err_set(e, ERR_SYNTAX,
                        "it is a zip, as torch.save writes one: safetensors.torch.save_file writes what is "
                        "read here");
        if (len > SAFETENSORS_MAX_HEAD || len > file_len - sizeof len)
                return err_set(e, ERR_SYNTAX, "a head of %llu bytes in a file of %zu",
                        (unsigned long long)len, file_len);
        *ret = (size_t)len;
        return 0;
}

static int read_text(
        struct safetensors *s, const char *text, size_t len, const struct span *data, struct err *e)
{
        size_t commas = 0;
        if (len == 0 || text[0] != '{')
                return err_set(e, ERR_SYNTAX, "the head does not begin with {");
        for (size_t i = 0; i < len; i++)
                commas += text[i] == ',';
        if (commas > SAFETENSORS_MAX_COMMAS)
                return err_set(
                        e, ERR_TOO_LARGE, "the head lists more than %d things", SAFETENSORS_MAX_COMMAS);
        struct err why = {0};
        cJSON *head = json_parse(text, len, &why);
        if (!head)
                return err_set(e, why.code, "%s", why.message);
        int rc = read_tree(s, head, data, e);
        cJSON_Delete(head);
        return rc;
}

static int no_file(size_t len, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "%zu bytes are not a safetensors file", len);
}

static int read_map(struct safetensors *s, struct err *e)
{
        const unsigned char *bytes = s->map;
        size_t len = 0;
        if (s->map_len < LENGTH_BYTES)
                return no_file(s->map_len, e);
        int rc = read_length(bytes, s->map_len, &len, e);
        if (rc)
                return rc;
        const size_t before = LENGTH_BYTES + len;
        const struct span data = {bytes + before, before, s->map_len - before};
        return read_text(s, (const char *)bytes + LENGTH_BYTES, len, &data, e);
}

static int read_head(struct safetensors *s, int fd, struct err *e)
{
        char first[LENGTH_BYTES];
        struct stat st;
        size_t len = 0;
        if (fstat(fd, &st) != 0)
                return err_errno(e, errno, "cannot look at the file");
        const size_t file_len = (size_t)st.st_size;
        if (file_len < sizeof first)
                return no_file(file_len, e);
        int rc = file_piece(fd, "the file", 0, first, sizeof first, e);
        if (rc == 0)
                rc = read_length(first, file_len, &len, e);
        if (rc)
                return rc;
        s->head = malloc(sizeof first + len);
        if (!s->head)
                return err_set(e, ERR_NO_MEMORY, "no memory for a head of %zu bytes", len);
        s->head_len = sizeof first + len;
        const struct span data = {NULL, s->head_len, file_len - s->head_len};
        memcpy(s->head, first, sizeof first);
        rc = file_piece(fd, "the file", sizeof first, s->head + sizeof first, len, e);
        return rc ? rc : read_text(s, s->head + sizeof first, len, &data, e);
}

int safetensors_open(const char *path, struct safetensors **ret, struct err *e)
{
        struct err why = {0};
        struct safetensors *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory to open %s", path);
        int rc = file_map(path, &s->map, &s->map_len, e);
        if (rc == 0 && (rc = read_map(s, &why)) != 0)
                err_set(e, rc, "%s: %s", path, why.message);
        if (rc)
                safetensors_close(s);
        else
                *ret = s;
        return rc;
}

int safetensors_head(int fd, struct safetensors **ret, struct err *e)
{
        struct safetensors *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory to read tensors");
        int rc = read_head(s, fd, e);
        if (rc)
                safetensors_close(s);
        else
                *ret = s;
        return rc;
}

void safetensors_close(struct safetensors *s)
{
        if (!s)
                return;
        for (int i = 0; i < s->metadata_count; i++) {
                free(s->metadata[i].key);
                free(s->metadata[i].value);
        }
        free(s->metadata);
        free(s->tensors);
        file_unmap(s->map, s->map_len);
        free(s->head);
        free(s);
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
        int low = 0, high = s->count - 1;
        while (low <= high) {
                int mid = low + (high - low) / 2, order = strcmp(name, s->tensors[mid].name);
                if (order == 0)
                        return &s->tensors[mid];
                if (order < 0)
                        high = mid - 1;
                else
                        low = mid + 1;
        }
        return NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
        for (int i = 0; i < s->metadata_count; i++)
                if (strcmp(s->metadata[i].key, key) == 0)
                        return s->metadata[i].value;
        return NULL;
}

static void widen_16(const unsigned char *p, float (*widen)(uint16_t), float *out, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                uint16_t bits;
                memcpy(&bits, p + 2 * i, sizeof bits);
                out[i] = widen(bits);
        }
}

int safetensors_read_f32(const struct safetensors_tensor *t, float *out, size_t count, struct err *e)
{
        uint64_t elements;
        const unsigned char *p = t->data;
        if (t->type > SAFETENSORS_F64)
                return err_set(e, ERR_INVALID, "tensor %s holds no floats", t->name);
        if (!count_elements(t, &elements) || elements != count)
                return err_set(e, ERR_INVALID, "tensor %s has %zu bytes, not the %zu values wanted", t->name,
                        t->bytes, count);
        switch (t->type) {
        case SAFETENSORS_F16:
                widen_16(p, half_from_f16, out, count);
                break;
        case SAFETENSORS_BF16:
                widen_16(p, half_from_bf16, out, count);
                break;
        case SAFETENSORS_F64:
                for (size_t i = 0; i < count; i++) {
                        double v;
                        memcpy(&v, p + 8 * i, sizeof v);
                        out[i] = (float)v;
                }
                break;
        default:
                if (count)
                        memcpy(out, p, count * sizeof *out);
                break;
        }
        return 0;
}
