#include "check.h"

#include "base/json.h"
#include "train/best.h"

#include <math.h>

/* The best of epochs with these values of the metric, counted from 1; 0 for none. */
static int best_of(enum metric m, const double *values, int count)
{
        struct best best = {0};
        double metrics[8][METRICS];
        for (int i = 0; i < count; i++) {
                for (int k = 0; k < METRICS; k++)
                        metrics[i][k] = 10 * i + k;
                metrics[i][m - 1] = values[i];
                best_note(m, 10 * (i + 1), metrics[i], &best);
        }
        assert_int_equal(best.step % 10, 0);
        if (best.step) /* all of that epoch's */
                assert_memory_equal(best.metrics, metrics[best.step / 10 - 1], sizeof best.metrics);
        return (int)(best.step / 10);
}

static void the_lowest_loss(void **state)
{
        static const double values[] = {2, 1.5, 1.6, 1.4, 1.45, 1.4, 1.5};
        (void)state;
        for (int m = METRIC_VAL_LOSS; m <= METRIC_TRAIN_LOSS; m += METRIC_TRAIN_LOSS - METRIC_VAL_LOSS) {
                assert_int_equal(best_of((enum metric)m, values, 1), 1);
                assert_int_equal(best_of((enum metric)m, values, 3), 2);
                assert_int_equal(best_of((enum metric)m, values, 7), 4);
        }
}

static void the_highest_accuracy(void **state)
{
        static const double values[] = {0, 0.3, 0.3, 0.31, 0.2};
        (void)state;
        for (int m = METRIC_VAL_ACC; m <= METRIC_TRAIN_ACC; m += METRIC_TRAIN_ACC - METRIC_VAL_ACC) {
                assert_int_equal(best_of((enum metric)m, values, 1), 1);
                assert_int_equal(best_of((enum metric)m, values, 3), 2);
                assert_int_equal(best_of((enum metric)m, values, 5), 4);
        }
}

/* What the curve tells alike is alike: the first stays. */
static void of_equals_the_first(void **state)
{
        static const double alike[] = {0.25, 0.25 - 1e-12, 0.25 + 1e-12}, less[] = {0.25, 0.25 - 1e-7};
        (void)state;
        assert_int_equal(best_of(METRIC_VAL_LOSS, alike, 3), 1);
        assert_int_equal(best_of(METRIC_VAL_ACC, alike, 3), 1);
        assert_int_equal(best_of(METRIC_VAL_LOSS, less, 2), 2);
}

static void what_is_no_number_is_never_best(void **state)
{
        const double first[] = {NAN, 0.5, NAN, INFINITY, -INFINITY},
                     all[] = {NAN, 1e39}; /* no float, either */
        (void)state;
        for (int m = METRIC_VAL_LOSS; m <= METRIC_TRAIN_ACC; m++) {
                assert_int_equal(best_of((enum metric)m, first, 5), 2);
                assert_int_equal(best_of((enum metric)m, all, 2), 0);
        }
}

static void nobody_asked(void **state)
{
        const double metrics[METRICS] = {1, 1, 1, 1};
        struct best best = {0};
        (void)state;
        best_note(METRIC_NONE, 10, metrics, &best);
        assert_int_equal(best.step, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_lowest_loss),
                cmocka_unit_test(the_highest_accuracy),
                cmocka_unit_test(of_equals_the_first),
                cmocka_unit_test(what_is_no_number_is_never_best),
                cmocka_unit_test(nobody_asked),
        };
        return cmocka_run_group_tests_name("best", tests, NULL, NULL);
}
