#include "daemon/jobs/plot.h"

#include "daemon/jobs/axis.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = 960, HEIGHT = 400, PANEL_TOP = 104, PANEL_HEIGHT = 244, PANEL_WIDTH = 400, NOISY = 240 };

/* One panel: what it shows of a point, and where. */
struct panel {
        const char *name;
        size_t offset,
                mean_offset; /* of the value in struct curve_point, and of the epoch's mean in training */
        double left;
        bool loss;
        struct axis x, y;
};

/* What is kept of a line, for drawing. */
struct series {
        const struct curve_line *line;     /* borrowed */
        const struct curve_point **points; /* owned */
        size_t count;
};

static const char style[] =
        "<style>"
        "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu "
        "Sans',sans-serif;font-size:13px;fill:#59636e}"
        ".title{font-size:18px;font-weight:600;fill:#1f2328}.name{font-size:14px;font-weight:600;fill:#"
        "1f2328}"
        ".paper{fill:#ffffff}.grid{stroke:#e4e8ec;stroke-width:1}.frame{stroke:#8c959f;stroke-width:1}"
        ".a{stroke:#0969da;fill:none;stroke-width:2;stroke-linejoin:round}.raw{stroke-width:1;opacity:.35}"
        ".b{stroke:#d1570b;fill:none;stroke-width:2;stroke-linejoin:round}.dot{fill:#d1570b}.value{fill:#"
        "1f2328}"
        "@media(prefers-color-scheme:dark){text{fill:#9198a1}.title,.name,.value{fill:#f0f6fc}.paper{fill:#"
        "0d1117}"
        ".grid{stroke:#262c36}.frame{stroke:#656c76}.a{stroke:#4493f8}.b{stroke:#f0883e}.dot{fill:#f0883e}}"
        "</style>\n";

static void add_xml(struct str *out, const char *text)
{
        for (const char *p = text; *p; p++) {
                if (*p == '<')
                        str_add(out, "&lt;");
                else if (*p == '&')
                        str_add(out, "&amp;");
                else if ((unsigned char)*p >= 0x20)
                        str_add_bytes(out, p, 1);
        }
}

static double value(const struct panel *p, const struct curve_point *point)
{
        double v = *(const double *)((const char *)point + p->offset);
        return p->y.log && v <= 0 ? (double)NAN : v;
}

static double place_x(const struct panel *p, double epoch)
{
        return p->left + axis_place(&p->x, epoch) * PANEL_WIDTH;
}

static double place_y(const struct panel *p, double v)
{
        double at = axis_place(&p->y, v);
        at = at < -0.02 ? -0.02 : at > 1.02 ? 1.02 : at;
        return PANEL_TOP + (1 - at) * PANEL_HEIGHT;
}

/* A path in the making: a point that is no number lifts the pen. */
static void add_point(struct str *out, const struct panel *p, double epoch, double v, bool *down)
{
        if (!isfinite(epoch) || !isfinite(v)) {
                *down = false;
                return;
        }
        str_addf(out, "%c%.1f %.1f", *down ? 'L' : 'M', place_x(p, epoch), place_y(p, v));
        *down = true;
}

/* The points [from,to) of one kind as a path of its least and greatest, in their order. */
static void add_stretch(struct str *out, const struct panel *p, const struct curve_point *const *points,
        size_t from, size_t to, bool *down)
{
        size_t low = from, high = from;
        for (size_t i = from; i < to; i++) {
                if (!(value(p, points[i]) >= value(p, points[low])))
                        low = i;
                if (!(value(p, points[i]) <= value(p, points[high])))
                        high = i;
        }
        size_t first = low < high ? low : high, second = low < high ? high : low;
        add_point(out, p, points[first]->epoch, value(p, points[first]), down);
        if (second != first)
                add_point(out, p, points[second]->epoch, value(p, points[second]), down);
}

static void add_line(struct str *out, const struct panel *p, const struct curve_point *const *points,
        size_t n, const char *class)
{
        bool down = false;
        size_t stretch = (n + PLOT_MAX_POINTS / 2 - 1) / (PLOT_MAX_POINTS / 2);
        str_addf(out, "<path class=\"%s\" d=\"", class);
        for (size_t i = 0; i < n; i += stretch ? stretch : 1)
                add_stretch(out, p, points, i, i + stretch < n ? i + stretch : n, &down);
        str_add(out, "\"/>\n");
}

