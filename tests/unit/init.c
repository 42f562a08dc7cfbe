#include "check.h"

#include "base/json.h"
#include "train/init.h"
#include "train/initfit.h"
#include "train/weights.h"

#include <fcntl.h>
#include <math.h>
#include <unistd.h>

static const char net_text[] =
        "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":20,\"kernel_size\":5},{\"type\":\"batch_norm\"},"
        "{\"type\":\"relu\"},{\"type\":\"sequential\",\"layers\":[{\"type\":\"flatten\"},"
        "{\"type\":\"linear\",\"out_features\":50}]},{\"type\":\"linear\",\"out_features\":3}]}";

static struct net *make_net(const char *text)
{
        struct err e = {0};
        struct net *net = NULL;
        cJSON *json = json_parse(text, strlen(text), &e);
        CHECK_OK(net_create(json, (struct shape){4, 9, 9}, &net, &e), &e);
        cJSON_Delete(json);
        return net;
}

static int parse(const char *text, struct init_spec *ret, struct err *e)
{
        cJSON *json = json_parse(text, strlen(text), e);
        if (!json)
                fail_msg("%s: %s", text, e->message);
        int rc = init_parse(json, ret, e);
        cJSON_Delete(json);
        return rc;
}

static void fields(void **state)
{
        struct err e = {0};
        struct init_spec s;
        (void)state;
        CHECK_OK(init_parse(NULL, &s, &e), &e);
        assert_true(s.kind == INIT_XAVIER_UNIFORM && s.strict && !s.freeze && !s.from[0]);
        CHECK_OK(parse("\"kaiming_uniform\"", &s, &e), &e);
        assert_int_equal(s.kind, INIT_KAIMING_UNIFORM);
        CHECK_OK(parse("\"normal\"", &s, &e), &e);
        assert_true(s.kind == INIT_NORMAL && s.std == 0.01);
        CHECK_OK(parse("{\"name\":\"normal\",\"std\":0.5}", &s, &e), &e);
        assert_true(s.kind == INIT_NORMAL && s.std == 0.5);
        CHECK_OK(parse("{\"from\":\"base\",\"strict\":false,\"freeze\":[\"net.0\",\"net.3\"]}", &s, &e), &e);
        assert_string_equal(s.from, "base");
        assert_false(s.strict);
        assert_int_equal(cJSON_GetArraySize(s.freeze), 2);
        init_finish(&s);
        assert_null(s.freeze);
}

static void wrong_fields_are_named(void **state)
{
        static const struct {
                const char *text, *pointer;
        } cases[] = {
                {"\"zeros\"", "/init"},
                {"1", "/init"},
                {"null", "/init"},
                {"{}", "/init/from"},
                {"{\"name\":\"zeros\"}", "/init/name"},
                {"{\"name\":\"xavier_uniform\",\"std\":1}", "/init/std"},
                {"{\"name\":\"normal\",\"std\":0}", "/init/std"},
                {"{\"name\":\"normal\",\"std\":-1}", "/init/std"},
                {"{\"name\":\"normal\",\"from\":\"base\"}", "/init/from"},
                {"{\"from\":\"a/b\"}", "/init/from"},
                {"{\"from\":\"a\",\"strict\":0}", "/init/strict"},
                {"{\"from\":\"a\",\"std\":1}", "/init/std"},
                {"{\"from\":\"a\",\"freeze\":\"net.0\"}", "/init/freeze"},
                {"{\"from\":\"a\",\"freeze\":[\"net.0\",1]}", "/init/freeze/1"},
                {"{\"from\":\"a\",\"freeze\":[\"\"]}", "/init/freeze/0"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct init_spec s = {.std = -7};
                int rc = parse(cases[i].text, &s, &e);
                if (rc != ERR_INVALID || strcmp(e.pointer, cases[i].pointer) != 0)
                        fail_msg("%s: %d at \"%s\": %s", cases[i].text, rc, e.pointer, e.message);
                assert_true(s.std == -7);
        }
}

/* Largest absolute value, mean and standard deviation of parameter `name`. */
static void measure(const struct net *net, const float *block, const char *name, double ret[3])
{
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                if (strcmp(p->name, name) != 0)
                        continue;
                double largest = 0, sum = 0, squares = 0, n = (double)p->count;
                for (uint64_t k = 0; k < p->count; k++) {
                        double v = (double)block[p->offset + k];
                        largest = fmax(largest, fabs(v));
                        sum += v;
                        squares += v * v;
                }
                ret[0] = largest;
                ret[1] = sum / n;
                ret[2] = sqrt(squares / n - sum / n * (sum / n));
                return;
        }
        fail_msg("no parameter %s", name);
}

