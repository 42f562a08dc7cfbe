/* A stored model with another head, trained on: what fits is taken, what is frozen stays, and costs nothing.
 */
#include "trainer.h"

#include "base/json.h"
#include "model/safetensors.h"
#include "net/plan.h"

#define LAYERS                                                                                               \
        "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":6,\"kernel_size\":3},{\"type\":\"batch_norm\"}," \
        "{\"type\":\"relu\"},{\"type\":\"sequential\",\"layers\":["                                          \
        "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3},{\"type\":\"batch_norm\"},{\"type\":"    \
        "\"relu\"}]},"                                                                                       \
        "{\"type\":\"max_pool2d\",\"kernel_size\":2},{\"type\":\"flatten\"},"                                \
        "{\"type\":\"linear\",\"out_features\":%d}]}"
#define JOB                                                                                                  \
        "{\"type\":\"train\",\"architecture\":" LAYERS                                                       \
        ",\"dataset\":\"noise\",\"epochs\":4,\"batch_size\":20,\"report_every\":1,\"seed\":3,\"optimizer\":" \
        "{\"lr\":0.1,"                                                                                       \
        "\"momentum\":0.9,\"weight_decay\":0.01}%s}"

enum { JOB_MAX = 1200 };

static void make_job(char *out, int classes, const char *more)
{
        int n = snprintf(out, JOB_MAX, JOB, classes, more);
        assert_true(n < JOB_MAX);
}

static int set_up(void **state)
{
        struct trainer *t = trainer_open(0);
        struct trainer_log log = {0};
        char job[JOB_MAX];
        trainer_data(t, 1, 10, 4, 80, 20, false);
        make_job(job, 4, "");
        trainer_run(t, job, "base", 0, &log);
        assert_true(log.losses[16] < 0.5 * log.losses[1]);
        *state = t;
        return 0;
}

static struct safetensors *open_model(const struct trainer *t, const char *name)
{
        char path[160];
        struct err e = {0};
        struct safetensors *file = NULL;
        snprintf(path, sizeof path, "%s/%s/model.safetensors", t->dir, name);
        CHECK_OK(safetensors_open(path, &file, &e), &e);
        return file;
}

/* Whether tensors below `prefix` are the same in both files; all or none must be. */
static bool same_below(const struct safetensors *a, const struct safetensors *b, const char *prefix)
{
        int same = 0, found = 0;
        for (int i = 0; i < a->count; i++) {
                const struct safetensors_tensor *one = &a->tensors[i],
                                                *other = safetensors_find(b, one->name);
                if (strncmp(one->name, prefix, strlen(prefix)) != 0)
                        continue;
                assert_true(other && other->bytes == one->bytes);
                found++;
                same += memcmp(one->data, other->data, one->bytes) == 0;
        }
        assert_true(found > 0 && (same == 0 || same == found));
        return same > 0;
}

static void frozen_layers_stay(void **state)
{
        struct trainer *t = *state;
        struct trainer_log log = {0}, thawed = {0};
        char job[JOB_MAX];
        trainer_data(t, 1, 10, 5, 80, 20, false);
        make_job(job, 5, ",\"init\":{\"from\":\"base\",\"strict\":false,\"freeze\":[\"net.0\",\"net.1\"]}");
        trainer_run(t, job, "tuned", 0, &log);
        assert_string_equal(log.note,
                "not taken from the model, so begun afresh: net.6.weight (another shape), "
                "net.6.bias (another shape); 2 of the model's 16 tensors not used");
        assert_true(log.losses[16] < 0.5 * log.losses[1]);
        struct safetensors *base = open_model(t, "base"), *tuned = open_model(t, "tuned");
        assert_true(same_below(base, tuned, "net.0."));
        assert_true(same_below(base, tuned, "net.1."));
        assert_false(same_below(base, tuned, "net.3."));
        assert_int_equal(safetensors_find(tuned, "net.6.weight")->dims[0], 5);
        safetensors_close(base);
        safetensors_close(tuned);
        make_job(job, 5, ",\"init\":{\"from\":\"base\",\"strict\":false}");
        trainer_run(t, job, "thawed", 0, &thawed);
        assert_true(log.outcome.device_bytes < thawed.outcome.device_bytes);
}

/* In the middle, where gradients go through the frozen layers. */
static void gradients_pass_frozen_layers(void **state)
{
        struct trainer *t = *state;
        struct trainer_log log = {0}, again = {0};
        char job[JOB_MAX];
        trainer_data(t, 1, 10, 4, 80, 20, false);
        make_job(job, 4, ",\"init\":{\"from\":\"base\",\"freeze\":[\"net.3\"]}");
        trainer_run(t, job, "middle", 0, &log);
        assert_string_equal(log.note, "");
        struct safetensors *base = open_model(t, "base"), *middle = open_model(t, "middle");
        assert_true(same_below(base, middle, "net.3."));
        assert_false(same_below(base, middle, "net.0."));
        assert_false(same_below(base, middle, "net.1."));
        assert_false(same_below(base, middle, "net.6."));
        safetensors_close(base);
        safetensors_close(middle);
        for (again.outcome.end = TRAIN_STOPPED; again.outcome.end == TRAIN_STOPPED;)
                trainer_run(t, job, "middle-stopped", 3, &again);
        for (int i = 1; i <= 16; i++)
                assert_string_equal(again.events[i], log.events[i]);
}

