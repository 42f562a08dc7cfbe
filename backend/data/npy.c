#include "base/half.h"
#include "data/arrays.h"
#include "data/decoder.h"

#include <math.h>
#include <string.h>

enum { MAX_DIMS = 4, KEY_BYTES = 16 };

/* What the header says. */
struct array {
        char kind; /* 'u', 'i', 'f' or 'b' */
        int size;  /* bytes of one element */
        bool big_endian, fortran;
        int ndim;
        uint64_t dims[MAX_DIMS];
};

/* The header is one line of Python: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */
struct scan {
        const char *p, *end;
        struct err *e;
};

static int fail(struct scan *s, const char *what)
{
        return err_set(s->e, ERR_SYNTAX, "%s in the header", what);
}

static void skip_blank(struct scan *s)
{
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool take(struct scan *s, char ch)
{
        skip_blank(s);
        if (s->p == s->end || *s->p != ch)
                return false;
        s->p++;
        return true;
}

static bool take_word(struct scan *s, const char *word)
{
        size_t n = strlen(word);
        skip_blank(s);
        if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return false;
        s->p += n;
        return true;
}

static int take_string(struct scan *s, char out[KEY_BYTES])
{
        size_t n = 0;
        skip_blank(s);
        if (s->p == s->end || (*s->p != '\'' && *s->p != '"'))
                return fail(s, "a quoted text is missing");
        for (char quote = *s->p++; s->p < s->end && *s->p != quote; s->p++) {
                if (n + 1 == KEY_BYTES || *s->p == '\\')
                        return fail(s, "an unknown text");
                out[n++] = *s->p;
        }
        if (s->p == s->end)
                return fail(s, "a text without its end");
        s->p++;
        out[n] = '\0';
        return 0;
}

static int take_shape(struct scan *s, struct array *a)
{
        a->ndim = 0;
        if (!take(s, '('))
                return fail(s, "no shape");
        while (!take(s, ')')) {
                uint64_t v = 0;
                skip_blank(s);
                if (s->p == s->end || *s->p < '0' || *s->p > '9')
                        return fail(s, "no number in the shape");
                for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
                        v = v * 10 + (uint64_t)(*s->p - '0');
                        if (v > UINT32_MAX)
                                return err_set(s->e, ERR_TOO_LARGE, "a dimension above %u", UINT32_MAX);
                }
                /* Python 2 wrote 3L. */
                if (s->p < s->end && *s->p == 'L')
                        s->p++;
                if (a->ndim == MAX_DIMS)
                        return err_set(s->e, ERR_INVALID,
                                "more than 4 dimensions; (H,W), (C,H,W) and (N,C,H,W) are images");
                a->dims[a->ndim++] = v;
                if (!take(s, ',')) {
                        if (!take(s, ')'))
                                return fail(s, "no end of the shape");
                        return 0;
                }
        }
        return 0;
}

static int take_flag(struct scan *s, bool *ret)
{
        if (take_word(s, "True"))
                *ret = true;
        else if (take_word(s, "False"))
                *ret = false;
        else
                return fail(s, "neither True nor False");
        return 0;
}

