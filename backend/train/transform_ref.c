#include "train/transform_ref.h"
#include "base/philox.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

struct words {
        uint32_t w[4];
};

static struct words words_of(const struct transform_ref *r, int position, int step, uint32_t group)
{
        struct words words;
        enum philox_purpose purpose =
                (enum philox_purpose)((uint32_t)PHILOX_AUGMENT | (uint32_t)(step + 1) << 8);
        philox(r->seed, purpose, r->epoch, (uint64_t)group << 32 | (uint32_t)position, words.w);
        return words;
}

static double between(double low, double high, uint32_t word)
{
        return low + (high - low) * (double)philox_uniform(word);
}

static double whole(double p, uint32_t word)
{
        return (double)(word % (2 * (uint32_t)p + 1)) - p;
}

static bool is(const struct augment_step *s, const char *type)
{
        return strcmp(s->kind->type, type) == 0;
}

/* Between the sides of the outermost pixels, by as many reflections as that takes. */
static double mirror(double v, double size)
{
        v = fmod(fabs(v + 0.5), 2 * size);
        return (v > size ? 2 * size - v : v) - 0.5;
}

/* torchvision's _get_inverse_affine_matrix without a shear along y: back around the middle, turned and
   sheared back. */
static void affine(const struct transform_ref *r, const struct augment_step *s, const struct words *draw,
        uint32_t more, double *y, double *x)
{
        const double h = r->s.h, w = r->s.w, middle_y = (h - 1) / 2, middle_x = (w - 1) / 2;
        const double degrees = s->values[AUGMENT_DEGREES], most = s->values[AUGMENT_SHEAR],
                     *shares = s->values + AUGMENT_TRANSLATE, *scales = s->values + AUGMENT_SCALE;
        const double angle = between(-degrees, degrees, draw->w[0]) * pi / 180,
                     shear = tan(between(-most, most, more) * pi / 180),
                     scale = between(scales[0], scales[1], draw->w[3]);
        const double from_y = *y - middle_y - between(-shares[0], shares[0], draw->w[1]) * h,
                     from_x = *x - middle_x - between(-shares[1], shares[1], draw->w[2]) * w;
        const double b = -cos(angle) * shear - sin(angle), d = -sin(angle) * shear + cos(angle);
        *y = mirror((cos(angle) * from_y - sin(angle) * from_x) / scale + middle_y, h);
        *x = mirror((d * from_x - b * from_y) / scale + middle_x, w);
}

/* Where in the step's input a place of its output comes from. */
static bool before(const struct transform_ref *r, int position, int step, double *y, double *x)
{
        const struct augment_step *s = &r->augment->steps[step];
        const struct words draw = words_of(r, position, step, 0xFFFFFF00u);
        double h = r->s.h, w = r->s.w, a = s->values[0], b = s->values[1];
        if (is(s, "hflip") && (double)philox_uniform(draw.w[0]) < a)
                *x = w - 1 - *x;
        if (is(s, "vflip") && (double)philox_uniform(draw.w[0]) < a)
                *y = h - 1 - *y;
        for (uint32_t k = 0; is(s, "rot90") && k < (draw.w[0] & 3); k++) {
                const double was = *y;
                *y = *x;
                *x = w - 1 - was;
        }
        if (is(s, "crop")) {
                *y += whole(a, draw.w[0]);
                *x += whole(a, draw.w[1]);
        }
        if (is(s, "zoom")) {
                double factor = between(a, b, draw.w[0]);
                *y = (*y + 0.5) / factor + (double)philox_uniform(draw.w[1]) * (h - h / factor) - 0.5;
                *x = (*x + 0.5) / factor + (double)philox_uniform(draw.w[2]) * (w - w / factor) - 0.5;
        }
        if (is(s, "row_jitter")) {
                struct words row = words_of(r, position, step, (uint32_t)(int)floor(*y + 0.5));
                *x = fmin(fmax(*x + between(-a, a, row.w[0]), 0), w - 1);
        }
        if (is(s, "affine")) {
                affine(r, s, &draw, words_of(r, position, step, 0xFFFFFF01u).w[0], y, x);
                return true;
        }
        return *y >= -0.5 && *y < h - 0.5 && *x >= -0.5 && *x < w - 0.5;
}

