#include "base/json.h"
#include "check.h"
#include "net/layers.h"
#include "ops/batch_norm.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/layer_norm.h"

static int parse(const struct op_kind *kind, const char *text, void *args, struct err *e)
{
        cJSON *layer = cJSON_Parse(text);
        assert_non_null(layer);
        int rc = layers_parse_args(kind, layer, "/layers/3", args, e);
        cJSON_Delete(layer);
        return rc;
}

static void choices(void **state)
{
        static const char *const words[] = {"full", "mean_only", "variance_only"};
        struct batch_norm_args args = {0};
        struct err e = {0};
        char text[80];
        (void)state;
        for (int i = 0; i < 3; i++) {
                snprintf(text, sizeof text, "{\"type\":\"batch_norm\",\"affine\":false,\"normalize\":\"%s\"}",
                        words[i]);
                CHECK_OK(parse(&op_batch_norm, text, &args, &e), &e);
                assert_int_equal(args.normalize, i);
                assert_false(args.affine);
        }
        CHECK_OK(parse(&op_batch_norm, "{\"type\":\"batch_norm\"}", &args, &e), &e);
        assert_int_equal(args.normalize, BATCH_NORM_FULL);
        assert_true(args.affine);
}

static void refused(const struct op_kind *kind, const char *text, const char *pointer)
{
        union {
                struct batch_norm_args batch;
                struct layer_norm_args layer;
                struct conv_args conv;
        } args = {0};
        struct err e = {0};
        assert_int_equal(parse(kind, text, &args, &e), ERR_INVALID);
        assert_string_equal(e.pointer, pointer);
}

static void wrong_choices(void **state)
{
        (void)state;
        refused(&op_batch_norm, "{\"normalize\":\"mean\"}", "/layers/3/normalize");
        refused(&op_batch_norm, "{\"normalize\":\"\"}", "/layers/3/normalize");
        refused(&op_batch_norm, "{\"normalize\":\"full mean_only\"}", "/layers/3/normalize");
        refused(&op_batch_norm, "{\"normalize\":1}", "/layers/3/normalize");
}

static void dimensions(void **state)
{
        struct layer_norm_args args = {0};
        struct err e = {0};
        (void)state;
        CHECK_OK(parse(&op_layer_norm, "{\"normalized_shape\":7}", &args, &e), &e);
        assert_int_equal(args.normalized_shape.count, 1);
        assert_int_equal(args.normalized_shape.sizes[0], 7);
        CHECK_OK(parse(&op_layer_norm, "{\"normalized_shape\":[3,5,2]}", &args, &e), &e);
        assert_int_equal(args.normalized_shape.count, 3);
        assert_int_equal(args.normalized_shape.sizes[2], 2);
        refused(&op_layer_norm, "{}", "/layers/3/normalized_shape");
        refused(&op_layer_norm, "{\"normalized_shape\":[]}", "/layers/3/normalized_shape");
        refused(&op_layer_norm, "{\"normalized_shape\":[1,2,3,4]}", "/layers/3/normalized_shape");
        refused(&op_layer_norm, "{\"normalized_shape\":[1,2.5]}", "/layers/3/normalized_shape");
        refused(&op_layer_norm, "{\"normalized_shape\":[0,2]}", "/layers/3/normalized_shape");
        refused(&op_layer_norm, "{\"normalized_shape\":\"7\"}", "/layers/3/normalized_shape");
}

#define CONV "{\"out_channels\":4,\"kernel_size\":3,\"padding\":"

static void paddings(void **state)
{
        static const struct {
                const char *text;
                int h, w;
        } cases[] = {{CONV "\"same\"}", OP_SAME, OP_SAME}, {CONV "\"valid\"}", 0, 0}, {CONV "2}", 2, 2},
                {CONV "[1,0]}", 1, 0}};
        struct conv_args args = {0};
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                CHECK_OK(parse(&op_conv2d, cases[i].text, &args, &e), &e);
                assert_int_equal(args.padding[0], cases[i].h);
                assert_int_equal(args.padding[1], cases[i].w);
        }
        refused(&op_conv2d, CONV "\"full\"}", "/layers/3/padding");
        refused(&op_conv2d, CONV "\"\"}", "/layers/3/padding");
        refused(&op_conv2d, CONV "[\"same\",0]}", "/layers/3/padding");
        refused(&op_conv2d, CONV "-1}", "/layers/3/padding");
        refused(&op_conv2d, "{\"out_channels\":4,\"kernel_size\":\"same\"}", "/layers/3/kernel_size");
}

static void dilations(void **state)
{
        static const struct {
                const char *text;
                int h, w;
        } cases[] = {{CONV "1}", 1, 1}, {CONV "1,\"dilation\":2}", 2, 2},
                {CONV "\"same\",\"dilation\":[3,1024]}", 3, 1024}};
        struct conv_args args = {0};
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                CHECK_OK(parse(&op_conv2d, cases[i].text, &args, &e), &e);
                assert_int_equal(args.dilation[0], cases[i].h);
                assert_int_equal(args.dilation[1], cases[i].w);
        }
        refused(&op_conv2d, CONV "1,\"dilation\":0}", "/layers/3/dilation");
        refused(&op_conv2d, CONV "1,\"dilation\":[2,0]}", "/layers/3/dilation");
        refused(&op_conv2d, CONV "1,\"dilation\":1025}", "/layers/3/dilation");
        refused(&op_conv2d, CONV "1,\"dilation\":1.5}", "/layers/3/dilation");
        refused(&op_conv2d, CONV "1,\"dilation\":\"same\"}", "/layers/3/dilation");
}

/* What GET /v1/architectures says of a choice. */
static void listing(void **state)
{
        cJSON *fields = layers_fields_json(op_batch_norm.fields);
        const cJSON *last = cJSON_GetArrayItem(fields, cJSON_GetArraySize(fields) - 1);
        (void)state;
        assert_string_equal(json_field(last, "name")->valuestring, "normalize");
        assert_string_equal(json_field(last, "default")->valuestring, "full");
        assert_int_equal(cJSON_GetArraySize(json_field(last, "choices")), 3);
        assert_string_equal(cJSON_GetArrayItem(json_field(last, "choices"), 2)->valuestring, "variance_only");
        cJSON_Delete(fields);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(choices),
                cmocka_unit_test(wrong_choices),
                cmocka_unit_test(dimensions),
                cmocka_unit_test(paddings),
                cmocka_unit_test(dilations),
                cmocka_unit_test(listing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
