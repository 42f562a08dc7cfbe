#include "data/scale.h"

#include "data/decoder.h"

#include <math.h>
#include <stdlib.h>

/* Where an output coordinate takes its values from. */
struct reach {
        int first, count;
        const double *weights; /* into the axis's */
};

struct axis {
        struct reach *reaches; /* owned */
        double *weights;       /* owned */
};

static void axis_finish(struct axis *a)
{
        free(a->reaches);
        free(a->weights);
}

/* Output i covers the inputs' interval [i from, (i+1) from) in units of 1/to, where input k covers
   [k to, (k+1) to): whole numbers, so that the weights of an output are exact but for one division. */
static int reach_area(int from, int to, int i, double *weights, struct reach *ret)
{
        int64_t low = (int64_t)i * from, high = low + from;
        int first = (int)(low / to), last = (int)((high - 1) / to);
        for (int k = first; k <= last; k++) {
                int64_t begin = (int64_t)k * to, end = begin + to;
                int64_t overlap = (end < high ? end : high) - (begin > low ? begin : low);
                weights[k - first] = (double)overlap / from;
        }
        *ret = (struct reach){first, last - first + 1, weights};
        return ret->count;
}

static int reach_linear(int from, int to, int i, double *weights, struct reach *ret)
{
        double at = fmax((i + 0.5) * from / to - 0.5, 0);
        int low = (int)at < from - 1 ? (int)at : from - 1;
        weights[0] = 1 - fmin(at - low, 1);
        weights[1] = 1 - weights[0];
        *ret = (struct reach){low, low < from - 1 ? 2 : 1, weights};
        if (ret->count == 1)
                weights[0] = 1;
        return ret->count;
}

static int axis_create(int from, int to, struct axis *ret, struct err *e)
{
        /* An area's ends are shared with its neighbours at most. */
        size_t most = to < from ? (size_t)from + 2 * (size_t)to : 2 * (size_t)to;
        struct axis a = {malloc((size_t)to * sizeof *a.reaches), malloc(most * sizeof *a.weights)};
        if (!a.reaches || !a.weights) {
                axis_finish(&a);
                return err_set(e, ERR_NO_MEMORY, "no memory to resample to %d", to);
        }
        double *weights = a.weights;
        for (int i = 0; i < to; i++)
                weights += (to < from ? reach_area : reach_linear)(from, to, i, weights, &a.reaches[i]);
        *ret = a;
        return 0;
}

static void along_rows(const struct axis *x, const float *from, int h, int w, float *to, int to_w)
{
        for (int y = 0; y < h; y++, from += w)
                for (int i = 0; i < to_w; i++) {
                        const struct reach *r = &x->reaches[i];
                        double sum = 0;
                        for (int k = 0; k < r->count; k++)
                                sum += r->weights[k] * (double)from[r->first + k];
                        *to++ = (float)sum;
                }
}

static void along_columns(const struct axis *y, const float *from, int w, float *to, int to_h)
{
        for (int i = 0; i < to_h; i++) {
                const struct reach *r = &y->reaches[i];
                for (int k = 0; k < w; k++) {
                        double sum = 0;
                        for (int j = 0; j < r->count; j++)
                                sum += r->weights[j] *
                                       (double)from[(size_t)(r->first + j) * (size_t)w + (size_t)k];
                        *to++ = (float)sum;
                }
        }
}

int scale_resample(struct image *im, int h, int w, struct err *e)
{
        struct image out = {0};
        struct axis x = {0}, y = {0};
        const size_t from = (size_t)im->h * (size_t)im->w, to = (size_t)h * (size_t)w;
        float *wide = NULL; /* one plane with its rows done */
        if (h == im->h && w == im->w)
                return 0;
        int rc = image_create((uint64_t)im->n, (uint64_t)im->c, (uint64_t)h, (uint64_t)w, &out, e);
        if (rc == 0)
                rc = axis_create(im->w, w, &x, e);
        if (rc == 0)
                rc = axis_create(im->h, h, &y, e);
        if (rc == 0 && !(wide = malloc((size_t)im->h * (size_t)w * sizeof *wide)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory to resample to %dx%d", h, w);
        for (size_t p = 0; rc == 0 && p < (size_t)im->n * (size_t)im->c; p++) {
                along_rows(&x, im->pixels + p * from, im->h, im->w, wide, w);
                along_columns(&y, wide, w, out.pixels + p * to, h);
        }
        if (rc == 0) {
                free(im->pixels);
                im->pixels = out.pixels;
                im->pixel_h *= (double)im->h / h;
                im->pixel_w *= (double)im->w / w;
                im->h = h;
                im->w = w;
        } else {
                free(out.pixels);
        }
        axis_finish(&x);
        axis_finish(&y);
        free(wide);
        return rc;
}

/* What a side becomes; 0 beyond all bounds. */
static int side_at(int side, double pixel_m, double nm)
{
        double to = fmax(round(side * (pixel_m * 1e9 / nm)), 1);
        return to <= IMAGE_MAX_SIDE ? (int)to : 0;
}

int scale_to_pixel(struct image *im, double nm, struct err *e)
{
        if (im->unit == IMAGE_PER_METRE)
                return err_set(e, ERR_INVALID,
                        "its pixels are measured in reciprocal space, so that they have no size in nm");
        if (im->unit != IMAGE_METRES)
                return err_set(e, ERR_INVALID, "the file does not tell its pixel size");
        int h = side_at(im->h, im->pixel_h, nm), w = side_at(im->w, im->pixel_w, nm);
        if (h == 0 || w == 0)
                return err_set(e, ERR_TOO_LARGE, "pixels of %g x %g nm to %g nm: more than %d pixels a side",
                        im->pixel_h * 1e9, im->pixel_w * 1e9, nm, IMAGE_MAX_SIDE);
        return scale_resample(im, h, w, e);
}
