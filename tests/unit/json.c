#include "check.h"

#include "base/json.h"

#include <math.h>

static const char *const refused[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e999",
        "-1e999",
        "NaN",
        "nul",
        "\"\x01\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"\\x\"",
        "\"\xff\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"abc",
        "1 2",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "9007199254740993",
        "-9007199254740993",
        "9007199254740994",
        "99999999999999999999",
        "[1] x",
        "'a'",
        "[1 2]",
        "--1",
};

static void refuses_what_is_not_strict(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
                struct err e = {0};
                cJSON *tree = json_parse(refused[i], strlen(refused[i]), &e);
                if (tree || e.code != ERR_SYNTAX)
                        fail_msg("accepted: %s", refused[i]);
        }
        struct err e = {0};
        assert_null(json_parse("\"\\\0\"", 4, &e)); /* a NUL behind a backslash */
        assert_int_equal(e.code, ERR_SYNTAX);
        assert_null(json_parse("{\0}", 3, &e));
        assert_int_equal(e.code, ERR_SYNTAX);
}

static void accepts_what_is(void **state)
{
        static const char *const texts[] = {"{}", "[]", "0", "-0.5e-3", "\"\\ud83d\\ude00 \xc3\xa9\"",
                " [1, 2] ", "{\"a\":{\"b\":[null,true,false]},\"A\":1}", "9007199254740992", "1e308"};
        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                struct err e = {0};
                cJSON *tree = json_parse(texts[i], strlen(texts[i]), &e);
                if (!tree)
                        fail_msg("refused %s: %s", texts[i], e.message);
                cJSON_Delete(tree);
        }
}

/* To the last bit, unlike cJSON_Compare. */
static bool same(const cJSON *a, const cJSON *b)
{
        bool equal = (a->type & 0xFF) == (b->type & 0xFF) && a->valuedouble == b->valuedouble;
        const cJSON *x = a->child, *y = b->child;
        for (; equal && x && y; x = x->next, y = y->next)
                equal = same(x, y);
        return equal && !x == !y;
}

/* What is printed is accepted, and means the same. */
static void prints_what_it_reads(void **state)
{
        static const struct {
                const char *text, *want;
        } cases[] = {
                {"[9007199254740991,9007199254740992,-0]", "[9007199254740991,9007199254740992,0]"},
                {"[90071992517455552000e-3,90071992517455568e0,-1e16,1e300]",
                        "[9.007199251745555e+16,9.007199251745557e+16,-1e+16,1e+300]"},
                {"[0.1,0.30000000000000004,-5e-324,1.5]",
                        "[0.1,0.30000000000000004,-4.94065645841247e-324,1.5]"},
                {" {\"a\\\"\\n\" : [ true,false , null,{}, []] }", "{\"a\\\"\\n\":[true,false,null,{},[]]}"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                cJSON *tree = json_parse(cases[i].text, strlen(cases[i].text), &e), *again;
                char *text = json_text(tree);
                assert_string_equal(text, cases[i].want);
                again = json_parse(text, strlen(text), &e);
                assert_true(again && same(tree, again));
                cJSON_Delete(again);
                cJSON_Delete(tree);
                free(text);
        }
}

static void limits_the_depth(void **state)
{
        char text[512];
        struct err e = {0};
        (void)state;
        memset(text, '[', 200);
        memset(text + 200, ']', 200);
        assert_null(json_parse(text, 400, &e));
        assert_non_null(strstr(e.message, "64"));
        memset(text, '[', JSON_MAX_DEPTH);
        memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
        cJSON *tree = json_parse(text, 2 * JSON_MAX_DEPTH, &e);
        assert_non_null(tree);
        cJSON_Delete(tree);
}

static void counts_values_and_keys(void **state)
{
        static const char text[] = "{\"a\":[1,{}],\"b\":\"c\"}"; /* five values, two keys */
        struct err e = {0};
        (void)state;
        assert_null(json_parse_most(text, sizeof text - 1, 6, &e));
        assert_int_equal(e.code, ERR_TOO_LARGE);
        cJSON *tree = json_parse_most(text, sizeof text - 1, 7, &e);
        assert_non_null(tree);
        cJSON_Delete(tree);
}

static void names_the_field(void **state)
{
        static const char text[] = "{\"lr\":\"0.1\",\"epochs\":1.5,\"shuffle\":1,\"name\":\"\",\"a/b\":1}";
        struct err e = {0};
        double lr = 7;
        int64_t epochs = 7;
        bool shuffle = true;
        const char *name = "kept";
        (void)state;
        cJSON *tree = json_parse(text, strlen(text), &e);
        assert_non_null(tree);
        assert_int_equal(json_get_number(tree, "lr", 0, 1, "/optimizer", &lr, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/optimizer/lr");
        assert_int_equal(json_get_int(tree, "epochs", 1, 9, "", &epochs, &e), ERR_INVALID);
        assert_int_equal(json_get_bool(tree, "shuffle", "", &shuffle, &e), ERR_INVALID);
        assert_int_equal(json_get_string(tree, "name", 9, "", &name, &e), ERR_INVALID);
        assert_true(lr == 7 && epochs == 7 && shuffle && strcmp(name, "kept") == 0);
        assert_int_equal(json_only(tree, "lr epochs shuffle name", "", &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/a~1b");
        assert_int_equal(json_need(tree, "seed", "", &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/seed");
        assert_int_equal(json_get_int(tree, "absent", 1, 9, "", &epochs, &e), 0);
        cJSON_Delete(tree);
}

/* As cJSON writes it, which is slower. */
static void texts_read_back(void **state)
{
        static const char text[] =
                "{\"a\":[1,-2.5,0.1,1e+300,123456789012,[],{}],\"b\\\"\":\"x\\\\\\n\\u0001\xc3\xa9\","
                "\"c\":{\"t\":true,\"f\":false,\"n\":null,\"\":[\"\"]}}";
        struct err e;
        (void)state;
        cJSON *tree = json_parse(text, sizeof text - 1, &e);
        assert_non_null(tree);
        char *ours = json_text(tree), *theirs = cJSON_PrintUnformatted(tree);
        assert_string_equal(ours, text);
        assert_string_equal(ours, theirs);
        free(ours);
        free(theirs);
        cJSON_AddItemToObject(tree, "nan", cJSON_CreateNumber(NAN));
        ours = json_text(tree);
        assert_non_null(strstr(ours, "\"nan\":null"));
        free(ours);
        cJSON_Delete(tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(refuses_what_is_not_strict),
                cmocka_unit_test(accepts_what_is),
                cmocka_unit_test(prints_what_it_reads),
                cmocka_unit_test(limits_the_depth),
                cmocka_unit_test(counts_values_and_keys),
                cmocka_unit_test(names_the_field),
                cmocka_unit_test(texts_read_back),
        };
        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
