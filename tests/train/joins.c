/* Networks whose branches share and join values in every way: the gradient of each parameter against the
   loss's own differences, and what a block's name shows. */
#include "../execmem.h"
#include "trainer.h"

#include "base/json.h"
#include "base/philox.h"
#include "train/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 5, SIDE = 5, CHANNELS = 3 };

#define CONV(k)            "{\"type\":\"conv2d\",\"out_channels\":" #k ",\"kernel_size\":3,\"padding\":1}"
#define TANH               "{\"type\":\"tanh\"}"
#define FLATTEN            "{\"type\":\"flatten\"}"
#define LINEAR(k)          "{\"type\":\"linear\",\"out_features\":" #k "}"
#define DENSE(layers)      "{\"type\":\"dense\",\"layers\":[" layers "]}"
#define CONCAT(branches)   "{\"type\":\"concat\",\"branches\":[" branches "]}"
#define RESIDUAL(layers)   "{\"type\":\"residual\",\"layers\":[" layers "]}"
#define SEQUENTIAL(layers) "{\"type\":\"sequential\",\"layers\":[" layers "]}"
#define HEAD               FLATTEN "," LINEAR(4)

static const char *const nets[] = {
        /* a dense block that begins another's child, which goes on */
        CONV(4) "," DENSE(CONV(2) "," SEQUENTIAL(DENSE(TANH) "," CONV(3))) "," HEAD,
        CONV(4) "," DENSE(SEQUENTIAL(CONCAT("[],[" CONV(2) "]") "," CONV(3))) "," HEAD,
        RESIDUAL(SEQUENTIAL(DENSE(CONV(2)) "," CONV(3))) "," HEAD,
        /* a view beside others that read what it shows, joined and added */
        CONV(2) "," CONCAT("[" FLATTEN "],[{\"type\":\"adaptive_avg_pool2d\",\"output_size\":1}," FLATTEN
                           "," LINEAR(3) "],[" FLATTEN "," TANH "]") "," LINEAR(4),
        FLATTEN "," LINEAR(6) "," RESIDUAL(FLATTEN) "," CONCAT("[" FLATTEN "],[" LINEAR(3) "]") "," LINEAR(4),
        /* what the loss reads is a join, whole or seen as another shape */
        FLATTEN "," LINEAR(2) "," DENSE(LINEAR(2)),
        CONV(2) ",{\"type\":\"adaptive_avg_pool2d\",\"output_size\":1}," DENSE(CONV(2)) "," FLATTEN,
        FLATTEN "," LINEAR(2) "," CONCAT("[],[" LINEAR(2) "]"),
};

struct bench {
        struct dev *dev;
        struct net *net;
        struct plan *plan;
        struct exec *exec;
        struct exec_memory memory;
        float *params, *grads;
};

static cJSON *layers_of(const char *list)
{
        char text[2048];
        struct err e = {0};
        snprintf(text, sizeof text, "{\"layers\":[%s]}", list);
        cJSON *json = json_parse(text, strlen(text), &e);
        if (!json)
                fail_msg("%s: %s", text, e.message);
        return json;
}

/* `count` numbers of [-0.5, 0.5). */
static float *noise(size_t count, uint32_t stream)
{
        float *values = malloc((count + 1) * sizeof *values);
        assert_non_null(values);
        for (size_t i = 0; i < count; i++) {
                uint32_t words[4];
                philox(7, PHILOX_INIT, stream, i, words);
                values[i] = philox_uniform(words[0]) - 0.5f;
        }
        return values;
}

static void create(struct bench *b, const char *list)
{
        static const int32_t labels[BATCH] = {0, 1, 2, 3, 1};
        struct err e = {0};
        cJSON *json = layers_of(list);
        CHECK_OK(net_create(json, (struct shape){CHANNELS, SIDE, SIDE}, &b->net, &e), &e);
        CHECK_OK(plan_create(b->net, dev_info(b->dev), PLAN_TRAIN, BATCH, &b->plan, &e), &e);
        b->params = noise(b->net->param_floats, 1);
        b->grads = calloc(b->net->trainable_floats, sizeof *b->grads);
        assert_non_null(b->grads);
        CHECK_OK(execmem_create(b->dev, b->net, b->plan, &b->memory, &e), &e);
        CHECK_OK(buf_write(b->memory.params.buf, 0, b->params, b->net->param_floats * sizeof(float), &e), &e);
        CHECK_OK(buf_write(b->memory.labels.buf, 0, labels, sizeof labels, &e), &e);
        for (int i = 0; i < b->plan->num_chunks; i++) {
                float *rubbish = noise(b->plan->chunk_floats[i], 2);
                CHECK_OK(buf_write(b->memory.chunks[i], 0, rubbish, b->plan->chunk_floats[i] * sizeof(float),
                                 &e),
                        &e);
                free(rubbish);
        }
        CHECK_OK(exec_create(b->dev, b->net, b->plan, &b->memory, 1.0f / BATCH, &b->exec, &e), &e);
        cJSON_Delete(json);
}

static void destroy(struct bench *b)
{
        exec_destroy(b->exec);
        execmem_destroy(&b->memory);
        plan_destroy(b->plan);
        net_destroy(b->net);
        free(b->params);
        free(b->grads);
}

/* The mean loss of the batch under b->params; its gradient is on the device. */
static double loss_of(struct bench *b)
{
        struct err e = {0};
        float sums[2];
        const struct tensor x = exec_input(b->exec);
        const size_t floats = tensor_floats(x.n, x.s, x.lanes);
        float *images = noise(floats, 3);
        CHECK_OK(buf_write(x.at.buf, x.at.offset * sizeof(float), images, floats * sizeof(float), &e), &e);
        CHECK_OK(buf_write(b->memory.params.buf, 0, b->params, b->net->param_floats * sizeof(float), &e), &e);
        CHECK_OK(exec_run(b->exec, &e), &e);
        CHECK_OK(buf_read(b->memory.results.buf, 0, sums, sizeof sums, &e), &e);
        free(images);
        return (double)sums[0] / BATCH;
}

