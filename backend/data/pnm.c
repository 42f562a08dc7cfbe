#include "data/decoder.h"

enum { MAX_SAMPLE = 65535 };

struct text {
        const unsigned char *p, *end;
};

/* The next byte, -1 at the end; a comment reads as the end of its line, anywhere in what is text. */
static int next(struct text *t)
{
        if (t->p == t->end)
                return -1;
        int ch = *t->p++;
        if (ch != '#')
                return ch;
        while (t->p < t->end) {
                ch = *t->p++;
                if (ch == '\n' || ch == '\r')
                        return ch;
        }
        return -1;
}

static bool blank(int ch)
{
        return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* A decimal number up to `max` and the one blank (or end) behind it. */
static int number(struct text *t, const char *what, uint32_t max, uint32_t *ret, struct err *e)
{
        uint32_t v = 0;
        int ch = next(t);
        while (blank(ch))
                ch = next(t);
        if (ch < 0)
                return err_set(e, ERR_SYNTAX, "ends before its %s", what);
        if (ch < '0' || ch > '9')
                return err_set(e, ERR_SYNTAX, "no number where its %s is expected", what);
        for (; ch >= '0' && ch <= '9'; ch = next(t)) {
                v = v * 10 + (uint32_t)(ch - '0');
                if (v > max)
                        return err_set(e, ERR_TOO_LARGE, "its %s is larger than %u", what, max);
        }
        if (ch >= 0 && !blank(ch))
                return err_set(e, ERR_SYNTAX, "no blank after its %s", what);
        *ret = v;
        return 0;
}

static int sample_too_large(uint32_t v, uint32_t maxval, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "a sample of %u above its maximum of %u", v, maxval);
}

static int read_text(struct text *t, uint32_t maxval, size_t c, size_t plane, float *out, struct err *e)
{
        for (size_t i = 0; i < plane; i++)
                for (size_t k = 0; k < c; k++) {
                        uint32_t v;
                        int rc = number(t, "sample", MAX_SAMPLE, &v, e);
                        if (rc != 0)
                                return rc;
                        if (v > maxval)
                                return sample_too_large(v, maxval, e);
                        out[k * plane + i] = (float)v / (float)maxval;
                }
        int ch;
        while (blank(ch = next(t)))
                ;
        return ch < 0 ? 0 : err_set(e, ERR_SYNTAX, "more samples than its size tells");
}

static int read_raw(struct text *t, uint32_t maxval, size_t c, size_t plane, float *out, struct err *e)
{
        const unsigned char *p = t->p;
        for (size_t i = 0; i < plane; i++)
                for (size_t k = 0; k < c; k++) {
                        uint32_t v = *p++;
                        if (maxval > 255)
                                v = v << 8 | *p++;
                        if (v > maxval)
                                return sample_too_large(v, maxval, e);
                        out[k * plane + i] = (float)v / (float)maxval;
                }
        return 0;
}

/* Whether what is left can hold, and in raw files holds exactly, this many samples. */
static int check_length(const struct text *t, bool raw, uint32_t maxval, uint64_t samples, struct err *e)
{
        uint64_t left = (uint64_t)(t->end - t->p);
        uint64_t need = raw ? samples * (maxval > 255 ? 2 : 1) : samples * 2 - 1;
        if (left < need)
                return err_set(e, ERR_SYNTAX, "%llu bytes of samples where %llu are needed",
                        (unsigned long long)left, (unsigned long long)need);
        if (raw && left > need)
                return err_set(e, ERR_SYNTAX, "%llu bytes after the image; one file holds one image",
                        (unsigned long long)(left - need));
        return 0;
}

int pnm_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct text t = {bytes + 2, bytes + len};
        bool raw = bytes[1] >= '5';
        uint32_t c = bytes[1] == '3' || bytes[1] == '6' ? 3 : 1, w = 0, h = 0, maxval = 0;
        struct image im;
        int rc = number(&t, "width", IMAGE_MAX_SIDE, &w, e);
        if (rc == 0)
                rc = number(&t, "height", IMAGE_MAX_SIDE, &h, e);
        if (rc == 0)
                rc = number(&t, "maximum", MAX_SAMPLE, &maxval, e);
        if (rc == 0 && maxval == 0)
                rc = err_set(e, ERR_SYNTAX, "its maximum is 0");
        if (rc == 0)
                rc = image_check(1, c, h, w, e);
        if (rc == 0)
                rc = check_length(&t, raw, maxval, (uint64_t)c * h * w, e);
        if (rc == 0)
                rc = image_create(1, c, h, w, &im, e);
        if (rc != 0)
                return rc;
        size_t plane = (size_t)h * w;
        rc = raw ? read_raw(&t, maxval, c, plane, im.pixels, e)
                 : read_text(&t, maxval, c, plane, im.pixels, e);
        if (rc != 0)
                image_finish(&im);
        else
                *ret = im;
        return rc;
}
