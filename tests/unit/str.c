#include "check.h"

#include "base/str.h"

#include <math.h>

static void floats_read_back(void **state)
{
        uint32_t bits = 12345;
        (void)state;
        for (int i = 0; i < 20000; i++) {
                float v;
                bits = bits * 1664525u + 1013904223u;
                memcpy(&v, &bits, sizeof v);
                if (!isfinite(v))
                        continue;
                struct str s = {0};
                str_add_float(&s, v);
                float back = strtof(s.data, NULL);
                if (memcmp(&back, &v, sizeof v) != 0)
                        fail_msg("%.9g was written as %s", (double)v, s.data);
                str_free(&s);
        }
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

static void json_strings_are_escaped(void **state)
{
        struct str s = {0};
        (void)state;
        str_add_json(&s, "a\"b\\\n\x01\xff\xc3\xa9");
        assert_string_equal(s.data, "\"a\\\"b\\\\\\n\\u0001\xEF\xBF\xBD\xc3\xa9\"");
        str_free(&s);
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
                cmocka_unit_test(json_strings_are_escaped),
                cmocka_unit_test(grows_and_is_taken),
        };
        return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
