/* Networks from JSON: joins, names, errors with their pointers, and plans whose tensors never meet. */
#include "check.h"

#include "base/json.h"
#include "base/str.h"
#include "net/net.h"
#include "net/plan.h"
#include "zoo/zoo.h"

static const struct dev_info cpu = {.type = DEV_CPU,
        .max_alloc_bytes = (uint64_t)1 << 40,
        .local_bytes = 1 << 18,
        .compute_units = 2,
        .native_width = 8,
        .lanes = 16};

static int build(const char *layers, struct net **ret, struct err *e)
{
        struct str text = {0};
        str_addf(&text, "{\"layers\":[%s,{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":10}]}",
                layers);
        cJSON *json = json_parse(text.data, text.len, e);
        str_free(&text);
        assert_non_null(json);
        int rc = net_create(json, (struct shape){3, 8, 8}, ret, e);
        cJSON_Delete(json);
        return rc;
}

static const struct net_param *find_param(const struct net *net, const char *name)
{
        for (int i = 0; i < net->num_params; i++)
                if (strcmp(net->params[i].name, name) == 0)
                        return &net->params[i];
        return NULL;
}

static int count_kind(const struct net *net, const char *type)
{
        int count = 0;
        for (int i = 0; i < net->num_nodes; i++)
                count += strcmp(net->nodes[i].op->kind->type, type) == 0;
        return count;
}

#define CONV(k) "{\"type\":\"conv2d\",\"out_channels\":" #k ",\"kernel_size\":3,\"padding\":1}"

static void joins_are_slices(void **state)
{
        (void)state;
        struct err e = {0};
        struct net *net;
        CHECK_OK(build(CONV(4) ",{\"type\":\"dense\",\"name\":\"dense_blk1\",\"layers\":[" CONV(
                               5) ",{\"type\":\"sequential\","
                                  "\"layers\":[{\"type\":\"relu\"}," CONV(6) "]}]}",
                         &net, &e),
                &e);
        assert_int_equal(count_kind(net, "copy"), 0);
        const struct net_value *joined = &net->values[net->nodes[net->num_nodes - 2].inputs[0]];
        assert_int_equal(joined->s.c, 15);
        assert_non_null(find_param(net, "net.0.weight"));
        assert_non_null(find_param(net, "net.dense_blk1.net.0.weight"));
        assert_non_null(find_param(net, "net.dense_blk1.net.1.1.weight"));
        assert_int_equal(find_param(net, "net.dense_blk1.net.1.1.weight")->spec->dims[1], 9);
        /* conv 5 writes its five channels behind the first four, conv 6 behind those nine. */
        int channel;
        const int root = (int)(joined - net->values);
        assert_int_equal(net_root(net, net->nodes[0].output, &channel), root);
        assert_int_equal(channel, 0);
        assert_int_equal(net_root(net, net->nodes[1].output, &channel), root);
        assert_int_equal(channel, 4);
        assert_int_equal(net_root(net, net->nodes[3].output, &channel), root);
        assert_int_equal(channel, 9);
        net_destroy(net);
}

static void shared_values_are_copied(void **state)
{
        (void)state;
        struct err e = {0};
        struct net *net;
        /* Both branches read the input, and one passes it on: the join may not take its memory. */
        CHECK_OK(build(CONV(4) ",{\"type\":\"concat\",\"branches\":[[],[" CONV(
                               5) "],[{\"type\":\"max_pool2d\",\"kernel_size\":3,"
                                  "\"stride\":1,\"padding\":1},{\"type\":\"dense\",\"layers\":[" CONV(
                                          2) "]}]]}",
                         &net, &e),
                &e);
        assert_int_equal(count_kind(net, "copy"), 1);
        assert_int_equal(net->values[net->nodes[net->num_nodes - 2].inputs[0]].s.c, 4 + 5 + 6);
        assert_non_null(find_param(net, "net.1.1.0.weight"));
        assert_non_null(find_param(net, "net.1.2.1.net.0.weight"));
        net_destroy(net);
        CHECK_OK(build("{\"type\":\"residual\",\"layers\":[{\"type\":\"dense\",\"layers\":[" CONV(
                               4) "]},{\"type\":\"conv2d\","
                                  "\"name\":\"conv2\",\"out_channels\":7,\"kernel_size\":1}],\"shortcut\":[{"
                                  "\"type\":\"conv2d\","
                                  "\"out_channels\":7,\"kernel_size\":1}]}",
                         &net, &e),
                &e);
        assert_int_equal(count_kind(net, "copy"), 1);
        assert_int_equal(count_kind(net, "add"), 1);
        assert_non_null(find_param(net, "net.0.conv2.weight"));
        assert_non_null(find_param(net, "net.0.shortcut.0.weight"));
        net_destroy(net);
}

