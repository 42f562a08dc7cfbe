/* Every layer type and option against PyTorch: tests/golden/layers.json, made by make_layers.py there. */
#include "ops.h"
#include "base/json.h"
#include "net/layers.h"

#include <math.h>

/* The generator's seeds, as in make_layers.py. */
enum { SEED_X = 1, SEED_DY = 2, SEED_DOT = 3, SEED_PARAM = 16 };

static const double output_tolerance = 1e-4, gradient_tolerance = 1e-3;

static void fill(float *v, size_t count, uint64_t seed, double from, double to)
{
        for (size_t i = 0; i < count; i++)
                v[i] = (float)(from + (to - from) * trial_uniform(&seed));
}

static double number(const cJSON *object, const char *name)
{
        const cJSON *v = json_field(object, name);
        if (!cJSON_IsNumber(v))
                fail_msg("the golden file has no number %s", name);
        return v->valuedouble;
}

struct golden {
        const cJSON *json; /* borrowed */
        struct op *op;     /* owned */
        int32_t vars[OP_VARS];
};

static char *read_golden(void)
{
        const char *path = getenv("CNND_GOLDEN_LAYERS");
        FILE *f = path ? fopen(path, "rb") : NULL;
        if (!f)
                fail_msg("CNND_GOLDEN_LAYERS names no file: %s", path ? path : "");
        char *text = calloc(1, 1 << 20);
        assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
        fclose(f);
        return text;
}

static void golden_create(const cJSON *json, struct golden *g)
{
        struct err e = {0};
        const cJSON *layer = json_field(json, "layer"), *in = json_field(json, "input"),
                    *step = json_field(json, "step");
        const struct op_kind *kind = op_kind_find(json_field(layer, "type")->valuestring);
        assert_non_null(kind);
        void *args = calloc(1, kind->args_bytes + 1);
        const struct shape s = {cJSON_GetArrayItem(in, 0)->valueint, cJSON_GetArrayItem(in, 1)->valueint,
                cJSON_GetArrayItem(in, 2)->valueint};
        CHECK_OK(layers_parse_args(kind, layer, "", args, &e), &e);
        *g = (struct golden){.json = json};
        CHECK_OK(op_create(kind, args, &s, 1, &g->op, &e), &e);
        free(args);
        if (!step)
                return;
        const uint64_t seed = (uint64_t)number(step, "seed");
        g->vars[OP_VAR_SEED] = (int32_t)(uint32_t)seed;
        g->vars[OP_VAR_SEED + 1] = (int32_t)(uint32_t)(seed >> 32);
        g->vars[OP_VAR_STEP] = (int32_t)number(step, "step");
        g->vars[OP_VAR_FIRST] = (int32_t)number(step, "first");
}

/* A product with a random vector differs by about the norm of the difference / sqrt(3). */
static void check_digest(const struct golden *g, const struct trial *t, const char *part, const char *name,
        const float *got, size_t count, double tolerance)
{
        const cJSON *want = json_field(g->json, part), *probe;
        uint64_t seed = SEED_DOT;
        double squares = 0, dot = 0;
        size_t k = 0;
        if (name)
                want = json_field(want, name);
        const double norm = number(want, "norm"), allowed = tolerance * norm;
        const cJSON *probes = json_field(want, "probes");
        const size_t num_probes = (size_t)cJSON_GetArraySize(probes);
        for (size_t i = 0; i < count; i++) {
                squares += (double)got[i] * (double)got[i];
                dot += (double)got[i] * (double)(float)(2 * trial_uniform(&seed) - 1);
        }
        char *layer = json_text(json_field(g->json, "layer"));
        if (!(fabs(sqrt(squares) - norm) <= allowed) || !(fabs(dot - number(want, "dot")) <= allowed))
                fail_msg("%s lanes=%d variant=%d: %s %s has norm %.9g and product %.9g, wanted %.9g and %.9g",
                        layer, t->lanes, (int)t->variant, part, name ? name : "", sqrt(squares), dot, norm,
                        number(want, "dot"));
        cJSON_ArrayForEach(probe, probes)
        {
                const size_t i = k++ * count / num_probes;
                if (!(fabs((double)got[i] - probe->valuedouble) <= allowed))
                        fail_msg("%s lanes=%d variant=%d: %s %s[%zu] is %.9g, wanted %.9g", layer, t->lanes,
                                (int)t->variant, part, name ? name : "", i, (double)got[i],
                                probe->valuedouble);
        }
        assert_int_equal(k, 6);
        free(layer);
}