/* Along the signs of its gradient a parameter changes the loss by that gradient's sum of magnitudes. */
static void check_param(struct bench *b, const char *list, const struct net_param *p)
{
        const float step = 2e-3f;
        double want = 0, loss[2];
        float *signs = noise(p->count, 4), *values = b->params + p->offset;
        const float *g = b->grads + p->offset;
        for (uint64_t i = 0; i < p->count; i++) {
                const float along = g[i] != 0 ? g[i] : signs[i];
                signs[i] = along < 0 ? -step : step;
                want += fabs((double)g[i]);
        }
        for (int side = 0; side < 2; side++) {
                for (uint64_t i = 0; i < p->count; i++)
                        values[i] += side ? -2 * signs[i] : signs[i];
                loss[side] = loss_of(b);
        }
        for (uint64_t i = 0; i < p->count; i++)
                values[i] += signs[i];
        const double got = (loss[0] - loss[1]) / (2 * (double)step);
        if (!(fabs(got - want) <= 0.005 * want + 2e-3))
                fail_msg("%s: along the gradient of %s the loss rises by %.4f, not %.4f", list, p->name, got,
                        want);
        free(signs);
}

static void gradients_are_whole(void **state)
{
        struct trainer *t = *state;
        for (size_t k = 0; k < sizeof nets / sizeof nets[0]; k++) {
                struct bench b = {.dev = t->dev};
                struct err e = {0};
                create(&b, nets[k]);
                loss_of(&b);
                CHECK_OK(
                        buf_read(b.memory.grads.buf, 0, b.grads, b.net->trainable_floats * sizeof(float), &e),
                        &e);
                for (int i = 0; i < b.net->num_params; i++)
                        check_param(&b, nets[k], &b.net->params[i]);
                destroy(&b);
        }
}

/* What `layer` makes of an image of noise. */
static struct infer_maps look(struct infer *m, const char *layer, int channels)
{
        struct err e = {0};
        struct infer_maps maps;
        float *image = noise(CHANNELS * SIDE * SIDE, 5);
        CHECK_OK(infer_activations(m, image, layer, &maps, &e), &e);
        if (maps.count != channels)
                fail_msg("%s gives %d channels, not %d", layer, maps.count, channels);
        assert_int_equal(maps.h * maps.w, SIDE * SIDE);
        free(image);
        return maps;
}

/* `layer` is made of the results of `parts` in this order, `channels` of each; the lists end with NULL. */
static void check_look(struct infer *m, const char *layer, const char *const *parts, const int *channels)
{
        int sum = 0;
        for (int i = 0; parts[i]; i++)
                sum += channels[i];
        struct infer_maps whole = look(m, layer, sum);
        float *at = whole.data;
        for (int i = 0; parts[i]; i++) {
                struct infer_maps part = look(m, parts[i], channels[i]);
                const size_t floats = (size_t)channels[i] * SIDE * SIDE;
                if (memcmp(at, part.data, floats * sizeof *at) != 0)
                        fail_msg("%s shows other numbers than its part %s", layer, parts[i]);
                at += floats;
                free(part.data);
        }
        free(whole.data);
}

static void blocks_show_what_they_give(void **state)
{
        static const char job[] =
                "{\"type\":\"train\",\"dataset\":\"noise\",\"epochs\":1,\"batch_size\":8,\"architecture\":{"
                "\"layers\":[" CONV(4) "," RESIDUAL("{\"type\":\"tanh\",\"name\":\"add\"}") "," CONCAT(
                        "[],[" TANH "],[" CONCAT("[" CONV(2) "],[" CONV(
                                3) "]") "]") "," DENSE(CONCAT("[],[" CONV(2) "]") "," CONV(3)) "," HEAD "]}}";
        struct trainer *t = *state;
        struct trainer_log log = {0};
        struct infer *m = NULL;
        struct err e = {0};
        char path[160];
        trainer_data(t, CHANNELS, SIDE, 4, 16, 0, false);
        trainer_run(t, job, "blocks", 0, &log);
        snprintf(path, sizeof path, "%s/blocks/model.safetensors", t->dir);
        CHECK_OK(infer_create(t->dev, NULL, path, &m, &e), &e);
        check_look(m, "net.2", (const char *const[]){"net.1", "net.2.1", "net.2.2", NULL}, (int[]){4, 4, 5});
        check_look(m, "net.2.2", (const char *const[]){"net.2.2.0.0", "net.2.2.0.1", NULL}, (int[]){2, 3});
        check_look(m, "net.3.net.0", (const char *const[]){"net.2", "net.3.net.0.1", NULL}, (int[]){13, 2});
        check_look(m, "net.3", (const char *const[]){"net.2", "net.3.net.0", "net.3.net.1", NULL},
                (int[]){13, 15, 3});
        /* A layer that is called as the net calls its own: the tanh, not the sum. */
        struct infer_maps x = look(m, "net.0", 4), y = look(m, "net.1.add", 4);
        for (int i = 0; i < 4 * SIDE * SIDE; i++)
                assert_true(fabsf(y.data[i] - tanhf(x.data[i])) <= 1e-5f);
        free(x.data);
        free(y.data);
        infer_destroy(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gradients_are_whole), cmocka_unit_test(blocks_show_what_they_give)};
        return cmocka_run_group_tests(tests, trainer_set_up, trainer_tear_down);
}
