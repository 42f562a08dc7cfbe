/* What a layer's forward does for the layers behind it gives, bit by bit, what these give by themselves:
   whole networks with every kernel that has an epilogue, in every variant and with every number of lanes. */
#include "../execmem.h"
#include "trainer.h"

#include "ops/strategy.h"
#include "zoo/zoo.h"

#include <stdlib.h>
#include <string.h>

/* conv2d before batch_norm, before an activation, alone, and in a branch that is added; activations behind
   every kind of host; a batch norm that another layer reads too (densenet's), and one without affine. */
static const struct {
        const char *architecture;
        int side;
} nets[] = {
        {"{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":7,\"kernel_size\":3,\"padding\":1},{\"type\":"
         "\"batch_norm\"},{\"type\":\"relu\"},"
         "{\"type\":\"conv2d\",\"out_channels\":19,\"kernel_size\":[3,2],\"stride\":[2,1],\"bias\":false},"
         "{\"type\":\"batch_norm\",\"affine\":false,\"normalize\":\"mean_only\"},{\"type\":\"tanh\"},"
         "{\"type\":\"conv2d\",\"out_channels\":16,\"kernel_size\":5,\"padding\":2},{\"type\":\"sigmoid\"},"
         "{\"type\":\"residual\",\"layers\":[{\"type\":\"conv2d\",\"out_channels\":16,\"kernel_size\":3,"
         "\"padding\":1},"
         "{\"type\":\"batch_norm\"},{\"type\":\"relu\"},{\"type\":\"conv2d\",\"out_channels\":16,\"kernel_"
         "size\":1},"
         "{\"type\":\"batch_norm\",\"normalize\":\"variance_only\"}]},{\"type\":\"relu\"},"
         "{\"type\":\"avg_pool2d\",\"kernel_size\":2},{\"type\":\"batch_norm\"},{\"type\":\"sigmoid\"},{"
         "\"type\":\"flatten\"},"
         "{\"type\":\"linear\",\"out_features\":37},{\"type\":\"batch_norm\"},{\"type\":\"tanh\"},"
         "{\"type\":\"linear\",\"out_features\":300},{\"type\":\"relu\"},{\"type\":\"linear\",\"out_"
         "features\":10}]}",
                28},
        {"\"densenet\"", 64},
        {"\"bn-lenet\"", 28},
        /* Activations that are no epilogues, and what follows them. */
        {"{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":7,\"kernel_size\":[2,4],\"padding\":\"same\"},"
         "{\"type\":\"batch_norm\"},{\"type\":\"silu\"},{\"type\":\"conv2d\",\"out_channels\":12,\"kernel_"
         "size\":3},"
         "{\"type\":\"leaky_relu\"},{\"type\":\"batch_norm\"},{\"type\":\"leaky_relu\",\"negative_slope\":0."
         "2},"
         "{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":20},{\"type\":\"silu\"},"
         "{\"type\":\"linear\",\"out_features\":12},{\"type\":\"relu\"},"
         "{\"type\":\"linear\",\"out_features\":9},{\"type\":\"gelu\"},"
         "{\"type\":\"linear\",\"out_features\":10}]}",
                28},
};

enum { NETS = sizeof nets / sizeof nets[0] };

struct bench {
        struct dev *dev;
        struct net *net;
        struct plan *plan;
        struct exec *exec;
        struct exec_memory memory;
        struct strategies *strategies;
};

static void noise_in(struct buf *b, uint64_t offset, size_t floats, float from, uint64_t seed)
{
        struct err e = {0};
        float *v = malloc(floats * sizeof *v);
        assert_non_null(v);
        for (size_t i = 0; i < floats; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                v[i] = from + (float)(seed >> 40) / 16777216.0f;
        }
        CHECK_OK(buf_write(b, offset * sizeof *v, v, floats * sizeof *v, &e), &e);
        free(v);
}

/* Weights in [-0.5, 0.5), running variances in [0.5, 1.5). */
static void fill_params(struct bench *b)
{
        for (int i = 0; i < b->net->num_params; i++) {
                const struct net_param *p = &b->net->params[i];
                noise_in(b->memory.params.buf, p->offset, p->count,
                        p->spec->init == OP_INIT_ONE ? 0.5f : -0.5f, (uint64_t)i);
        }
}

/* Every layer that has this variant takes it. */
static struct strategies *all_in(const struct bench *b, enum op_variant variant)
{
        struct err e = {0};
        struct strategies *s = strategies_create();
        const struct dev_info *info = dev_info(b->dev);
        assert_non_null(s);
        for (int i = 0; i < b->net->num_nodes; i++) {
                const struct op *op = b->net->nodes[i].op;
                char name[STRATEGY_NAME];
                enum op_variant v[OP_DIRECTIONS];
                if (!strategy_name(op, b->plan->n, b->plan->lanes, info, name))
                        continue;
                strategy_prefer(op, b->plan->n, b->plan->lanes, info, v);
                if (op->kind->variants(op, OP_FORWARD, b->plan->lanes, info) & 1u << variant)
                        v[OP_FORWARD] = variant;
                CHECK_OK(strategies_put(s, name, v, &e), &e);
        }
        return s;
}

static void create(struct bench *b, int net, enum plan_mode mode, int n, enum op_variant variant)
{
        struct err e = {0};
        cJSON *given = cJSON_Parse(nets[net].architecture), *layers;
        CHECK_OK(zoo_expand(given, 10, &layers, &e), &e);
        CHECK_OK(net_create(layers, (struct shape){2, nets[net].side, nets[net].side}, &b->net, &e), &e);
        CHECK_OK(plan_create(b->net, dev_info(b->dev), mode, n, &b->plan, &e), &e);
        CHECK_OK(execmem_create(b->dev, b->net, b->plan, &b->memory, &e), &e);
        b->memory.strategies = b->strategies = all_in(b, variant);
        fill_params(b);
        CHECK_OK(exec_create(b->dev, b->net, b->plan, &b->memory, 1.0f / (float)n, &b->exec, &e), &e);
        cJSON_Delete(given);
        cJSON_Delete(layers);
}