static void nothing_runs_backward_below(void **state)
{
        const struct trainer *t = *state;
        struct err e = {0};
        struct net *net = NULL;
        struct plan *plan = NULL;
        char text[JOB_MAX];
        snprintf(text, sizeof text, LAYERS, 4);
        cJSON *json = json_parse(text, strlen(text), &e);
        CHECK_OK(net_create(json, (struct shape){1, 10, 10}, &net, &e), &e);
        cJSON_Delete(json);
        assert_int_equal(net_freeze(net, "net.0"), 1);
        assert_int_equal(net_freeze(net, "net.3"), 3);
        assert_int_equal(net_freeze(net, "net.1"), 1);
        CHECK_OK(plan_create(net, dev_info(t->dev), PLAN_TRAIN, 20, &plan, &e), &e);
        for (int i = 0; i < net->num_nodes; i++) {
                bool head = strcmp(net->nodes[i].name, "net.6") == 0;
                assert_int_equal(plan->wants_grad[net->nodes[i].output], head);
                assert_int_equal(plan->grad[net->nodes[i].output] >= 0, head);
        }
        plan_destroy(plan);
        net_destroy(net);
}

#define SUM(BRANCH, SHORTCUT, MORE)                                                                          \
        "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"residual\",\"layers\":[" BRANCH       \
        "],\"shortcut\":[" SHORTCUT "]},{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":4}]},"  \
        "\"dataset\":\"noise\",\"epochs\":1,\"batch_size\":20,\"report_every\":1,\"seed\":3,\"optimizer\":{" \
        "\"lr\":"                                                                                            \
        "0.1}" MORE "}"
#define CONV "{\"type\":\"conv2d\",\"out_channels\":1,\"kernel_size\":3,\"padding\":1}"
#define SAME "{\"type\":\"dropout\",\"p\":0}"

/* Of the two ways through a residual either may be the one that needs a gradient. */
static void either_branch_learns(void **state)
{
        static struct trainer_log branch, shortcut, frozen;
        struct trainer *t = *state;
        trainer_run(t, SUM(CONV, SAME, ""), "sum-branch", 0, &branch);
        trainer_run(t, SUM(SAME, CONV, ""), "sum-shortcut", 0, &shortcut);
        for (int i = 1; i <= 4; i++)
                assert_true(branch.losses[i] == shortcut.losses[i]);
        trainer_run(t, SUM(CONV, CONV, ""), "sum-both", 0, &frozen);
        trainer_run(t, SUM(CONV, CONV, ",\"init\":{\"from\":\"sum-both\",\"freeze\":[\"net.0.0\"]}"),
                "sum-frozen", 0, &frozen);
        struct safetensors *before = open_model(t, "sum-both"), *after = open_model(t, "sum-frozen");
        assert_true(same_below(before, after, "net.0.0."));
        assert_false(same_below(before, after, "net.0.shortcut."));
        safetensors_close(before);
        safetensors_close(after);
}

static void what_cannot_be_is_refused(void **state)
{
        static const struct {
                const char *more, *pointer;
        } cases[] = {
                {",\"init\":{\"from\":\"base\",\"freeze\":[\"nets\"]}", "/init/freeze/0"},
                {",\"init\":{\"from\":\"base\",\"freeze\":[\"net.1\",\"net.3.7\"]}", "/init/freeze/1"},
                {",\"init\":{\"from\":\"base\",\"freeze\":[\"net.0.weight\"]}", "/init/freeze/0"},
                {",\"init\":{\"from\":\"base\",\"freeze\":[\"net\"]}", "/init/freeze"},
                {",\"stop_when\":{\"metric\":\"val_loss\",\"patience\":1}", "/stop_when/metric"},
                {",\"save_as\":\"m\",\"save_best\":\"val_acc\"", "/save_best"},
        };
        struct trainer *t = *state;
        struct trainer_log log = {0};
        struct err e = {0};
        char job[JOB_MAX];
        trainer_data(t, 1, 10, 4, 80, 0, false);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct train_request request;
                struct train_estimate estimate;
                make_job(job, 4, cases[i].more);
                trainer_parse(job, &request);
                assert_int_equal(train_plan(&request, t->data, dev_info(t->dev), &estimate, &e), ERR_INVALID);
                assert_string_equal(e.pointer, cases[i].pointer);
                train_request_finish(&request);
        }
        /* What only the model's file shows fails the job. */
        trainer_data(t, 1, 10, 5, 80, 20, false);
        make_job(job, 5, ",\"init\":{\"from\":\"base\"}");
        assert_int_equal(trainer_try(t, job, "strict", 0, &log, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "net.6.weight"));
        make_job(job, 5, ",\"init\":{\"from\":\"base\",\"strict\":false,\"freeze\":[\"net.6\"]}");
        assert_int_equal(trainer_try(t, job, "frozen-head", 0, &log, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "net.6"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(frozen_layers_stay),
                cmocka_unit_test(gradients_pass_frozen_layers),
                cmocka_unit_test(nothing_runs_backward_below),
                cmocka_unit_test(either_branch_learns),
                cmocka_unit_test(what_cannot_be_is_refused),
        };
        return cmocka_run_group_tests_name("finetune", tests, set_up, trainer_tear_down);
}
