#include "train/request.h"
#include "base/json.h"
#include "data/image.h"

#include <stdio.h>
#include <string.h>

#define WHOLE_MAX ((int64_t)1 << 53) /* json_parse lets no larger whole number pass */

bool request_name_ok(const char *name)
{
        size_t n = strlen(name);
        if (n == 0 || n > REQUEST_NAME_MAX || name[0] == '.' || name[0] == '-')
                return false;
        for (const char *p = name; *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                            *p == '.' || *p == '_' || *p == '-'))
                        return false;
        return true;
}

static int check_name(const char *name, const char *pointer, struct err *e)
{
        if (request_name_ok(name))
                return 0;
        return err_at(e, ERR_INVALID, pointer,
                "a name has 1 to %d letters, digits, '.', '_' and '-', and does not begin with '.' or '-'",
                REQUEST_NAME_MAX);
}

int request_get_name(const cJSON *obj, const char *key, const char *at, char *out, struct err *e)
{
        const char *name = NULL;
        char pointer[64];
        int rc = json_get_string(obj, key, REQUEST_NAME_MAX, at, &name, e);
        if (rc != 0 || !name)
                return rc;
        snprintf(pointer, sizeof pointer, "%s/%s", at, key);
        rc = check_name(name, pointer, e);
        if (rc == 0)
                snprintf(out, REQUEST_NAME_MAX + 1, "%s", name);
        return rc;
}

static int get_count(const cJSON *obj, const char *key, int max, const char *at, int *ret, struct err *e)
{
        int64_t v = *ret;
        int rc = json_get_int(obj, key, 1, max, at, &v, e);
        if (rc == 0)
                *ret = (int)v;
        return rc;
}

static int read_resize(const cJSON *size, struct train_request *r, struct err *e)
{
        static const char *const pointers[] = {"/dataset/resize/0", "/dataset/resize/1"};
        int sides[2];
        if (!size)
                return 0;
        if (!cJSON_IsArray(size) || cJSON_GetArraySize(size) != 2)
                return err_at(e, ERR_INVALID, "/dataset/resize", "\"resize\" must be [height, width]");
        for (int i = 0; i < 2; i++) {
                const cJSON *side = cJSON_GetArrayItem(size, i);
                double v = cJSON_IsNumber(side) ? side->valuedouble : 0;
                if (!(v >= 1 && v <= IMAGE_MAX_SIDE) || v != (double)(int)v)
                        return err_at(e, ERR_INVALID, pointers[i],
                                "a side must be a whole number of 1 to %d pixels", IMAGE_MAX_SIDE);
                sides[i] = (int)v;
        }
        r->resize_h = sides[0];
        r->resize_w = sides[1];
        return 0;
}

static int read_dataset(const cJSON *json, struct train_request *r, struct err *e)
{
        static const char at[] = "/dataset";
        const cJSON *d = json_field(json, "dataset");
        if (!d || cJSON_IsString(d)) {
                int rc = json_need(json, "dataset", "", e);
                return rc != 0 ? rc : request_get_name(json, "dataset", "", r->dataset, e);
        }
        if (!cJSON_IsObject(d))
                return err_at(e, ERR_INVALID, at, "\"dataset\" must be a name or an object");
        int rc = json_only(d, "name resize limit val_limit normalize", at, e);
        if (rc == 0)
                rc = json_need(d, "name", at, e);
        if (rc == 0)
                rc = request_get_name(d, "name", at, r->dataset, e);
        if (rc == 0)
                rc = read_resize(json_field(d, "resize"), r, e);
        if (rc == 0)
                rc = normalize_parse(json_field(d, "normalize"), "/dataset/normalize", &r->normalize, e);
        if (rc == 0)
                rc = get_count(d, "limit", REQUEST_MAX_COUNT, at, &r->limit, e);
        if (rc == 0)
                rc = get_count(d, "val_limit", REQUEST_MAX_COUNT, at, &r->val_limit, e);
        return rc;
}

static int read_micro_batch(const cJSON *json, struct train_request *r, struct err *e)
{
        int rc = get_count(json, "micro_batch", REQUEST_MAX_BATCH, "", &r->micro_batch, e);
        if (rc == 0 && r->micro_batch > r->batch_size)
                rc = err_at(e, ERR_INVALID, "/micro_batch", "micro_batch %d is larger than batch_size %d",
                        r->micro_batch, r->batch_size);
        return rc;
}

static int check_type(const cJSON *json, struct err *e)
{
        const char *type = NULL;
        int rc = json_need(json, "type", "", e);
        if (rc == 0)
                rc = json_get_string(json, "type", REQUEST_NAME_MAX, "", &type, e);
        if (rc == 0 && strcmp(type, "train") != 0)
                rc = err_at(
                        e, ERR_INVALID, "/type", "a job of type \"%.64s\" is not known; \"train\" is", type);
        return rc;
}

/* Looked at only: the copy is made when all else is right. */
static int check_architecture(const cJSON *json, struct err *e)
{
        const cJSON *a = json_field(json, "architecture");
        const char *name;
        int rc = json_need(json, "architecture", "", e);
        if (rc == 0 && cJSON_IsString(a))
                rc = json_get_string(json, "architecture", REQUEST_NAME_MAX, "", &name, e);
        else if (rc == 0 && !cJSON_IsObject(a))
                rc = err_at(e, ERR_INVALID, "/architecture",
                        "\"architecture\" must be a preset's name or an object");
        return rc;
}

static int read_saving(const cJSON *json, struct train_request *r, struct err *e)
{
        int rc = request_get_name(json, "save_as", "", r->save_as, e);
        if (rc == 0)
                rc = metric_get(json, "save_best", "", &r->save_best, e);
        if (rc == 0 && r->save_best && !r->save_as[0])
                rc = err_at(e, ERR_INVALID, "/save_best",
                        "\"save_best\" needs \"save_as\", the name of the model that is kept");
        return rc;
}

