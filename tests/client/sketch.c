/* Axes of round numbers, and curves that stand where their values are. */
#include "check.h"
#include "client/canvas.h"
#include "client/sketch.h"
#include "client/text.h"

#include <math.h>

static const struct term ascii = {.columns = 80, .rows = 24};
static const struct term braille = {.columns = 80, .rows = 24, .utf8 = true};

static void check_scale(double low, double high, int most)
{
        struct sketch_scale s = sketch_scale_around(low, high, most);
        double slack = 1e-6 * s.step;
        double steps = (s.max - s.min) / s.step;
        if (!(s.step > 0 && s.min <= fmin(low, high) + slack && s.max >= fmax(low, high) - slack))
                fail_msg("[%g, %g] is not within %g…%g by %g", low, high, s.min, s.max, s.step);
        if (!(steps > 0.5 && steps < most + 0.5 && fabs(steps - round(steps)) < 1e-6))
                fail_msg("[%g, %g]: %g steps, allowed are %d", low, high, steps, most);
        double digit = s.step / pow(10, floor(log10(s.step) + 1e-9));
        if (!(fabs(digit - 1) < 1e-6 || fabs(digit - 2) < 1e-6 || fabs(digit - 2.5) < 1e-6 ||
                    fabs(digit - 5) < 1e-6))
                fail_msg("[%g, %g]: a step of %g is not round", low, high, s.step);
}

static void scales_hold_their_range(void **state)
{
        (void)state;
        static const double values[] = {
                -1e6, -3.7, -1, -1e-7, 0, 1e-9, 1e-3, 0.1, 0.25, 0.61, 0.99, 1, 2.303, 10, 1e9};
        const int count = sizeof values / sizeof values[0];
        for (int i = 0; i < count; i++)
                for (int k = i + 1; k < count; k++)
                        for (int most = 2; most <= 8; most++)
                                check_scale(values[i], values[k], most);
}

static void scales_are_as_people_draw_them(void **state)
{
        (void)state;
        static const struct {
                double low, high;
                int most;
                double min, max, step;
                int decimals;
        } cases[] = {{0, 2.3, 5, 0, 2.5, 0.5, 1}, {0, 1, 5, 0, 1, 0.2, 1}, {0, 10, 8, 0, 10, 2, 0},
                {0.61, 0.78, 4, 0.6, 0.8, 0.05, 2}, {0, 100, 4, 0, 100, 25, 0},
                {0, 0.0021, 3, 0, 0.003, 0.001, 3}};
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct sketch_scale s = sketch_scale_around(cases[i].low, cases[i].high, cases[i].most);
                float got[] = {(float)s.min, (float)s.max, (float)s.step};
                const double want[] = {cases[i].min, cases[i].max, cases[i].step};
                CHECK_CLOSE(got, want, 3, 1e-9, 1e-6);
                assert_int_equal(s.decimals, cases[i].decimals);
        }
}

static void a_flat_curve_gets_room(void **state)
{
        (void)state;
        static const double values[] = {0, 0.5, -3, 1e-12, 1e12};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                struct sketch_scale s = sketch_scale_around(values[i], values[i], 4);
                assert_true(s.min < values[i] && values[i] < s.max);
        }
        struct sketch_scale s = sketch_scale_around(1, 1 + 1e-15, 4);
        assert_true(s.max > s.min && s.min + s.step > s.min);
}

enum { COLUMNS = 40, ROWS = 12 };

static void draw(
        const struct term *t, const struct sketch_series *series, int count, double x_max, struct str *lines)
{
        struct err e = {0};
        struct sketch p = {.term = t,
                .columns = COLUMNS,
                .rows = ROWS,
                .title = "loss",
                .x_title = "epoch",
                .x_max = x_max,
                .series = series,
                .count = count};
        CHECK_OK(sketch_draw(&p, lines, &e), &e);
        for (int i = 0; i < ROWS; i++)
                assert_int_equal(text_width(lines[i].data), COLUMNS);
}

static void drop(struct str *lines)
{
        for (int i = 0; i < ROWS; i++)
                str_free(&lines[i]);
}

