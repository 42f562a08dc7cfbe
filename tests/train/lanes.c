/* Blocks of 32 samples, as GPUs have them, train what blocks of 16 train. */
#include "base/str.h"
#include "ops/kinds.h"
#include "ops/selftest.h"
#include "trainer.h"

#include <math.h>

/* Every layer with kernels of its own for 32 lanes, an odd side, images that fill no block. */
#define NET                                                                                                  \
        "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":6,\"kernel_size\":5,\"stride\":2,\"padding\":1}" \
        ",{\"type\":\"batch_norm\"},{\"type\":\"relu\"},"                                                    \
        "{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2},"                                          \
        "{\"type\":\"conv2d\",\"out_channels\":40,\"kernel_size\":3,\"padding\":1,\"stride\":2},"            \
        "{\"type\":\"layer_norm\",\"normalized_shape\":[40,2,2]},{\"type\":\"relu\"},"                       \
        "{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":70},{\"type\":\"relu\"},"              \
        "{\"type\":\"dropout\",\"p\":0.4},{\"type\":\"linear\",\"out_features\":5}]}"
#define JOB(more)                                                                                            \
        "{\"type\":\"train\",\"architecture\":" NET ",\"dataset\":\"noise\",\"epochs\":2,\"batch_size\":40," \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"gradient_clip\":1},\"seed\":5,"      \
        "\"report_every\":1" more "}"

struct outcome {
        struct trainer_log log;
        float *weights; /* owned */
        size_t count;
};

static void train(const char *lanes, const char *job, struct outcome *ret)
{
        setenv("CNND_TEST_LANES", lanes, 1);
        struct trainer *t = trainer_open(0);
        assert_int_equal(dev_info(t->dev)->lanes, atoi(lanes));
        trainer_data(t, 2, 19, 5, 75, 21, true);
        memset(ret, 0, sizeof *ret);
        trainer_run(t, job, "job", 0, &ret->log);
        for (int i = 0; i < op_kinds_count; i++) /* what is switched off would agree for nothing */
                assert_true(selftest_allows(t->dev, op_kinds[i], OP_TILED));
        ret->weights = trainer_weights(t, "job", &ret->count);
        trainer_close(t);
        unsetenv("CNND_TEST_LANES");
}

static void agrees_with_16(void **state)
{
        static struct outcome wide, narrow;
        double off = 0;
        (void)state;
        train("16", JOB(""), &narrow);
        train("32", JOB(""), &wide);
        assert_int_equal(wide.log.steps, narrow.log.steps);
        assert_int_equal(wide.count, narrow.count);
        for (int i = 1; i <= wide.log.steps; i++)
                assert_true(fabs(wide.log.losses[i] - narrow.log.losses[i]) < 1e-4);
        assert_true(fabs(wide.log.val_loss - narrow.log.val_loss) < 1e-4);
        for (size_t i = 0; i < wide.count; i++)
                off = fmax(off, fabs((double)wide.weights[i] - (double)narrow.weights[i]));
        print_message("weights off by at most %.2g\n", off);
        assert_true(off > 0 && off < 1e-4);
        free(wide.weights);
        free(narrow.weights);
}

static void gives_the_same_bits_again(void **state)
{
        static struct outcome first, second;
        (void)state;
        train("32", JOB(""), &first);
        train("32", JOB(""), &second);
        assert_int_equal(first.count, second.count);
        assert_memory_equal(first.weights, second.weights, first.count * sizeof *first.weights);
        free(first.weights);
        free(second.weights);
}

/* 10 bits of fraction: a thousandth of what is multiplied. */
static void tf32_is_near(void **state)
{
        static struct outcome exact, rounded;
        (void)state;
        train("32", JOB(""), &exact);
        setenv("CNND_TEST_TF32", "1", 1);
        train("32", JOB(",\"precision\":\"tf32\""), &rounded);
        unsetenv("CNND_TEST_TF32");
        double off = 0;
        for (int i = 1; i <= exact.log.steps; i++)
                off = fmax(off, fabs(rounded.log.losses[i] - exact.log.losses[i]));
        print_message("losses off by at most %.2g\n", off);
        assert_true(off > 1e-7 && off < 1e-2);
        free(exact.weights);
        free(rounded.weights);
}

static void tf32_needs_its_units(void **state)
{
        static struct trainer_log log;
        struct trainer *t = trainer_open(0);
        struct err e = {0};
        (void)state;
        trainer_data(t, 2, 19, 5, 75, 21, true);
        assert_int_equal(trainer_try(t, JOB(",\"precision\":\"tf32\""), "job", 0, &log, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/precision");
        trainer_close(t);
}

/* Of its last batch's two images each channel has two values; what stands beside them in their block would
   grow from layer to layer, as a multiple of the distance of these two, until it is infinite. */
static void two_images_in_a_deep_network(void **state)
{
        enum { DEPTH = 60 };
        static struct trainer_log log;
        struct str job = {0};
        struct trainer *t = trainer_open(0);
        (void)state;
        trainer_data(t, 2, 19, 5, 18, 5, false);
        str_add(&job, "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"flatten\"}");
        for (int i = 0; i < DEPTH; i++)
                str_add(&job, ",{\"type\":\"linear\",\"out_features\":32},{\"type\":\"batch_norm\"},"
                              "{\"type\":\"relu\"}");
        str_add(&job, ",{\"type\":\"linear\",\"out_features\":5}]},\"dataset\":\"noise\",\"epochs\":2,"
                      "\"batch_size\":16,\"optimizer\":{\"lr\":1e-6},\"report_every\":1}");
        trainer_run(t, job.data, "deep", 0, &log);
        assert_int_equal(log.steps, 4);
        str_free(&job);
        trainer_close(t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_16),
                cmocka_unit_test(gives_the_same_bits_again),
                cmocka_unit_test(two_images_in_a_deep_network),
                cmocka_unit_test(tf32_is_near),
                cmocka_unit_test(tf32_needs_its_units),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
