#include "check.h"

#include "data/image.h"

/* An array file of format `version` with this header and data, on the heap and exactly as long as it must be.
 */
static int decode(
        int version, const char *header, const void *data, size_t len, struct image *ret, struct err *e)
{
        size_t head = strlen(header), at = version == 1 ? 10 : 12;
        unsigned char *bytes = malloc(at + head + len);
        assert_non_null(bytes);
        memcpy(bytes, "\x93NUMPY", 6);
        bytes[6] = (unsigned char)version;
        bytes[7] = 0;
        for (size_t i = 8; i < at; i++)
                bytes[i] = (unsigned char)(head >> 8 * (i - 8));
        memcpy(bytes + at, header, head);
        if (len)
                memcpy(bytes + at + head, data, len);
        int rc = image_decode(bytes, at + head + len, NULL, ret, e);
        free(bytes);
        return rc;
}

#define HEADER(type, fortran, shape)                                                                         \
        "{'descr': '" type "', 'fortran_order': " fortran ", 'shape': " shape ", }          \n"
#define BYTES(text) (text), sizeof(text) - 1

static void reads_every_type(void **state)
{
        static const struct {
                const char *header, *data;
                size_t len;
                double want[2];
        } cases[] = {
                {HEADER("|u1", "False", "(1, 2)"), BYTES("\x00\xff"), {0, 1}},
                {HEADER("|i1", "False", "(1, 2)"), BYTES("\x80\x7f"), {-128, 127}},
                {HEADER("|b1", "False", "(1, 2)"), BYTES("\x00\x01"), {0, 1}},
                {HEADER("<u2", "False", "(1, 2)"), BYTES("\x00\x80\xff\xff"), {32768.0 / 65535, 1}},
                {HEADER(">u2", "False", "(1, 2)"), BYTES("\x80\x00\xff\xff"), {32768.0 / 65535, 1}},
                {HEADER("<i2", "False", "(1, 2)"), BYTES("\xfe\xff\x02\x01"), {-2, 258}},
                {HEADER(">i2", "False", "(1, 2)"), BYTES("\xff\xfe\x01\x02"), {-2, 258}},
                {HEADER("<u4", "False", "(1, 2)"), BYTES("\x04\x03\x02\x01\xff\xff\xff\xff"),
                        {16909060, 4294967295.0}},
                {HEADER(">i4", "False", "(1, 2)"), BYTES("\x01\x02\x03\x04\xff\xff\xff\xff"), {16909060, -1}},
                {HEADER("<i8", "False", "(1, 2)"),
                        BYTES("\x01\x00\x00\x00\x01\x00\x00\x00"
                              "\x00\x00\x00\x00\x00\x00\x00\x80"),
                        {4294967297.0, -9223372036854775808.0}},
                {HEADER(">u8", "False", "(1, 2)"),
                        BYTES("\x00\x00\x00\x00\x00\x00\x00\x07"
                              "\xff\xff\xff\xff\xff\xff\xff\xff"),
                        {7, 18446744073709551615.0}},
                {HEADER("<f2", "False", "(1, 2)"), BYTES("\x00\x3e\x01\x80"), {1.5, -5.9604644775390625e-8}},
                {HEADER(">f2", "False", "(1, 2)"), BYTES("\x7b\xff\x04\x00"), {65504, 6.103515625e-5}},
                {HEADER("<f4", "False", "(1, 2)"), BYTES("\x00\x00\x20\xc1\x00\x00\x80\x3e"), {-10, 0.25}},
                {HEADER("=f4", "False", "(1, 2)"), BYTES("\x00\x00\x20\xc1\x00\x00\x80\x3e"), {-10, 0.25}},
                {HEADER(">f4", "False", "(1, 2)"), BYTES("\xc1\x20\x00\x00\x3e\x80\x00\x00"), {-10, 0.25}},
                {HEADER("<f8", "False", "(1, 2)"),
                        BYTES("\x00\x00\x00\x00\x00\x00\xf8\x3f"
                              "\x00\x00\x00\x00\x00\x00\x00\x80"),
                        {1.5, 0}},
                {HEADER(">f8", "False", "(1, 2)"),
                        BYTES("\x3f\xf8\x00\x00\x00\x00\x00\x00"
                              "\xbf\xf8\x00\x00\x00\x00\x00\x00"),
                        {1.5, -1.5}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                CHECK_OK(decode(1, cases[i].header, cases[i].data, cases[i].len, &im, &e), &e);
                assert_int_equal(im.h * 10 + im.w, 12);
                CHECK_CLOSE(im.pixels, cases[i].want, 2, 0, 1e-7);
                image_finish(&im);
        }
}

static void reads_every_shape_and_order(void **state)
{
        unsigned char data[2 * 3 * 4 * 5], fortran[sizeof data];
        static const char *const shapes[] = {"(20, 6)", "(3, 8, 5)", "(2, 3, 4, 5)"};
        static const size_t dims[][4] = {{1, 1, 20, 6}, {1, 3, 8, 5}, {2, 3, 4, 5}};
        char header[128];
        (void)state;
        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (unsigned char)i;
        for (int s = 0; s < 3; s++) {
                const size_t *d = dims[s];
                for (size_t n = 0, i = 0; n < d[0]; n++)
                        for (size_t c = 0; c < d[1]; c++)
                                for (size_t h = 0; h < d[2]; h++)
                                        for (size_t w = 0; w < d[3]; w++)
                                                fortran[n + d[0] * (c + d[1] * (h + d[2] * w))] = data[i++];
                for (int f = 0; f < 2; f++) {
                        struct err e = {0};
                        struct image im = {0};
                        snprintf(header, sizeof header, HEADER("|i1", "%s", "%s"), f ? "True" : "False",
                                shapes[s]);
                        CHECK_OK(decode(1, header, f ? fortran : data, sizeof data, &im, &e), &e);
                        assert_int_equal(im.n, d[0]);
                        assert_int_equal(im.c, d[1]);
                        assert_int_equal(im.h, d[2]);
                        assert_int_equal(im.w, d[3]);
                        for (size_t i = 0; i < sizeof data; i++)
                                if (im.pixels[i] != (float)i)
                                        fail_msg("%s fortran %d: pixel %zu is %g", shapes[s], f, i,
                                                (double)im.pixels[i]);
                        image_finish(&im);
                }
        }
}

static void reads_what_writers_vary(void **state)
{
        static const char *const headers[] = {
                "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }\n",
                "{\"shape\":(1,2),\"descr\":\"u1\",\"fortran_order\":False}",
                " { 'fortran_order' : True , 'shape' : ( 1 , 2 , ) , 'descr' : '|u1' , } ",
                "{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 2L), }\n",
        };
        (void)state;
        for (int version = 1; version <= 3; version++)
                for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
                        struct err e = {0};
                        struct image im = {0};
                        CHECK_OK(decode(version, headers[i], "\x01\x02", 2, &im, &e), &e);
                        assert_int_equal(im.h * 10 + im.w, 12);
                        image_finish(&im);
                }
}

