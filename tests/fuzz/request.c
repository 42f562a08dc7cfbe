/* A training job's JSON, all the way that a submission takes: fields, architecture, memory on a device. */
#include "fuzz.h"

#include "base/json.h"
#include "train/train.h"

#include <string.h>

enum { CLASSES = 10, IMAGES = 300 };

/* Grey 28x28, or by its name 3x32x32. */
static struct dataset make_dataset(const char *name)
{
        static char names[CLASSES][2] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
        static char *classes[CLASSES];
        static int32_t labels[IMAGES];
        static int64_t counts[CLASSES] = {30, 30, 30, 30, 30, 30, 30, 30, 30, 30};
        bool colour = strcmp(name, "colour") == 0;
        struct dataset d = {.c = colour ? 3 : 1,
                .h = colour ? 32 : 28,
                .w = colour ? 32 : 28,
                .classes = classes,
                .num_classes = CLASSES};
        for (int i = 0; i < CLASSES; i++)
                classes[i] = names[i];
        for (int i = 0; i < IMAGES; i++)
                labels[i] = i % CLASSES;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                d.split[s].count = IMAGES;
                d.split[s].labels = labels;
                d.split[s].class_counts = counts;
        }
        return d;
}

static void check_plan(const struct train_request *r)
{
        struct dataset d = make_dataset(r->dataset);
        struct train_estimate plan = {0};
        struct err e = {0};
        int rc = train_plan(r, &d, &fuzz_device, &plan, &e);
        FUZZ_CHECK(rc == e.code);
        if (rc && rc != ERR_INVALID && rc != ERR_TOO_LARGE && rc != ERR_DEVICE_MEMORY)
                fprintf(stderr, "%s: %s\n", err_name(rc), e.message);
        FUZZ_CHECK(rc == 0 || rc == ERR_INVALID || rc == ERR_TOO_LARGE || rc == ERR_DEVICE_MEMORY);
        FUZZ_CHECK(rc == 0 || e.message[0]);
        if (rc)
                return;
        FUZZ_CHECK(plan.micro_batch >= 1 && plan.micro_batch <= r->batch_size && plan.steps >= 1);
        FUZZ_CHECK(plan.device_bytes > 0 && plan.device_bytes <= fuzz_device.global_bytes);
        FUZZ_CHECK(plan.largest_buffer > 0 && plan.largest_buffer <= plan.device_bytes);
        FUZZ_CHECK(plan.largest_buffer <= fuzz_device.max_alloc_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct err e = {0};
        struct train_request r = {0};
        cJSON *tree = json_parse((const char *)bytes, len, &e);
        if (!tree)
                return 0;
        if (train_request_parse(tree, &r, &e) == 0) {
                check_plan(&r);
                train_request_finish(&r);
        }
        cJSON_Delete(tree);
        return 0;
}
