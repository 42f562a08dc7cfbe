/* The token bucket against a clock of the test's own. */
#include "check.h"

#include "daemon/common/bucket.h"

static void a_burst_then_the_rate(void **state)
{
        struct bucket b = {0};
        int64_t now = 1000;
        (void)state;
        for (int i = 0; i < 20; i++)
                assert_int_equal(bucket_take(&b, 10, 20, now), 0);
        int64_t wait = bucket_take(&b, 10, 20, now);
        assert_int_equal(wait, 100);
        assert_int_not_equal(bucket_take(&b, 10, 20, now + wait - 1), 0);
        assert_int_equal(bucket_take(&b, 10, 20, now + wait), 0);
        assert_int_not_equal(bucket_take(&b, 10, 20, now + wait), 0);
}

static void holds_the_rate_over_an_hour(void **state)
{
        struct bucket b = {0};
        int taken = 0;
        (void)state;
        for (int64_t now = 0; now < 3600000; now += 7)
                taken += bucket_take(&b, 3, 6, now) == 0;
        assert_in_range(taken, 3 * 3600, 3 * 3600 + 6);
}

static void slow_rates_let_one_through(void **state)
{
        struct bucket b = {0};
        (void)state;
        assert_int_equal(bucket_take(&b, 0.1, 1, 0), 0);
        assert_int_equal(bucket_take(&b, 0.1, 1, 0), 10000);
        assert_int_equal(bucket_take(&b, 0.1, 1, 10000), 0);
}

static void a_clock_that_stands_gives_nothing(void **state)
{
        struct bucket b = {0};
        (void)state;
        assert_int_equal(bucket_take(&b, 5, 1, 500), 0);
        assert_int_not_equal(bucket_take(&b, 5, 1, 400), 0);
        assert_false(bucket_full(&b, 5, 500));
        assert_true(bucket_full(&b, 5, 700));
}

static void what_is_spent_comes_back(void **state)
{
        struct bucket b = {0};
        (void)state;
        assert_int_equal(bucket_over(&b, 0.5, 1, 1000), 0);
        bucket_spend(&b, 0.5, 1, 1000);
        assert_int_equal(bucket_over(&b, 0.5, 1, 1000), 0);
        bucket_spend(&b, 0.5, 3, 1000);
        assert_int_equal(bucket_over(&b, 0.5, 1, 1000), 6000);
        assert_int_equal(bucket_over(&b, 0.5, 1, 4000), 3000);
        assert_int_equal(bucket_over(&b, 0.5, 1, 7000), 0);
        assert_false(bucket_full(&b, 0.5, 7000));
        assert_true(bucket_full(&b, 0.5, 9000));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_burst_then_the_rate),
                cmocka_unit_test(holds_the_rate_over_an_hour),
                cmocka_unit_test(slow_rates_let_one_through),
                cmocka_unit_test(a_clock_that_stands_gives_nothing),
                cmocka_unit_test(what_is_spent_comes_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