static void destroy(struct bench *b)
{
        exec_destroy(b->exec);
        execmem_destroy(&b->memory);
        strategies_destroy(b->strategies);
        plan_destroy(b->plan);
        net_destroy(b->net);
}

static void put_batch(struct bench *b)
{
        const struct tensor x = exec_input(b->exec);
        noise_in(x.at.buf, x.at.offset, tensor_floats(x.n, x.s, x.lanes), -0.5f, 99);
}

/* What a pass leaves: of inference the logits, of training the loss, the gradients and the running
 * statistics. */
static float *outcome(struct bench *b, enum plan_mode mode, size_t *ret_floats)
{
        struct err e = {0};
        const struct tensor y = exec_logits(b->exec);
        const bool trains = mode == PLAN_TRAIN;
        const struct view parts[] = {trains ? b->memory.results : y.at, b->memory.grads, b->memory.params};
        const size_t floats[] = {trains ? 2 : tensor_floats(y.n, y.s, y.lanes),
                trains ? b->net->trainable_floats : 0, b->net->param_floats};
        float *values = malloc((floats[0] + floats[1] + floats[2]) * sizeof *values);
        assert_non_null(values);
        *ret_floats = 0;
        for (int i = 0; i < 3; i++) {
                if (floats[i])
                        CHECK_OK(buf_read(parts[i].buf, parts[i].offset * sizeof *values,
                                         values + *ret_floats, floats[i] * sizeof *values, &e),
                                &e);
                *ret_floats += floats[i];
        }
        return values;
}

static float *pass(struct bench *b, enum plan_mode mode, size_t *ret_floats)
{
        struct err e = {0};
        fill_params(b);
        put_batch(b);
        CHECK_OK(exec_run(b->exec, &e), &e);
        return outcome(b, mode, ret_floats);
}

/* The same network, memory and strategies, every layer by itself. */
static void take_apart(struct bench *b, int n)
{
        struct err e = {0};
        for (int i = 0; i < b->net->num_nodes; i++) {
                b->plan->nodes[i].done_by = i;
                b->plan->nodes[i].followed = -1;
        }
        exec_destroy(b->exec);
        CHECK_OK(exec_create(b->dev, b->net, b->plan, &b->memory, 1.0f / (float)n, &b->exec, &e), &e);
}

static int epilogues_of(const struct bench *b)
{
        int count = 0;
        for (int i = 0; i < b->net->num_nodes; i++)
                count += b->plan->nodes[i].done_by != i;
        return count;
}

static void compare(struct dev *d, int net, enum plan_mode mode, int n, enum op_variant variant)
{
        struct bench b = {.dev = d};
        size_t count, again;
        create(&b, net, mode, n, variant);
        assert_int_not_equal(epilogues_of(&b), 0);
        float *together = pass(&b, mode, &count);
        take_apart(&b, n);
        assert_int_equal(epilogues_of(&b), 0);
        float *alone = pass(&b, mode, &again);
        assert_int_equal(count, again);
        if (memcmp(together, alone, count * sizeof *alone) != 0)
                fail_msg("%.40s mode %d, %d samples, variant %d: an epilogue changes bits",
                        nets[net].architecture, (int)mode, n, (int)variant);
        assert_true(alone[0] != 0);
        free(together);
        free(alone);
        destroy(&b);
}

static void the_same_bits(void **state)
{
        static const struct {
                const char *lanes;
                int n;
        } ways[] = {{"16", 19}, {"16", 2}, {"32", 33}, {"32", 3}};
        (void)state;
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
                setenv("CNND_TEST_LANES", ways[w].lanes, 1);
                struct trainer *t = trainer_open(0);
                for (int i = 0; i < (w > 1 ? 1 : NETS); i++)
                        for (int v = i == 0 ? OP_NAIVE : OP_TILED; v < OP_VARIANTS; v++) {
                                compare(t->dev, i, PLAN_INFER, ways[w].n, (enum op_variant)v);
                                compare(t->dev, i, PLAN_TRAIN, ways[w].n, (enum op_variant)v);
                        }
                trainer_close(t);
        }
        unsetenv("CNND_TEST_LANES");
}

/* A layer's own result can still be had, from the first to the last. */
static void a_layer_alone(void **state)
{
        struct bench b = {0};
        struct err e = {0};
        struct tensor t;
        float value[64];
        (void)state;
        struct trainer *trainer = trainer_open(0);
        b.dev = trainer->dev;
        create(&b, 2, PLAN_INFER, 16, OP_TILED);
        assert_int_equal(b.plan->nodes[2].done_by, 0); /* conv2d, batch_norm, sigmoid */
        put_batch(&b);
        CHECK_OK(exec_run_to(b.exec, 0, b.net->nodes[0].output, &t, &e), &e);
        CHECK_OK(buf_read(t.at.buf, t.at.offset * sizeof(float), value, sizeof value, &e), &e);
        bool beyond = false;
        for (int i = 0; i < 64; i++)
                beyond = beyond || value[i] < 0 || value[i] > 1;
        assert_true(beyond); /* no sigmoid has been there */
        destroy(&b);
        trainer_close(trainer);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_bits), cmocka_unit_test(a_layer_alone)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