static void refuses_what_is_wrong(void **state)
{
        static const struct {
                const char *header;
                int code;
                const char *text;
        } cases[] = {
                {HEADER("<c8", "False", "(1, 2)"), ERR_INVALID, "complex"},
                {HEADER("<c16", "False", "(1, 2)"), ERR_INVALID, "complex"},
                {HEADER("|O", "False", "(1, 2)"), ERR_INVALID, "are not pixels"},
                {HEADER("<U4", "False", "(1, 2)"), ERR_INVALID, "are not pixels"},
                {HEADER("<f16", "False", "(1, 2)"), ERR_INVALID, "are not pixels"},
                {HEADER("", "False", "(1, 2)"), ERR_INVALID, "are not pixels"},
                {HEADER("<<f4", "False", "(1, 2)"), ERR_INVALID, "are not pixels"},
                {HEADER("|u1", "False", "()"), ERR_INVALID, "0 dimensions"},
                {HEADER("|u1", "False", "(2,)"), ERR_INVALID, "1 dimensions"},
                {HEADER("|u1", "False", "(1,1,1,1,2)"), ERR_INVALID, "more than 4"},
                {HEADER("|u1", "False", "(0, 2)"), ERR_INVALID, "no pixels"},
                {HEADER("|u1", "False", "(1, 3)"), ERR_SYNTAX, "2 bytes of data where its shape needs 3"},
                {HEADER("|u1", "False", "(1, 1)"), ERR_SYNTAX, "2 bytes of data where its shape needs 1"},
                {HEADER("|u1", "False", "(65537, 1)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(65536, 65536)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(65536, 4096, 65536, 65536)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(65536, 4097, 1, 1)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(4294967296, 1)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(18446744073709551617, 2)"), ERR_TOO_LARGE, ""},
                {HEADER("|u1", "False", "(16000, 16000)"), ERR_SYNTAX, "256000000"},
                {HEADER("|u1", "False", "(-1, 2)"), ERR_SYNTAX, "no number"},
                {HEADER("|u1", "False", "(1 2)"), ERR_SYNTAX, "no end of the shape"},
                {HEADER("|u1", "0", "(1, 2)"), ERR_SYNTAX, "True nor False"},
                {"{'descr': '|u1', 'shape': (1, 2)}", ERR_SYNTAX, "exactly"},
                {"{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1, 2)}", ERR_SYNTAX,
                        "doubled"},
                {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), 'x': 1}", ERR_SYNTAX, "unknown"},
                {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2)} x", ERR_SYNTAX, ""},
                {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2)", ERR_SYNTAX, ""},
                {"{'descr': '|u1' 'fortran_order': False, 'shape': (1, 2)}", ERR_SYNTAX, ""},
                {"{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (1, 2)}",
                        ERR_INVALID, "records"},
                {"{'descr': '|u1", ERR_SYNTAX, "without its end"},
                {"{'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': 1}", ERR_SYNTAX, ""},
                {"{'descr", ERR_SYNTAX, ""},
                {"", ERR_SYNTAX, "no dictionary"},
                {"{", ERR_SYNTAX, ""},
                {"{}", ERR_SYNTAX, ""},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                int rc = decode(1, cases[i].header, "\x01\x02", 2, &im, &e);
                if (rc != cases[i].code || !strstr(e.message, cases[i].text) || im.pixels)
                        fail_msg("%s: %d %s", cases[i].header, rc, e.message);
        }
}

