/* Scores against definitions counted image by image, and against a matrix worked out by hand. */
#include "check.h"

#include "base/json.h"
#include "daemon/worker/scores.h"

#include <math.h>

static cJSON *scores(const int64_t *counts, int classes)
{
        static char letters[] = "a\0b\0c\0d";
        char *const names[] = {letters, letters + 2, letters + 4, letters + 6};
        struct str s = {0};
        struct err e = {0};
        str_add(&s, "{");
        scores_write(&s, counts, classes, names);
        str_add(&s, "}");
        cJSON *tree = json_parse(s.data, s.len, &e);
        assert_non_null(tree);
        str_free(&s);
        return tree;
}

static double number(const cJSON *o, const char *key)
{
        const cJSON *v = json_field(o, key);
        assert_true(cJSON_IsNumber(v));
        return v->valuedouble;
}

static void is(double got, double want)
{
        if (fabs(got - want) > 1e-12)
                fail_msg("%.17g instead of %.17g", got, want);
}

/* Rows: 5 of a (4 right, 1 for b), 3 of b (2, 1 for a), 2 of c (both for a). */
static void test_by_hand(void **state)
{
        static const int64_t counts[9] = {4, 1, 0, 1, 2, 0, 2, 0, 0};
        static const double want[3][4] = {
                {4.0 / 7, 4.0 / 5, 2.0 / 3, 5}, {2.0 / 3, 2.0 / 3, 2.0 / 3, 3}, {0, 0, 0, 2}};
        static const char *const keys[] = {"precision", "recall", "f1", "support"};
        (void)state;
        cJSON *tree = scores(counts, 3);
        is(number(tree, "accuracy"), 0.6);
        for (int i = 0; i < 4; i++) {
                double macro = 0, weighted = 0;
                for (int k = 0; k < 3; k++) {
                        const cJSON *one = cJSON_GetArrayItem(json_field(tree, "per_class"), k);
                        is(number(one, keys[i]), want[k][i]);
                        macro += want[k][i] / 3;
                        weighted += want[k][i] * want[k][3] / 10;
                }
                if (i == 3)
                        continue;
                is(number(json_field(tree, "macro"), keys[i]), macro);
                is(number(json_field(tree, "weighted"), keys[i]), weighted);
        }
        const cJSON *row = cJSON_GetArrayItem(json_field(tree, "confusion"), 1);
        assert_int_equal(cJSON_GetArrayItem(row, 0)->valueint, 1);
        assert_int_equal(cJSON_GetArrayItem(row, 1)->valueint, 2);
        cJSON_Delete(tree);
}

/* Precision, recall and F1 by their definitions over a list of images. */
static void test_by_counting(void **state)
{
        enum { N = 997, K = 4 };
        int64_t counts[K * K] = {0};
        int labels[N], taken[N];
        (void)state;
        for (int i = 0; i < N; i++) {
                labels[i] = i * i % 7 % K;
                taken[i] = i % 3 ? labels[i] : i % K;
                counts[labels[i] * K + taken[i]]++;
        }
        cJSON *tree = scores(counts, K);
        for (int k = 0; k < K; k++) {
                const cJSON *one = cJSON_GetArrayItem(json_field(tree, "per_class"), k);
                double hits = 0, misses = 0, wrong = 0;
                for (int i = 0; i < N; i++) {
                        hits += labels[i] == k && taken[i] == k;
                        misses += labels[i] == k && taken[i] != k;
                        wrong += labels[i] != k && taken[i] == k;
                }
                double p = hits / (hits + wrong), r = hits / (hits + misses);
                is(number(one, "precision"), p);
                is(number(one, "recall"), r);
                is(number(one, "f1"), 2 * p * r / (p + r));
        }
        cJSON_Delete(tree);
}

static void test_of_nothing(void **state)
{
        static const int64_t counts[4] = {0};
        (void)state;
        cJSON *tree = scores(counts, 2);
        is(number(tree, "accuracy"), 0);
        is(number(json_field(tree, "macro"), "f1"), 0);
        cJSON_Delete(tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_by_hand),
                cmocka_unit_test(test_by_counting),
                cmocka_unit_test(test_of_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
