#include "check.h"

#include "data/decoder.h"
#include "data/image.h"

#include <math.h>

static struct image make(int n, int c, int h, int w)
{
        struct image im = {.n = n, .c = c, .h = h, .w = w};
        size_t len = (size_t)n * (size_t)c * (size_t)h * (size_t)w;
        im.pixels = malloc(len * sizeof *im.pixels);
        assert_non_null(im.pixels);
        for (size_t i = 0; i < len; i++)
                im.pixels[i] = (float)(i * 37 % 101) / 101.0f;
        return im;
}

/* Golden values of PyTorch 1.13: interpolate(x, size=(h,w), mode="bilinear", align_corners=False) with
   x = (arange(H*W) * 37 % 101).float() / 101. */
static void resizes_like_pytorch(void **state)
{
        static const struct {
                int from_h, from_w, h, w;
                double want[35];
        } cases[] = {
                {3, 4, 5, 7,
                        {0, 0.130834535, 0.340169758, 0.549504995, 0.687411547, 0.325318158, 0.0990099013,
                                0.18613863, 0.31697315, 0.526308358, 0.535643578, 0.502121627, 0.368599683,
                                0.285148561, 0.465346575, 0.596181035, 0.805516243, 0.514851391, 0.224186778,
                                0.433521956, 0.564356446, 0.74455452, 0.661103249, 0.527581275, 0.494059384,
                                0.460537463, 0.327015489, 0.243564323, 0.93069309, 0.704384685, 0.342291355,
                                0.480198056, 0.618104577, 0.256011218, 0.0297029708}},
                {5, 7, 2, 3, {0.667491734, 0.522277176, 0.543729365, 0.32838285, 0.683168292, 0.537953734}},
                {1, 1, 2, 2, {0, 0, 0, 0}},
                {6, 5, 6, 2,
                        {0.274752498, 0.190594062, 0.356435657, 0.772277236, 0.188118801, 0.603960395,
                                0.769801974, 0.685643554, 0.601485133, 0.517326713, 0.433168322,
                                0.349009901}},
                {2, 9, 4, 3,
                        {0.366336644, 0.465346545, 0.564356446, 0.440594077, 0.539603949, 0.63861388,
                                0.589108884, 0.688118815, 0.787128687, 0.663366318, 0.762376249, 0.86138612}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = make(1, 1, cases[i].from_h, cases[i].from_w);
                CHECK_OK(image_fit(&im, 1, cases[i].h, cases[i].w, &e), &e);
                assert_int_equal(im.h, cases[i].h);
                assert_int_equal(im.w, cases[i].w);
                CHECK_CLOSE(im.pixels, cases[i].want, cases[i].h * cases[i].w, 2e-7, 1e-6);
                image_finish(&im);
        }
}

/* Sum, sum of squares and two values of larger resizes, from the same PyTorch. */
static void resizes_large_images_like_pytorch(void **state)
{
        static const struct {
                int from_h, from_w, h, w, y, x;
                double sum, squares, inner, last;
        } cases[] = {
                {33, 57, 224, 200, 100, 101, 22184.44934748765, 12538.357209701537, 0.714335024356842,
                        0.7128713130950928},
                {333, 257, 28, 29, 10, 11, 402.6640555486083, 225.63319555854633, 0.6231235265731812,
                        0.7711846232414246},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = make(1, 1, cases[i].from_h, cases[i].from_w);
                double sum = 0, squares = 0;
                CHECK_OK(image_fit(&im, 1, cases[i].h, cases[i].w, &e), &e);
                size_t len = (size_t)im.h * (size_t)im.w;
                for (size_t k = 0; k < len; k++) {
                        sum += (double)im.pixels[k];
                        squares += (double)im.pixels[k] * (double)im.pixels[k];
                }
                float got[] = {(float)sum, (float)squares, im.pixels[cases[i].y * im.w + cases[i].x],
                        im.pixels[len - 1]};
                double want[] = {cases[i].sum, cases[i].squares, cases[i].inner, cases[i].last};
                CHECK_CLOSE(got, want, 4, 0, 1e-5);
                image_finish(&im);
        }
}

static void grey_and_rgb_become_each_other(void **state)
{
        /* luma .299 .587 .114 of a 3x2x2 image, resized to 3x3 by PyTorch */
        static const double grey[] = {0.379257434, 0.505425746, 0.631594057, 0.395094066, 0.44651238,
                0.497930695, 0.410930697, 0.387599015, 0.364267333};
        struct err e = {0};
        (void)state;
        struct image im = make(1, 3, 2, 2);
        CHECK_OK(image_fit(&im, 1, 3, 3, &e), &e);
        assert_int_equal(im.c, 1);
        CHECK_CLOSE(im.pixels, grey, 9, 2e-7, 1e-6);
        CHECK_OK(image_fit(&im, 3, 3, 3, &e), &e);
        assert_int_equal(im.c, 3);
        for (int c = 0; c < 3; c++)
                CHECK_CLOSE(im.pixels + 9 * c, grey, 9, 2e-7, 1e-6);
        image_finish(&im);
        im = make(2, 1, 1, 2);
        CHECK_OK(image_fit(&im, 3, 1, 2, &e), &e);
        static const double copies[] = {0, 37.0 / 101, 0, 37.0 / 101, 0, 37.0 / 101, 74.0 / 101, 10.0 / 101,
                74.0 / 101, 10.0 / 101, 74.0 / 101, 10.0 / 101};
        CHECK_CLOSE(im.pixels, copies, 12, 1e-7, 0);
        image_finish(&im);
}

static void what_fits_is_left_alone(void **state)
{
        struct err e = {0};
        (void)state;
        struct image im = make(3, 5, 4, 6);
        float *before = im.pixels;
        CHECK_OK(image_fit(&im, 5, 4, 6, &e), &e);
        assert_ptr_equal(im.pixels, before);
        CHECK_OK(image_fit(&im, 5, 2, 3, &e), &e); /* any channels may be resized */
        assert_int_equal(im.n * 1000 + im.c * 100 + im.h * 10 + im.w, 3523);
        image_finish(&im);
        image_finish(&im);
}

static void without_a_rule_is_refused(void **state)
{
        static const int wrong[][2] = {{2, 1}, {1, 2}, {3, 2}, {4, 3}, {1, 4}, {2, 3}};
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                struct image im = make(1, wrong[i][0], 2, 2);
                assert_int_equal(image_fit(&im, wrong[i][1], 4, 4, &e), ERR_INVALID);
                assert_int_equal(im.c * 100 + im.h * 10 + im.w, wrong[i][0] * 100 + 22);
                image_finish(&im);
        }
        struct image im = make(1, 1, 2, 2);
        assert_int_equal(image_fit(&im, 1, 0, 4, &e), ERR_INVALID);
        assert_int_equal(image_fit(&im, 1, 65536, 65536, &e), ERR_TOO_LARGE);
        assert_int_equal(image_fit(&im, 3, 65537, 1, &e), ERR_TOO_LARGE);
        image_finish(&im);
}

