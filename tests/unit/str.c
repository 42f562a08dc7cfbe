#include "check.h"

#include "base/str.h"

#include <math.h>

static void add_decimal(struct str *s, float v)
{
        str_add_decimal(s, (double)v);
}

static void check_reads_back(void (*add)(struct str *s, float v))
{
        uint32_t bits = 12345;
        for (int i = 0; i < 20000; i++) {
                float v;
                bits = bits * 1664525u + 1013904223u;
                memcpy(&v, &bits, sizeof v);
                if (!isfinite(v))
                        continue;
                struct str s = {0};
                add(&s, v);
                float back = strtof(s.data, NULL);
                if (memcmp(&back, &v, sizeof v) != 0)
                        fail_msg("%.9g was written as %s", (double)v, s.data);
                str_free(&s);
        }
}

static void floats_read_back(void **state)
{
        (void)state;
        check_reads_back(str_add_float);
        check_reads_back(add_decimal);
}

static void floats_are_short(void **state)
{
        struct str s = {0};
        (void)state;
        str_add_float(&s, 0.1f);
        str_add(&s, " ");
        str_add_float(&s, 2.0f);
        str_add(&s, " ");
        str_add_double(&s, 0.1);
        str_add(&s, " ");
        str_add_float(&s, NAN);
        assert_string_equal(s.data, "0.1 2 0.1 null");
        str_free(&s);
}

static void decimals_are_short(void **state)
{
        static const struct {
                double v;
                const char *text;
        } known[] = {{0, "0"}, {1, "1"}, {-0.1f, "-0.100000001"}, {1e-4, "0.0001"}, {12.5, "12.5"},
                {123456789, "123456789"}, {1e9, "1e9"}, {-2.5e-7, "-2.5e-7"}, {0.99999999999, "1"},
                {NAN, "null"}, {1e-300, "1e-300"}};
        (void)state;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                struct str s = {0};
                str_add_decimal(&s, known[i].v);
                assert_string_equal(s.data, known[i].text);
                str_free(&s);
        }
}

static void whole_numbers(void **state)
{
        struct str s = {0};
        (void)state;
        str_add_int(&s, INT64_MIN);
        str_add(&s, " ");
        str_add_int(&s, 0);
        str_add(&s, " ");
        str_add_int(&s, -70);
        assert_string_equal(s.data, "-9223372036854775808 0 -70");
        str_free(&s);
}

static void json_strings_are_escaped(void **state)
{
        struct str s = {0};
        (void)state;
        str_add_json(&s, "a\"b\\\n\x01\xff\xc3\xa9");
        assert_string_equal(s.data, "\"a\\\"b\\\\\\n\\u0001\xEF\xBF\xBD\xc3\xa9\"");
        str_free(&s);
}

static void numbers_are_read(void **state)
{
        static const char *const bad[] = {
                "", " 1", "1 ", "0x1", "nan", "inf", "1e", "e5", "--1", "1.2.3", ".", "1e999", "1,5"};
        double v = 7;
        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_false(str_to_number(bad[i], &v));
        assert_true(v == 7);
        assert_true(str_to_number("0.5", &v) && v == 0.5);
        assert_true(str_to_number(".5", &v) && v == 0.5);
        assert_true(str_to_number("5e-1", &v) && v == 0.5);
        assert_true(str_to_number("5.0E-1", &v) && v == 0.5);
        assert_true(str_to_number("-2", &v) && v == -2);
}

static void grows_and_is_taken(void **state)
{
        struct str s = {0};
        (void)state;
        for (int i = 0; i < 1000; i++)
                str_addf(&s, "%d,", i);
        assert_int_equal(s.len, 3890);
        char *text = str_take(&s);
        assert_int_equal(strlen(text), 3890);
        assert_null(s.data);
        free(text);
        text = str_take(&s);
        assert_string_equal(text, "");
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(floats_read_back),
                cmocka_unit_test(floats_are_short),
                cmocka_unit_test(decimals_are_short),
                cmocka_unit_test(whole_numbers),
                cmocka_unit_test(json_strings_are_escaped),
                cmocka_unit_test(numbers_are_read),
                cmocka_unit_test(grows_and_is_taken),
        };
        return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
