#include "check.h"

#include "base/json.h"
#include "base/str.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/linear.h"
#include "ops/strategy.h"

#include <string.h>

enum { LANES = 16 };

static const struct dev_info cpu = {
        .type = DEV_CPU,
        .platform = "Portable Computing Language",
        .name = "pthread-skylake-avx512-Some CPU",
        .local_bytes = 1 << 20,
        .compute_units = 2,
        .native_width = 16,
        .lanes = LANES,
};

static struct op *conv(struct shape in, int outs, int kernel, int stride)
{
        const struct conv_args a = {outs, {kernel, kernel}, {stride, stride}, {1, 1}, {1, 1}, 1, false};
        struct err e = {0};
        struct op *op;
        CHECK_OK(op_create(&op_conv2d, &a, &in, 1, &op, &e), &e);
        return op;
}

static void names_tell_what_differs(void **state)
{
        char name[STRATEGY_NAME];
        struct op *op = conv((struct shape){64, 24, 20}, 32, 3, 1);
        (void)state;
        assert_true(strategy_name(op, 17, LANES, &cpu, name));
        assert_string_equal(name,
                "conv2d 64x24x20 out_channels=32 kernel_size=3x3 stride=1x1 padding=1x1 groups=1 "
                "bias=0 batch>16");
        assert_true(strategy_name(op, 16, LANES, &cpu, name));
        assert_non_null(strstr(name, "batch<=16"));
        assert_false(strategy_name(op, 1, 1, &cpu, name));
        op_destroy(op);
}

/* Nobody has a choice where taps stand apart: Winograd's tiles are none there. */
static void dilated_layers_are_tiled(void **state)
{
        const struct conv_args a = {128, {3, 3}, {1, 1}, {1, 2}, {1, 2}, 1, false};
        struct dev_info gpu = cpu;
        char name[STRATEGY_NAME];
        enum op_variant v[OP_DIRECTIONS];
        struct err e = {0};
        struct op *op;
        (void)state;
        gpu.type = DEV_GPU;
        gpu.lanes = 32;
        gpu.max_work_group = 1024;
        CHECK_OK(op_create(&op_conv2d, &a, &(struct shape){128, 28, 28}, 1, &op, &e), &e);
        for (int i = 0; i < 2; i++) {
                const struct dev_info *info = i ? &gpu : &cpu;
                assert_false(strategy_name(op, 64, info->lanes, info, name));
                strategy_prefer(op, 64, info->lanes, info, v);
                for (int d = 0; d < OP_DIRECTIONS; d++)
                        assert_int_equal(v[d], OP_TILED);
        }
        op_destroy(op);
}

static void layers_without_a_choice_have_no_name(void **state)
{
        char name[STRATEGY_NAME];
        const struct linear_args linear = {10, true};
        struct err e = {0};
        struct op *op = conv((struct shape){64, 24, 24}, 32, 3, 2);
        (void)state;
        assert_false(strategy_name(op, 64, LANES, &cpu, name));
        op_destroy(op);
        CHECK_OK(op_create(&op_linear, &linear, &(struct shape){20, 1, 1}, 1, &op, &e), &e);
        assert_false(strategy_name(op, 64, LANES, &cpu, name));
        op_destroy(op);
}

/* Many channels on both sides pay for the transforms, one does not. */
static void counting_prefers(void **state)
{
        enum op_variant v[OP_DIRECTIONS];
        struct op *op = conv((struct shape){128, 28, 28}, 128, 3, 1);
        (void)state;
        strategy_prefer(op, 32, LANES, &cpu, v);
        for (int d = 0; d < OP_DIRECTIONS; d++)
                assert_int_equal(v[d], OP_WINOGRAD);
        op_destroy(op);
        op = conv((struct shape){1, 28, 28}, 6, 5, 1);
        strategy_prefer(op, 32, LANES, &cpu, v);
        assert_int_equal(v[OP_FORWARD], OP_TILED);
        assert_int_equal(v[OP_WEIGHTS], OP_TILED);
        op_destroy(op);
        op = conv((struct shape){128, 28, 28}, 128, 3, 2);
        strategy_prefer(op, 32, LANES, &cpu, v);
        for (int d = 0; d < OP_DIRECTIONS; d++)
                assert_int_equal(v[d], OP_TILED);
        strategy_prefer(op, 1, 1, &cpu, v);
        assert_int_equal(
                v[OP_FORWARD], OP_TILED); /* single images have kernels of their own, forward alone */
        assert_int_equal(v[OP_DATA], OP_NAIVE);
        assert_int_equal(v[OP_WEIGHTS], OP_NAIVE);
        op_destroy(op);
}

