/* Every optimizer and schedule for 20 steps of a small net, against PyTorch's numbers:
 * tests/golden/make_optimizers.py. */
#include "check.h"
#include "opened.h"

#include "base/json.h"
#include "model/safetensors.h"
#include "train/train.h"

#include <math.h>
#include <sys/stat.h>

enum { CLASSES = 4, SIDE = 8, TRAIN_IMAGES = 74, VAL_IMAGES = 20, STEPS = 20, EPOCHS = 4 };

static const char architecture[] = "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":4,\"kernel_size\":3,"
                                   "\"padding\":1,\"bias\":false},"
                                   "{\"type\":\"batch_norm\"},{\"type\":\"tanh\"},{\"type\":\"avg_pool2d\","
                                   "\"kernel_size\":2},{\"type\":\"flatten\"},"
                                   "{\"type\":\"linear\",\"out_features\":4}]}";

struct fixture {
        char dir[64];
        struct dev *dev;
        struct dataset *data;
        cJSON *golden;
};

struct watch {
        double losses[STEPS], rates[STEPS], val_losses[EPOCHS];
        int steps, epochs;
};

/* As tests/golden/weights.py: Knuth's MMIX generator, upper 24 bits, in [-1, 1). */
static double uniform(uint64_t *state)
{
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return (double)(*state >> 40) / 8388608.0 - 1;
}

static int make_data(const char *path, struct err *e)
{
        static char names[CLASSES][2] = {"0", "1", "2", "3"};
        static unsigned char images[TRAIN_IMAGES + VAL_IMAGES][SIDE * SIDE];
        static int32_t labels[TRAIN_IMAGES + VAL_IMAGES];
        char *classes[CLASSES] = {names[0], names[1], names[2], names[3]};
        struct dataset d = {.name = "golden",
                .source = "a test",
                .c = 1,
                .h = SIDE,
                .w = SIDE,
                .type = DATASET_U8,
                .num_classes = CLASSES,
                .classes = classes};
        uint64_t state = 99;
        for (int i = 0; i < TRAIN_IMAGES + VAL_IMAGES; i++) {
                labels[i] = i % CLASSES;
                for (int k = 0; k < SIDE * SIDE; k++)
                        images[i][k] = (unsigned char)((int)((uniform(&state) + 1) * 64) +
                                                       (k / 16 == labels[i] ? 127 : 0));
        }
        d.split[DATASET_TRAIN].count = TRAIN_IMAGES;
        d.split[DATASET_TRAIN].images = images;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL].count = VAL_IMAGES;
        d.split[DATASET_VAL].images = images[TRAIN_IMAGES];
        d.split[DATASET_VAL].labels = labels + TRAIN_IMAGES;
        return dataset_write(&d, path, e);
}

static int make_model(const char *path, struct err *e)
{
        static const struct {
                const char *name;
                uint64_t seed;
                int ndim, dims[4];
                double scale, shift;
        } params[] = {
                {"net.0.weight", 1, 4, {4, 1, 3, 3}, 0.5, 0},
                {"net.1.weight", 2, 1, {4}, 0.5, 1},
                {"net.1.bias", 3, 1, {4}, 0.25, 0},
                {"net.1.running_mean", 4, 1, {4}, 0.25, 0},
                {"net.1.running_var", 5, 1, {4}, 0.5, 1},
                {"net.5.weight", 6, 2, {CLASSES, 64}, 0.25, 0},
                {"net.5.bias", 7, 1, {CLASSES}, 0.25, 0},
        };
        enum { COUNT = sizeof params / sizeof params[0] };
        static float values[COUNT][CLASSES * 64];
        static const int64_t zero = 0;
        struct safetensors_tensor tensors[COUNT + 1] = {[COUNT] = {.name = "net.1.num_batches_tracked",
                                                                .type = SAFETENSORS_I64,
                                                                .data = &zero,
                                                                .bytes = 8}};
        for (int i = 0; i < COUNT; i++) {
                struct safetensors_tensor *t = &tensors[i];
                uint64_t state = params[i].seed;
                size_t count = 1;
                snprintf(t->name, sizeof t->name, "%s", params[i].name);
                t->type = SAFETENSORS_F32;
                t->ndim = params[i].ndim;
                for (int k = 0; k < t->ndim; k++)
                        count *= (size_t)(t->dims[k] = params[i].dims[k]);
                for (size_t k = 0; k < count; k++)
                        values[i][k] = (float)(params[i].shift + params[i].scale * uniform(&state));
                t->data = values[i];
                t->bytes = count * sizeof(float);
        }
        return safetensors_write(path, tensors, COUNT + 1, (const char *[]){NULL}, e);
}

