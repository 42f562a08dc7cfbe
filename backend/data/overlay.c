#include "data/overlay.h"

#include "data/font.h"
#include "data/pngwrite.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCALE = 2 /* of letters */, LINE = 22, MARGIN = 10, SWATCH = 14, ENTRY = 330, NAME = 17, LISTED = 32 };
enum { HATCH = 8, SAMPLES = 65536 };

struct page {
        const struct overlay *of;
        int image_w, image_h, w, h;
        unsigned char *rgb; /* owned, (h,w,3) */
        float *grey;        /* owned, (image_h,image_w), 0..1 */
        int *counts;        /* owned, (num_classes): cells */
        int *ranks;         /* owned: classes that occur, most cells first */
        int found, uncertain;
};

static const unsigned char black[3] = {31, 35, 40}, white[3] = {255, 255, 255};

/* Sides of the image within the picture; the legend stands below it. */
static void size_of(const struct overlay *o, int *ret_w, int *ret_h)
{
        const int side = o->h > o->w ? o->h : o->w, times = side < OVERLAY_SMALL ? OVERLAY_SMALL / side : 1;
        const double shrink = side > OVERLAY_SIDE ? (double)OVERLAY_SIDE / side : 1;
        *ret_w = (int)fmax(1, floor(o->w * shrink)) * times;
        *ret_h = (int)fmax(1, floor(o->h * shrink)) * times;
}

/* Colour of a class: the same in every picture. */
static void colour_of(int class, unsigned char rgb[3])
{
        static const unsigned char first[8][3] = {{0, 114, 178}, {230, 159, 0}, {0, 158, 115}, {204, 60, 60},
                {150, 90, 200}, {240, 228, 66}, {86, 180, 233}, {204, 121, 167}};
        if (class < 8) {
                memcpy(rgb, first[class], 3);
                return;
        }
        /* Hues a golden angle apart never meet again. */
        const double hue = fmod(class * 137.50776, 360) / 60;
        for (int i = 0; i < 3; i++) {
                const double k = fmod(hue + (i == 0 ? 0 : i == 1 ? 4 : 2), 6);
                rgb[i] = (unsigned char)lrint(230 - 170 * fmin(fmax(2 - fabs(k - 3), 0), 1));
        }
}

/* Mean of the pixels under dot (x,y) of the picture. */
static float mean_under(const struct page *p, int y, int x)
{
        const struct overlay *o = p->of;
        const int top = (int)((int64_t)y * o->h / p->image_h), left = (int)((int64_t)x * o->w / p->image_w);
        int bottom = (int)((int64_t)(y + 1) * o->h / p->image_h),
            right = (int)((int64_t)(x + 1) * o->w / p->image_w);
        double sum = 0;
        bottom = bottom > top ? bottom : top + 1;
        right = right > left ? right : left + 1;
        for (int c = 0; c < o->c; c++)
                for (int i = top; i < bottom; i++)
                        for (int k = left; k < right; k++)
                                sum += (double)o->pixels[((size_t)c * (size_t)o->h + (size_t)i) *
                                                                 (size_t)o->w +
                                                         (size_t)k];
        return (float)(sum / ((double)o->c * (bottom - top) * (right - left)));
}

static int by_value(const void *a, const void *b)
{
        const float x = *(const float *)a, y = *(const float *)b;
        return (x > y) - (x < y);
}

static int make_grey(struct page *p, struct err *e)
{
        const size_t count = (size_t)p->image_w * (size_t)p->image_h, step = count / SAMPLES + 1;
        const size_t samples = (count + step - 1) / step;
        float *some = malloc(samples * sizeof *some);
        if (!some)
                return err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        for (int y = 0; y < p->image_h; y++)
                for (int x = 0; x < p->image_w; x++)
                        p->grey[(size_t)y * (size_t)p->image_w + (size_t)x] = mean_under(p, y, x);
        for (size_t i = 0; i < samples; i++)
                some[i] = p->grey[i * step];
        qsort(some, samples, sizeof *some, by_value);
        const float low = some[samples / 200], span = some[samples - 1 - samples / 200] - low;
        for (size_t i = 0; i < count; i++)
                p->grey[i] = span > 0 ? fminf(fmaxf((p->grey[i] - low) / span, 0), 1) : 0.5f;
        free(some);
        return 0;
}

