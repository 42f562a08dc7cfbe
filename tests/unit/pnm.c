#include "check.h"

#include "data/image.h"

static int decode(const char *bytes, size_t len, struct image *ret, struct err *e)
{
        /* An exact heap copy, so that a sanitizer sees the first byte beyond. */
        char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, len);
        int rc = image_decode(copy, len, "image/x-portable-anymap", ret, e);
        free(copy);
        return rc;
}

#define BYTES(text) (text), sizeof(text) - 1

static void reads_all_four_kinds(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                int c;
                double want[6];
        } cases[] = {
                {BYTES("P5\n2 1\n255\n\x00\xff"), 1, {0, 1}},
                {BYTES("P5 2 1 65535\n\x80\x00\xff\xff"), 1, {32768.0 / 65535, 1}},
                {BYTES("P5 2 1 256 \x00\x80\x01\x00"), 1, {0.5, 1}},
                {BYTES("P5 2 1 1\t\x00\x01"), 1, {0, 1}},
                {BYTES("P5#a\n#b 9 9\n2#c\n1\n255#d\n\x33\x66"), 1, {0.2, 0.4}},
                {BYTES("P5 2 1 255\n##"), 1, {35.0 / 255, 35.0 / 255}},
                {BYTES("P6 2 1 255\n\x00\x33\x66\x99\xcc\xff"), 3, {0, 0.6, 0.2, 0.8, 0.4, 1}},
                {BYTES("P6\r2\v1\f1023\r\x03\xff\x00\x00\x00\x00\x00\x00\x03\xff\x00\x00"), 3,
                        {1, 0, 0, 1, 0, 0}},
                {BYTES("P2 2 1 10\n5 10"), 1, {0.5, 1}},
                {BYTES("P2\n# made by hand\n2 1\n10\n5 # half\n10\n\n"), 1, {0.5, 1}},
                {BYTES("P3 2 1 5 0 1 2 3 4 5\n"), 3, {0, 0.6, 0.2, 0.8, 0.4, 1}},
                {BYTES("P3 2 1 65535 65535 0 0 0 0 65535 # end"), 3, {1, 0, 0, 0, 0, 1}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                CHECK_OK(decode(cases[i].bytes, cases[i].len, &im, &e), &e);
                assert_int_equal(im.n, 1);
                assert_int_equal(im.c, cases[i].c);
                assert_int_equal(im.h, 1);
                assert_int_equal(im.w, 2);
                CHECK_CLOSE(im.pixels, cases[i].want, 2 * im.c, 1e-7, 0);
                image_finish(&im);
        }
}

static void rows_run_downwards(void **state)
{
        struct err e = {0};
        struct image im = {0};
        static const double want[] = {0, 1.0 / 5, 2.0 / 5, 3.0 / 5, 4.0 / 5, 1};
        (void)state;
        CHECK_OK(decode(BYTES("P2 2 3 5 0 1 2 3 4 5"), &im, &e), &e);
        assert_int_equal(im.h, 3);
        assert_int_equal(im.w, 2);
        CHECK_CLOSE(im.pixels, want, 6, 1e-7, 0);
        image_finish(&im);
}

static void refuses_what_is_wrong(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
                int code;
                const char *text;
        } cases[] = {
                {BYTES("P5"), ERR_SYNTAX, "ends before its width"},
                {BYTES("P5 2"), ERR_SYNTAX, "ends before its height"},
                {BYTES("P5 2 1"), ERR_SYNTAX, "ends before its maximum"},
                {BYTES("P5 2 1 255"), ERR_SYNTAX, "0 bytes of samples where 2 are needed"},
                {BYTES("P5 2 1 255\n\x01"), ERR_SYNTAX, "1 bytes of samples where 2"},
                {BYTES("P5 2 1 255\n\x01\x02\x03"), ERR_SYNTAX, "1 bytes after the image"},
                {BYTES("P5 2 1 256\n\x01\x02\x03"), ERR_SYNTAX, "3 bytes of samples where 4"},
                {BYTES("P5 2 1 254\n\x01\xff"), ERR_SYNTAX, "255 above its maximum of 254"},
                {BYTES("P5 2 1 0\n\x01\xff"), ERR_SYNTAX, "maximum is 0"},
                {BYTES("P5 2 1 65536\n\x01\xff"), ERR_TOO_LARGE, "maximum is larger"},
                {BYTES("P5 0 1 255\n"), ERR_INVALID, "no pixels"},
                {BYTES("P5 -2 1 255\n\x01\x02"), ERR_SYNTAX, "no number"},
                {BYTES("P5 2x1 255\n\x01\x02"), ERR_SYNTAX, "no blank"},
                {BYTES("P5 65537 1 255\n"), ERR_TOO_LARGE, "width"},
                {BYTES("P5 99999999999999999999 1 255\n"), ERR_TOO_LARGE, "width"},
                {BYTES("P5 65536 65536 255\n\x01"), ERR_TOO_LARGE, "bytes as floats"},
                {BYTES("P6 16000 16000 255\n\x01"), ERR_TOO_LARGE, "bytes as floats"},
                {BYTES("P5 16000 16000 255\n\x01"), ERR_SYNTAX, "256000000 are needed"},
                {BYTES("P2 16000 16000 255\n1 2 3"), ERR_SYNTAX, "511999999 are needed"},
                {BYTES("P2 2 1 9 1"), ERR_SYNTAX, ""},
                {BYTES("P2 2 1 9 1 "), ERR_SYNTAX, ""},
                {BYTES("P2 2 1 9 123"), ERR_SYNTAX, "123 above its maximum of 9"},
                {BYTES("P2 2 1 9 1 2 3"), ERR_SYNTAX, "more samples"},
                {BYTES("P2 2 1 9 1 x"), ERR_SYNTAX, "no number"},
                {BYTES("P5 2 1 #no end"), ERR_SYNTAX, "ends before its maximum"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                int rc = decode(cases[i].bytes, cases[i].len, &im, &e);
                if (rc != cases[i].code || !strstr(e.message, cases[i].text) || im.pixels)
                        fail_msg("%s: %d %s", cases[i].bytes, rc, e.message);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_all_four_kinds),
                cmocka_unit_test(rows_run_downwards),
                cmocka_unit_test(refuses_what_is_wrong),
        };
        return cmocka_run_group_tests_name("pnm", tests, NULL, NULL);
}