static struct trial_data *make_data(const struct golden *g, int n)
{
        struct err e = {0};
        struct trial_data *d;
        const struct op *op = g->op;
        CHECK_OK(trial_data_create(op, n, 1, &d, &e), &e);
        fill(d->x[0], (size_t)n * (size_t)shape_count(op->in[0]), SEED_X, -1, 1);
        fill(d->dy, (size_t)n * (size_t)shape_count(op->out), SEED_DY, -1, 1);
        for (int i = 0; i < op->num_params; i++) {
                const bool one = op->params[i].init == OP_INIT_ONE;
                fill(d->params[i], (size_t)op_param_count(&op->params[i]), SEED_PARAM + (uint64_t)i,
                        one ? 0.5 : -1, one ? 1.5 : 1);
                if (op->params[i].counter)
                        d->params[i][0] = 3;
        }
        return d;
}

static void check_training(const struct golden *g, const struct trial *t)
{
        struct err e = {0};
        const struct op *op = g->op;
        struct trial_data *d = make_data(g, t->n);
        CHECK_OK(trial_run(t, d, &e), &e);
        check_digest(g, t, "y", NULL, d->y, (size_t)t->n * (size_t)shape_count(op->out), output_tolerance);
        check_digest(g, t, "dx", NULL, d->dx[0], (size_t)t->n * (size_t)shape_count(op->in[0]),
                gradient_tolerance);
        for (int i = 0; i < op->num_params; i++) {
                const bool trained = op->params[i].trainable;
                check_digest(g, t, trained ? "params" : "buffers", op->params[i].name,
                        trained ? d->dparams[i] : d->params[i], (size_t)op_param_count(&op->params[i]),
                        trained ? gradient_tolerance : output_tolerance);
        }
        trial_data_destroy(d);
}

static void check_evaluation(const struct golden *g, struct trial t)
{
        struct err e = {0};
        struct trial_data *d = make_data(g, t.n);
        t.training = t.backward = false;
        CHECK_OK(trial_run(&t, d, &e), &e);
        check_digest(
                g, &t, "y_eval", NULL, d->y, (size_t)t.n * (size_t)shape_count(g->op->out), output_tolerance);
        trial_data_destroy(d);
}

static void check_layer(struct ops_fixture *f, const struct golden *g)
{
        const cJSON *step = json_field(g->json, "step");
        struct trial t = {.dev = f->dev,
                .op = g->op,
                .n = (int)number(g->json, "n"),
                .training = true,
                .backward = true,
                .vars = g->vars,
                .layer = step ? (int)number(step, "layer") : 0};
        for (int i = 0; i < 3 * OP_VARIANTS; i++) {
                t.lanes = (int[]){1, 16, 32}[i % 3];
                t.variant = (enum op_variant)(i / 3);
                check_training(g, &t);
                if (json_field(g->json, "y_eval"))
                        check_evaluation(g, t);
        }
}

static void agrees_with_pytorch(void **state)
{
        char *text = read_golden();
        cJSON *all = cJSON_Parse(text);
        const cJSON *json;
        assert_true(cJSON_GetArraySize(all) > 40);
        cJSON_ArrayForEach(json, all)
        {
                struct golden g;
                golden_create(json, &g);
                check_layer(*state, &g);
                op_destroy(g.op);
        }
        cJSON_Delete(all);
        free(text);
}

/* A new layer type needs golden values too. */
static void every_type_is_there(void **state)
{
        char *text = read_golden(), type[80];
        (void)state;
        for (int i = 0; i < op_kinds_count; i++) {
                snprintf(type, sizeof type, "{\"type\": \"%s\"", op_kinds[i]->type);
                if (!op_kinds[i]->internal && !op_kinds[i]->view && !strstr(text, type))
                        fail_msg("tests/golden/layers.json has no %s", op_kinds[i]->type);
        }
        free(text);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_type_is_there),
                cmocka_unit_test(agrees_with_pytorch),
        };
        return OPS_RUN(tests);
}
