/* The pull parser reads what json_parse reads, refuses what that refuses, and does so wherever its buffer
 * ends. */
#include "check.h"
#include "base/json.h"
#include "client/pull.h"

#include <math.h>

static struct path_file *file_of(const char *text, size_t len)
{
        struct path_file *f = NULL;
        struct err e = {0};
        CHECK_OK(path_spool(&f, &e), &e);
        CHECK_OK(path_write(f, text, len, &e), &e);
        return f;
}

/* Passes over all of a text. */
static int pass(const char *text, size_t len, struct err *e)
{
        static struct pull p;
        struct path_file *f = file_of(text, len);
        pull_init(&p, f, 0);
        int rc = pull_skip(&p, e);
        if (rc == 0)
                rc = pull_end(&p, e);
        pull_finish(&p);
        path_close(f);
        return rc;
}

/* Behind blanks, so that its buffer ends at each place of it. */
static void check_everywhere(const char *text)
{
        struct err e = {0};
        const size_t len = strlen(text);
        char *far = malloc(PULL_BYTES + len + 1);
        memset(far, ' ', PULL_BYTES);
        memcpy(far + PULL_BYTES, text, len + 1);
        cJSON *tree = json_parse(text, len, &e);
        for (size_t in = 0; in <= len && in < PULL_BYTES; in++) {
                const int rc = pass(far + in, PULL_BYTES + len - in, &e);
                if ((rc == 0) != (tree != NULL))
                        fail_msg("%s, %zu bytes in the buffer: %d %s", text, in, rc, e.message);
        }
        cJSON_Delete(tree);
        free(far);
}

static void reads_what_json_parse_reads(void **state)
{
        static const char *const texts[] = {"{}", "[]", "[[],{}]", " [ 1 , -2.5e-3 , \"\\\"\\\\\" , null ] ",
                "true", "-0", "\"\\u00e9\\ud83d\\ude00 \xc3\xa9\"",
                "{\"a\":{\"b\":[1,2,{\"c\":false}]},\"d\":\"}],\"}", "7", "\"\\\\\"", "[\"\\\\\\\\\",\"\"]",
                /* refused */
                "", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1:2]", "{\"a\"}", "{\"a\":}",
                "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:2}", "{\"a\":1]", "[1}", "]", "}", ",", ":", "1 2",
                "[]x", "{}{}", "nul", "nulll", "truefalse", "01", "1.", ".5", "+1", "1e999",
                "9007199254740993", "\"abc", "\"\\", "\"\\x\"", "\"\\ud800\"", "\"\\u0000\"", "\"\x01\"",
                "\"\xff\"", "[\"a\"\"b\"]", "[1\"b\"]", "<html>", "NaN", "'a'"};
        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                check_everywhere(texts[i]);
        struct err e = {0};
        assert_int_equal(pass("[1\0]", 4, &e), ERR_SYNTAX);
        assert_int_equal(pass("\0", 1, &e), ERR_SYNTAX);
}

static void every_beginning_is_refused(void **state)
{
        static const char whole[] = "{\"labels\": [0, 1], \"files\": [\"a\\\"\\u00e9.tif\"], \"x\": {\"y\": "
                                    "[true, null, -1.5e2]}}";
        struct err e = {0};
        (void)state;
        for (size_t len = 0; len < sizeof whole - 1; len++) {
                assert_int_equal(pass(whole, len, &e), ERR_SYNTAX);
                assert_non_null(strstr(e.message, "byte"));
        }
        CHECK_OK(pass(whole, sizeof whole - 1, &e), &e);
        pass("[1, 2, 3", 8, &e);
        assert_string_equal(e.message, "unexpected end at byte 8");
        pass("[1, 02]", 7, &e);
        assert_non_null(strstr(e.message, "the value at byte 4: "));
}

static void depth_is_bounded(void **state)
{
        char text[2 * JSON_MAX_DEPTH + 3];
        struct err e = {0};
        (void)state;
        for (int depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
                memset(text, '[', (size_t)depth);
                memset(text + depth, ']', (size_t)depth);
                assert_int_equal(pass(text, 2 * (size_t)depth, &e), depth > JSON_MAX_DEPTH ? ERR_SYNTAX : 0);
        }
}

static void a_text_is_bounded(void **state)
{
        const size_t len = (1 << 20) + 9;
        char *text = malloc(len);
        struct err e = {0};
        (void)state;
        memset(text, 'a', len);
        text[0] = text[len - 1] = '"';
        assert_int_equal(pass(text, len, &e), ERR_TOO_LARGE);
        text[(1 << 20) - 1] = '"';
        CHECK_OK(pass(text, 1 << 20, &e), &e);
        free(text);
}

static void values_as_they_are(void **state)
{
        static const char text[] =
                "{\"\\u006bey\": [1.5, \"\\u00e9/\\n\", [3], \"\", null, 7], \"o\": {\"a\": [1, {}]}}";
        static struct pull p;
        struct path_file *f = file_of(text, sizeof text - 1);
        struct str s = {0};
        struct err e = {0};
        cJSON *tree = NULL;
        double v = 0;
        (void)state;
        pull_init(&p, f, 0);
        assert_int_equal(pull_kind(&p, &e), '{');
        CHECK_OK(pull_enter(&p, &e), &e);
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_key(&p, &s, &e), &e);
        assert_string_equal(s.data, "key");
        CHECK_OK(pull_enter(&p, &e), &e);
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_number(&p, &v, &e), &e);
        assert_true(v == 1.5);
        assert_int_equal(pull_next(&p, &e), 1);
        assert_int_equal(pull_kind(&p, &e), '"');
        const uint64_t place = pull_at(&p);
        CHECK_OK(pull_text(&p, &s, &e), &e);
        assert_string_equal(s.data, "\xc3\xa9/\n");
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_number(&p, &v, &e), &e);
        assert_true(isnan(v));
        for (int i = 0; i < 2; i++) { /* "", null */
                assert_int_equal(pull_next(&p, &e), 1);
                CHECK_OK(pull_text(&p, &s, &e), &e);
                assert_string_equal(s.data, "");
        }
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_skip(&p, &e), &e);
        assert_int_equal(pull_next(&p, &e), 0);
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_tree(&p, &tree, &e), &e);
        assert_true(cJSON_IsObject(cJSON_GetArrayItem(json_field(tree, "a"), 1)));
        cJSON_Delete(tree);
        assert_int_equal(pull_next(&p, &e), 0);
        CHECK_OK(pull_end(&p, &e), &e);
        /* Back to an element. */
        pull_seek(&p, place);
        assert_int_equal(pull_next(&p, &e), 1);
        CHECK_OK(pull_text(&p, &s, &e), &e);
        assert_string_equal(s.data, "\xc3\xa9/\n");
        for (int i = 0; i < 4; i++) {
                assert_int_equal(pull_next(&p, &e), 1);
                CHECK_OK(pull_number(&p, &v, &e), &e);
        }
        assert_true(v == 7);
        assert_int_equal(pull_next(&p, &e), 0);
        pull_finish(&p);
        path_close(f);
        str_free(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_what_json_parse_reads),
                cmocka_unit_test(every_beginning_is_refused),
                cmocka_unit_test(depth_is_bounded),
                cmocka_unit_test(a_text_is_bounded),
                cmocka_unit_test(values_as_they_are),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
