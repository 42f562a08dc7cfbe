#include "check.h"

#include "data/scale.h"

#include <math.h>

enum { SIDE = 40 };

static void fill(float *pixels, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525u + 1013904223u;
                pixels[i] = (float)(seed >> 8) / 65536.0f;
        }
}

static struct image make(int n, int c, int h, int w, unsigned seed)
{
        size_t count = (size_t)n * (size_t)c * (size_t)h * (size_t)w;
        struct image im = {.n = n, .c = c, .h = h, .w = w, .pixels = malloc(count * sizeof *im.pixels)};
        assert_non_null(im.pixels);
        fill(im.pixels, count, seed);
        return im;
}

/* The mean of the area by the definition: the integral of a step function over each output's interval,
   sampled so finely that every edge lies between two samples. */
static double mean_over(const float *plane, int h, int w, int to_h, int to_w, int y, int x)
{
        double sum = 0;
        for (int i = 0; i < h; i++)
                for (int k = 0; k < w; k++)
                        sum += (double)plane[(y * h + i) / to_h * w + (x * w + k) / to_w];
        return sum / ((double)h * w);
}

static void test_fewer_pixels_are_means_of_areas(void **state)
{
        static const int to[][2] = {{1, 1}, {20, 20}, {13, 39}, {40, 7}, {39, 1}};
        (void)state;
        for (size_t t = 0; t < sizeof to / sizeof to[0]; t++) {
                struct err e = {0};
                struct image im = make(2, 3, SIDE, SIDE, (unsigned)t),
                             before = make(2, 3, SIDE, SIDE, (unsigned)t);
                int h = to[t][0], w = to[t][1];
                CHECK_OK(scale_resample(&im, h, w, &e), &e);
                assert_true(im.h == h && im.w == w && im.n == 2 && im.c == 3);
                for (int p = 0; p < 6; p++)
                        for (int y = 0; y < h; y++)
                                for (int x = 0; x < w; x++) {
                                        double want = mean_over(
                                                before.pixels + p * SIDE * SIDE, SIDE, SIDE, h, w, y, x);
                                        float got = im.pixels[(p * h + y) * w + x];
                                        assert_true(fabs((double)got / want - 1) < 1e-6);
                                }
                image_finish(&im);
                image_finish(&before);
        }
}

/* A ramp stays one between the centres of the first and the last pixel, and flat beyond. */
static void test_more_pixels_are_interpolated(void **state)
{
        struct err e = {0};
        struct image im = make(1, 1, 1, 5, 1);
        (void)state;
        for (int i = 0; i < 5; i++)
                im.pixels[i] = (float)i;
        CHECK_OK(scale_resample(&im, 3, 15, &e), &e);
        for (int y = 0; y < 3; y++)
                for (int x = 0; x < 15; x++)
                        assert_true(fabs((double)im.pixels[y * 15 + x] -
                                            fmin(fmax((x + 0.5) / 3 - 0.5, 0), 4)) < 1e-6);
        image_finish(&im);
}

static void test_to_a_size_of_a_pixel(void **state)
{
        struct err e = {0};
        struct image im = make(1, 1, 30, 40, 1);
        (void)state;
        assert_int_equal(scale_to_pixel(&im, 2, &e), ERR_INVALID);
        im.unit = IMAGE_PER_METRE;
        assert_int_equal(scale_to_pixel(&im, 2, &e), ERR_INVALID);
        im.unit = IMAGE_METRES;
        im.pixel_h = 1e-9;
        im.pixel_w = 0.5e-9;
        CHECK_OK(scale_to_pixel(&im, 2, &e), &e);
        assert_true(im.h == 15 && im.w == 10);
        assert_true(fabs(im.pixel_h - 2e-9) < 1e-20 && fabs(im.pixel_w - 2e-9) < 1e-20);
        CHECK_OK(scale_to_pixel(&im, 1000, &e), &e);
        assert_true(im.h == 1 && im.w == 1);
        assert_int_equal(scale_to_pixel(&im, 1e-6, &e), ERR_TOO_LARGE);
        assert_true(im.h == 1 && im.w == 1 && im.pixels);
        image_finish(&im);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fewer_pixels_are_means_of_areas),
                cmocka_unit_test(test_more_pixels_are_interpolated),
                cmocka_unit_test(test_to_a_size_of_a_pixel),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