static double bilinear(const double *plane, int h, int w, double y, double x)
{
        y = fmin(fmax(y, 0), h - 1);
        x = fmin(fmax(x, 0), w - 1);
        int y0 = (int)y, x0 = (int)x, y1 = y0 + 1 < h ? y0 + 1 : y0, x1 = x0 + 1 < w ? x0 + 1 : x0;
        double top = plane[y0 * w + x0] * (1 - (x - x0)) + plane[y0 * w + x1] * (x - x0);
        double bottom = plane[y1 * w + x0] * (1 - (x - x0)) + plane[y1 * w + x1] * (x - x0);
        return top * (1 - (y - y0)) + bottom * (y - y0);
}

/* Geometric steps first to last - 1 of an image of h x w that stands for one of the network's size. */
static void move(const struct transform_ref *r, int position, int first, int last, const double *from, int h,
        int w, double *out)
{
        for (int i = 0; i < r->s.c * r->s.h * r->s.w; i++) {
                double y = i / r->s.w % r->s.h, x = i % r->s.w;
                bool inside = true;
                for (int k = last - 1; k >= first && inside; k--)
                        inside = before(r, position, k, &y, &x);
                const double *plane = from + (size_t)(i / (r->s.h * r->s.w)) * (size_t)(h * w);
                out[i] = inside ? bilinear(plane, h, w, (y + 0.5) * h / r->s.h - 0.5,
                                          (x + 0.5) * w / r->s.w - 0.5)
                                : 0;
        }
}

static double poisson(double mean, double uniform, double normal)
{
        if (mean < 12) {
                double k = 0, term = exp(-mean), below = term;
                for (; uniform > below && k < 60; below += term)
                        term *= mean / ++k;
                return k;
        }
        double q = normal * normal, root = sqrt(mean);
        return fmax(0, floor(mean + root * normal + 1.0 / 3 + q / 6 - normal * (1.0 / 36 + q / 72) / root +
                               (7 * q / 810 + q * q / 270 - 8.0 / 405) / mean));
}

static double noise_of(const struct words *words, int k)
{
        double u = (double)philox_uniform(words->w[k & 2]) + 0x1p-25,
               v = (double)philox_uniform(words->w[(k & 2) + 1]);
        return sqrt(-2 * log(u)) * (k & 1 ? sin(2 * pi * v) : cos(2 * pi * v));
}

static double mean_of(const double *v, int count)
{
        double sum = 0;
        for (int i = 0; i < count; i++)
                sum += v[i];
        return sum / count;
}

static double polynomial(const struct transform_ref *r, int position, int step, int i, double most)
{
        struct words d = words_of(r, position, step, 0xFFFFFF00u),
                     more = words_of(r, position, step, 0xFFFFFF01u);
        double y = (2 * (i / r->s.w % r->s.h) + 1.0) / r->s.h - 1, x = (2 * (i % r->s.w) + 1.0) / r->s.w - 1;
        double terms[] = {y, x, x * y, 2 * y * y - 1, 2 * x * x - 1}, sum = 0;
        for (int k = 0; k < 5; k++)
                sum += between(-most / 5, most / 5, k < 4 ? d.w[k] : more.w[0]) * terms[k];
        return sum;
}

