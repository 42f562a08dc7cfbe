#include "check.h"

#include "base/json.h"
#include "train/optimizer.h"

static int parse(const char *text, struct optimizer_spec *ret, struct err *e)
{
        cJSON *json = json_parse(text, strlen(text), e);
        if (!json)
                fail_msg("%s: %s", text, e->message);
        int rc = optimizer_parse(json, 10, ret, e);
        cJSON_Delete(json);
        return rc;
}

/* As torch.optim has them; yogi as its paper and d2l.ai. */
static void defaults(void **state)
{
        static const struct {
                const char *name;
                enum optimizer_kind kind;
                double lr, weight_decay, eps;
                int states;
        } cases[] = {
                {"sgd", OPTIMIZER_SGD, 0.1, 0, 0, 0},
                {"adagrad", OPTIMIZER_ADAGRAD, 0.01, 0, 1e-10, 1},
                {"adam", OPTIMIZER_ADAM, 1e-3, 0, 1e-8, 2},
                {"adamw", OPTIMIZER_ADAMW, 1e-3, 0.01, 1e-8, 2},
                {"yogi", OPTIMIZER_YOGI, 0.01, 0, 1e-3, 2},
        };
        struct err e = {0};
        struct optimizer_spec o;
        const char *names[OPTIMIZER_MAX_STATES];
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char text[80];
                snprintf(text, sizeof text, "{\"name\":\"%s\"}", cases[i].name);
                CHECK_OK(parse(text, &o, &e), &e);
                assert_int_equal(o.kind, cases[i].kind);
                assert_true(o.lr == cases[i].lr && o.weight_decay == cases[i].weight_decay &&
                            o.eps == cases[i].eps);
                assert_true(
                        o.betas[0] == 0.9 && o.betas[1] == 0.999 && o.gradient_clip == 0 && o.momentum == 0);
                assert_int_equal(o.schedule.kind, SCHEDULE_CONSTANT);
                assert_int_equal(optimizer_states(&o, names), cases[i].states);
        }
        CHECK_OK(parse("\"adamw\"", &o, &e), &e);
        assert_true(o.kind == OPTIMIZER_ADAMW && o.lr == 1e-3 && o.weight_decay == 0.01);
        assert_int_equal(parse("\"adamant\"", &o, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/optimizer");
        CHECK_OK(optimizer_parse(NULL, 10, &o, &e), &e);
        assert_true(o.kind == OPTIMIZER_SGD && o.lr == 0.1);
}

static void every_field(void **state)
{
        struct err e = {0};
        struct optimizer_spec o;
        const char *names[OPTIMIZER_MAX_STATES];
        (void)state;
        CHECK_OK(parse("{\"name\":\"sgd\",\"lr\":0.5,\"momentum\":0.9,\"dampening\":0.25,\"weight_decay\":1e-"
                       "4,"
                       "\"nesterov\":false,\"gradient_clip\":1.0,\"schedule\":{\"name\":\"step\",\"step_"
                       "epochs\":3,"
                       "\"gamma\":0.5,\"warmup_epochs\":0.5}}",
                         &o, &e),
                &e);
        assert_true(o.lr == 0.5 && o.momentum == 0.9 && o.dampening == 0.25 && o.weight_decay == 1e-4 &&
                    !o.nesterov);
        assert_true(o.gradient_clip == 1 && o.schedule.kind == SCHEDULE_STEP && o.schedule.step_epochs == 3);
        assert_true(o.schedule.gamma == 0.5 && o.schedule.warmup_epochs == 0.5);
        assert_int_equal(optimizer_states(&o, names), 1);
        assert_string_equal(names[0], "momentum_buffer");
        CHECK_OK(parse("{\"momentum\":0.9,\"nesterov\":true}", &o, &e), &e);
        assert_true(o.nesterov);
        CHECK_OK(parse("{\"name\":\"adagrad\",\"lr_decay\":0.1,\"initial_accumulator_value\":0.5,\"eps\":1e-"
                       "6}",
                         &o, &e),
                &e);
        assert_true(o.lr_decay == 0.1 && o.initial_accumulator_value == 0.5 && o.eps == 1e-6);
        CHECK_OK(parse("{\"name\":\"yogi\",\"betas\":[0,0.5],\"schedule\":\"cosine\"}", &o, &e), &e);
        assert_true(o.betas[0] == 0 && o.betas[1] == 0.5 && o.schedule.kind == SCHEDULE_COSINE);
        CHECK_OK(
                parse("{\"lr\":0.25,\"schedule\":{\"name\":\"cosine\",\"min_lr\":0.25,\"warmup_epochs\":10}}",
                        &o, &e),
                &e);
        assert_true(o.schedule.min_lr == 0.25 && o.schedule.warmup_epochs == 10);
}

static void wrong_fields_are_named(void **state)
{
        static const struct {
                const char *text, *pointer;
        } cases[] = {
                {"[]", "/optimizer"},
                {"{\"name\":\"magic\"}", "/optimizer/name"},
                {"{\"name\":\"SGD\"}", "/optimizer/name"},
                {"{\"name\":1}", "/optimizer/name"},
                {"{\"lr\":0}", "/optimizer/lr"},
                {"{\"lr\":-0.1}", "/optimizer/lr"},
                {"{\"lr\":1e7}", "/optimizer/lr"},
                {"{\"lr\":1e-40}", "/optimizer/lr"},
                {"{\"lr\":\"NaN\"}", "/optimizer/lr"},
                {"{\"lr\":null}", "/optimizer/lr"},
                {"{\"weight_decay\":-1e-4}", "/optimizer/weight_decay"},
                {"{\"gradient_clip\":0}", "/optimizer/gradient_clip"},
                {"{\"gradient_clip\":-1}", "/optimizer/gradient_clip"},
                {"{\"gradient_clip\":true}", "/optimizer/gradient_clip"},
                {"{\"momentum\":-0.9}", "/optimizer/momentum"},
                {"{\"momentum\":1.1}", "/optimizer/momentum"},
                {"{\"dampening\":2}", "/optimizer/dampening"},
                {"{\"nesterov\":1}", "/optimizer/nesterov"},
                {"{\"nesterov\":true}", "/optimizer/nesterov"},
                {"{\"nesterov\":true,\"momentum\":0.9,\"dampening\":0.1}", "/optimizer/nesterov"},
                {"{\"betas\":[0.9,0.999]}", "/optimizer/betas"},
                {"{\"eps\":1e-8}", "/optimizer/eps"},
                {"{\"name\":\"adam\",\"momentum\":0.9}", "/optimizer/momentum"},
                {"{\"name\":\"adam\",\"lr_decay\":0.9}", "/optimizer/lr_decay"},
                {"{\"name\":\"adagrad\",\"betas\":[0.9,0.999]}", "/optimizer/betas"},
                {"{\"name\":\"adagrad\",\"lr_decay\":-1}", "/optimizer/lr_decay"},
                {"{\"name\":\"adagrad\",\"initial_accumulator_value\":-1}",
                        "/optimizer/initial_accumulator_value"},
                {"{\"name\":\"adam\",\"betas\":0.9}", "/optimizer/betas"},
                {"{\"name\":\"adam\",\"betas\":[0.9]}", "/optimizer/betas"},
                {"{\"name\":\"adam\",\"betas\":[-0.1,0.9]}", "/optimizer/betas/0"},
                {"{\"name\":\"adam\",\"betas\":[0.9,1]}", "/optimizer/betas/1"},
                {"{\"name\":\"adam\",\"betas\":[0.9,0.999999999]}", "/optimizer/betas/1"},
                {"{\"name\":\"adam\",\"betas\":[0.9,\"x\"]}", "/optimizer/betas/1"},
                {"{\"name\":\"adamw\",\"eps\":0}", "/optimizer/eps"},
                {"{\"name\":\"adamw\",\"amsgrad\":true}", "/optimizer/amsgrad"},
                {"{\"schedule\":\"sine\"}", "/optimizer/schedule"},
                {"{\"schedule\":7}", "/optimizer/schedule"},
                {"{\"schedule\":null}", "/optimizer/schedule"},
                {"{\"schedule\":\"step\"}", "/optimizer/schedule"},
                {"{\"schedule\":{}}", "/optimizer/schedule/name"},
                {"{\"schedule\":{\"name\":\"exp\"}}", "/optimizer/schedule/name"},
                {"{\"schedule\":{\"name\":\"step\"}}", "/optimizer/schedule/step_epochs"},
                {"{\"schedule\":{\"name\":\"step\",\"step_epochs\":0}}", "/optimizer/schedule/step_epochs"},
                {"{\"schedule\":{\"name\":\"step\",\"step_epochs\":0.5}}", "/optimizer/schedule/step_epochs"},
                {"{\"schedule\":{\"name\":\"step\",\"step_epochs\":1,\"gamma\":0}}",
                        "/optimizer/schedule/gamma"},
                {"{\"schedule\":{\"name\":\"step\",\"step_epochs\":1,\"gamma\":1.5}}",
                        "/optimizer/schedule/gamma"},
                {"{\"schedule\":{\"name\":\"step\",\"step_epochs\":1,\"min_lr\":0}}",
                        "/optimizer/schedule/min_lr"},
                {"{\"schedule\":{\"name\":\"cosine\",\"gamma\":0.5}}", "/optimizer/schedule/gamma"},
                {"{\"schedule\":{\"name\":\"cosine\",\"min_lr\":-1}}", "/optimizer/schedule/min_lr"},
                {"{\"lr\":0.1,\"schedule\":{\"name\":\"cosine\",\"min_lr\":0.2}}",
                        "/optimizer/schedule/min_lr"},
                {"{\"schedule\":{\"name\":\"constant\",\"warmup_epochs\":-1}}",
                        "/optimizer/schedule/warmup_epochs"},
                {"{\"schedule\":{\"name\":\"constant\",\"warmup_epochs\":10.5}}",
                        "/optimizer/schedule/warmup_epochs"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct optimizer_spec o = {.lr = -7};
                int rc = parse(cases[i].text, &o, &e);
                if (rc != ERR_INVALID || strcmp(e.pointer, cases[i].pointer) != 0)
                        fail_msg("%s: %d at \"%s\": %s", cases[i].text, rc, e.pointer, e.message);
                assert_true(o.lr == -7);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(defaults),
                cmocka_unit_test(every_field),
                cmocka_unit_test(wrong_fields_are_named),
        };
        return cmocka_run_group_tests_name("optimizer", tests, NULL, NULL);
}
