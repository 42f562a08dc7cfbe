/* Few images of a large network on a CPU device are classified one by one, with kernels of their own: alike
   within rounding to what many give, and the same bits for each whatever its company of few. A small network
   goes by blocks: the same bits in any company. */
#include "trainer.h"

#include "train/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 48, CLASSES = 3, MANY = 20 };

#define JOB(CHANNELS)                                                                                        \
        "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":" CHANNELS  \
        ",\"kernel_size\":5,\"padding\":2},{\"type\":\"batch_norm\"},{\"type\":\"relu\"},"                   \
        "{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2},{\"type\":\"residual\",\"layers\":["       \
        "{\"type\":\"conv2d\",\"out_channels\":" CHANNELS ",\"kernel_size\":3,\"padding\":1},"               \
        "{\"type\":\"batch_norm\"}]},{\"type\":\"relu\"},"                                                   \
        "{\"type\":\"conv2d\",\"out_channels\":24,\"kernel_size\":1,\"stride\":2},{\"type\":\"tanh\"},"      \
        "{\"type\":\"avg_pool2d\",\"kernel_size\":3},{\"type\":\"conv2d\",\"out_channels\":9,\"kernel_"      \
        "size\":3},"                                                                                         \
        "{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":3}]},\"dataset\":\"noise\","           \
        "\"epochs\":1,\"batch_size\":20,\"seed\":3,\"optimizer\":{\"lr\":0.01}}"

static struct infer *model(struct trainer *t, const char *job, const char *name)
{
        struct trainer_log log = {0};
        struct infer *m = NULL;
        struct err e = {0};
        char path[160];
        trainer_run(t, job, name, 0, &log);
        snprintf(path, sizeof path, "%s/%s/model.safetensors", t->dir, name);
        CHECK_OK(infer_create(t->dev, NULL, path, &m, &e), &e);
        return m;
}

/* Images of stripes, each with a distance of its own. */
static float *stripes(void)
{
        float *images = malloc(MANY * SIDE * SIDE * sizeof *images);
        assert_non_null(images);
        for (int i = 0; i < MANY * SIDE * SIDE; i++)
                images[i] =
                        0.5f + 0.5f * sinf((float)(i % SIDE) * (0.2f + 0.05f * (float)(i / (SIDE * SIDE))));
        return images;
}

/* The largest difference between images by themselves and among `company`. */
static float differences(struct infer *m, int company, bool *ret_same_bits)
{
        float *images = stripes(), among[MANY * CLASSES], alone[CLASSES], worst = 0;
        struct err e = {0};
        CHECK_OK(infer_run(m, images, company, among, &e), &e);
        *ret_same_bits = true;
        for (int i = 0; i < company; i++) {
                CHECK_OK(infer_run(m, images + (size_t)i * SIDE * SIDE, 1, alone, &e), &e);
                for (int k = 0; k < CLASSES; k++) {
                        worst = fmaxf(worst, fabsf(alone[k] - among[i * CLASSES + k]));
                        assert_true(isfinite(alone[k]));
                }
                *ret_same_bits = *ret_same_bits && memcmp(alone, among + i * CLASSES, sizeof alone) == 0;
        }
        free(images);
        return worst;
}

static void large_networks(void **state)
{
        struct trainer *t = *state;
        bool same;
        struct infer *m = model(t, JOB("40"), "large");
        assert_true(differences(m, 7, &same) == 0);
        assert_true(same);
        const float worst = differences(m, MANY, &same);
        printf("large network: one image off by %.2g from what it gets among many\n", (double)worst);
        assert_true(worst <= 1e-4f);
        if (dev_info(t->dev)->type == DEV_CPU)
                assert_false(same); /* other kernels have been there */
        infer_destroy(m);
}

static void small_networks(void **state)
{
        struct trainer *t = *state;
        bool same;
        struct infer *m = model(t, JOB("2"), "small");
        const float worst = differences(m, MANY, &same);
        assert_true(worst <= 1e-4f);
        if (dev_info(t->dev)->lanes == 16) /* with 32 a sum is cut by how many there are */
                assert_true(same);
        infer_destroy(m);
}

static int set_up(void **state)
{
        struct trainer *t = trainer_open(0);
        trainer_data(t, 1, SIDE, CLASSES, 40, 20, false);
        *state = t;
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(large_networks), cmocka_unit_test(small_networks)};
        return cmocka_run_group_tests(tests, set_up, trainer_tear_down);
}
