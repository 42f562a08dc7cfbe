#include "check.h"

#include "data/prepare.h"

#include <math.h>

static int by_value(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;
        return (x > y) - (x < y);
}

/* Against sorting, on values of all signs and sizes with many ties. */
static void test_stretch_against_sorting(void **state)
{
        enum { N = 5000 };
        static float values[N], sorted[N];
        (void)state;
        for (int round = 0; round < 6; round++) {
                int n = round == 0 ? 1 : round == 1 ? 2 : N - round;
                unsigned seed = (unsigned)(round + 1);
                for (int i = 0; i < n; i++) {
                        seed = seed * 1664525u + 1013904223u;
                        float v = (float)((int)(seed >> 16) - 32768);
                        values[i] = round == 3 ? v * 1e33f : round == 4 ? truncf(v / 8192) : v / 977;
                }
                memcpy(sorted, values, sizeof sorted);
                qsort(sorted, (size_t)n, sizeof *sorted, by_value);
                double low = sorted[lrint(0.005 * (n - 1))], high = sorted[lrint(0.995 * (n - 1))];
                for (int i = 0; i < n; i++)
                        sorted[i] = high > low
                                            ? (float)((fmin(fmax(values[i], low), high) - low) / (high - low))
                                            : 0;
                struct err e = {0};
                assert_int_equal(prepare_stretch(values, (size_t)n, &e), 0);
                for (int i = 0; i < n; i++)
                        assert_true(values[i] == sorted[i]);
        }
}

static void test_what_is_of_bytes(void **state)
{
        float values[256];
        (void)state;
        for (int i = 0; i < 256; i++)
                values[i] = (float)i / 255.0f;
        assert_true(prepare_is_bytes(values, 256));
        for (int i = 0; i < 256; i++) {
                float kept = values[i];
                const float wrong[] = {nextafterf(kept, 2), -1.0f, 2.0f, 0.5f, NAN, INFINITY};
                for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
                        values[i] = wrong[k];
                        assert_false(prepare_is_bytes(values, 256));
                }
                values[i] = kept;
        }
}

static void test_cut(void **state)
{
        float pixels[2 * 3 * 4 * 5];
        struct image from = {.n = 2, .c = 3, .h = 4, .w = 5, .pixels = pixels}, part = {0};
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
                pixels[i] = (float)i;
        const struct recipe r = {.h = 3, .w = 2};
        assert_int_equal(prepare_part(&from, 1, 1, 2, 3, 2, &r, 3, false, &part, &e), 0);
        assert_true(part.n == 1 && part.c == 3 && part.h == 3 && part.w == 2);
        for (int c = 0; c < 3; c++)
                for (int y = 0; y < 3; y++)
                        for (int x = 0; x < 2; x++)
                                assert_true(part.pixels[(c * 3 + y) * 2 + x] ==
                                            (float)(((3 + c) * 4 + 1 + y) * 5 + 2 + x));
        image_finish(&part);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stretch_against_sorting),
                cmocka_unit_test(test_what_is_of_bytes),
                cmocka_unit_test(test_cut),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
