#include "check.h"
#include "ops/choice.h"
#include "ops/conv.h"

static int choose(int64_t usual_cost, int64_t other_cost)
{
        struct choice c = {0};
        choice_weigh(&c, 1, other_cost, false);
        choice_weigh(&c, 2, usual_cost, true);
        choice_weigh(&c, 3, usual_cost + 1, true);
        choice_weigh(&c, 4, other_cost + 1, false);
        return choice_made(&c);
}

static void a_usual_tile_unless_another_saves_an_eighth(void **state)
{
        (void)state;
        assert_int_equal(choose(100, 120), 2);
        assert_int_equal(choose(100, 88), 2);
        assert_int_equal(choose(100, 87), 1);
}

static void what_there_is_where_none_is_usual(void **state)
{
        struct choice c = {0};
        (void)state;
        choice_weigh(&c, 5, 70, false);
        choice_weigh(&c, 6, 70, false);
        choice_weigh(&c, 7, 71, false);
        assert_int_equal(choice_made(&c), 6);
}

/* All channels of the course's networks and their kin, and what is a tile of its own on each kind of CPU. */
static void most_layers_share_few_tiles(void **state)
{
        static const int outs[] = {1, 3, 6, 8, 16, 24, 32, 48, 64, 96, 112, 120, 128, 144, 160, 192, 208, 224,
                256, 288, 320, 384, 512, 1000, 1024};
        static const struct {
                int width;
                int64_t tiles;
        } cpus[] = {{16, 1 << 8 | 1 << 12 | 1 << 13}, {8, 1 << 4 | 1 << 6}, {4, 1 << 2 | 1 << 3}};
        (void)state;
        for (int i = 0; i < 3; i++)
                for (size_t k = 0; k < sizeof outs / sizeof outs[0]; k++) {
                        const struct dev_info info = {.native_width = cpus[i].width, .lanes = 16};
                        const int tile = conv_tile(outs[k], &info);
                        if (!(cpus[i].tiles >> tile & 1))
                                fail_msg("%d channels take a tile of %d where vectors are %d wide", outs[k],
                                        tile, cpus[i].width);
                }
        assert_int_equal(conv_tile(10, &(struct dev_info){.native_width = 16}), 10); /* nin's classes */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_usual_tile_unless_another_saves_an_eighth),
                cmocka_unit_test(what_there_is_where_none_is_usual),
                cmocka_unit_test(most_layers_share_few_tiles),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