static void check_refused(const char *layers, const char *pointer, const char *word)
{
        struct err e = {0};
        struct net *net;
        assert_int_equal(build(layers, &net, &e), ERR_INVALID);
        assert_string_equal(e.pointer, pointer);
        if (!strstr(e.message, word))
                fail_msg("\"%s\" does not say \"%s\"", e.message, word);
}

static void faults_are_pointed_at(void **state)
{
        (void)state;
        check_refused(
                "{\"type\":\"residual\",\"layers\":[" CONV(4) "]}", "/layers/0", "4x8x8, the shortcut 3x8x8");
        check_refused("{\"type\":\"residual\",\"layers\":[]}", "/layers/0/layers", "at least one");
        check_refused("{\"type\":\"residual\"}", "/layers/0/layers", "layers");
        check_refused("{\"type\":\"residual\",\"layers\":[" CONV(3) "],\"shortcut\":[{\"type\":\"x\"}]}",
                "/layers/0/shortcut/0/type", "no layer type \"x\"; known are: conv2d linear");
        check_refused("{\"type\":\"add\"}", "/layers/0/type", "no layer type");
        check_refused("{\"type\":\"copy\"}", "/layers/0/type", "tanh sequential residual dense concat");
        check_refused("{\"type\":\"dense\",\"layers\":[{\"type\":\"max_pool2d\",\"kernel_size\":2}]}",
                "/layers/0/layers/0", "heights and widths differ");
        check_refused(
                "{\"type\":\"concat\",\"branches\":[[" CONV(4) "],[{\"type\":\"conv2d\",\"out_channels\":4,"
                                                               "\"kernel_size\":9}]]}",
                "/layers/0/branches/1/0/kernel_size", "kernel_size 9 is larger");
        check_refused("{\"type\":\"concat\",\"branches\":[[" CONV(4) "],3]}", "/layers/0/branches/1", "list");
        check_refused("{\"type\":\"concat\",\"branches\":[],\"x\":1}", "/layers/0/x", "x");
        check_refused("{\"type\":\"sequential\",\"name\":\"a.b\",\"layers\":[" CONV(4) "]}", "/layers/0",
                "letters");
        check_refused(CONV(4) ",{\"type\":\"relu\",\"name\":\"0\"}", "/layers/1", "two layers");
}

/* Behind "same" they differ in their outputs alone. */
static void twins_have_one_output(void **state)
{
        static const char same[] =
                "{\"type\":\"conv2d\",\"out_channels\":3,\"kernel_size\":2,\"padding\":\"same\"}",
                          valid[] = "{\"type\":\"conv2d\",\"out_channels\":3,\"kernel_size\":2}";
        (void)state;
        struct err e = {0};
        struct net *net;
        char layers[400];
        snprintf(layers, sizeof layers, "%s,%s,%s", same, same, valid);
        CHECK_OK(build(layers, &net, &e), &e);
        assert_int_equal(net->nodes[0].op->out.h, 8);
        assert_int_equal(net->nodes[1].twin, 0);
        assert_int_equal(net->nodes[2].op->out.h, 7);
        assert_int_equal(net->nodes[2].twin, 2);
        net_destroy(net);
        check_refused(
                CONV(4) ",{\"type\":\"conv2d\",\"out_channels\":4,\"kernel_size\":3,\"stride\":2,\"padding\":"
                        "\"same\"}",
                "/layers/1/padding", "needs stride 1");
}

