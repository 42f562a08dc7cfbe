/* What one user's requests may take of the front's time, against a clock of the test's own. */
#include "check.h"

#include "daemon/people/quota.h"

static const struct quota_limits limits = {.requests_per_second = 1000};
static const struct identity anna = {.user = "anna"}, bert = {.user = "bert"},
                             root = {.user = "ottilie", .operator= true };

static void who_takes_more_than_half_waits(void **state)
{
        struct quota *q = quota_create(&limits, NULL);
        struct err e;
        int wait = 0, taken = 0;
        (void)state;
        assert_non_null(q);
        for (int64_t now = 1000; now < 61000; now += 100) /* each takes as long as there is time */
                if (quota_request(q, &anna, now, &wait, &e) == 0) {
                        quota_worked(q, &anna, 0.1, now);
                        taken++;
                } else {
                        assert_in_range(wait, 1, 2);
                }
        assert_in_range(taken, 300, 315); /* of 600 */
        assert_int_equal(quota_request(q, &bert, 61000, &wait, &e), 0);
        quota_destroy(q);
}

static void one_long_one_is_paid_for(void **state)
{
        struct quota *q = quota_create(&limits, NULL);
        struct err e;
        int wait = 0;
        (void)state;
        assert_int_equal(quota_request(q, &anna, 1000, &wait, &e), 0);
        quota_worked(q, &anna, 5, 1000);
        assert_int_equal(quota_request(q, &anna, 1000, &wait, &e), ERR_QUOTA);
        assert_int_equal(wait, 8); /* of the 5 seconds one is free */
        assert_int_equal(quota_request(q, &anna, 8000, &wait, &e), ERR_QUOTA);
        assert_int_equal(quota_request(q, &anna, 9001, &wait, &e), 0);
        quota_destroy(q);
}

static void an_operator_is_not_counted(void **state)
{
        const struct quota_limits none = {0};
        struct quota *q = quota_create(&limits, NULL), *open = quota_create(&none, NULL);
        struct err e;
        int wait = 0;
        (void)state;
        for (int i = 0; i < 100; i++) {
                quota_worked(q, &root, 10, 1000);
                assert_int_equal(quota_request(q, &root, 1000, &wait, &e), 0);
                assert_int_equal(quota_request(open, &anna, 1000, &wait, &e), 0);
                quota_worked(open, &anna, 10, 1000);
        }
        quota_destroy(q);
        quota_destroy(open);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(who_takes_more_than_half_waits),
                cmocka_unit_test(one_long_one_is_paid_for),
                cmocka_unit_test(an_operator_is_not_counted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