/* Means over a hundredth of the curve, for one that single steps make hairy. */
static void add_smooth_line(struct str *out, const struct panel *p, const struct curve_line *l)
{
        bool down = false;
        size_t window = l->count / 100 + 1;
        str_add(out, "<path class=\"a\" d=\"");
        for (size_t i = 0; i < l->count; i += window) {
                double total = 0, epoch = 0;
                size_t n = 0, epochs = 0;
                for (size_t k = i; k < i + window && k < l->count; k++) {
                        const struct curve_stretch *s = &l->stretches[k];
                        total += p->loss ? s->loss : s->acc;
                        n += p->loss ? s->losses : s->accs;
                        epoch += s->epoch;
                        epochs += s->epochs;
                }
                double mean = n ? total / (double)n : (double)NAN;
                if (n && epochs && !(p->y.log && mean <= 0))
                        add_point(out, p, epoch / (double)epochs, mean, &down);
        }
        str_add(out, "\"/>\n");
}

static void add_dots(
        struct str *out, const struct panel *p, const struct curve_point *const *points, size_t n)
{
        for (size_t i = 0; n <= 60 && i < n; i++)
                if (isfinite(value(p, points[i])) && isfinite(points[i]->epoch))
                        str_addf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n",
                                place_x(p, points[i]->epoch), place_y(p, value(p, points[i])));
}

/* "train 0.264" right of the panel's name, `slot` 0 rightmost. */
static void add_legend(
        struct str *out, const struct panel *p, const char *class, const char *name, double last, int slot)
{
        double x = p->left + PANEL_WIDTH - 136 * (slot + 1);
        str_addf(out, "<path class=\"%s\" d=\"M%.0f 83h18\"/><text x=\"%.0f\" y=\"88\">%s", class, x, x + 24,
                name);
        if (isfinite(last))
                str_addf(out, " <tspan class=\"value\">%.3f</tspan>", last);
        str_add(out, "</text>\n");
}

static void add_grid(struct str *out, const struct panel *p)
{
        double right = p->left + PANEL_WIDTH, bottom = PANEL_TOP + PANEL_HEIGHT;
        str_addf(out, "<text class=\"name\" x=\"%.0f\" y=\"88\">%s</text>\n", p->left, p->name);
        for (int i = 0; i < p->y.tick_count; i++) {
                double y = PANEL_TOP + (1 - axis_place(&p->y, p->y.tick[i])) * PANEL_HEIGHT;
                str_addf(out,
                        "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/>"
                        "<text text-anchor=\"end\" x=\"%.0f\" y=\"%.1f\">%.6g</text>\n",
                        p->left, y, right, p->left - 8, y + 4.5, p->y.tick[i]);
        }
        for (int i = 0; i < p->x.tick_count; i++) {
                double x = place_x(p, p->x.tick[i]);
                str_addf(out,
                        "<path class=\"frame\" d=\"M%.1f %.0fv5\"/>"
                        "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%.0f\">%.6g</text>\n",
                        x, bottom, x, bottom + 20, p->x.tick[i]);
        }
        str_addf(out, "<path class=\"frame\" d=\"M%.0f %.0fH%.0f\"/>\n", p->left, bottom, right);
        str_addf(out, "<text text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">epoch</text>\n",
                p->left + PANEL_WIDTH / 2.0, bottom + 40);
}