static void check_uniform(const double got[3], double bound, double count)
{
        if (!(got[0] <= bound * (1 + 1e-6) && got[0] > bound * (1 - 20 / count)))
                fail_msg("bound %g, wanted %g", got[0], bound);
        assert_true(fabs(got[1]) < 4 * bound / sqrt(3 * count));
        assert_true(fabs(got[2] - bound / sqrt(3)) < 0.03 * bound);
}

static void numbers_are_distributed(void **state)
{
        struct net *net = make_net(net_text);
        float *block = malloc(net->param_floats * sizeof *block);
        double got[3];
        (void)state;
        assert_non_null(block);
        weights_init(net, &(struct init_spec){.kind = INIT_XAVIER_UNIFORM}, 5, block);
        measure(net, block, "net.0.weight", got);
        check_uniform(got, sqrt(6.0 / (4 * 25 + 20 * 25)), 2000);
        measure(net, block, "net.3.1.weight", got);
        check_uniform(got, sqrt(6.0 / (500 + 50)), 25000);
        weights_init(net, &(struct init_spec){.kind = INIT_KAIMING_UNIFORM}, 5, block);
        measure(net, block, "net.0.weight", got);
        check_uniform(got, sqrt(6.0 / 100), 2000);
        measure(net, block, "net.3.1.bias", got);
        check_uniform(got, 1 / sqrt(500), 50);
        weights_init(net, &(struct init_spec){.kind = INIT_NORMAL, .std = 0.2}, 5, block);
        measure(net, block, "net.3.1.weight", got);
        assert_true(fabs(got[1]) < 4 * 0.2 / sqrt(25000) && fabs(got[2] - 0.2) < 0.2 * 0.02);
        assert_true(got[0] > 3.3 * 0.2 && got[0] < 6 * 0.2);
        measure(net, block, "net.1.weight", got);
        assert_true(got[0] == 1 && got[1] == 1);
        free(block);
        net_destroy(net);
}

static void write_model(const struct net *net, float *block, const char *path)
{
        struct err e = {0};
        struct safetensors_tensor tensors[16];
        int64_t counters[16];
        assert_true(net->num_params <= 16);
        for (uint64_t i = 0; i < net->param_floats; i++)
                block[i] = (float)i;
        weights_tensors(net, block, counters, tensors);
        CHECK_OK(safetensors_write(path, tensors, net->num_params, (const char *[]){NULL}, &e), &e);
}

static const float *param(const struct net *net, const float *block, const char *name)
{
        for (int i = 0; i < net->num_params; i++)
                if (strcmp(net->params[i].name, name) == 0)
                        return block + net->params[i].offset;
        fail_msg("no parameter %s", name);
        return NULL;
}

