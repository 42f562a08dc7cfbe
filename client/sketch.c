#include "client/sketch.h"
#include "client/canvas.h"
#include "client/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_A_TICK = 3, COLUMNS_A_TICK = 9, MARK_CELLS = 2, LABEL_MAX = 24 };

/* What every part of the drawing needs. */
struct frame {
        const struct sketch *p;
        struct sketch_scale y;
        int label_columns; /* numbers of the y axis */
        int columns, rows; /* of the canvas */
        struct canvas *canvas;
};

static int decimals_of(double step)
{
        for (int d = 0; d < 12; d++) {
                double scaled = step * pow(10, d);
                if (fabs(scaled - round(scaled)) < 1e-6 * scaled)
                        return d;
        }
        return 12;
}

struct sketch_scale sketch_scale_around(double low, double high, int most)
{
        static const double factors[] = {1, 2, 2.5, 5};
        if (!(high > low)) {
                double room = fabs(low) > 1e-9 ? fabs(low) * 0.1 : 1;
                high = low + room;
                low -= room;
        }
        /* A range below the resolution of its numbers would need steps that vanish in them. */
        if (high - low < 1e-9 * fmax(fabs(low), fabs(high)))
                high = low + 1e-9 * fmax(fabs(low), fabs(high));
        int power = (int)floor(log10((high - low) / most)) - 1;
        for (;; power++) {
                for (int i = 0; i < 4; i++) {
                        double step = factors[i] * pow(10, power);
                        double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
                        if (last - first <= most)
                                return (struct sketch_scale){
                                        first * step, last * step, step, decimals_of(step)};
                }
        }
}

static int add_number(const struct sketch_scale *s, double v, char *out)
{
        if (fabs(v) < s->step * 1e-6)
                v = 0;
        if (s->decimals > 6 || fabs(v) >= 1e7)
                return snprintf(out, LABEL_MAX, "%.3g", v);
        return snprintf(out, LABEL_MAX, "%.*f", s->decimals, v);
}

static struct sketch_scale scale_of(const struct sketch *p, int rows)
{
        double low = INFINITY, high = -INFINITY;
        for (int s = 0; s < p->count; s++) {
                for (size_t i = 0; i < p->series[s].count; i++) {
                        double y = p->series[s].points[i].y;
                        if (!isfinite(y) || !isfinite(p->series[s].points[i].x))
                                continue;
                        low = fmin(low, y);
                        high = fmax(high, y);
                }
        }
        if (low > high)
                low = 0, high = 1;
        if (low > 0 && low < 0.4 * high)
                low = 0;
        int most = (rows - 1) / ROWS_A_TICK;
        return sketch_scale_around(low, high, most > 2 ? most : 2);
}

/* The dot of a value: the middle of the first row is the scale's upper end, of the last row the lower one. */
static int dot_row(const struct frame *f, double y)
{
        int down = canvas_dots_down(f->canvas);
        double from_top = (f->y.max - y) / (f->y.max - f->y.min);
        return (int)lround((down - 1) / 2.0 + from_top * down * (f->rows - 1));
}

static int dot_column(const struct frame *f, double x)
{
        return (int)lround(x / f->p->x_max * (f->columns * canvas_dots_across(f->canvas) - 1));
}

struct dot {
        int x, y;
};

/* One dot a column of dots, at the mean of the points in it: more points than dots would only draw a band.
   `out` has room for as many as the series has points; returns how many there are. */
static size_t reduce(const struct frame *f, const struct sketch_series *s, struct dot *out)
{
        size_t count = 0;
        double sum = 0;
        int n = 0;
        for (size_t i = 0; i < s->count; i++) {
                const struct sketch_point *pt = &s->points[i];
                if (!isfinite(pt->x) || !isfinite(pt->y) || pt->x < 0)
                        continue;
                int x = dot_column(f, fmin(pt->x, f->p->x_max));
                if (count == 0 || x != out[count - 1].x) {
                        count++;
                        sum = n = 0;
                }
                sum += pt->y;
                n++;
                out[count - 1] = (struct dot){x, dot_row(f, sum / n)};
        }
        return count;
}

static int draw_series(struct frame *f, const struct sketch_series *s, struct err *e)
{
        struct dot *dots = malloc((s->count + 1) * sizeof *dots);
        if (!dots)
                return err_set(e, ERR_NO_MEMORY, "no memory for a plot");
        size_t count = reduce(f, s, dots);
        for (size_t i = 0; i < count; i++) {
                const struct dot *from = &dots[i ? i - 1 : 0];
                canvas_line(f->canvas, from->x, from->y, dots[i].x, dots[i].y, s->style, s->mark);
        }
        int room = MARK_CELLS * canvas_dots_across(f->canvas);
        for (size_t i = 0; s->points_apart && i < count; i++)
                if (i == 0 || i + 1 == count || dots[i].x - dots[i - 1].x >= room)
                        canvas_point(f->canvas, dots[i].x, dots[i].y, s->style, s->mark);
        free(dots);
        return 0;
}

