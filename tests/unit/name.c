#include "check.h"

#include "base/str.h"
#include "data/name.h"

static void what_is_too_long_loses_its_middle(void **state)
{
        static const char text[] = "a\xc3\xb6\xe6\x97\xa5\xf0\x9f\x94\xacz\xc3\xb6"
                                   "a\xc3\xb6\xe6\x97\xa5\xf0\x9f\x94\xacz\xc3\xb6";
        char out[sizeof text];
        (void)state;
        for (size_t most = 3; most < sizeof text; most++) {
                size_t len = name_cut(text, most, out);
                assert_int_equal(len, strlen(out));
                assert_true(len <= most && len + 8 > most);
                assert_true(str_is_utf8(out));
        }
        assert_string_equal(out, text);
        name_cut("train/particle/1.png", 13, out);
        assert_string_equal(out, "train\xe2\x80\xa6"
                                 "1.png");
}

/* Values of Python's unicodedata.normalize("NFC", …). */
static void one_spelling(void **state)
{
        static const char *const cases[][2] = {{"plain = 1", "plain = 1"}, {"", ""},
                {"o\xcc\x88", "\xc3\xb6"}, {"\xc3\xb6", "\xc3\xb6"},
                {"Gro\xcc\x88\xc3\x9f"
                 "e",
                        "Gr\xc3\xb6\xc3\x9f"
                        "e"},
                /* Hangul; marks in the other order; what is never composed; the sign for angstrom */
                {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"},
                {"a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81"}, {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"},
                {"\xe2\x84\xab", "\xc3\x85"},
                /* a space that does not break, and what is no UTF-8 */
                {"5\xc2\xa0nm", "5 nm"}, {"o\xcc", "o\xcc"}};
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char *got = name_normal(cases[i][0]);
                assert_non_null(got);
                assert_string_equal(got, cases[i][1]);
                free(got);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_too_long_loses_its_middle),
                cmocka_unit_test(one_spelling),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
