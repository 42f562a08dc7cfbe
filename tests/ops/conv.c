#include "ops.h"
#include "ops/conv.h"
#include "ops/kinds.h"

/* Odd sizes, every stride and padding, groups, sides that differ. */
static const struct {
        struct shape in;
        struct conv_args args; /* out_channels, kernel_size, stride, padding, dilation, groups, bias */
        int n;
} cases[] = {
        {{1, 28, 28}, {6, {5, 5}, {1, 1}, {2, 2}, {1, 1}, 1, true}, 17},
        {{6, 14, 14}, {16, {5, 5}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 16},
        {{1, 1, 1}, {1, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 1},
        {{3, 7, 5}, {7, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, false}, 3},
        {{5, 9, 11}, {13, {3, 2}, {2, 1}, {1, 0}, {1, 1}, 1, true}, 33},
        {{4, 13, 10}, {5, {4, 3}, {3, 2}, {2, 1}, {1, 1}, 1, true}, 17},
        {{3, 23, 19}, {10, {11, 11}, {4, 4}, {1, 1}, {1, 1}, 1, true}, 16},
        {{2, 12, 9}, {3, {2, 2}, {4, 3}, {0, 0}, {1, 1}, 1, true}, 3},
        {{6, 8, 7}, {4, {3, 3}, {1, 2}, {2, 2}, {1, 1}, 2, true}, 16},
        {{6, 7, 9}, {6, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 6, false}, 33},
        {{4, 6, 6}, {12, {5, 3}, {1, 1}, {4, 2}, {1, 1}, 4, true}, 3},
        {{19, 6, 5}, {11, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 17},
        {{8, 6, 5}, {11, {1, 1}, {2, 2}, {0, 0}, {1, 1}, 1, true}, 16},
        {{37, 5, 4}, {26, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 33},
        {{70, 4, 3}, {6, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 1},
        {{2, 5, 40}, {9, {1, 7}, {1, 1}, {0, 3}, {1, 1}, 1, true}, 16},
        {{2, 40, 3}, {2, {9, 3}, {2, 1}, {4, 1}, {1, 1}, 1, true}, 17},
        {{3, 4, 4}, {5, {2, 2}, {1, 1}, {3, 3}, {1, 1}, 1, true}, 3},
        /* Single images: panels, whole and not, with stride and padding; few pixels, in groups and parts. */
        {{20, 9, 9}, {30, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 2},
        {{10, 17, 15}, {40, {1, 1}, {2, 2}, {1, 1}, {1, 1}, 2, true}, 2},
        {{4, 11, 23}, {20, {1, 3}, {1, 1}, {0, 0}, {1, 1}, 2, false}, 2},
        {{122, 3, 3}, {20, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 2, true}, 2},
        {{70, 9, 8}, {5, {2, 2}, {2, 2}, {0, 0}, {1, 1}, 1, false}, 2},
        /* "same": an even kernel has one more zero behind the image; without any before it, on single images
           too. */
        {{3, 7, 5}, {6, {2, 4}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, 17},
        {{4, 9, 6}, {26, {4, 2}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 2, false}, 33},
        {{2, 1, 2}, {4, {2, 6}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, 16},
        {{3, 9, 8}, {7, {3, 5}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, 3},
        {{2, 12, 50}, {20, {2, 2}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, 2},
        {{40, 4, 3}, {9, {2, 2}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, 2},
        /* Dilated: in groups, "same" whose reach is odd, further than the image; single images of every
           reading, few pixels. */
        {{3, 9, 8}, {7, {3, 3}, {1, 1}, {2, 2}, {2, 2}, 1, true}, 17},
        {{2, 11, 13}, {5, {3, 2}, {1, 1}, {0, 3}, {3, 4}, 1, false}, 33},
        {{37, 6, 7}, {26, {3, 3}, {1, 1}, {3, 2}, {3, 2}, 1, true}, 16},
        {{4, 10, 9}, {6, {2, 4}, {1, 1}, {OP_SAME, OP_SAME}, {3, 3}, 2, true}, 16},
        {{6, 7, 9}, {6, {3, 3}, {1, 1}, {2, 4}, {2, 4}, 6, false}, 33},
        {{3, 4, 5}, {6, {3, 3}, {1, 1}, {6, 7}, {6, 7}, 1, true}, 16},
        {{2, 5, 80}, {9, {1, 7}, {1, 1}, {0, 30}, {5, 12}, 1, true}, 16},
        {{3, 13, 37}, {5, {3, 3}, {1, 1}, {5, 20}, {5, 20}, 1, true}, 16},
        {{20, 9, 9}, {30, {3, 3}, {1, 1}, {2, 2}, {2, 2}, 1, true}, 2},
        {{122, 5, 5}, {20, {3, 3}, {1, 1}, {0, 0}, {2, 2}, 2, true}, 2},
        {{2, 12, 50}, {20, {2, 3}, {1, 1}, {0, 0}, {3, 5}, 1, true}, 2},
        /* With a stride: along the other side, of every phase, of every second or third alone. */
        {{3, 15, 14}, {9, {3, 3}, {2, 1}, {1, 2}, {1, 2}, 1, true}, 2},
        {{3, 13, 12}, {4, {3, 3}, {2, 2}, {2, 1}, {3, 1}, 1, true}, 17},
        {{2, 14, 19}, {5, {3, 4}, {2, 4}, {2, 3}, {2, 6}, 1, true}, 33},
        {{4, 17, 13}, {6, {4, 3}, {3, 3}, {3, 0}, {6, 4}, 2, false}, 16},
        /* No row, no column is of the stride's first phase. */
        {{3, 1, 1}, {4, {3, 3}, {2, 2}, {1, 1}, {1, 1}, 1, true}, 17},
        {{2, 1, 5}, {3, {3, 3}, {2, 1}, {1, 1}, {1, 1}, 1, false}, 16},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static void agrees_with_reference(void **state)
{
        for (int i = 0; i < CASES; i++) {
                struct op *op = ops_layer(&op_conv2d, &cases[i].args, cases[i].in);
                ops_check_all(*state, op, cases[i].n, 1e-4);
                op_destroy(op);
        }
}

static struct trial with_32_lanes(
        const struct ops_fixture *f, const struct op *op, int n, enum op_variant variant)
{
        return (struct trial){.dev = f->dev,
                .op = op,
                .n = n,
                .lanes = 32,
                .variant = variant,
                .training = true,
                .backward = true};
}

/* Layers that fill the large tiles of devices with 32 lanes, and more than one of them. */
static void large_tiles_agree(void **state)
{
        static const struct {
                struct shape in;
                struct conv_args args;
                int n;
        } layers[] = {
                {{127, 3, 2}, {125, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, true}, 33},
                {{10, 5, 4}, {150, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 37},
                {{60, 4, 4}, {62, {3, 2}, {2, 1}, {1, 1}, {1, 1}, 1, false}, 40},
                {{60, 3, 4}, {90, {2, 2}, {1, 1}, {1, 0}, {1, 1}, 3, true}, 20},
                {{3, 9, 9}, {8, {3, 3}, {5, 5}, {1, 1}, {1, 1}, 1, true}, 33},
                {{60, 6, 7}, {62, {3, 2}, {1, 1}, {2, 1}, {2, 3}, 1, true}, 40},
                {{60, 9, 8}, {90, {2, 3}, {2, 1}, {1, 2}, {3, 2}, 3, false}, 20},
        };
        struct ops_fixture *f = *state;
        for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
                struct op *op = ops_layer(&op_conv2d, &layers[i].args, layers[i].in);
                struct trial t = with_32_lanes(f, op, layers[i].n, OP_TILED);
                t.slices = true;
                ops_check(&t, f->seed, 1e-4);
                t.accumulate_dx = t.accumulate_dparams = true;
                t.slices = false;
                ops_check(&t, f->seed, 1e-4);
                op_destroy(op);
        }
}

/* Winograd's points of such devices in bands of rows, and in batches of blocks. */
static void parts_agree(void **state)
{
        static const struct {
                struct shape in;
                struct conv_args args;
                int n;
        } layers[] = {
                {{29, 75, 58}, {27, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, 2},
                {{20, 47, 46}, {22, {3, 3}, {1, 1}, {2, 1}, {1, 1}, 2, true}, 150},
        };
        struct ops_fixture *f = *state;
        for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
                struct op *op = ops_layer(&op_conv2d, &layers[i].args, layers[i].in);
                struct trial t = with_32_lanes(f, op, layers[i].n, OP_WINOGRAD);
                t.slices = i == 0;
                t.accumulate_dx = t.accumulate_dparams = i == 1;
                ops_check(&t, f->seed, 1e-4);
                op_destroy(op);
        }
}

static void reference_has_right_gradients(void **state)
{
        static const struct conv_args args[] = {
                {2, {2, 3}, {1, 2}, {1, 0}, {1, 1}, 1, true},
                {4, {1, 2}, {3, 1}, {0, 1}, {1, 1}, 2, false},
                {2, {2, 4}, {1, 1}, {OP_SAME, OP_SAME}, {1, 1}, 1, true},
                {2, {2, 3}, {1, 2}, {1, 2}, {3, 2}, 1, true},
                {2, {4, 2}, {1, 1}, {OP_SAME, OP_SAME}, {1, 3}, 2, true},
        };
        for (size_t i = 0; i < sizeof args / sizeof args[0]; i++) {
                struct op *op = ops_layer(&op_conv2d, &args[i], (struct shape){2, 4, 5});
                ops_check_reference(*state, op, 2);
                op_destroy(op);
        }
}

static void refused(struct shape in, struct conv_args args, const char *pointer, const char *message)
{
        struct err e = {0};
        struct op *op = NULL;
        assert_int_not_equal(op_create(&op_conv2d, &args, &in, 1, &op, &e), 0);
        assert_null(op);
        assert_string_equal(e.pointer, pointer);
        assert_string_equal(e.message, message);
}

static void wrong_arguments(void **state)
{
        (void)state;
        refused((struct shape){1, 9, 5}, (struct conv_args){2, {3, 3}, {1, 1}, {0, 1}, {2, 4}, 1, true},
                "/dilation",
                "kernel_size 3x3 with dilation 2x4, 5x9 pixels, is larger than the padded input 9x7");
        refused((struct shape){1, 5, 5}, (struct conv_args){2, {11, 11}, {1, 1}, {0, 0}, {1, 1}, 1, true},
                "/kernel_size", "kernel_size 11 is larger than the padded input 5x5");
        refused((struct shape){1, 9, 5}, (struct conv_args){2, {3, 8}, {1, 1}, {0, 1}, {1, 1}, 1, true},
                "/kernel_size", "kernel_size 3x8 is larger than the padded input 9x7");
        refused((struct shape){1, 9, 5},
                (struct conv_args){2, {3, 3}, {1, 2}, {OP_SAME, OP_SAME}, {1, 1}, 1, true}, "/padding",
                "padding \"same\" needs stride 1; with stride 1x2 give it as a number");
        refused((struct shape){3, 5, 5}, (struct conv_args){4, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 2, true},
                "/groups", "3 input channels do not divide into 2 groups");
        refused((struct shape){4, 5, 5}, (struct conv_args){3, {1, 1}, {1, 1}, {0, 0}, {1, 1}, 2, true},
                "/groups", "3 out_channels do not divide into 2 groups");
        refused((struct shape){65536, 64, 64},
                (struct conv_args){65536, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true}, "/out_channels",
                "38654705664 weights are more than a layer may have, 2147483647");
}

/* Dilation is nothing to one tap, so that such a layer is not told from one without. */
static void one_tap_is_not_dilated(void **state)
{
        (void)state;
        struct op *op =
                ops_layer(&op_conv2d, &(const struct conv_args){4, {1, 3}, {1, 1}, {0, 0}, {7, 2}, 1, true},
                        (struct shape){1, 5, 9});
        const struct conv_args *a = op->args;
        assert_int_equal(a->dilation[0], 1);
        assert_int_equal(a->dilation[1], 2);
        assert_int_equal(op->out.h, 5);
        assert_int_equal(op->out.w, 5);
        op_destroy(op);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(large_tiles_agree),
                cmocka_unit_test(parts_agree),
                cmocka_unit_test(reference_has_right_gradients),
                cmocka_unit_test(wrong_arguments),
                cmocka_unit_test(one_tap_is_not_dilated),
        };
        return OPS_RUN(tests);
}