/* Whether a tick of the y axis stands in this row, and its number. */
static bool tick_in_row(const struct frame *f, int row, char *label)
{
        int ticks = (int)lround((f->y.max - f->y.min) / f->y.step);
        for (int i = 0; i <= ticks; i++) {
                double v = f->y.min + i * f->y.step;
                if (dot_row(f, v) / canvas_dots_down(f->canvas) == row) {
                        add_number(&f->y, v, label);
                        return true;
                }
        }
        return false;
}

static void draw_row(const struct frame *f, int row, struct str *line)
{
        const struct term *t = f->p->term;
        char label[LABEL_MAX] = "";
        bool tick = tick_in_row(f, row, label);
        const char *axis = !t->utf8 ? (tick ? "+" : "|") : tick ? "┤" : "│";
        str_addf(line, "%s%*s %s%s", term_style(t, STYLE_DIM), f->label_columns, label, axis,
                term_style(t, STYLE_PLAIN));
        canvas_row(f->canvas, row, tick && t->utf8 ? "┈" : " ", line);
}

/* The x axis with its ticks, and the numbers below them. */
static void draw_x_axis(const struct frame *f, struct str *axis, struct str *numbers)
{
        const struct sketch *p = f->p;
        int title = text_width(p->x_title) + 1, from = f->label_columns + 1,
            across = canvas_dots_across(f->canvas);
        int most = f->columns / COLUMNS_A_TICK;
        struct sketch_scale s = sketch_scale_around(0, p->x_max, most > 2 ? most : 2);
        char *text = malloc((size_t)p->columns + LABEL_MAX + 1);
        if (!text) {
                numbers->failed = true;
                return;
        }
        memset(text, ' ', (size_t)p->columns + LABEL_MAX);
        str_addf(axis, "%s%*s%s", term_style(p->term, STYLE_DIM), from, "", p->term->utf8 ? "└" : "+");
        int ticks = (int)floor(p->x_max / s.step + 1e-9), next = 0;
        for (int column = 0, end = 0; column < f->columns; column++) {
                bool tick = next <= ticks && dot_column(f, next * s.step) / across == column;
                str_add(axis, !p->term->utf8 ? (tick ? "+" : "-") : tick ? "┬" : "─");
                if (!tick)
                        continue;
                char label[LABEL_MAX];
                int n = add_number(&s, next * s.step, label), at = from + 1 + column - n / 2;
                if (at >= end && at + n <= p->columns - title) {
                        memcpy(text + at, label, (size_t)n);
                        end = at + n + 1;
                }
                next++;
        }
        str_add(axis, term_style(p->term, STYLE_PLAIN));
        str_add(numbers, term_style(p->term, STYLE_DIM));
        str_add_bytes(numbers, text, (size_t)(p->columns - title + 1));
        str_addf(numbers, "%s%s", p->x_title, term_style(p->term, STYLE_PLAIN));
        free(text);
}

/* Room for the widest number of the y axis. */
static int label_columns(const struct sketch_scale *y)
{
        int widest = 0, ticks = (int)lround((y->max - y->min) / y->step);
        for (int i = 0; i <= ticks; i++) {
                char label[LABEL_MAX];
                int n = add_number(y, y->min + i * y->step, label);
                widest = n > widest ? n : widest;
        }
        return widest;
}

static void draw_title(const struct frame *f, struct str *line)
{
        struct str title = {0};
        int room = f->p->columns - f->label_columns - 1;
        text_add_cut(&title, f->p->title, room, f->p->term->utf8);
        const char *text = title.data ? title.data : "";
        str_addf(line, "%*s%s%s%s%*s", f->label_columns + 1, "", term_style(f->p->term, STYLE_BOLD), text,
                term_style(f->p->term, STYLE_PLAIN), room - text_width(text), "");
        line->failed |= title.failed;
        str_free(&title);
}

int sketch_draw(const struct sketch *p, struct str *lines, struct err *e)
{
        struct frame f = {.p = p, .rows = p->rows - 3, .y = scale_of(p, p->rows - 3)};
        f.label_columns = label_columns(&f.y);
        f.columns = p->columns - f.label_columns - 2;
        f.canvas = canvas_create(p->term, f.columns, f.rows);
        int rc = f.canvas ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a plot");
        for (int s = 0; rc == 0 && s < p->count; s++)
                rc = draw_series(&f, &p->series[s], e);
        if (rc != 0)
                goto out;
        draw_title(&f, &lines[0]);
        for (int row = 0; row < f.rows; row++)
                draw_row(&f, row, &lines[row + 1]);
        draw_x_axis(&f, &lines[f.rows + 1], &lines[f.rows + 2]);
        for (int i = 0; i < p->rows; i++)
                if (lines[i].failed)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a plot");
out:
        canvas_destroy(f.canvas);
        return rc;
}