static cJSON *read_json(const char *path)
{
        static char text[1 << 16];
        struct err e = {0};
        FILE *file = fopen(path, "r");
        if (!file)
                fail_msg("cannot read %s", path);
        size_t len = fread(text, 1, sizeof text, file);
        fclose(file);
        assert_true(len < sizeof text);
        cJSON *json = json_parse(text, len, &e);
        CHECK_OK(json ? 0 : e.code, &e);
        return json;
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof *f);
        struct err e = {0};
        char path[128];
        assert_non_null(f);
        f->dev = opened(NULL);
        f->golden = read_json(getenv("CNND_TEST_GOLDEN"));
        snprintf(f->dir, sizeof f->dir, "/tmp/cnnd-optimizers-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        snprintf(path, sizeof path, "%s/golden.cnnd", f->dir);
        CHECK_OK(make_data(path, &e), &e);
        CHECK_OK(dataset_open(path, &f->data, &e), &e);
        snprintf(path, sizeof path, "%s/first.safetensors", f->dir);
        CHECK_OK(make_model(path, &e), &e);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;
        char command[128];
        dataset_close(f->data);
        dev_close(f->dev);
        cJSON_Delete(f->golden);
        snprintf(command, sizeof command, "rm -rf %s", f->dir);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static int on_event(void *ctx, const char *event, const char *data, struct err *e)
{
        struct watch *w = ctx;
        cJSON *json = json_parse(data, strlen(data), e);
        assert_non_null(json);
        if (strcmp(event, "train") == 0) {
                assert_true(w->steps < STEPS);
                w->rates[w->steps] = json_field(json, "lr")->valuedouble;
                w->losses[w->steps++] = json_field(json, "loss")->valuedouble;
        }
        if (strcmp(event, "validation") == 0) {
                assert_true(w->epochs < EPOCHS);
                w->val_losses[w->epochs++] = json_field(json, "loss")->valuedouble;
        }
        cJSON_Delete(json);
        return 0;
}

static enum train_want on_between(void *ctx)
{
        (void)ctx;
        return TRAIN_GO;
}

static void make_request(const cJSON *golden, struct train_request *ret)
{
        struct err e = {0};
        char *optimizer = json_text(json_field(golden, "optimizer")), *freeze = NULL, *text = NULL;
        if (json_field(golden, "freeze"))
                freeze = json_text(json_field(golden, "freeze"));
        int n = asprintf(&text,
                "{\"type\":\"train\",\"architecture\":%s,\"dataset\":\"golden\",\"epochs\":%d,\"batch_size\":"
                "16,"
                "\"shuffle\":false,\"report_every\":1,\"optimizer\":%s,\"init\":{\"from\":\"first\","
                "\"freeze\":%s}}",
                architecture, EPOCHS, optimizer, freeze ? freeze : "[]");
        assert_true(n > 0);
        cJSON *json = json_parse(text, strlen(text), &e);
        CHECK_OK(json ? train_request_parse(json, ret, &e) : e.code, &e);
        cJSON_Delete(json);
        free(optimizer);
        free(freeze);
        free(text);
}

/* Within 1e-4 of the wanted ones, of the largest where `whole`. */
static void compare(const char *what, int index, const double *got, const cJSON *want, bool whole)
{
        double largest = 0;
        int i = 0;
        const cJSON *v;
        cJSON_ArrayForEach(v, want) largest = fmax(largest, fabs(v->valuedouble));
        cJSON_ArrayForEach(v, want)
        {
                double allowed = 1e-4 * (whole ? largest : fabs(v->valuedouble));
                if (!(fabs(got[i] - v->valuedouble) <= allowed + 1e-9))
                        fail_msg("case %d: %s[%d] is %.9g, wanted %.9g", index, what, i, got[i],
                                v->valuedouble);
                i++;
        }
        assert_true(i > 0);
}

static void compare_weights(const char *dir, int index, const cJSON *want)
{
        char path[160];
        struct err e = {0};
        struct safetensors *file;
        const cJSON *values;
        snprintf(path, sizeof path, "%s/model.safetensors", dir);
        CHECK_OK(safetensors_open(path, &file, &e), &e);
        cJSON_ArrayForEach(values, want)
        {
                float single[64];
                double got[64];
                const struct safetensors_tensor *t = safetensors_find(file, values->string);
                int count = cJSON_GetArraySize(values);
                assert_true(t && count <= 64);
                CHECK_OK(safetensors_read_f32(t, single, (size_t)count, &e), &e);
                for (int i = 0; i < count; i++)
                        got[i] = (double)single[i];
                compare(values->string, index, got, values, true);
        }
        safetensors_close(file);
}

static void every_optimizer_is_pytorchs(void **state)
{
        const struct fixture *f = *state;
        const cJSON *golden;
        int index = 0;
        cJSON_ArrayForEach(golden, json_field(f->golden, "cases"))
        {
                char dir[100], first[100];
                struct err e = {0};
                struct train_request request;
                struct train_outcome out;
                struct watch w = {0};
                make_request(golden, &request);
                snprintf(dir, sizeof dir, "%s/%d", f->dir, index);
                snprintf(first, sizeof first, "%s/first.safetensors", f->dir);
                mkdir(dir, 0777);
                const struct train_job job = {.request = &request,
                        .data = f->data,
                        .dir = dir,
                        .init_weights = first,
                        .checkpoint_seconds = 1e9};
                const struct train_hooks hooks = {.ctx = &w, .event = on_event, .between_steps = on_between};
                CHECK_OK(train_run(f->dev, &job, &hooks, &out, &e), &e);
                assert_int_equal(w.steps, STEPS);
                assert_int_equal(w.epochs, EPOCHS);
                compare("rate", index, w.rates, json_field(golden, "rates"), false);
                compare("loss", index, w.losses, json_field(golden, "losses"), false);
                compare("validation loss", index, w.val_losses, json_field(golden, "val_losses"), false);
                compare_weights(dir, index, json_field(golden, "weights"));
                train_request_finish(&request);
                index++;
        }
        assert_int_equal(index, 15);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_optimizer_is_pytorchs),
        };
        return cmocka_run_group_tests_name("optimizers", tests, set_up, tear_down);
}