/* Axes around all that is finite. */
static void fit_axes(struct panel *p, const struct series *lines)
{
        double low = INFINITY, high = -INFINITY, positive = INFINITY, last = 0;
        for (int kind = 0; kind < CURVE_KINDS; kind++)
                for (size_t i = 0; i < lines[kind].count; i++) {
                        const struct curve_point *point = lines[kind].points[i];
                        double v = *(const double *)((const char *)point + p->offset);
                        if (isfinite(point->epoch))
                                last = fmax(last, point->epoch);
                        if (!isfinite(v))
                                continue;
                        low = fmin(low, v);
                        high = fmax(high, v);
                        if (v > 0)
                                positive = fmin(positive, v);
                }
        axis_linear(&p->x, 0, last > 0 ? last : 1, 6);
        p->x.high = last > 0 ? last : 1; /* the curve reaches the panel's edge */
        while (p->x.tick_count && p->x.tick[p->x.tick_count - 1] > p->x.high * (1 + 1e-9))
                p->x.tick_count--;
        if (low > high)
                axis_linear(&p->y, 0, 1, 5);
        else if (p->loss && high > 20 * positive)
                axis_log(&p->y, positive, high);
        else
                axis_linear(&p->y, p->loss ? fmin(0, low) : low, p->loss ? high : fmin(1, high), 5);
}

/* At an epoch's end its mean, which is what people compare; within one the last that was reported. */
static double last_train(const struct panel *p, const struct curve *c)
{
        const struct curve_point *end = &c->line[CURVE_VALIDATION].last;
        double mean = *(const double *)((const char *)end + p->mean_offset);
        return c->ends_in_validation && isfinite(mean) ? mean : value(p, &c->line[CURVE_TRAIN].last);
}

static void add_panel(struct str *out, struct panel *p, const struct curve *c, const struct series *lines)
{
        const struct series *train = &lines[CURVE_TRAIN], *validation = &lines[CURVE_VALIDATION];
        fit_axes(p, lines);
        add_grid(out, p);
        if (train->count + validation->count == 0)
                str_addf(out, "<text text-anchor=\"middle\" x=\"%.0f\" y=\"%d\">no points yet</text>\n",
                        p->left + PANEL_WIDTH / 2.0, PANEL_TOP + PANEL_HEIGHT / 2);
        if (train->line->points > NOISY) {
                add_line(out, p, train->points, train->count, "a raw");
                add_smooth_line(out, p, train->line);
        } else if (train->count) {
                add_line(out, p, train->points, train->count, "a");
        }
        if (validation->count) {
                add_line(out, p, validation->points, validation->count, "b");
                add_dots(out, p, validation->points, validation->count);
                add_legend(out, p, "b", "validation", value(p, &validation->line->last), 0);
        }
        if (train->count)
                add_legend(out, p, "a", "train", last_train(p, c), validation->count ? 1 : 0);
}

static void add_head(struct str *out, const char *title, const char *note)
{
        str_addf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                "role=\"img\">\n",
                WIDTH, HEIGHT, WIDTH, HEIGHT);
        str_add(out, "<title>");
        add_xml(out, title);
        str_add(out, "</title>\n");
        str_add(out, style);
        str_addf(out, "<rect class=\"paper\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", WIDTH, HEIGHT);
        str_add(out, "<text class=\"title\" x=\"20\" y=\"32\">");
        add_xml(out, title);
        str_add(out, "</text>\n<text x=\"20\" y=\"53\">");
        add_xml(out, note);
        str_add(out, "</text>\n");
}

void plot_svg(const struct curve *c, const char *title, const char *note, struct str *out)
{
        struct panel loss = {.name = "loss",
                .offset = offsetof(struct curve_point, loss),
                .mean_offset = offsetof(struct curve_point, train_loss),
                .left = 60,
                .loss = true};
        struct panel acc = {.name = "accuracy",
                .offset = offsetof(struct curve_point, acc),
                .mean_offset = offsetof(struct curve_point, train_acc),
                .left = 532};
        struct series lines[CURVE_KINDS] = {{0}};
        for (int kind = 0; kind < CURVE_KINDS; kind++) {
                lines[kind].line = &c->line[kind];
                lines[kind].points = malloc((CURVE_EXACT + 1) * sizeof(struct curve_point *));
                if (lines[kind].points)
                        lines[kind].count = curve_kept(&c->line[kind], lines[kind].points);
                else
                        out->failed = true;
        }
        add_head(out, title, note);
        add_panel(out, &loss, c, lines);
        add_panel(out, &acc, c, lines);
        str_add(out, "</svg>\n");
        for (int kind = 0; kind < CURVE_KINDS; kind++)
                free((void *)(uintptr_t)lines[kind].points);
}