static int read_scalars(const cJSON *json, struct train_request *r, struct err *e)
{
        const char *title = "";
        int64_t seed = 0;
        int rc = json_get_string(json, "name", REQUEST_TITLE_MAX, "", &title, e);
        if (rc == 0)
                rc = get_count(json, "epochs", REQUEST_MAX_EPOCHS, "", &r->epochs, e);
        if (rc == 0)
                rc = get_count(json, "batch_size", REQUEST_MAX_BATCH, "", &r->batch_size, e);
        if (rc == 0)
                rc = json_get_int(json, "max_steps", 1, WHOLE_MAX, "", &r->max_steps, e);
        if (rc == 0)
                rc = get_count(json, "report_every", REQUEST_MAX_COUNT, "", &r->report_every, e);
        if (rc == 0)
                rc = json_get_bool(json, "shuffle", "", &r->shuffle, e);
        if (rc == 0)
                rc = json_get_int(json, "seed", 0, WHOLE_MAX, "", &seed, e);
        if (rc == 0)
                rc = read_saving(json, r, e);
        if (rc == 0) {
                snprintf(r->title, sizeof r->title, "%s", title);
                r->seed = (uint64_t)seed;
        }
        return rc;
}

static int read_precision(const cJSON *json, struct train_request *r, struct err *e)
{
        const char *name = "fp32";
        int rc = json_get_string(json, "precision", REQUEST_NAME_MAX, "", &name, e);
        if (rc == 0 && strcmp(name, "fp32") != 0 && strcmp(name, "tf32") != 0)
                rc = err_at(e, ERR_INVALID, "/precision", "\"precision\" must be \"fp32\" or \"tf32\"");
        r->precision = strcmp(name, "tf32") == 0 ? OP_TF32 : OP_FP32;
        return rc;
}

int train_request_suits(const struct train_request *r, const struct dev_info *info, struct err *e)
{
        if (r->precision == OP_FP32 || info->tf32 != DEV_TF32_NONE)
                return 0;
        return err_at(e, ERR_INVALID, "/precision",
                "%s has no matrix units for tf32: NVIDIA's devices have them from compute capability 8.0 on",
                info->name);
}

/* Fields that people look for beside the object that they stand in. */
static int check_places(const cJSON *json, struct err *e)
{
        static const struct {
                const char *fields, *home;
        } places[] = {
                {"lr learning_rate momentum dampening nesterov weight_decay betas eps lr_decay "
                 "initial_accumulator_value gradient_clip schedule",
                        "\"optimizer\""},
                {"step_epochs gamma min_lr warmup_epochs", "\"schedule\", inside \"optimizer\""},
                {"resize limit val_limit normalize", "\"dataset\", beside its \"name\""},
                {"layers num_classes", "\"architecture\""},
        };
        const cJSON *child;
        cJSON_ArrayForEach(child, json)
        {
                for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
                        char pointer[64];
                        if (!json_listed(places[i].fields, child->string))
                                continue;
                        snprintf(pointer, sizeof pointer, "/%s", child->string);
                        return err_at(e, ERR_INVALID, pointer, "\"%s\" belongs inside %s", child->string,
                                places[i].home);
                }
        }
        return 0;
}

int train_request_parse(const cJSON *json, struct train_request *ret, struct err *e)
{
        struct train_request r = {.epochs = 10, .batch_size = REQUEST_BATCH_DEFAULT, .shuffle = true};
        int rc = json_is_object(json, "", e);
        if (rc == 0)
                rc = check_type(json, e);
        if (rc == 0)
                rc = check_places(json, e);
        if (rc == 0)
                rc = json_only(json,
                        "type name architecture dataset epochs batch_size optimizer seed save_as shuffle "
                        "max_steps "
                        "report_every init micro_batch precision class_weights augment stop_when save_best "
                        "priority",
                        "", e);
        if (rc == 0)
                rc = check_architecture(json, e);
        if (rc == 0)
                rc = read_dataset(json, &r, e);
        if (rc == 0)
                rc = read_scalars(json, &r, e);
        if (rc == 0)
                rc = optimizer_parse(json_field(json, "optimizer"), r.epochs, &r.optimizer, e);
        if (rc == 0)
                rc = stopping_parse(json_field(json, "stop_when"), &r.stop_when, e);
        if (rc == 0)
                rc = init_parse(json_field(json, "init"), &r.init, e);
        if (rc == 0)
                rc = read_micro_batch(json, &r, e);
        if (rc == 0)
                rc = read_precision(json, &r, e);
        if (rc == 0)
                rc = class_weights_parse(json_field(json, "class_weights"), &r.class_weights, e);
        if (rc == 0)
                rc = augment_parse(json_field(json, "augment"), &r.augment, e);
        if (rc != 0) {
                train_request_finish(&r);
                return rc;
        }
        r.architecture = cJSON_Duplicate(json_field(json, "architecture"), true);
        if (!r.architecture) {
                train_request_finish(&r);
                return err_set(e, ERR_NO_MEMORY, "no memory to keep the request");
        }
        *ret = r;
        return 0;
}

void train_request_finish(struct train_request *r)
{
        cJSON_Delete(r->architecture);
        class_weights_finish(&r->class_weights);
        normalize_finish(&r->normalize);
        init_finish(&r->init);
        *r = (struct train_request){0};
}

int64_t train_request_report_every(const struct train_request *r, int64_t steps_per_epoch)
{
        int64_t tenth = steps_per_epoch / 10;
        return r->report_every ? r->report_every : tenth ? tenth : 1;
}