static void claims_are_compared_with_the_content(void **state)
{
        static const char pgm[] = "P5 1 1 255\n\x80";
        static const struct {
                const char *claim;
                int code;
        } cases[] = {{NULL, 0}, {"", 0}, {"application/octet-stream", 0}, {"image/x-portable-graymap", 0},
                {"Image/X-Portable-Anymap; q=1", 0}, {"image/png", ERR_MEDIA},
                {"application/x-npy", ERR_MEDIA}, {"image/jpeg", ERR_MEDIA}, {"image", ERR_MEDIA},
                {"image/x-portable-graymaps", ERR_MEDIA}};
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                int rc = image_decode(pgm, sizeof pgm - 1, cases[i].claim, &im, &e);
                if (rc != cases[i].code)
                        fail_msg("%s: %d %s", cases[i].claim ? cases[i].claim : "NULL", rc, e.message);
                image_finish(&im);
        }
}

static void unknown_content_is_refused(void **state)
{
        static const char *const texts[] = {"GIF89a", "BM", "P4 1 1\n", "P7\n", "\x89PNG", "x"};
        struct err e = {0};
        struct image im = {0};
        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                assert_int_equal(image_decode(texts[i], strlen(texts[i]), NULL, &im, &e), ERR_MEDIA);
        assert_int_equal(image_decode("", 0, NULL, &im, &e), ERR_SYNTAX);
        assert_int_equal(image_decode("hello", 5, "image/png", &im, &e), ERR_MEDIA);
        assert_null(im.pixels);
}

static void metadata_follows_the_pixels(void **state)
{
        struct err e = {0};
        struct image im = make(2, 3, 8, 4);
        (void)state;
        im.format = "TIFF";
        im.unit = IMAGE_METRES;
        im.pixel_h = 2e-9;
        im.pixel_w = 3e-9;
        im.databar_h = 5;
        CHECK_OK(image_fit(&im, 1, 4, 8, &e), &e);
        assert_int_equal(im.n, 2);
        assert_string_equal(im.format, "TIFF");
        assert_int_equal(im.unit, IMAGE_METRES);
        assert_true(fabs(im.pixel_h - 4e-9) < 1e-20);
        assert_true(fabs(im.pixel_w - 1.5e-9) < 1e-20);
        assert_int_equal(im.databar_h, 5);
        image_finish(&im);
}

/* Which image of a file is taken goes by image_check; it is the same with any bound. */
static void a_bound_is_for_pixels_alone(void **state)
{
        static const char small[] = "P5 4 4 255\n0123456789abcdef";
        struct err e = {0};
        struct image im = {0};
        (void)state;
        image_bound(15);
        assert_int_equal(image_check(1, 1, 4, 4, &e), 0);
        assert_int_equal(image_create(1, 1, 4, 4, &im, &e), ERR_TOO_LARGE);
        assert_int_equal(image_decode(small, sizeof small - 1, NULL, &im, &e), ERR_TOO_LARGE);
        image_bound(16);
        CHECK_OK(image_decode(small, sizeof small - 1, NULL, &im, &e), &e);
        assert_int_equal(image_fit(&im, 1, 4, 5, &e), ERR_TOO_LARGE);
        image_bound(0);
        CHECK_OK(image_fit(&im, 1, 4, 5, &e), &e);
        image_finish(&im);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(resizes_like_pytorch),
                cmocka_unit_test(resizes_large_images_like_pytorch),
                cmocka_unit_test(grey_and_rgb_become_each_other),
                cmocka_unit_test(what_fits_is_left_alone),
                cmocka_unit_test(without_a_rule_is_refused),
                cmocka_unit_test(claims_are_compared_with_the_content),
                cmocka_unit_test(unknown_content_is_refused),
                cmocka_unit_test(metadata_follows_the_pixels),
                cmocka_unit_test(a_bound_is_for_pixels_alone),
        };
        return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