static void refuses_what_is_not_finite(void **state)
{
        static const struct {
                const char *header, *data;
                size_t len;
        } cases[] = {
                {HEADER("<f4", "False", "(1, 2)"), BYTES("\x00\x00\x00\x00\x00\x00\x80\x7f")},
                {HEADER("<f4", "False", "(1, 2)"), BYTES("\x00\x00\x00\x00\x00\x00\xc0\xff")},
                {HEADER("<f2", "False", "(1, 2)"), BYTES("\x00\x00\x00\x7c")},
                {HEADER("<f2", "False", "(1, 2)"), BYTES("\x00\x00\x01\x7e")},
                {HEADER("<f8", "False", "(1, 2)"), BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x7e")}, /* 1e303 */
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct image im = {0};
                assert_int_equal(
                        decode(1, cases[i].header, cases[i].data, cases[i].len, &im, &e), ERR_INVALID);
                assert_non_null(strstr(e.message, "row 0, column 1"));
        }
}

static void refuses_broken_heads(void **state)
{
        struct err e = {0};
        struct image im = {0};
        static const char *const heads[] = {"\x93NUMPY", "\x93NUMPY\x01", "\x93NUMPY\x01\x00\xff",
                "\x93NUMPY\x01\x00\xff\xff{}", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
                "\x93NUMPY\x04\x00\x02\x00{}..", "\x93NUMPY\x01\x01\x02\x00{}.."};
        static const size_t lens[] = {6, 7, 9, 12, 14, 14, 14};
        (void)state;
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
                char *copy = malloc(lens[i]);
                assert_non_null(copy);
                memcpy(copy, heads[i], lens[i]);
                assert_int_equal(image_decode(copy, lens[i], "application/x-npy", &im, &e), ERR_SYNTAX);
                free(copy);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_every_type),
                cmocka_unit_test(reads_every_shape_and_order),
                cmocka_unit_test(reads_what_writers_vary),
                cmocka_unit_test(refuses_what_is_wrong),
                cmocka_unit_test(refuses_what_is_not_finite),
                cmocka_unit_test(refuses_broken_heads),
        };
        return cmocka_run_group_tests_name("npy", tests, NULL, NULL);
}
