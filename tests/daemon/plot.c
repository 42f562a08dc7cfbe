#include "check.h"

#include "daemon/jobs/axis.h"
#include "daemon/jobs/curve.h"
#include "daemon/common/media.h"
#include "daemon/jobs/plot.h"

#include <math.h>

static void linear_ticks_are_round(void **state)
{
        static const struct {
                double low, high;
        } cases[] = {{0, 1}, {0.52, 0.91}, {0, 1.43}, {3, 3}, {0, 0}, {0, 2e-7}, {-5, 5}};
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct axis a = {0};
                axis_linear(&a, cases[i].low, cases[i].high, 5);
                assert_true(a.low <= cases[i].low && a.high >= cases[i].high && a.low < a.high);
                assert_in_range(a.tick_count, 2, 13);
                assert_true(fabs(axis_place(&a, a.tick[0])) < 1e-9);
                assert_true(fabs(axis_place(&a, a.tick[a.tick_count - 1]) - 1) < 1e-9);
        }
}

static void log_ticks_stay_inside(void **state)
{
        static const double lows[] = {1e-6, 0.011, 0.9, 1e-12};
        (void)state;
        for (size_t i = 0; i < sizeof lows / sizeof lows[0]; i++) {
                struct axis a = {0};
                axis_log(&a, lows[i], 2.3);
                assert_in_range(a.tick_count, 1, AXIS_MAX_TICKS);
                for (int k = 0; k < a.tick_count; k++) {
                        double at = axis_place(&a, a.tick[k]);
                        assert_true(at >= 0 && at <= 1);
                }
        }
}

static void fill(struct curve *c, int count, double spike)
{
        char data[200];
        for (int i = 0; i < count; i++) {
                double loss = i == count / 3 ? spike : 1.0 / (1 + i * 0.01);
                if (isfinite(loss))
                        snprintf(data, sizeof data, "{\"step\":%d,\"epoch\":%.9g,\"loss\":%.9g,\"acc\":0.5}",
                                i, i * 0.001, loss);
                else
                        snprintf(data, sizeof data, "{\"step\":%d,\"epoch\":%.9g,\"loss\":null}", i,
                                i * 0.001);
                assert_true(curve_add(c, "train", data));
        }
}

/* A hundred thousand points become few, and a spike of one of them stays. */
static void many_points_stay_small_and_spikes_stay(void **state)
{
        struct curve c = {.job = 1}, flat = {.job = 1};
        struct str with = {0}, without = {0};
        (void)state;
        fill(&c, 100000, 200);
        fill(&flat, 100000, 0.5);
        plot_svg(&c, "a <b> & c", "note", &with);
        plot_svg(&flat, "a <b> & c", "note", &without);
        assert_false(with.failed);
        assert_in_range(with.len, 1000, 200000);
        assert_non_null(strstr(with.data, "a &lt;b> &amp; c"));
        assert_string_not_equal(with.data, without.data);
        /* The spike is the greatest value, so its axis reaches it. */
        assert_non_null(strstr(with.data, ">100</text>"));
        assert_null(strstr(without.data, ">100</text>"));
        str_free(&with);
        str_free(&without);
        curve_finish(&c);
        curve_finish(&flat);
}

/* However long it is, its extremes, its newest point, its means and a step without a loss stay. */
static void a_long_curve_keeps_what_matters(void **state)
{
        enum { COUNT = 300000, SPIKE = 77777, LOST = 200001 };
        struct curve c = {.job = 1};
        char data[100];
        double sum = 0;
        bool spike = false, lost = false;
        (void)state;
        for (int i = 0; i < COUNT; i++) {
                double loss = i == SPIKE ? 50 : i % 2 ? 1 : 3;
                snprintf(
                        data, sizeof data, "{\"step\":%d,\"epoch\":%d,\"loss\":%g,\"acc\":0.25}", i, i, loss);
                if (i == LOST)
                        snprintf(data, sizeof data, "{\"step\":%d,\"epoch\":%d,\"loss\":null}", i, i);
                assert_true(curve_add(&c, "train", data));
                sum += i == LOST ? 0 : loss;
        }
        const struct curve_line *l = &c.line[CURVE_TRAIN];
        const struct curve_point **points = calloc(CURVE_EXACT + 1, sizeof *points);
        assert_non_null(points);
        size_t n = curve_kept(l, points);
        assert_int_equal(l->points, COUNT);
        assert_in_range(n, 1000, CURVE_EXACT + 1);
        for (size_t i = 0; i < n; i++) {
                assert_true(i == 0 || points[i]->step > points[i - 1]->step);
                spike = spike || (points[i]->step == SPIKE && points[i]->loss == 50);
                lost = lost || (points[i]->step == LOST && isnan(points[i]->loss));
        }
        assert_true(spike && lost && points[n - 1]->step == COUNT - 1);
        for (size_t i = 0; i < l->count; i++)
                sum -= l->stretches[i].loss;
        assert_true(sum == 0); /* whole numbers: no rounding */
        free((void *)(uintptr_t)points);
        curve_finish(&c);
}

static void missing_numbers_are_gaps(void **state)
{
        struct curve c = {.job = 1};
        struct str svg = {0}, json = {0};
        (void)state;
        fill(&c, 9, NAN);
        assert_true(curve_add(&c, "checkpoint", "{\"step\":9}"));
        assert_int_equal(c.line[CURVE_TRAIN].points, 9);
        plot_svg(&c, "", "", &svg);
        curve_json(&c, &json);
        assert_null(strstr(svg.data, "nan"));
        assert_non_null(strstr(json.data, ",null,"));
        assert_null(strstr(json.data, "nan"));
        str_free(&svg);
        str_free(&json);
        curve_finish(&c);
}

static void media_types(void **state)
{
        char type[MEDIA_MAX + 1];
        (void)state;
        assert_true(media_parse(" Text/HTML ; charset=x", type));
        assert_string_equal(type, "text/html");
        assert_false(media_parse("text", type));
        assert_false(media_parse("/", type));
        assert_false(media_parse("text/", type));
        assert_false(media_parse("a/b/c", type));
        assert_false(media_parse("a/b c", type));
        assert_true(media_is_json("application/json"));
        assert_true(media_is_json("application/vnd.x+json"));
        assert_false(media_is_json("application/+json"));
        assert_false(media_is_json("text/plain"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(linear_ticks_are_round),
                cmocka_unit_test(log_ticks_stay_inside),
                cmocka_unit_test(many_points_stay_small_and_spikes_stay),
                cmocka_unit_test(a_long_curve_keeps_what_matters),
                cmocka_unit_test(missing_numbers_are_gaps),
                cmocka_unit_test(media_types),
        };
        return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