/* A net with another head takes the rest and says what it did not. */
static void what_fits_is_taken(void **state)
{
        char path[] = "/tmp/cnnd-init-XXXXXX";
        struct err e = {0};
        struct net *base = make_net(net_text), *other = NULL;
        char text[sizeof net_text];
        float block[40000], from[40000];
        struct safetensors *file;
        struct str note = {0};
        (void)state;
        assert_true(base->param_floats < 40000);
        close(mkstemp(path));
        write_model(base, from, path);
        memcpy(text, net_text, sizeof text);
        strstr(text, "features\":3")[10] = '7';
        other = make_net(text);
        CHECK_OK(safetensors_open(path, &file, &e), &e);
        assert_int_equal(weights_load(other, file, block, &e), ERR_INVALID);
        assert_string_equal(e.message, "tensor \"net.4.weight\" is 3x50, the network's is 7x50");
        memset(block, 0, sizeof block);
        CHECK_OK(weights_fit(other, file, block, &note, &e), &e);
        assert_string_equal(note.data,
                "not taken from the model, so begun afresh: net.4.weight (another shape), "
                "net.4.bias (another shape); 2 of the model's 11 tensors not used");
        assert_memory_equal(
                param(other, block, "net.3.1.weight"), param(base, from, "net.3.1.weight"), 25000 * 4);
        assert_true(param(other, block, "net.4.weight")[3] == 0);
        /* What is to be frozen must come from the model. */
        assert_int_equal(net_freeze(other, "net.4"), 1);
        assert_int_equal(weights_fit(other, file, block, &note, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/init/freeze");
        str_clear(&note);
        CHECK_OK(weights_fit(base, file, block, &note, &e), &e);
        assert_int_equal(note.len, 0);
        CHECK_OK(weights_load(base, file, block, &e), &e);
        safetensors_close(file);
        str_free(&note);
        unlink(path);
        net_destroy(base);
        net_destroy(other);
}

static int check_request(const char *text, int classes, const struct safetensors *model, struct err *e)
{
        struct train_request r;
        char a[] = "a", *names[] = {a, a, a, a, a, a, a};
        const struct dataset data = {
                .name = "d", .c = 4, .h = 9, .w = 9, .num_classes = classes, .classes = names};
        cJSON *json = json_parse(text, strlen(text), e);
        assert_non_null(json);
        CHECK_OK(train_request_parse(json, &r, e), e);
        cJSON_Delete(json);
        *e = (struct err){0};
        int rc = initfit_check(&r, &data, model, e);
        train_request_finish(&r);
        return rc;
}

#define REQUEST(head, init)                                                                                  \
        "{\"type\":\"train\",\"dataset\":\"d\",\"init\":{\"from\":\"base\"" init                             \
        "},\"architecture\":{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":20,\"kernel_size\":5},"       \
        "{\"type\":\"batch_norm\"},{\"type\":\"relu\"},{\"type\":\"sequential\",\"layers\":[{\"type\":"      \
        "\"flatten\"},"                                                                                      \
        "{\"type\":\"linear\",\"out_features\":50}]}," head "]}}"
#define HEAD(classes) "{\"type\":\"linear\",\"out_features\":" classes "}"

/* The head of the file alone tells what a run would find. */
static void what_does_not_fit_is_told_before(void **state)
{
        static const char advice[] = "; with \"strict\": false in \"init\" what does not fit starts afresh";
        static const struct {
                const char *request, *pointer, *message;
                int classes;
        } cases[] = {
                {REQUEST(HEAD("3"), ""), NULL, NULL, 3},
                {REQUEST(HEAD("7"), ""), "/init/from",
                        "the model 'base' does not fit: tensor \"net.4.weight\" is 3x50, the network's is "
                        "7x50; 1 "
                        "more does not fit",
                        7},
                {REQUEST(HEAD("3") ",{\"type\":\"linear\",\"bias\":false,\"out_features\":3}", ""),
                        "/init/from",
                        "the model 'base' does not fit: tensor \"net.5.weight\" (3x3) of the network is "
                        "missing; "
                        "the file's first is \"net.0.bias\"",
                        3},
                {REQUEST("{\"type\":\"linear\",\"bias\":false,\"out_features\":3}", ""), "/init/from",
                        "the model 'base' does not fit: the network has no tensor \"net.4.bias\" (3)", 3},
                {REQUEST("{\"type\":\"relu\"}," HEAD("3"), ""), "/init/from",
                        "the model 'base' does not fit: tensor \"net.5.weight\" (3x50) of the network is "
                        "missing; the file's first is \"net.0.bias\"; 3 more do not fit",
                        3},
                {REQUEST(HEAD("7"), ",\"strict\":false"), NULL, NULL, 7},
                {REQUEST(HEAD("7"), ",\"strict\":false,\"freeze\":[\"net.0\",\"net.3\"]"), NULL, NULL, 7},
                {REQUEST(HEAD("7"), ",\"strict\":false,\"freeze\":[\"net.4\"]"), "/init/freeze",
                        "layer \"net.4\" cannot be frozen: the model has no \"net.4.weight\" of its shape",
                        7},
                {REQUEST(HEAD("3"), ",\"freeze\":[\"net.0\",\"net.9\"]"), "/init/freeze/1",
                        "the network has no layer \"net.9\"; its first one is \"net.0\"", 3},
        };
        char path[] = "/tmp/cnnd-init-XXXXXX", want[640];
        struct err e = {0};
        struct net *base = make_net(net_text);
        float block[40000];
        struct safetensors *head;
        (void)state;
        const int fd = mkstemp(path);
        close(fd);
        write_model(base, block, path);
        const int from = open(path, O_RDONLY);
        CHECK_OK(safetensors_head(from, &head, &e), &e);
        close(from);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const bool fits = !cases[i].pointer;
                int rc = check_request(cases[i].request, cases[i].classes, head, &e);
                if (rc != (fits ? 0 : ERR_INVALID))
                        fail_msg("case %zu: %d %s", i, rc, e.message);
                if (fits)
                        continue;
                snprintf(want, sizeof want, "%s%s", cases[i].message,
                        strcmp(cases[i].pointer, "/init/from") == 0 ? advice : "");
                assert_string_equal(e.message, want);
                assert_string_equal(e.pointer, cases[i].pointer);
        }
        safetensors_close(head);
        unlink(path);
        net_destroy(base);
}

/* A model of which no tensor fits begins nothing; nor does one of no floats. */
static void models_of_nothing(void **state)
{
        const int64_t number = 1;
        const int32_t weights[20] = {0};
        const struct safetensors_tensor tensors[] = {{.name = "net.0.bias",
                                                             .type = SAFETENSORS_I32,
                                                             .ndim = 1,
                                                             .dims = {20},
                                                             .data = weights,
                                                             .bytes = sizeof weights},
                {.name = "other", .type = SAFETENSORS_I64, .data = &number, .bytes = sizeof number}};
        static const char *const said[] = {
                "tensor \"net.0.bias\" holds no floats", "the model has no tensor of this network"};
        char path[] = "/tmp/cnnd-init-XXXXXX";
        struct err e = {0};
        struct safetensors *head;
        (void)state;
        close(mkstemp(path));
        for (int i = 0; i < 2; i++) {
                CHECK_OK(safetensors_write(path, &tensors[i], 2 - i, (const char *[]){NULL}, &e), &e);
                const int from = open(path, O_RDONLY);
                CHECK_OK(safetensors_head(from, &head, &e), &e);
                close(from);
                assert_int_equal(
                        check_request(REQUEST(HEAD("3"), ",\"strict\":false"), 3, head, &e), ERR_INVALID);
                assert_string_equal(e.message, said[i]);
                assert_string_equal(e.pointer, "/init/from");
                safetensors_close(head);
        }
        unlink(path);
}

/* Frozen parameters leave the trained part of the block; prefixes are whole components. */
static void freezing_moves_parameters(void **state)
{
        struct net *net = make_net(net_text);
        uint64_t trained = net->trainable_floats, all = net->param_floats;
        (void)state;
        assert_int_equal(net_freeze(net, "net."), 0);
        assert_int_equal(net_freeze(net, "ne"), 0);
        assert_int_equal(net_freeze(net, "net.33"), 0);
        assert_int_equal(net_freeze(net, "net.0.weight"), 0);
        assert_true(net->trainable_floats == trained);
        assert_int_equal(net_freeze(net, "net.3"), 2);
        assert_true(net->param_floats == all);
        assert_true(net->trainable_floats == trained - 25024 - 64); /* 25000 and 50, rounded up to 32 */
        assert_int_equal(net_freeze(net, "net.1"), 1);
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                bool want = strncmp(p->name, "net.0.", 6) == 0 || strncmp(p->name, "net.4.", 6) == 0;
                assert_int_equal(p->trained, want);
                assert_int_equal(p->offset < net->trainable_floats, want);
        }
        assert_int_equal(net_freeze(net, "net"), net->num_nodes);
        assert_int_equal(net->trainable_floats, 0);
        net_destroy(net);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields),
                cmocka_unit_test(wrong_fields_are_named),
                cmocka_unit_test(numbers_are_distributed),
                cmocka_unit_test(what_fits_is_taken),
                cmocka_unit_test(what_does_not_fit_is_told_before),
                cmocka_unit_test(models_of_nothing),
                cmocka_unit_test(freezing_moves_parameters),
        };
        return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