/* Of 2^26 features, 32 samples of which kernels cannot count in an int. */
static void a_join_may_be_too_large(void **state)
{
        (void)state;
        struct str layers = {0};
        struct err e = {0};
        struct net *net;
        str_add(&layers, "{\"type\":\"flatten\"},{\"type\":\"concat\",\"branches\":[");
        for (int i = 0; i < 64; i++)
                str_addf(&layers, "%s[{\"type\":\"linear\",\"out_features\":1048576}]", i ? "," : "");
        str_add(&layers, "]},{\"type\":\"relu\"}");
        assert_int_equal(build(layers.data, &net, &e), ERR_TOO_LARGE);
        assert_string_equal(e.pointer, "/layers/1");
        str_free(&layers);
}

/* Nested composites of every kind, `count` convolutions in all. */
static char *tower(int count)
{
        struct str s = {0};
        str_add(&s, "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"padding\":1}");
        for (int i = 1; i + 4 < count; i += 4)
                str_add(&s, ",{\"type\":\"residual\",\"layers\":[" CONV(
                                    8) ",{\"type\":\"batch_norm\"},{\"type\":\"relu\"},"
                                       "{\"type\":\"dense\",\"layers\":[" CONV(
                                               2) "]},{\"type\":\"sequential\",\"layers\":["
                                                  "{\"type\":\"concat\",\"branches\":[[" CONV(
                                                          4) "],[{\"type\":\"tanh\"}," CONV(4) "]]}]}]}");
        str_add(&s, ",{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":10}]}");
        return s.data;
}

/* No two tensors that live at the same time share memory. */
static void check_plan(const struct net *net, enum plan_mode mode)
{
        struct err e = {0};
        struct plan *p;
        CHECK_OK(plan_create(net, &cpu, mode, 20, &p, &e), &e);
        uint64_t sum = 0;
        for (int i = 0; i < p->num_slots; i++) {
                const struct plan_slot *a = &p->slots[i];
                if (a->chunk < 0)
                        continue;
                sum += a->floats;
                assert_true(a->offset + a->floats <= p->chunk_floats[a->chunk]);
                for (int k = 0; k < i; k++) {
                        const struct plan_slot *b = &p->slots[k];
                        const bool meet = a->chunk == b->chunk && a->first <= b->last && b->first <= a->last;
                        assert_false(meet && a->offset < b->offset + b->floats &&
                                     b->offset < a->offset + a->floats);
                }
        }
        assert_true(plan_bytes(p) < sum * sizeof(float));
        plan_destroy(p);
}

static void three_hundred_layers(void **state)
{
        (void)state;
        struct err e = {0};
        struct net *net;
        char *text = tower(300);
        cJSON *json = json_parse(text, strlen(text), &e);
        assert_non_null(json);
        CHECK_OK(net_create(json, (struct shape){1, 8, 8}, &net, &e), &e);
        assert_true(net->num_nodes > 500);
        check_plan(net, PLAN_TRAIN);
        check_plan(net, PLAN_INFER);
        net_destroy(net);
        cJSON_Delete(json);
        free(text);
}

static void plans_of_presets(void **state)
{
        (void)state;
        static const char *const names[] = {
                "bn-lenet", "alexnet", "nin", "googlenet", "resnet18", "densenet", "resnext50"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                struct err e = {0};
                struct net *net;
                const int side = i == 0 ? 28 : 96;
                cJSON *name = cJSON_CreateString(names[i]), *layers;
                CHECK_OK(zoo_expand(name, 10, &layers, &e), &e);
                CHECK_OK(net_create(layers, (struct shape){1, side, side}, &net, &e), &e);
                check_plan(net, PLAN_TRAIN);
                check_plan(net, PLAN_INFER);
                net_destroy(net);
                cJSON_Delete(layers);
                cJSON_Delete(name);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(joins_are_slices),
                cmocka_unit_test(shared_values_are_copied),
                cmocka_unit_test(faults_are_pointed_at),
                cmocka_unit_test(twins_have_one_output),
                cmocka_unit_test(a_join_may_be_too_large),
                cmocka_unit_test(three_hundred_layers),
                cmocka_unit_test(plans_of_presets),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
