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

static void test_per_image_values(void **state)
{
        float values[1000];
        double sum = 0, squares = 0;
        (void)state;
        for (int i = 0; i < 1000; i++)
                values[i] = 3e4f + (float)(i * i % 97);
        prepare_standardize(values, 1000);
        for (int i = 0; i < 1000; i++) {
                sum += (double)values[i];
                squares += (double)values[i] * (double)values[i];
        }
        assert_true(fabs(sum / 1000) < 1e-6 && fabs(squares / 1000 - 1) < 1e-6);
        for (int i = 0; i < 1000; i++)
                values[i] = 7;
        prepare_standardize(values, 1000);
        for (int i = 0; i < 1000; i++)
                assert_true(values[i] == 0);
}

/* What a picture of bytes and one of floats become by each recipe. */
static void test_recipes(void **state)
{
        struct err e = {0};
        (void)state;
        for (int how = RECIPE_PERCENTILES; how <= RECIPE_KEEP; how++)
                for (int eight = 0; eight < 2; eight++) {
                        const struct recipe r = {
                                .h = 4, .w = 4, .fit = RECIPE_CROP, .values = (enum recipe_values)how};
                        struct image im = {
                                .n = 2, .c = 1, .h = 4, .w = 6, .pixels = calloc(48, sizeof(float))};
                        bool bytes = false;
                        for (int i = 0; i < 48; i++)
                                im.pixels[i] = eight ? (float)(i + 3) / 255.0f : (float)i * 10;
                        CHECK_OK(prepare_image(&im, &r, true, &bytes, &e), &e);
                        assert_int_equal(bytes, eight && how != RECIPE_PER_IMAGE);
                        float first = im.pixels[1];
                        CHECK_OK(prepare_frames(&im, &r, 1, bytes, &e), &e);
                        assert_true(im.n == 2 && im.h == 4 && im.w == 4 && im.pixels[0] == first);
                        if (how == RECIPE_KEEP)
                                assert_true(first == (eight ? 4.0f / 255.0f : 10));
                        else if (how == RECIPE_PERCENTILES)
                                assert_true(first == (eight ? 4.0f / 255.0f : (float)(1.0 / 23)));
                        else
                                assert_true(first < -1 && first > -2);
                        image_finish(&im);
                }
}

static void test_crops(void **state)
{
        struct err e = {0};
        float pixels[6 * 9];
        struct image im = {.n = 1, .c = 1, .h = 6, .w = 9, .pixels = pixels}, out = {0};
        struct recipe r = {.h = 2, .w = 2, .fit = RECIPE_CROP};
        (void)state;
        for (int i = 0; i < 54; i++)
                pixels[i] = (float)i;
        /* The middle 6x6, resized: the centre of its pixels lies at 1 and 4 of it. */
        CHECK_OK(prepare_frame(&im, 0, &r, 1, false, &out, &e), &e);
        assert_true(out.pixels[0] == pixels[9 + 2] && out.pixels[3] == pixels[4 * 9 + 5]);
        image_finish(&out);
        /* At a common size of a pixel, the middle 2x2. */
        r.pixel_nm = 1;
        CHECK_OK(prepare_frame(&im, 0, &r, 1, false, &out, &e), &e);
        assert_true(out.pixels[0] == pixels[2 * 9 + 3] && out.pixels[3] == pixels[3 * 9 + 4]);
        image_finish(&out);
        r.h = 7;
        assert_int_equal(prepare_frame(&im, 0, &r, 1, false, &out, &e), ERR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stretch_against_sorting),
                cmocka_unit_test(test_what_is_of_bytes),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_per_image_values),
                cmocka_unit_test(test_recipes),
                cmocka_unit_test(test_crops),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
