#include "client/picture.h"
#include "client/bar.h"
#include "client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Columns and rows of a plot, and when there is room for two beside each other. */
enum { PANEL_MAX_COLUMNS = 96, PANEL_MAX_ROWS = 17, PANEL_GAP = 3, MIN_COLUMNS = 32, TWO_PANELS = 100 };
enum { HEADING_ROWS = 5, FEW_POINTS = 400 };

static const char *dot_between(const struct term *t)
{
        return t->utf8 ? " · " : " - ";
}

static void add_styled(struct str *s, const struct term *t, enum style style, const char *text)
{
        str_add(s, term_style(t, style));
        text_add_clean(s, text, t->utf8);
        str_add(s, term_style(t, STYLE_PLAIN));
}

/* "job 7 · first try, bn-lenet on fashion-mnist · running on 0:0" */
static void draw_heading(const struct chart *c, const struct term *t, const char *note, struct str *line)
{
        char id[40], state[64];
        struct str title = {0}, cut = {0};
        snprintf(id, sizeof id, "job %" PRId64, c->job);
        bool on_device = c->device[0] && strcmp(c->state, "running") == 0;
        snprintf(
                state, sizeof state, "%s%s%s", c->state, on_device ? " on " : "", on_device ? c->device : "");
        if (note)
                snprintf(state, sizeof state, "%s", note);
        text_add_clean(&title, c->title, t->utf8);
        int room = t->columns - 1 - text_width(id) - text_width(state) - 6;
        add_styled(line, t, STYLE_BOLD, id);
        if (room > 8 && title.len) {
                text_add_cut(&cut, title.data, room, t->utf8);
                str_addf(line, "%s%s", dot_between(t), cut.data ? cut.data : "");
        }
        str_add(line, dot_between(t));
        add_styled(line, t, note ? STYLE_BAD : term_state_style(c->state), state);
        str_free(&title);
        str_free(&cut);
}

/* "━ train loss 0.2712, accuracy 89.8 %" */
static void draw_legend(const struct chart *c, const struct term *t, struct str *line)
{
        static const struct {
                const char *name, *glyph, *ascii;
                enum style style;
                enum chart_curve loss, acc;
        } series[] = {{"train", "━━", "**", STYLE_TRAIN, CHART_TRAIN_LOSS, CHART_TRAIN_ACC},
                {"validation", "━●", "oo", STYLE_VALIDATION, CHART_VAL_LOSS, CHART_VAL_ACC}};
        for (int i = 0; i < 2; i++) {
                struct str part = {0};
                double loss = chart_last(c, series[i].loss), acc = chart_last(c, series[i].acc);
                bool wide = t->columns >= 86;
                str_addf(&part, "%s%s%s %s", term_style(t, series[i].style),
                        t->utf8 ? series[i].glyph : series[i].ascii, term_style(t, STYLE_PLAIN),
                        wide ? series[i].name
                        : i  ? "val"
                             : "train");
                if (isfinite(loss))
                        str_addf(&part, "%s %s%s%s", wide ? " loss" : "", term_style(t, STYLE_BOLD),
                                text_loss(loss).s, term_style(t, STYLE_PLAIN));
                if (isfinite(acc))
                        str_addf(&part, "%s %s%s%s", wide ? "  accuracy" : "", term_style(t, STYLE_BOLD),
                                text_percent(acc).s, term_style(t, STYLE_PLAIN));
                int gap = i ? (wide ? 4 : 2) : 0;
                if (isfinite(loss) && text_width(line->data ? line->data : "") + gap +
                                                      text_width(part.data ? part.data : "") <
                                              t->columns)
                        str_addf(line, "%*s%s", gap, "", part.data);
                line->failed |= part.failed;
                str_free(&part);
        }
}

/* What stands right of the bar; parts that find no room are left out, the last ones first. */
static void add_facts(const struct chart *c, const struct term *t, double now, struct str *out)
{
        char parts[4][64] = {"", "", "", ""};
        double epochs = chart_epochs(c), left = chart_left_s(c, now), done = chart_done(c);
        bool over = chart_over(c);
        snprintf(parts[0], sizeof parts[0], "%3.0f %%", floor(done * 100 + 1e-9));
        if (over && isfinite(c->took_s))
                snprintf(parts[1], sizeof parts[1], "in %s", text_duration(c->took_s).s);
        else if (!over && isfinite(left) && strcmp(c->state, "running") == 0)
                snprintf(parts[1], sizeof parts[1], "%s left", text_duration(left).s);
        if (isfinite(c->epoch) && isfinite(epochs))
                snprintf(parts[2], sizeof parts[2], "epoch %.*f/%s", over ? 0 : 1, c->epoch,
                        text_number(round(epochs * 100) / 100).s);
        if (isfinite(c->images_per_second))
                snprintf(parts[3], sizeof parts[3], "%s images/s", text_count(round(c->images_per_second)).s);
        static const int order[] = {0, 2, 3, 1};
        int room = t->columns - 1 - 10, keep = 0;
        for (; keep < 4; keep++) {
                room -= (int)strlen(parts[keep]) + 2;
                if (room < 0)
                        break;
        }
        for (int i = 0; i < 4; i++)
                if (order[i] < keep && parts[order[i]][0])
                        str_addf(out, "  %s", parts[order[i]]);
}

