#include "client/canvas.h"

#include <stdlib.h>

struct dot_cell {
        unsigned char dots; /* bits of Unicode's Braille patterns */
        char mark;          /* ASCII, 0 for an empty cell */
        bool point;
        enum style style;
};

struct canvas {
        const struct term *term;
        int columns, rows, across, down;
        struct dot_cell *cells; /* owned */
};

struct canvas *canvas_create(const struct term *t, int columns, int rows)
{
        struct canvas *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        *c = (struct canvas){.term = t,
                .columns = columns,
                .rows = rows,
                .across = t->utf8 ? 2 : 1,
                .down = t->utf8 ? 4 : 1,
                .cells = calloc((size_t)columns * (size_t)rows, sizeof *c->cells)};
        if (c->cells)
                return c;
        free(c);
        return NULL;
}

void canvas_destroy(struct canvas *c)
{
        if (!c)
                return;
        free(c->cells);
        free(c);
}

int canvas_dots_across(const struct canvas *c)
{
        return c->across;
}

int canvas_dots_down(const struct canvas *c)
{
        return c->down;
}

static struct dot_cell *cell_at(struct canvas *c, int x, int y)
{
        if (x < 0 || y < 0 || x >= c->columns * c->across || y >= c->rows * c->down)
                return NULL;
        return &c->cells[y / c->down * c->columns + x / c->across];
}

static void dot(struct canvas *c, int x, int y, enum style style, char mark)
{
        static const unsigned char bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
        struct dot_cell *cell = cell_at(c, x, y);
        if (!cell || cell->point)
                return;
        cell->dots |= bits[y % c->down][x % c->across];
        cell->mark = mark;
        cell->style = style;
}

void canvas_line(struct canvas *c, int x0, int y0, int x1, int y1, enum style style, char mark)
{
        int dx = abs(x1 - x0), dy = -abs(y1 - y0), error = dx + dy; /* Bresenham 1965 */
        for (;;) {
                dot(c, x0, y0, style, mark);
                if (x0 == x1 && y0 == y1)
                        return;
                int twice = 2 * error;
                if (twice >= dy) {
                        error += dy;
                        x0 += x0 < x1 ? 1 : -1;
                }
                if (twice <= dx) {
                        error += dx;
                        y0 += y0 < y1 ? 1 : -1;
                }
        }
}

void canvas_point(struct canvas *c, int x, int y, enum style style, char mark)
{
        struct dot_cell *cell = cell_at(c, x, y);
        if (cell)
                *cell = (struct dot_cell){.mark = mark, .point = true, .style = style};
}

static void add_glyph(const struct canvas *c, const struct dot_cell *cell, struct str *out)
{
        if (!c->term->utf8) {
                str_add_bytes(out, &cell->mark, 1);
        } else if (cell->point) {
                str_add(out, "●");
        } else { /* U+2800 and the dots' bits */
                char utf8[3] = {
                        (char)0xE2, (char)(0xA0 | cell->dots >> 6), (char)(0x80 | (cell->dots & 0x3F))};
                str_add_bytes(out, utf8, sizeof utf8);
        }
}

void canvas_row(const struct canvas *c, int row, const char *ground, struct str *out)
{
        enum style now = STYLE_PLAIN;
        for (int x = 0; x < c->columns; x++) {
                const struct dot_cell *cell = &c->cells[row * c->columns + x];
                bool blank = cell->mark == 0;
                enum style want = !blank ? cell->style : ground[0] == ' ' ? now : STYLE_DIM;
                if (want != now) {
                        if (now != STYLE_PLAIN)
                                str_add(out, term_style(c->term, STYLE_PLAIN));
                        str_add(out, term_style(c->term, want));
                        now = want;
                }
                if (blank)
                        str_add(out, ground);
                else
                        add_glyph(c, cell, out);
        }
        if (now != STYLE_PLAIN)
                str_add(out, term_style(c->term, STYLE_PLAIN));
}
