/* The best of many classes, and what one answer may hold. */
#include "check.h"

#include "daemon/serving/predictions.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

enum { CLASSES = 500 };

/* Few distinct values, so that many are equal: the first of them is the better one. */
static void draw(float *logits, unsigned int seed)
{
        for (int i = 0; i < CLASSES; i++) {
                seed = seed * 1664525u + 1013904223u;
                logits[i] = (float)(seed >> 26) / 8.0f;
        }
}

static void the_few_are_the_first_of_all(void **state)
{
        float logits[CLASSES];
        struct prediction all[CLASSES], few[CLASSES];
        (void)state;
        for (unsigned int seed = 1; seed < 200; seed++) {
                draw(logits, seed);
                predictions_rank(logits, CLASSES, 0, all);
                for (int i = 1; i < CLASSES; i++)
                        assert_true(all[i - 1].logit > all[i].logit ||
                                    (all[i - 1].logit == all[i].logit && all[i - 1].index < all[i].index));
                for (int top = 1; top < 40; top += 3) {
                        predictions_rank(logits, CLASSES, top, few);
                        for (int i = 0; i < top; i++) {
                                assert_int_equal(few[i].index, all[i].index);
                                assert_true(few[i].logit == all[i].logit);
                                assert_true(few[i].probability == all[i].probability);
                        }
                }
        }
}

static void more_than_there_are_is_all(void **state)
{
        const float logits[] = {1, 3, 2};
        struct prediction ranks[3];
        (void)state;
        predictions_rank(logits, 3, 5, ranks);
        assert_int_equal(ranks[0].index, 1);
        assert_int_equal(ranks[1].index, 2);
        assert_int_equal(ranks[2].index, 0);
        double sum = 0;
        for (int i = 0; i < 3; i++)
                sum += ranks[i].probability;
        assert_true(fabs(sum - 1) < 1e-6);
}

static void an_answer_has_an_end(void **state)
{
        struct err e;
        (void)state;
        assert_int_equal(predictions_fit(4000, 1000, 5, &e), 0);
        assert_int_equal(predictions_fit(1, 65536, 0, &e), 0);
        assert_int_equal(predictions_fit(4, 65536, 0, &e), 0);
        assert_int_equal(predictions_fit(5, 65536, 0, &e), ERR_TOO_LARGE);
        assert_int_equal(predictions_fit(5, 65536, 65536, &e), ERR_TOO_LARGE);
        assert_int_equal(predictions_fit(5, 65536, 100000, &e), ERR_TOO_LARGE);
        assert_int_equal(predictions_fit(128, 65536, 1, &e), 0);
        assert_int_equal(predictions_fit(129, 65536, 1, &e), ERR_TOO_LARGE);
        assert_non_null(strstr(e.message, "at most 128"));
        assert_int_equal(predictions_fit(INT_MAX, INT_MAX, 0, &e), ERR_TOO_LARGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_few_are_the_first_of_all),
                cmocka_unit_test(more_than_there_are_is_all),
                cmocka_unit_test(an_answer_has_an_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