static void tables_go_through_text_and_json(void **state)
{
        struct err e = {0};
        struct str text = {0};
        enum op_variant v[OP_DIRECTIONS];
        struct strategies *s = strategies_create(), *t = strategies_create();
        (void)state;
        CHECK_OK(strategies_read(s,
                         "# measured\n\nb layer: tiled winograd naive # 1 ms\na layer: naive naive tiled\n"
                         "b layer: winograd tiled tiled\r\n",
                         &e),
                &e);
        assert_int_equal(strategies_count(s), 2);
        assert_true(strategies_find(s, "b layer", v));
        assert_int_equal(v[OP_FORWARD], OP_WINOGRAD);
        assert_int_equal(v[OP_DATA], OP_TILED);
        assert_false(strategies_find(s, "c layer", v));
        assert_false(strategies_find(NULL, "b layer", v));
        strategies_print(s, &text);
        assert_string_equal(text.data, "a layer: naive naive tiled\nb layer: winograd tiled tiled\n");
        cJSON *json = strategies_json(s);
        CHECK_OK(strategies_read_json(t, json, &e), &e);
        str_clear(&text);
        strategies_print(t, &text);
        assert_string_equal(text.data, "a layer: naive naive tiled\nb layer: winograd tiled tiled\n");
        cJSON_Delete(json);
        str_free(&text);
        strategies_destroy(s);
        strategies_destroy(t);
}

#define PARAMETERS                                                                                           \
        "GEMMK=0 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=64 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 STRM=0 "      \
        "STRN=0 "                                                                                            \
        "VWM=4 VWN=4"

static void clblasts_parameters_stand_beside_the_layers(void **state)
{
        static const char text[] = "clblast Xgemm: " PARAMETERS "\na layer: clblast tiled naive\n";
        struct err e = {0};
        struct str out = {0};
        enum op_variant v[OP_DIRECTIONS];
        struct strategies *s = strategies_create(), *t = strategies_create();
        (void)state;
        assert_null(strategies_clblast(s));
        assert_null(strategies_clblast(NULL));
        CHECK_OK(strategies_read(s, text, &e), &e);
        assert_int_equal(strategies_count(s), 1);
        assert_true(strategies_find(s, "a layer", v));
        assert_int_equal(v[OP_FORWARD], OP_CLBLAST);
        CHECK_OK(strategies_add(t, s, &e), &e);
        assert_true(clblast_params_equal(strategies_clblast(s), strategies_clblast(t)));
        cJSON *json = strategies_json(t);
        assert_string_equal(json_field(json, "clblast Xgemm")->valuestring, PARAMETERS);
        strategies_destroy(t);
        t = strategies_create();
        CHECK_OK(strategies_read_json(t, json, &e), &e);
        strategies_print(t, &out);
        assert_string_equal(out.data, text);
        cJSON_Delete(json);
        str_free(&out);
        strategies_destroy(s);
        strategies_destroy(t);
}

