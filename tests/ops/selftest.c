#include "ops.h"
#include "base/json.h"
#include "device/buf.h"
#include "device/launch.h"
#include "ops/conv.h"
#include "ops/join.h"
#include "ops/kinds.h"
#include "ops/selftest.h"

static void every_op_has_examples(void **state)
{
        (void)state;
        for (int i = 0; i < op_kinds_count; i++) {
                if (!op_kinds[i]->view && !(op_kinds[i]->examples && op_kinds[i]->examples[0].n))
                        fail_msg("the selftest knows no example of %s", op_kinds[i]->type);
                if (!op_kinds[i]->view && !op_kinds[i]->ref)
                        fail_msg("%s has no reference", op_kinds[i]->type);
        }
}

static void an_honest_device_passes(void **state)
{
        struct ops_fixture *f = *state;
        cJSON *report = NULL;
        struct err e = {0};
        unsetenv("CNND_TEST_LIE");
        CHECK_OK(selftest_run(f->dev, &report, &e), &e);
        char *text = json_text(report);
        printf("# %s\n", text);
        assert_int_equal(cJSON_GetArraySize(json_field(report, "failed")), 0);
        assert_true(json_field(report, "passed")->valuedouble > 2 * op_kinds_count - 2);
        CHECK_OK(selftest_lanes(f->dev, 1, &e), &e);
        CHECK_OK(selftest_lanes(f->dev, 1, &e), &e);
        for (int i = 0; i < op_kinds_count; i++)
                assert_true(selftest_allows(f->dev, op_kinds[i], OP_TILED));
        free(text);
        cJSON_Delete(report);
}

static void a_compiler_finds_no_fault(void **state)
{
        struct ops_fixture *f = *state;
        struct err e = {0};
        CHECK_OK(selftest_compile(f->dev, &e), &e);
        for (int i = 0; i < op_kinds_count; i++)
                assert_true(selftest_allows(f->dev, op_kinds[i], OP_TILED));
        assert_true(selftest_allows(f->dev, &op_conv2d, OP_WINOGRAD));
}

/* Where others have all of it, the kernels are as good as before. */
static void want_of_memory_is_no_fault(void **state)
{
        struct dev *d;
        cJSON *report = NULL;
        struct err e = {0};
        const struct dev_options little = {.memory_limit = 2048};
        const char *spec = getenv("CNND_DEVICE");
        (void)state;
        CHECK_OK(dev_open(spec ? spec : "all", &little, &d, &e), &e);
        assert_int_equal(selftest_run(d, &report, &e), ERR_DEVICE_MEMORY);
        assert_non_null(strstr(e.message, "of 2048 are left"));
        for (int i = 0; i < op_kinds_count; i++)
                assert_true(selftest_allows(d, op_kinds[i], OP_TILED));
        dev_close(d);
}

/* The marks stay with the device, so that the tests of lies come last. */
static void check_lie(struct ops_fixture *f, const char *op)
{
        cJSON *report = NULL;
        struct err e = {0};
        setenv("CNND_TEST_LIE", op, 1);
        CHECK_OK(selftest_run(f->dev, &report, &e), &e);
        unsetenv("CNND_TEST_LIE");
        const cJSON *failed = json_field(report, "failed"), *first = cJSON_GetArrayItem(failed, 0);
        assert_int_equal(cJSON_GetArraySize(failed), 1);
        assert_string_equal(json_field(first, "op")->valuestring, op);
        assert_string_equal(json_field(first, "variant")->valuestring, "tiled");
        assert_true(json_field(first, "max_error")->valuedouble > 0.01);
        cJSON_Delete(report);
}

static void a_lying_op_is_switched_off(void **state)
{
        struct ops_fixture *f = *state;
        check_lie(f, "relu");
        assert_false(selftest_allows(f->dev, &op_relu, OP_TILED));
        assert_true(selftest_allows(f->dev, &op_relu, OP_NAIVE));
        assert_true(selftest_allows(f->dev, &op_sigmoid, OP_TILED));
        assert_true(selftest_allows_loss(f->dev, OP_TILED));
}