/* Along rows, or with `vertical` along columns, from `v` to `out`. */
static void blur(
        const struct transform_ref *r, double sigma, int radius, bool vertical, const double *v, double *out)
{
        int last = (vertical ? r->s.h : r->s.w) - 1, apart = vertical ? r->s.w : 1;
        for (int i = 0; i < r->s.c * r->s.h * r->s.w; i++) {
                int at = vertical ? i / r->s.w % r->s.h : i % r->s.w;
                double sum = 0, total = 0;
                for (int k = -radius; k <= radius; k++) {
                        int there = at + k < 0 ? 0 : at + k > last ? last : at + k;
                        double weight = exp(-k * k / (2 * fmax(sigma * sigma, 1e-6)));
                        sum += weight * v[i + (there - at) * apart];
                        total += weight;
                }
                out[i] = sum / total;
        }
}

static void change(const struct transform_ref *r, int position, int step, double *v, double *scratch)
{
        const struct augment_step *s = &r->augment->steps[step];
        const struct words draw = words_of(r, position, step, 0xFFFFFF00u);
        double a = s->values[0], b = s->values[1], factor = between(a, b, draw.w[0]);
        int count = r->s.c * r->s.h * r->s.w;
        double mean = mean_of(v, count);
        for (int i = 0; i < count; i++) {
                struct words pixel = words_of(r, position, step, (uint32_t)i / 4);
                if (is(s, "brightness"))
                        v[i] += between(-a, a, draw.w[0]);
                if (is(s, "contrast"))
                        v[i] = mean + factor * (v[i] - mean);
                if (is(s, "gamma"))
                        v[i] = v[i] > 0 ? pow(v[i], factor) : 0;
                if (is(s, "gaussian_noise"))
                        v[i] += a * noise_of(&pixel, i % 4);
                if (is(s, "poisson_noise"))
                        v[i] = poisson(fmax(v[i], 0) * a, (double)philox_uniform(pixel.w[i % 4]) + 0x1p-25,
                                       noise_of(&pixel, i % 4)) /
                               a;
                if (is(s, "background"))
                        v[i] += polynomial(r, position, step, i, a);
        }
        if (is(s, "blur")) {
                blur(r, between(0, a, draw.w[0]), (int)ceil(3 * a), false, v, scratch);
                blur(r, between(0, a, draw.w[0]), (int)ceil(3 * a), true, scratch, v);
        }
}

static void normalise(const struct transform_ref *r, double *v)
{
        const struct normalize *z = r->normalize;
        int plane = r->s.h * r->s.w, count = r->s.c * plane;
        double mean = mean_of(v, count), squares = 0;
        for (int i = 0; i < count; i++)
                squares += (v[i] - mean) * (v[i] - mean);
        for (int i = 0; i < count; i++) {
                if (z->mode == NORMALIZE_IMAGE)
                        v[i] = (v[i] - mean) / fmax(sqrt(squares / count), 1e-6);
                if (z->mode == NORMALIZE_CHANNELS)
                        v[i] = (v[i] - z->mean[z->count == 1 ? 0 : i / plane]) /
                               z->std[z->count == 1 ? 0 : i / plane];
        }
}

static int run_end(const struct augment *a, int first)
{
        int at = first;
        while (a && at < a->count && augment_joins(a, first, at))
                at++;
        return at;
}

int transform_ref(
        const struct transform_ref *r, int position, const double *source, double *out, struct err *e)
{
        const struct augment *a = r->augment;
        int steps = a ? a->count : 0, count = r->s.c * r->s.h * r->s.w;
        double *from = malloc((size_t)count * sizeof *from);
        if (!from)
                return err_set(e, ERR_NO_MEMORY, "no memory for an image");
        int at = run_end(a, 0);
        move(r, position, 0, at, source, r->source_h, r->source_w, out);
        while (at < steps) {
                int first = at;
                at = run_end(a, at);
                if (at > first) {
                        memcpy(from, out, (size_t)count * sizeof *from);
                        move(r, position, first, at, from, r->s.h, r->s.w, out);
                } else {
                        change(r, position, at++, out, from);
                }
        }
        if (r->normalize)
                normalise(r, out);
        free(from);
        return 0;
}
