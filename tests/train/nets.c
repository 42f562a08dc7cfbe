/* Every architecture against PyTorch: loss and gradients of one training step, logits of an evaluation after
   it (tests/golden/make_nets.py); and that what the plan says is what lies on the device. nets.c NETS_JSON
   [NAME…] */
#include "check.h"
#include "opened.h"

#include "base/file.h"
#include "base/json.h"
#include "net/exec.h"
#include "ops/op.h"
#include "zoo/zoo.h"

#include <math.h>

enum { PRODUCTS = 2, CLASSES = 10 };

/* Element i of a stream of numbers in [-1, 1): the upper 24 bits of splitmix64's mix. */
static float noise(uint64_t stream, uint64_t i)
{
        uint64_t z = ((stream << 40) + i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        return (float)((double)(z >> 40) / 8388608.0 - 1.0);
}

static uint64_t stream_of(const char *name)
{
        uint32_t value = 2166136261u;
        for (; *name; name++)
                value = (value ^ (unsigned char)*name) * 16777619u;
        return value % (1u << 20);
}

/* A network with a plan for each of the two modes, one after the other in the same memory. */
struct trial_net {
        struct dev *dev;
        struct net *net;
        struct plan *plan;
        struct exec *exec;
        struct exec_memory memory;
        int batch;
};

/* Every layer that has a choice: backward as preferred, forward tap by tap. */
static struct strategies *tap_by_tap(const struct net *net, const struct dev_info *info, int n)
{
        struct err e = {0};
        struct strategies *s = strategies_create();
        const int lanes = plan_lanes(info, PLAN_TRAIN, n);
        assert_non_null(s);
        for (int i = 0; i < net->num_nodes; i++) {
                char name[STRATEGY_NAME];
                enum op_variant v[OP_DIRECTIONS];
                if (!strategy_name(net->nodes[i].op, n, lanes, info, name))
                        continue;
                strategy_prefer(net->nodes[i].op, n, lanes, info, v);
                v[OP_FORWARD] = OP_TILED;
                CHECK_OK(strategies_put(s, name, v, &e), &e);
        }
        return s;
}

static void without_dropout(cJSON *layer)
{
        const cJSON *type = json_field(layer, "type");
        if (cJSON_IsString(type) && strcmp(type->valuestring, "dropout") == 0)
                cJSON_ReplaceItemInObject(layer, "p", cJSON_CreateNumber(0));
        for (cJSON *child = layer->child; child; child = child->next)
                without_dropout(child);
}

static void make_view(struct trial_net *t, size_t bytes, struct view *ret)
{
        struct err e = {0};
        CHECK_OK(buf_create(t->dev, bytes, "a test", &ret->buf, &e), &e);
        CHECK_OK(buf_zero(ret->buf, 0, bytes, &e), &e);
}

static void create(struct trial_net *t, const char *name, int side)
{
        struct err e = {0};
        cJSON *given = cJSON_CreateString(name), *layers;
        CHECK_OK(zoo_expand(given, CLASSES, &layers, &e), &e);
        without_dropout(layers);
        CHECK_OK(net_create(layers, (struct shape){1, side, side}, &t->net, &e), &e);
        make_view(t, t->net->param_floats * sizeof(float), &t->memory.params);
        make_view(t, (size_t)t->batch * sizeof(int32_t), &t->memory.labels);
        make_view(t, 2 * sizeof(float), &t->memory.results);
        make_view(t, OP_VARS * sizeof(int32_t), &t->memory.vars);
        cJSON_Delete(given);
        cJSON_Delete(layers);
}

/* What the plan promises is what is taken. */
static void begin(struct trial_net *t, enum plan_mode mode)
{
        struct err e = {0};
        const uint64_t before = dev_bytes(t->dev) - t->net->param_floats * sizeof(float);
        CHECK_OK(plan_create(t->net, dev_info(t->dev), mode, t->batch, &t->plan, &e), &e);
        for (int i = 0; i < t->plan->num_chunks; i++) {
                struct view chunk;
                make_view(t, t->plan->chunk_floats[i] * sizeof(float), &chunk);
                t->memory.chunks[i] = chunk.buf;
        }
        if (mode == PLAN_TRAIN)
                make_view(t, t->net->trainable_floats * sizeof(float), &t->memory.grads);
        assert_int_equal(dev_bytes(t->dev) - before, plan_bytes(t->plan) + plan_param_bytes(t->net, mode));
        CHECK_OK(exec_create(t->dev, t->net, t->plan, &t->memory, 1.0f / (float)t->batch, &t->exec, &e), &e);
}

static void end(struct trial_net *t)
{
        exec_destroy(t->exec);
        plan_destroy(t->plan);
        for (int i = 0; i < PLAN_MAX_CHUNKS; i++) {
                buf_destroy(t->memory.chunks[i]);
                t->memory.chunks[i] = NULL;
        }
        buf_destroy(t->memory.grads.buf);
        t->memory.grads.buf = NULL;
}

static void destroy(struct trial_net *t)
{
        net_destroy(t->net);
        buf_destroy(t->memory.params.buf);
        buf_destroy(t->memory.labels.buf);
        buf_destroy(t->memory.results.buf);
        buf_destroy(t->memory.vars.buf);
}

static void fill_params(struct trial_net *t)
{
        struct err e = {0};
        float *block = calloc(t->net->param_floats, sizeof *block);
        assert_non_null(block);
        for (int i = 0; i < t->net->num_params; i++) {
                const struct net_param *p = &t->net->params[i];
                const uint64_t stream = stream_of(p->name);
                const bool is_weight = p->spec->ndim > 1;
                const float bound =
                        is_weight ? (float)sqrt(6.0 / (double)(p->count / (uint64_t)p->spec->dims[0])) : 0.1f;
                const bool is_shift = p->spec->init == OP_INIT_ZERO && p->spec->trainable;
                const float middle = p->spec->init == OP_INIT_ONE ? 1.0f : is_shift ? 3.0f : 0.0f;
                for (uint64_t k = 0; k < p->count; k++)
                        block[p->offset + k] =
                                p->spec->trainable ? noise(stream, k) * bound + middle : middle;
        }
        CHECK_OK(buf_write(t->memory.params.buf, 0, block, t->net->param_floats * sizeof *block, &e), &e);
        free(block);
}

static void fill_batch(struct trial_net *t)
{
        struct err e = {0};
        const struct tensor x = exec_input(t->exec);
        const size_t floats = tensor_floats(x.n, x.s, x.lanes), image = (size_t)shape_count(x.s);
        float *values = calloc(floats, sizeof *values);
        int32_t labels[64];
        assert_non_null(values);
        for (int n = 0; n < x.n; n++) {
                labels[n] = n;
                for (size_t i = 0; i < image; i++)
                        values[(size_t)(n / x.lanes) * x.stride + i * (size_t)x.lanes +
                                (size_t)(n % x.lanes)] = noise(stream_of("images"), (uint64_t)n * image + i);
        }
        CHECK_OK(buf_write(x.at.buf, x.at.offset * sizeof(float), values, floats * sizeof *values, &e), &e);
        CHECK_OK(buf_write(t->memory.labels.buf, 0, labels, (size_t)x.n * sizeof *labels, &e), &e);
        free(values);
}

static double number_at(const cJSON *list, int i)
{
        return cJSON_GetArrayItem(list, i)->valuedouble;
}

static void check_loss(struct trial_net *t, const char *name, double want)
{
        struct err e = {0};
        float sums[2];
        CHECK_OK(buf_read(t->memory.results.buf, 0, sums, sizeof sums, &e), &e);
        const double got = (double)sums[0] / t->batch;
        if (!(fabs(got - want) <= 1e-4 * want))
                fail_msg("%s: the loss is %.9g, PyTorch's %.9g", name, got, want);
}

static void check_logits(struct trial_net *t, const char *name, const cJSON *golden)
{
        struct err e = {0};
        const struct tensor y = exec_logits(t->exec);
        const size_t floats = tensor_floats(y.n, y.s, y.lanes);
        float *values = malloc(floats * sizeof *values);
        double worst = 0, largest = 0;
        assert_non_null(values);
        CHECK_OK(buf_read(y.at.buf, y.at.offset * sizeof(float), values, floats * sizeof *values, &e), &e);
        for (int n = 0; n < y.n; n++)
                for (int k = 0; k < CLASSES; k++) {
                        const double want = number_at(golden, n * CLASSES + k);
                        const double got = (double)values[(uint64_t)(n / y.lanes) * y.stride +
                                                          (uint64_t)(k * y.lanes + n % y.lanes)];
                        worst = fmax(worst, fabs(got - want));
                        largest = fmax(largest, fabs(want));
                }
        free(values);
        printf("%-12s logits off by %.1e of %.1f\n", name, worst, largest);
        if (!(worst <= 1e-4 * fmax(1, largest)))
                fail_msg("%s: logits are off by %g of %g", name, worst, largest);
}

/* `part` of a norm is allowed: more where the forward pass rounds otherwise than PyTorch's, for a ReLU or a
   maximum at its kink then sends its gradient another way, which in googlenet's pools makes some thousandths.
 */
static void check_gradients(struct trial_net *t, const char *name, const cJSON *golden, double part)
{
        struct err e = {0};
        float *grads = malloc(t->net->trainable_floats * sizeof *grads);
        double largest = 0, worst = 0;
        const cJSON *item;
        int checked = 0;
        assert_non_null(grads);
        CHECK_OK(buf_read(t->memory.grads.buf, 0, grads, t->net->trainable_floats * sizeof *grads, &e), &e);
        cJSON_ArrayForEach(item, golden) largest = fmax(largest, number_at(item, 0));
        for (int i = 0; i < t->net->num_params; i++) {
                const struct net_param *p = &t->net->params[i];
                double got[1 + PRODUCTS] = {0};
                if (!p->spec->trainable)
                        continue;
                item = json_field(golden, p->name);
                if (!item)
                        fail_msg("%s: PyTorch has no parameter %s", name, p->name);
                for (uint64_t k = 0; k < p->count; k++) {
                        const double g = (double)grads[p->offset + k];
                        got[0] += g * g;
                        for (int s = 0; s < PRODUCTS; s++)
                                got[1 + s] +=
                                        noise(stream_of(p->name) + ((uint64_t)(s + 1) << 20), k) < 0 ? -g : g;
                }
                got[0] = sqrt(got[0]);
                /* A bias before batch norm has a gradient of rounding errors alone. */
                const double allowed = part * number_at(item, 0) + 1e-5 * largest;
                for (int s = 0; s <= PRODUCTS; s++) {
                        const double off = fabs(got[s] - number_at(item, s));
                        worst = fmax(worst, off / (allowed * 1e3));
                        if (!(off <= (s ? 3 : 1) * allowed))
                                fail_msg("%s: gradient of %s is %g, PyTorch's %g (%s; norm %g)", name,
                                        p->name, got[s], number_at(item, s),
                                        s ? "product with signs" : "norm", number_at(item, 0));
                }
                checked++;
        }
        assert_int_equal(checked, cJSON_GetArraySize(golden));
        printf("%-12s %d gradients off by %.1e\n", name, checked, worst);
        free(grads);
}

static void check_net(struct dev *dev, const cJSON *golden, int batch)
{
        struct err e = {0};
        struct trial_net t = {.dev = dev, .batch = batch};
        create(&t, golden->string, json_field(golden, "side")->valueint);
        struct strategies *exact = tap_by_tap(t.net, dev_info(dev), batch);
        const bool usual = dev_info(dev)->lanes == 16; /* which round as PyTorch does, tap by tap */
        for (int loose = 0; loose < 2; loose++) {
                if (loose && strategies_count(exact) == 0)
                        continue;
                fill_params(&t);
                t.memory.strategies = loose ? NULL : exact;
                begin(&t, PLAN_TRAIN);
                fill_batch(&t);
                CHECK_OK(exec_run(t.exec, &e), &e);
                check_loss(&t, golden->string, json_field(golden, "loss")->valuedouble);
                check_gradients(
                        &t, golden->string, json_field(golden, "gradients"), loose || !usual ? 1e-2 : 1e-3);
                end(&t);
        }
        strategies_destroy(exact);
        begin(&t, PLAN_INFER);
        fill_batch(&t);
        CHECK_OK(exec_run(t.exec, &e), &e);
        check_logits(&t, golden->string, json_field(golden, "logits"));
        end(&t);
        destroy(&t);
        assert_int_equal(dev_bytes(dev), 0);
}

static const char *const *wanted;
static cJSON *golden_json;

static void nets_are_pytorchs(void **state)
{
        const cJSON *net;
        int checked = 0;
        cJSON_ArrayForEach(net, json_field(golden_json, "nets"))
        {
                bool is_wanted = !wanted[0];
                for (int i = 0; wanted[i]; i++)
                        is_wanted = is_wanted || strcmp(wanted[i], net->string) == 0;
                if (is_wanted) {
                        check_net(*state, net, json_field(golden_json, "batch_size")->valueint);
                        checked++;
                }
        }
        assert_true(checked > 0);
        if (!wanted[0])
                assert_int_equal(checked, zoo_presets_count);
}

int main(int argc, char **argv)
{
        struct dev *dev;
        struct err e = {0};
        void *text;
        size_t len;
        if (argc < 2)
                return 2;
        wanted = (const char *const *)argv + 2;
        dev = opened(NULL);
        int failed = 1;
        if (file_map(argv[1], &text, &len, &e) == 0) {
                golden_json = json_parse(text, len, &e);
                file_unmap(text, len);
        }
        const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(nets_are_pytorchs, dev)};
        if (golden_json)
                failed = cmocka_run_group_tests(tests, NULL, NULL);
        else
                printf("%s\n", e.message);
        cJSON_Delete(golden_json);
        dev_close(dev);
        return failed;
}