static void a_straight_line_is_drawn_straight(void **state)
{
        (void)state;
        static const struct sketch_point points[] = {{0, 1}, {10, 0}};
        const struct sketch_series s = {points, 2, STYLE_TRAIN, '*', false};
        struct str lines[ROWS] = {{0}};
        draw(&ascii, &s, 1, 10, lines);
        assert_string_equal(lines[0].data, "    loss                                ");
        assert_string_equal(lines[1].data, "1.0 +***                                ");
        /* Each row has its part, left of the row below. */
        for (int row = 1, last = -1; row <= 9; row++) {
                const char *first = strchr(lines[row].data, '*');
                assert_non_null(first);
                assert_true(first - lines[row].data > last);
                last = (int)(first - lines[row].data);
        }
        assert_ptr_equal(strrchr(lines[9].data, '*'), lines[9].data + COLUMNS - 1);
        assert_string_equal(lines[10].data, "    ++----------------+----------------+");
        drop(lines);
}

static void what_is_not_finite_is_passed_over(void **state)
{
        (void)state;
        static const struct sketch_point points[] = {
                {0, NAN}, {1, 0.5}, {NAN, 0.7}, {2, INFINITY}, {3, 0.6}, {-INFINITY, 1e30}, {40, 0.6}};
        const struct sketch_series s[] = {
                {points, 7, STYLE_TRAIN, '*', false}, {NULL, 0, STYLE_VALIDATION, 'o', true}};
        struct str lines[ROWS] = {{0}};
        draw(&ascii, s, 2, 10, lines);
        assert_non_null(strstr(lines[1].data, "0.60"));
        drop(lines);
        draw(&braille, s, 2, 10, lines);
        drop(lines);
        draw(&ascii, s + 1, 1, 1, lines);
        for (int row = 1; row <= 9; row++)
                assert_null(strpbrk(lines[row].data, "*o"));
        drop(lines);
}

static void many_points_become_their_mean(void **state)
{
        (void)state;
        enum { COUNT = 100000 };
        struct sketch_point *points = malloc(COUNT * sizeof *points);
        for (int i = 0; i < COUNT; i++)
                points[i] = (struct sketch_point){i * 1e-5, i % 2 ? 0.25 : 0.75};
        const struct sketch_series s = {points, COUNT, STYLE_TRAIN, '*', false};
        struct str lines[ROWS] = {{0}};
        draw(&ascii, &s, 1, 1, lines);
        int rows = 0;
        for (int row = 1; row <= 9; row++)
                rows += strchr(lines[row].data, '*') != NULL;
        assert_int_equal(rows, 1);
        drop(lines);
        free(points);
}

static void points_apart_are_marked(void **state)
{
        (void)state;
        static const struct sketch_point points[] = {{1, 0.9}, {2, 0.5}, {3, 0.3}, {3.01, 0.3}};
        const struct sketch_series s = {points, 4, STYLE_VALIDATION, 'o', true};
        struct str lines[ROWS] = {{0}};
        int marks = 0;
        draw(&braille, &s, 1, 4, lines);
        for (int row = 1; row <= 9; row++)
                for (const char *p = lines[row].data; (p = strstr(p, "●")) != NULL; p++)
                        marks++;
        assert_int_equal(marks, 3);
        drop(lines);
}

static void braille_dots_have_their_places(void **state)
{
        (void)state;
        static const char *const want[4][2] = {{"⠁", "⠈"}, {"⠂", "⠐"}, {"⠄", "⠠"}, {"⡀", "⢀"}};
        for (int y = 0; y < 4; y++) {
                for (int x = 0; x < 2; x++) {
                        struct canvas *c = canvas_create(&braille, 1, 1);
                        struct str row = {0};
                        assert_non_null(c);
                        canvas_line(c, x, y, x, y, STYLE_TRAIN, '*');
                        canvas_line(c, -3, -3, -1, 50, STYLE_TRAIN, '*');
                        canvas_point(c, 2, 0, STYLE_TRAIN, '*');
                        canvas_row(c, 0, " ", &row);
                        assert_string_equal(row.data, want[y][x]);
                        str_free(&row);
                        canvas_destroy(c);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(scales_hold_their_range),
                cmocka_unit_test(scales_are_as_people_draw_them), cmocka_unit_test(a_flat_curve_gets_room),
                cmocka_unit_test(a_straight_line_is_drawn_straight),
                cmocka_unit_test(what_is_not_finite_is_passed_over),
                cmocka_unit_test(many_points_become_their_mean), cmocka_unit_test(points_apart_are_marked),
                cmocka_unit_test(braille_dots_have_their_places)};
        return cmocka_run_group_tests_name("sketch", tests, NULL, NULL);
}
