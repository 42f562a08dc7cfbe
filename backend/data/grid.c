#include "data/grid.h"

#include "data/pngwrite.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { GAP_GREY = 128 };

struct grid {
        const float *maps;
        int count, channels, h, w;
        int columns, rows, scale;
        float low, high;
};

static void layout(struct grid *g)
{
        g->rows = (g->count + g->columns - 1) / g->columns;
        const int side = g->h > g->w ? g->h : g->w, room = GRID_WIDTH / (g->columns * side);
        g->scale = GRID_CELL / side < room ? GRID_CELL / side : room;
        if (g->scale < 1)
                g->scale = 1;
}

static void find_range(struct grid *g)
{
        const size_t count = (size_t)g->count * (size_t)g->channels * (size_t)g->h * (size_t)g->w;
        g->low = INFINITY;
        g->high = -INFINITY;
        for (size_t i = 0; i < count; i++) {
                if (!isfinite(g->maps[i]))
                        continue;
                g->low = fminf(g->low, g->maps[i]);
                g->high = fmaxf(g->high, g->maps[i]);
        }
}

static unsigned char level(const struct grid *g, float v)
{
        const float span = g->high - g->low;
        return isfinite(v) && span > 0 ? (unsigned char)lrintf((v - g->low) / span * 255.0f) : 0;
}

static int picture_width(const struct grid *g)
{
        return g->columns * (g->w * g->scale + 1) + 1;
}

static int picture_height(const struct grid *g)
{
        return g->rows * (g->h * g->scale + 1) + 1;
}

/* One row of pixels of the picture. */
static void draw_row(const void *ctx, int y, unsigned char *row)
{
        const struct grid *g = ctx;
        const int cell_h = g->h * g->scale + 1, cell_w = g->w * g->scale + 1;
        const int cell = (y - 1) / cell_h, line = (y - 1) % cell_h / g->scale;
        memset(row, GAP_GREY, (size_t)picture_width(g) * (size_t)g->channels);
        if (y == 0 || (y - 1) % cell_h == cell_h - 1)
                return;
        for (int column = 0; column < g->columns && cell * g->columns + column < g->count; column++) {
                const float *map =
                        g->maps + (size_t)(cell * g->columns + column) * (size_t)(g->channels * g->h * g->w);
                for (int x = 0; x < g->w * g->scale; x++)
                        for (int c = 0; c < g->channels; c++)
                                row[(1 + column * cell_w + x) * g->channels + c] =
                                        level(g, map[(c * g->h + line) * g->w + x / g->scale]);
        }
}

int grid_png(const float *maps, int count, int channels, int h, int w, struct str *out, struct err *e)
{
        return grid_rows_png(maps, count, (int)ceil(sqrt((double)count)), channels, h, w, out, e);
}

int grid_rows_png(
        const float *maps, int count, int columns, int channels, int h, int w, struct str *out, struct err *e)
{
        struct grid g = {
                .maps = maps, .count = count, .columns = columns, .channels = channels, .h = h, .w = w};
        if (count > GRID_MAX)
                return err_set(
                        e, ERR_TOO_LARGE, "%d maps are more than a picture shows, %d", count, GRID_MAX);
        if (channels != 1 && channels != 3)
                return err_set(e, ERR_INVALID, "maps of %d channels cannot be shown", channels);
        if (columns > GRID_SIDE || h > GRID_SIDE / count || w > GRID_SIDE / columns ||
                (int64_t)count * h * w > GRID_PIXELS)
                return err_set(
                        e, ERR_TOO_LARGE, "%d maps of %dx%d are more than a picture shows", count, h, w);
        layout(&g);
        find_range(&g);
        return pngwrite(picture_width(&g), picture_height(&g), channels, draw_row, &g, out, e);
}