/* "<f4": byte order, kind, bytes. */
static int set_type(struct array *a, const char *descr, struct err *e)
{
        static const char *const known[] = {
                "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "b1"};
        const char *type = strchr("<>|=", descr[0]) && descr[0] ? descr + 1 : descr;
        a->big_endian = descr[0] == '>';
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (strcmp(type, known[i]) == 0) {
                        a->kind = type[0];
                        a->size = type[1] - '0';
                        return 0;
                }
        if (type[0] == 'c')
                return err_set(e, ERR_INVALID,
                        "complex numbers (%s) cannot be classified; send their magnitude or real part",
                        descr);
        return err_set(e, ERR_INVALID,
                "elements of type %s are not pixels; u1 to u8, i1 to i8, f2, f4, f8 and b1 are", descr);
}

static int take_type(struct scan *s, struct array *a)
{
        char descr[KEY_BYTES] = "";
        skip_blank(s);
        if (s->p < s->end && *s->p == '[')
                return err_set(s->e, ERR_INVALID, "records of named fields are not pixels");
        int rc = take_string(s, descr);
        return rc != 0 ? rc : set_type(a, descr, s->e);
}

static int take_field(struct scan *s, struct array *a, unsigned *seen)
{
        static const char *const keys[] = {"descr", "fortran_order", "shape"};
        char key[KEY_BYTES] = "";
        unsigned i = 0;
        int rc = take_string(s, key);
        if (rc != 0)
                return rc;
        while (i < 3 && strcmp(key, keys[i]) != 0)
                i++;
        if (i == 3 || *seen & 1u << i || !take(s, ':'))
                return fail(s, "an unknown or doubled key");
        *seen |= 1u << i;
        switch (i) {
        case 0:
                return take_type(s, a);
        case 1:
                return take_flag(s, &a->fortran);
        default:
                return take_shape(s, a);
        }
}

static int read_header(const char *text, size_t len, struct array *a, struct err *e)
{
        struct scan s = {text, text + len, e};
        unsigned seen = 0;
        if (!take(&s, '{'))
                return fail(&s, "no dictionary");
        while (!take(&s, '}')) {
                int rc = take_field(&s, a, &seen);
                if (rc != 0)
                        return rc;
                if (!take(&s, ',')) {
                        if (!take(&s, '}'))
                                return fail(&s, "no end of the dictionary");
                        break;
                }
        }
        skip_blank(&s);
        if (seen != 7 || s.p != s.end)
                return fail(&s, "not exactly descr, fortran_order and shape");
        return 0;
}

/* The header's place by the version; offset of the data in *ret. */
static int read_head(const unsigned char *bytes, size_t len, struct array *a, size_t *ret, struct err *e)
{
        size_t at = len >= 8 && bytes[6] == 1 ? 10 : 12, header;
        if (len < at)
                return err_set(e, ERR_SYNTAX, "%zu bytes are not an array", len);
        if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
                return err_set(e, ERR_SYNTAX, "format version %d.%d is unknown", bytes[6], bytes[7]);
        header = (size_t)bytes[8] | (size_t)bytes[9] << 8;
        if (at == 12)
                header |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
        if (header > len - at)
                return err_set(e, ERR_SYNTAX, "ends within its header");
        *ret = at + header;
        return read_header((const char *)bytes + at, header, a, e);
}

/* Fills (n,c,h,w) from the last dimensions. */
static int shape_of(const struct array *a, uint64_t ret[4], struct err *e)
{
        if (a->ndim < 2)
                return err_set(
                        e, ERR_INVALID, "%d dimensions; (H,W), (C,H,W) and (N,C,H,W) are images", a->ndim);
        for (int i = 0; i < 4; i++)
                ret[i] = i < 4 - a->ndim ? 1 : a->dims[i - (4 - a->ndim)];
        return image_check(ret[0], ret[1], ret[2], ret[3], e);
}

static uint64_t bits_of(const struct array *a, const unsigned char *p)
{
        uint64_t bits = 0;
        for (int i = 0; i < a->size; i++)
                bits |= (uint64_t)p[a->big_endian ? a->size - 1 - i : i] << 8 * i;
        return bits;
}

static float float_of(const struct array *a, uint64_t bits)
{
        if (a->size == 2)
                return half_from_f16((uint16_t)bits);
        if (a->size == 4) {
                uint32_t single = (uint32_t)bits;
                float v;
                memcpy(&v, &single, sizeof v);
                return v;
        }
        double v;
        memcpy(&v, &bits, sizeof v);
        return (float)v;
}

static float value_of(const struct array *a, const unsigned char *p)
{
        uint64_t bits = bits_of(a, p);
        switch (a->kind) {
        case 'b':
                return bits != 0;
        case 'u':
                return a->size == 1   ? (float)bits / 255.0f
                       : a->size == 2 ? (float)bits / 65535.0f
                                      : (float)bits;
        case 'i':
                /* Up to the top and down again copies the sign. */
                return (float)((int64_t)(bits << (64 - 8 * a->size)) >> (64 - 8 * a->size));
        default:
                return float_of(a, bits);
        }
}

/* Fortran order has the first dimension fastest. */
static int read_values(const struct array *a, const unsigned char *data, struct image *im, struct err *e)
{
        size_t dims[4] = {(size_t)im->n, (size_t)im->c, (size_t)im->h, (size_t)im->w}, stride[4];
        size_t step = (size_t)a->size;
        float *out = im->pixels;
        for (int i = 0; i < 4; i++) {
                int d = a->fortran ? i : 3 - i;
                stride[d] = step;
                step *= dims[d];
        }
        for (size_t plane = 0; plane < dims[0] * dims[1]; plane++) {
                const unsigned char *at = data + plane / dims[1] * stride[0] + plane % dims[1] * stride[1];
                for (size_t y = 0; y < dims[2]; y++)
                        for (size_t x = 0; x < dims[3]; x++) {
                                float v = value_of(a, at + y * stride[2] + x * stride[3]);
                                if (!isfinite(v))
                                        return err_set(e, ERR_INVALID,
                                                "the value at plane %zu, row %zu, column %zu is not finite "
                                                "as a float",
                                                plane, y, x);
                                *out++ = v;
                        }
        }
        return 0;
}

/* Header and sizes of an array of `len` bytes, of which the first `have` are at hand. */
static int inspect(const unsigned char *bytes, size_t have, uint64_t len, struct array *a, uint64_t shape[4],
        size_t *ret_at, struct err *e)
{
        size_t at = 0;
        int rc = read_head(bytes, have, a, &at, e);
        if (rc == 0)
                rc = shape_of(a, shape, e);
        if (rc != 0)
                return rc;
        uint64_t need = shape[0] * shape[1] * shape[2] * shape[3] * (uint64_t)a->size;
        if (need != len - at)
                return err_set(e, ERR_SYNTAX, "%llu bytes of data where its shape needs %llu",
                        (unsigned long long)(len - at), (unsigned long long)need);
        *ret_at = at;
        return 0;
}

int npy_check(const unsigned char *bytes, size_t have, uint64_t len, struct err *e)
{
        struct array a = {0};
        uint64_t shape[4];
        size_t at = 0;
        return inspect(bytes, have, len, &a, shape, &at, e);
}

int npy_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct array a = {0};
        struct image im = {0};
        uint64_t shape[4];
        size_t at = 0;
        int rc = inspect(bytes, len, len, &a, shape, &at, e);
        if (rc == 0)
                rc = image_create(shape[0], shape[1], shape[2], shape[3], &im, e);
        if (rc == 0)
                rc = read_values(&a, bytes + at, &im, e);
        if (rc == 0)
                *ret = im;
        else
                image_finish(&im);
        return rc;
}

int npy_array(const unsigned char *bytes, size_t len, struct import_array *ret, struct err *e)
{
        struct array a = {0};
        size_t at = 0;
        uint64_t need = 1;
        if (len < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
                return err_set(e, ERR_SYNTAX, "no array");
        int rc = read_head(bytes, len, &a, &at, e);
        if (rc != 0)
                return rc;
        if (a.fortran && a.ndim > 1)
                return err_set(
                        e, ERR_INVALID, "the array is in Fortran order: save numpy.ascontiguousarray of it");
        need *= (uint64_t)a.size;
        for (int i = 0; i < a.ndim; i++)
                if (__builtin_mul_overflow(need, a.dims[i], &need))
                        return err_set(e, ERR_SYNTAX, "a shape beyond all bounds");
        if (need != len - at)
                return err_set(e, ERR_SYNTAX, "%zu bytes of data where its shape needs %llu", len - at,
                        (unsigned long long)need);
        *ret = (struct import_array){.kind = a.kind,
                .size = a.size,
                .big_endian = a.big_endian,
                .ndim = a.ndim,
                .data = bytes + at};
        memcpy(ret->dims, a.dims, sizeof ret->dims);
        return 0;
}