static void count_cells(struct page *p)
{
        const struct overlay *o = p->of;
        for (int i = 0; i < o->rows * o->columns; i++) {
                if (o->probabilities[i] < o->threshold)
                        p->uncertain++;
                else
                        p->counts[o->labels[i]]++;
        }
        for (int k = 0; k < o->num_classes; k++) {
                if (!p->counts[k])
                        continue;
                int at = p->found++;
                for (; at > 0 && p->counts[p->ranks[at - 1]] < p->counts[k]; at--)
                        p->ranks[at] = p->ranks[at - 1];
                p->ranks[at] = k;
        }
}

static void put(struct page *p, int y, int x, const unsigned char rgb[3])
{
        if (x >= 0 && x < p->w && y >= 0 && y < p->h)
                memcpy(p->rgb + ((size_t)y * (size_t)p->w + (size_t)x) * 3, rgb, 3);
}

static void fill(struct page *p, int y, int x, int h, int w, const unsigned char rgb[3])
{
        for (int i = 0; i < h; i++)
                for (int k = 0; k < w; k++)
                        put(p, y + i, x + k, rgb);
}

static void write_text(struct page *p, int y, int x, const char *text, const unsigned char rgb[3])
{
        for (; *text; text++, x += FONT_ADVANCE * SCALE)
                for (int i = 0; i < FONT_HEIGHT * SCALE; i++)
                        for (int k = 0; k < FONT_WIDTH * SCALE; k++)
                                if (font_dot(*text, k / SCALE, i / SCALE))
                                        put(p, y + i, x + k, rgb);
}

static bool hatched(int y, int x)
{
        return (x + y) % HATCH == 0;
}

static void draw_image(struct page *p)
{
        const struct overlay *o = p->of;
        for (int y = 0; y < p->image_h; y++) {
                const int row = (int)((int64_t)y * o->h / p->image_h) / o->stride;
                for (int x = 0; x < p->image_w; x++) {
                        const int column = (int)((int64_t)x * o->w / p->image_w) / o->stride,
                                  cell = row * o->columns + column;
                        const long grey = lrintf(p->grey[(size_t)y * (size_t)p->image_w + (size_t)x] * 255);
                        unsigned char rgb[3] = {255, 255, 255};
                        const bool certain = o->probabilities[cell] >= o->threshold;
                        if (certain)
                                colour_of(o->labels[cell], rgb);
                        for (int i = 0; i < 3; i++)
                                rgb[i] = (unsigned char)(certain || hatched(y, x) ? (grey + rgb[i]) / 2
                                                                                  : grey);
                        put(p, y, x, rgb);
                }
        }
}

/* The longest of 1, 2, 5 times a power of ten that takes at most a quarter of the picture. */
static void draw_bar(struct page *p)
{
        static const struct {
                double metres;
                const char *name;
        } units[] = {{1e-12, "pm"}, {1e-9, "nm"}, {1e-6, "um"}, {1e-3, "mm"}, {1, "m"}};
        const double dot = p->of->pixel_m * p->of->w / p->image_w, most = dot * p->image_w / 4;
        double length = pow(10, floor(log10(most)));
        length *= length * 5 <= most ? 5 : length * 2 <= most ? 2 : 1;
        size_t unit = 0;
        while (unit + 1 < sizeof units / sizeof units[0] && length >= units[unit + 1].metres * 0.999)
                unit++;
        char text[40];
        snprintf(text, sizeof text, "%g %s", (double)(float)(length / units[unit].metres), units[unit].name);
        const int bar = (int)lrint(length / dot), letters = (int)strlen(text) * FONT_ADVANCE * SCALE;
        const int wide = (bar > letters ? bar : letters) + 2 * MARGIN, tall = 38;
        if (wide + 2 * MARGIN > p->image_w || tall + 2 * MARGIN > p->image_h)
                return;
        const int top = p->image_h - MARGIN - tall;
        fill(p, top, MARGIN, tall, wide, black);
        write_text(p, top + 5, 2 * MARGIN, text, white);
        fill(p, top + 26, 2 * MARGIN, 5, bar, white);
}

