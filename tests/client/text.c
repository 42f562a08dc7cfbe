/* Numbers for people, and text that is safe on a terminal. */
#include "check.h"
#include "client/text.h"

#include <locale.h>
#include <math.h>

static void numbers_read_back(void **state)
{
        (void)state;
        static const double values[] = {
                0, 1, -1, 21000, 0.61, 0.1, 1e15, 1e22, 123456789, 0.123456789, 1e-12, 2.0 / 3};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
                assert_true(strtod(text_number(values[i]).s, NULL) == values[i]);
        assert_string_equal(text_number(21000).s, "21000");
        assert_string_equal(text_number(0.61).s, "0.61");
        assert_string_equal(text_number(NAN).s, "nan");
}

static void units_change_where_digits_run_out(void **state)
{
        (void)state;
        assert_string_equal(text_bytes(0).s, "0 B");
        assert_string_equal(text_bytes(999).s, "999 B");
        assert_string_equal(text_bytes(1023).s, "1.00 KiB");
        assert_string_equal(text_bytes(10239).s, "10.0 KiB");
        assert_string_equal(text_bytes(5368709120).s, "5.00 GiB");
        assert_string_equal(text_si(999.6).s, "1.00 k");
        assert_string_equal(text_si(99.96e6).s, "100 M");
        assert_string_equal(text_si(NAN).s, "");
        assert_string_equal(text_count(1234567).s, "1,234,567");
        assert_string_equal(text_count(-1234).s, "-1,234");
        assert_string_equal(text_count(12).s, "12");
        assert_string_equal(text_count(1e30).s, "");
        assert_string_equal(text_percent(0.877).s, "87.7 %");
        assert_string_equal(text_loss(0.6123).s, "0.6123");
        assert_string_equal(text_loss(12.3456).s, "12.346");
        assert_string_equal(text_loss(0.00001).s, "1.00e-05");
}

static void times(void **state)
{
        (void)state;
        assert_string_equal(text_duration(0).s, "0:00");
        assert_string_equal(text_duration(165).s, "2:45");
        assert_string_equal(text_duration(3723).s, "1:02:03");
        assert_string_equal(text_duration(86400 * 3 + 4 * 3600).s, "3 d 04 h");
        assert_string_equal(text_duration(NAN).s, "");
        assert_string_equal(text_duration(-1).s, "");
        assert_string_equal(text_duration(INFINITY).s, "");
        assert_true(text_time("1970-01-02T00:00:01Z") == 86401);
        assert_true(fabs(text_time("1970-01-01T00:00:01.25Z") - 1.25) < 1e-9);
        assert_true(isnan(text_time("yesterday")) && isnan(text_time(NULL)) &&
                    isnan(text_time("1970-01-01T00:00:00+01:00")));
        assert_true(text_time("1972-02-29T12:30:15Z") == 68214615 &&
                    text_time("1972-03-01T00:00:00Z") == 68256000);
        assert_true(text_time("2000-02-29T23:59:59Z") == 951868799 &&
                    text_time("2100-03-01T00:00:00Z") == 4107542400);
        assert_true(
                text_time("2026-11-23T08:00:00Z") == 1795420800 && text_time("1969-12-31T23:59:59Z") == -1);
        static const char *const none[] = {"", "2026-11-23", "2026-11-23 08:00:00Z", "2026-13-23T08:00:00Z",
                "2026-11-00T08:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T08:60:00Z",
                "2026-11-23T08:00:61Z", "2026-11-23T08:00:00", "2026-11-23T08:00:00Zx",
                "2026-11-23T08:00:-1Z", "2026-1-23T08:00:00Z"};
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
                assert_true(isnan(text_time(none[i])));
        assert_string_equal(text_age(0, 59).s, "just now");
        assert_string_equal(text_age(0, 3599).s, "59 min ago");
        assert_string_equal(text_age(0, 90000).s, "1 d ago");
        assert_string_equal(text_age(NAN, 0).s, "");
}

static void check_clean(const char *text, bool utf8, const char *want)
{
        struct str s = {0};
        text_add_clean(&s, text, utf8);
        assert_string_equal(s.data ? s.data : "", want);
        str_free(&s);
}

static void terminals_are_safe(void **state)
{
        (void)state;
        check_clean("plain ö 中", true, "plain ö 中");
        check_clean("plain ö 中", false, "plain ? ?");
        check_clean("\x1b[2J\r\n\t\x7f", true, "?[2J????");
        check_clean("\xc2\x9b"
                    "2J",
                true, "?2J"); /* CSI of eight bits, in UTF-8 */
        check_clean("\xe2\x80\xae"
                    "abc",
                true, "?abc");               /* right to left from here */
        check_clean("\xff\xc3", true, "??"); /* no UTF-8, and cut off */
        check_clean("", true, "");
}

static void check_cut(const char *text, int width, bool utf8, const char *want)
{
        struct str s = {0};
        text_add_cut(&s, text, width, utf8);
        assert_string_equal(s.data ? s.data : "", want);
        assert_true(text_width(s.data ? s.data : "") <= width);
        str_free(&s);
}

static void cut_to_a_width(void **state)
{
        (void)state;
        check_cut("abcdef", 6, true, "abcdef");
        check_cut("abcdef", 5, true, "abcd…");
        check_cut("abcdef", 5, false, "abc..");
        check_cut("abcdef", 1, false, ".");
        check_cut("abcdef", 0, true, "");
        check_cut("中中中", 5, true, "中中…");
        check_cut("中中中", 4, true, "中…");
        check_cut("\x1b[1mabc\x1b[0mdef", 4, true, "\x1b[1mabc\x1b[0m…\x1b[0m");
        check_cut("\x1b[1mabc\x1b[0m", 3, true, "\x1b[1mabc\x1b[0m");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_read_back),
                cmocka_unit_test(units_change_where_digits_run_out), cmocka_unit_test(times),
                cmocka_unit_test(terminals_are_safe), cmocka_unit_test(cut_to_a_width)};
        if (!setlocale(LC_CTYPE, "C.UTF-8")) {
                fputs("skipped: there is no locale C.UTF-8\n", stderr);
                return 77;
        }
        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