static void a_lying_winograd_is_switched_off(void **state)
{
        struct ops_fixture *f = *state;
        struct err e = {0};
        const enum op_variant v[OP_DIRECTIONS] = {OP_WINOGRAD, OP_TILED, OP_TILED};
        struct op *op =
                ops_layer(&op_conv2d, &(const struct conv_args){4, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true},
                        (struct shape){4, 9, 9});
        struct op *wide =
                ops_layer(&op_conv2d, &(const struct conv_args){4, {5, 5}, {1, 1}, {2, 2}, {1, 1}, 1, true},
                        (struct shape){4, 9, 9});
        CHECK_OK(selftest_layer(f->dev, op, v, &e), &e);
        assert_true(selftest_allows(f->dev, &op_conv2d, OP_WINOGRAD));
        setenv("CNND_TEST_LIE", "conv2d", 1);
        CHECK_OK(selftest_layer(f->dev, op, v, &e), &e); /* once is enough */
        assert_true(selftest_allows(f->dev, &op_conv2d, OP_WINOGRAD));
        CHECK_OK(selftest_layer(f->dev, wide, v, &e), &e);
        unsetenv("CNND_TEST_LIE");
        assert_false(selftest_allows(f->dev, &op_conv2d, OP_WINOGRAD));
        assert_true(selftest_allows(f->dev, &op_conv2d, OP_TILED));
        op_destroy(op);
        op_destroy(wide);
}

static void a_lying_loss_is_switched_off(void **state)
{
        struct ops_fixture *f = *state;
        check_lie(f, "loss");
        assert_false(selftest_allows_loss(f->dev, OP_TILED));
        assert_true(selftest_allows_loss(f->dev, OP_NAIVE));
}

/* 0 to 1, then 1 to 2: from the last to the first the 2 gets what was in 1. */
static void launches_run_backwards(void **state)
{
        struct ops_fixture *f = *state;
        struct launch_list *list;
        struct err e = {0};
        struct buf *b[3];
        float v[16];
        struct tensor t[3];
        for (int i = 0; i < 3; i++) {
                for (int k = 0; k < 16; k++)
                        v[k] = (float)i;
                CHECK_OK(buf_create(f->dev, sizeof v, "test", &b[i], &e), &e);
                CHECK_OK(buf_write(b[i], 0, v, sizeof v, &e), &e);
                t[i] = tensor_whole((struct view){b[i], 0}, 16, (struct shape){1, 1, 1}, 16);
        }
        const struct op_call c = {.dev = f->dev, .y = t[0]};
        CHECK_OK(launch_list_create(&list, &e), &e);
        launch_record(f->dev, list);
        CHECK_OK(join_copy(&c, &t[0], &t[1], false, &e), &e);
        CHECK_OK(join_copy(&c, &t[1], &t[2], false, &e), &e);
        launch_record_end(f->dev);
        CHECK_OK(launch_list_run_backwards(f->dev, list, &e), &e);
        for (int i = 0; i < 3; i++) {
                static const float want[] = {0, 0, 1};
                CHECK_OK(buf_read(b[i], 0, v, sizeof v, &e), &e);
                assert_true(v[0] == want[i] && v[15] == want[i]);
        }
        CHECK_OK(launch_list_run(f->dev, list, &e), &e);
        CHECK_OK(buf_read(b[2], 0, v, sizeof v, &e), &e);
        assert_true(v[0] == 0 && v[15] == 0);
        launch_list_destroy(list);
        for (int i = 0; i < 3; i++)
                buf_destroy(b[i]);
}

/* A buffer that ends within a piece, and one that is shorter than the room of one. */
static void what_is_repeated_fills_a_buffer(void **state)
{
        enum { PIECE = 24, COUNT = 5 * PIECE + 8 };
        struct ops_fixture *f = *state;
        struct err e = {0};
        struct buf *b;
        float v[COUNT] = {0};
        for (int i = 0; i < PIECE; i++)
                v[i] = (float)(i + 1);
        CHECK_OK(buf_create(f->dev, sizeof v, "test", &b, &e), &e);
        CHECK_OK(buf_write(b, 0, v, sizeof v, &e), &e);
        CHECK_OK(buf_repeat(b, PIECE * sizeof *v, &e), &e);
        CHECK_OK(buf_read(b, 0, v, sizeof v, &e), &e);
        for (int i = 0; i < COUNT; i++)
                assert_true(v[i] == (float)(i % PIECE + 1));
        CHECK_OK(buf_repeat(b, sizeof v, &e), &e);
        assert_int_equal(buf_repeat(b, 2 * sizeof v, &e), ERR_INTERNAL);
        buf_destroy(b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_op_has_examples),
                cmocka_unit_test(an_honest_device_passes),
                cmocka_unit_test(a_compiler_finds_no_fault),
                cmocka_unit_test(launches_run_backwards),
                cmocka_unit_test(what_is_repeated_fills_a_buffer),
                cmocka_unit_test(want_of_memory_is_no_fault),
                cmocka_unit_test(a_lying_op_is_switched_off),
                cmocka_unit_test(a_lying_winograd_is_switched_off),
                cmocka_unit_test(a_lying_loss_is_switched_off),
        };
        return OPS_RUN(tests);
}