static int entries(const struct page *p)
{
        return (p->found > LISTED ? LISTED + 1 : p->found) + 1;
}

static int per_line(const struct page *p)
{
        return p->w / ENTRY > 0 ? p->w / ENTRY : 1;
}

static void draw_entry(struct page *p, int place, const unsigned char *rgb, const char *name, int cells)
{
        char text[64];
        const int y = p->image_h + MARGIN + place / per_line(p) * LINE,
                  x = MARGIN + place % per_line(p) * ENTRY;
        const int all = p->of->rows * p->of->columns;
        for (int i = 0; i < SWATCH; i++)
                for (int k = 0; k < SWATCH; k++) {
                        static const unsigned char grey[3] = {128, 128, 128}, light[3] = {192, 192, 192};
                        put(p, y + i, x + k, rgb ? rgb : hatched(i, k) ? light : grey);
                }
        snprintf(text, sizeof text, "%.*s %.1f%%", NAME, name, 100.0 * cells / all);
        write_text(p, y, x + SWATCH + 6, text, black);
}

static void draw_legend(struct page *p)
{
        int place = 0, rest = 0;
        char name[32];
        for (; place < p->found && place < LISTED; place++) {
                unsigned char rgb[3];
                colour_of(p->ranks[place], rgb);
                draw_entry(p, place, rgb, p->of->classes[p->ranks[place]], p->counts[p->ranks[place]]);
        }
        for (int i = LISTED; i < p->found; i++)
                rest += p->counts[p->ranks[i]];
        if (p->found > LISTED) {
                snprintf(name, sizeof name, "%d more", p->found - LISTED);
                draw_entry(p, place++, white, name, rest);
        }
        snprintf(name, sizeof name, "below %g", (double)p->of->threshold);
        draw_entry(p, place, NULL, name, p->uncertain);
}

static int create(struct page *p, struct err *e)
{
        const struct overlay *o = p->of;
        size_of(o, &p->image_w, &p->image_h);
        p->counts = calloc((size_t)o->num_classes, sizeof *p->counts);
        p->ranks = calloc((size_t)o->num_classes, sizeof *p->ranks);
        p->grey = malloc((size_t)p->image_w * (size_t)p->image_h * sizeof *p->grey);
        if (!p->counts || !p->ranks || !p->grey)
                return err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        count_cells(p);
        p->w = p->image_w > OVERLAY_NARROW ? p->image_w : OVERLAY_NARROW;
        p->h = p->image_h + 2 * MARGIN + (entries(p) + per_line(p) - 1) / per_line(p) * LINE;
        p->rgb = malloc((size_t)p->w * (size_t)p->h * 3);
        if (!p->rgb)
                return err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        memset(p->rgb, 255, (size_t)p->w * (size_t)p->h * 3);
        return make_grey(p, e);
}

static void copy_row(const void *ctx, int y, unsigned char *row)
{
        const struct page *p = ctx;
        memcpy(row, p->rgb + (size_t)y * (size_t)p->w * 3, (size_t)p->w * 3);
}

int overlay_png(const struct overlay *o, struct str *out, struct err *e)
{
        struct page p = {.of = o};
        int rc = create(&p, e);
        if (rc == 0) {
                draw_image(&p);
                if (o->pixel_m > 0)
                        draw_bar(&p);
                draw_legend(&p);
                rc = pngwrite(p.w, p.h, 3, copy_row, &p, out, e);
        }
        free(p.rgb);
        free(p.grey);
        free(p.counts);
        free(p.ranks);
        return rc;
}