static void wrong_parameters_are_refused(void **state)
{
        static const struct {
                const char *text, *why;
        } wrong[] = {
                {"", "parameter GEMMK is missing"},
                {"GEMMK=0 KREG=1 KWG=16", "parameter KWI is missing"},
                {PARAMETERS " VWN=4", "'VWN=4' is more than"},
                {"GEMMK=1 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=64 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 "
                 "STRM=0 "
                 "STRN=0 VWM=4 VWN=4",
                        "GEMMK=1 is not between 0 and 0"},
                {"GEMMK=0 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=256 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 "
                 "STRM=0 "
                 "STRN=0 VWM=4 VWN=4",
                        "MWG=256 is not between 1 and 128"},
                {"GEMMK=0 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=48 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 "
                 "STRM=0 "
                 "STRN=0 VWM=4 VWN=4",
                        "MWG=48 is not a multiple of MDIMC=8 times VWM=4"},
                {"GEMMK=0 KREG=1 KWG=2 KWI=2 MDIMA=16 MDIMC=8 MWG=64 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 "
                 "STRM=0 "
                 "STRN=0 VWM=4 VWN=4",
                        "64 work-items do not load 2 by MDIMA=16"},
                {"GEMMK=0 KREG=1 KWG=16 KWI=2 MDIMA=16 MDIMC=8 MWG=64 NDIMB=16 NDIMC=8 NWG=64 SA=1 SB=1 "
                 "STRM=0 "
                 "STRN=0 VWM=3 VWN=4",
                        "not both powers of two"},
                {"GEMMK=0 KREG=1 KWG=99999999999 KWI=2", "is missing"},
        };
        struct strategies *s = strategies_create();
        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                struct err e = {0};
                struct str line = {0};
                cJSON *json = cJSON_CreateObject();
                cJSON_AddStringToObject(json, "clblast Xgemm", wrong[i].text);
                assert_int_equal(strategies_read_json(s, json, &e), ERR_INVALID);
                assert_non_null(strstr(e.message, wrong[i].why));
                str_addf(&line, "clblast Xgemm: %s\n", wrong[i].text);
                e = (struct err){0};
                assert_int_equal(strategies_read(s, line.data, &e), ERR_INVALID);
                assert_non_null(strstr(e.message, wrong[i].why));
                str_free(&line);
                cJSON_Delete(json);
        }
        assert_null(strategies_clblast(s));
        strategies_destroy(s);
}

/* Where a device has CLBlast, plain products have a choice and other layers do not. */
static void products_have_a_choice(void **state)
{
        struct dev_info info = cpu;
        char name[STRATEGY_NAME];
        const struct conv_args pointwise = {32, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true};
        struct err e = {0};
        struct op *op;
        (void)state;
        info.clblast = true;
        info.global_bytes = (uint64_t)1 << 34;
        CHECK_OK(op_create(&op_conv2d, &pointwise, &(struct shape){64, 24, 24}, 1, &op, &e), &e);
        assert_false(strategy_name(op, 64, LANES, &cpu, name));
        assert_true(strategy_name(op, 64, LANES, &info, name));
        op_destroy(op);
        op = conv((struct shape){64, 24, 24}, 32, 3, 2);
        assert_false(strategy_name(op, 64, LANES, &info, name));
        op_destroy(op);
}

static void wrong_tables_are_refused(void **state)
{
        static const char *const texts[] = {"a layer\n", "a: tiled tiled\n", "a: tiled tiled tiled tiled\n",
                "a: tiled fast tiled\n", "a:\n"};
        struct strategies *s = strategies_create();
        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                struct err e = {0};
                assert_int_equal(strategies_read(s, texts[i], &e), ERR_SYNTAX);
                assert_non_null(strstr(e.message, "is not a strategy"));
        }
        struct err e = {0};
        cJSON *json = json_parse("{\"a\":7}", 7, &e);
        assert_int_equal(strategies_read_json(s, json, &e), ERR_INVALID);
        assert_int_equal(strategies_count(s), 0);
        cJSON_Delete(json);
        strategies_destroy(s);
}

static void shipped_ones_are_for_devices_like_theirs(void **state)
{
        struct err e = {0};
        struct dev_info other = cpu;
        struct strategies *s = strategies_create();
        (void)state;
        snprintf(other.name, sizeof other.name, "Some GPU");
        CHECK_OK(strategies_shipped(s, &other, &e), &e);
        assert_int_equal(strategies_count(s), 0);
        CHECK_OK(strategies_shipped(s, &cpu, &e), &e);
        assert_true(strategies_count(s) > 50);
        strategies_destroy(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_tell_what_differs),
                cmocka_unit_test(dilated_layers_are_tiled),
                cmocka_unit_test(layers_without_a_choice_have_no_name),
                cmocka_unit_test(counting_prefers),
                cmocka_unit_test(tables_go_through_text_and_json),
                cmocka_unit_test(clblasts_parameters_stand_beside_the_layers),
                cmocka_unit_test(wrong_parameters_are_refused),
                cmocka_unit_test(products_have_a_choice),
                cmocka_unit_test(wrong_tables_are_refused),
                cmocka_unit_test(shipped_ones_are_for_devices_like_theirs),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