static void draw_progress(const struct chart *c, const struct term *t, double now, struct str *line)
{
        struct str facts = {0};
        add_facts(c, t, now, &facts);
        int room = t->columns - 1 - text_width(facts.data ? facts.data : "");
        enum style style = strcmp(c->state, "failed") == 0 ? STYLE_BAD
                           : chart_over(c)                 ? STYLE_GOOD
                                                           : STYLE_TRAIN;
        bar_add(line, t, chart_done(c), room < 48 ? room : 48, style);
        str_add(line, facts.data ? facts.data : "");
        line->failed |= facts.failed;
        str_free(&facts);
}

/* The end of the x axis: the whole job, or at its beginning a round part of it that the curve fills sooner.
 */
static double x_end(const struct chart *c)
{
        double whole = chart_epochs(c), now = isfinite(c->epoch) ? c->epoch : 0;
        if (!(whole > 0))
                return now > 0 ? now : 1;
        if (now > whole / 2 || chart_over(c))
                return fmax(whole, now);
        for (double power = pow(10, floor(log10(whole)) - 4);; power *= 10)
                for (int i = 0; i < 3; i++) {
                        double end = power * (double[]){1, 2, 5}[i];
                        if (end >= whole)
                                return whole;
                        if (end >= now * 1.25 && end >= whole / 100 && end > 0)
                                return end;
                }
}

static int draw_panel(const struct chart *c, const struct term *t, bool accuracy, int columns, int rows,
        struct str *lines, struct err *e)
{
        enum chart_curve train = accuracy ? CHART_TRAIN_ACC : CHART_TRAIN_LOSS;
        enum chart_curve val = accuracy ? CHART_VAL_ACC : CHART_VAL_LOSS;
        struct sketch_series series[] = {
                {c->curves[train].points, c->curves[train].count, STYLE_TRAIN, '*', false},
                {c->curves[val].points, c->curves[val].count, STYLE_VALIDATION, 'o',
                        c->curves[val].count < FEW_POINTS}};
        struct sketch p = {.term = t,
                .columns = columns,
                .rows = rows,
                .title = accuracy ? "accuracy" : "loss",
                .x_title = "epoch",
                .x_max = x_end(c),
                .series = series,
                .count = 2};
        return sketch_draw(&p, lines, e);
}

/* A line that reaches the last column may make the terminal begin another. */
static void fit(struct str *line, const struct term *t)
{
        struct str cut = {0};
        if (!line->data || text_width(line->data) < t->columns)
                return;
        text_add_cut(&cut, line->data, t->columns - 1, t->utf8);
        cut.failed |= line->failed;
        str_free(line);
        *line = cut;
}

int picture_draw(const struct chart *c, const struct term *t, const char *note, double now, struct str *lines,
        int *ret_count, struct err *e)
{
        int count = 0, rc = 0, rows = t->rows - 5, width = t->columns - 1;
        bool two =
                width >= TWO_PANELS && c->curves[CHART_TRAIN_ACC].count + c->curves[CHART_VAL_ACC].count > 0;
        rows = rows < PANEL_MAX_ROWS ? rows : PANEL_MAX_ROWS;
        width = two ? (width - PANEL_GAP) / 2 : width;
        width = width < PANEL_MAX_COLUMNS ? width : PANEL_MAX_COLUMNS;
        if (t->rows >= HEADING_ROWS)
                draw_heading(c, t, note, &lines[count++]);
        if (c->trains && rows >= SKETCH_MIN_ROWS + 2 && width >= MIN_COLUMNS) {
                rc = draw_panel(c, t, false, width, rows, &lines[count], e);
                for (int i = 0; two && i < rows; i++)
                        str_addf(&lines[count + i], "%*s", PANEL_GAP, "");
                if (rc == 0 && two)
                        rc = draw_panel(c, t, true, width, rows, &lines[count], e);
                count += rows;
        }
        if (c->trains && t->rows >= HEADING_ROWS)
                draw_legend(c, t, &lines[count++]);
        draw_progress(c, t, now, &lines[count++]);
        for (int i = 0; i < count; i++) {
                fit(&lines[i], t);
                if (rc == 0 && lines[i].failed)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        }
        if (rc == 0)
                *ret_count = count;
        return rc;
}
