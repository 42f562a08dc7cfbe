#include "daemon/jobs/submit.h"

#include "base/json.h"
#include "base/str.h"
#include "daemon/common/wire.h"
#include "data/image.h"
#include "data/name.h"
#include "train/initfit.h"
#include "train/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a result: an image's numbers in its columns, a class's scores. */
enum { IMAGE_BYTES = 40, CLASS_BYTES = 256 };

/* Where a data set may be named: by itself or within an object. */
static const char *dataset_pointer(const cJSON *body)
{
        return cJSON_IsObject(json_field(body, "dataset")) ? "/dataset/name" : "/dataset";
}

struct names {
        struct str *out;
        int count;
};

enum { LISTED = 8 };

static void add_name(void *ctx, const char *name)
{
        struct names *n = ctx;
        if (n->count++ < LISTED)
                str_addf(n->out, "%s %.64s", n->count == 1 ? "; there are:" : ",", name);
}

/* "; there are: a, b" of those that `who` may read; nothing where there are none. */
static void list_datasets(struct jobs *js, const struct identity *who, struct str *out)
{
        struct names n = {.out = out};
        datasets_names(js->datasets, who, add_name, &n);
        if (n.count > LISTED)
                str_addf(out, " and %d more", n.count - LISTED);
}

static int find_dataset(struct jobs *js, const struct identity *who, const cJSON *body, const char *name,
        const struct dataset **ret, struct err *e)
{
        struct err why;
        int rc = datasets_see(js->datasets, who, name, &why);
        if (rc == 0)
                datasets_ask(js->datasets, name);
        if (rc == 0)
                rc = datasets_find(js->datasets, name, ret, &why);
        if (rc == ERR_UNAVAILABLE || rc == ERR_NO_MEMORY || rc == 0) {
                if (rc)
                        *e = why;
                return rc;
        }
        struct str known = {0};
        if (rc == ERR_NOT_FOUND)
                list_datasets(js, who, &known);
        rc = err_at(
                e, ERR_INVALID, dataset_pointer(body), "%.300s%s", why.message, known.len ? known.data : "");
        str_free(&known);
        return rc;
}

static int see_model(
        struct jobs *js, const struct identity *who, const char *name, const char *pointer, struct err *e)
{
        int rc = models_see(js->models, who, name, e);
        if (rc == 0)
                return models_look(js->models, name, e);
        if (rc != ERR_NOT_FOUND)
                return rc;
        return err_at(e, ERR_INVALID, pointer, "there is no model '%s'", name);
}

static int may_save(struct jobs *js, const struct identity *who, const char *name, struct err *e)
{
        struct err why;
        int rc = jobs_may_save(js, who, name, &why);
        if (rc == ERR_EXISTS)
                return err_at(e, rc, "/save_as", "%s", why.message);
        if (rc)
                *e = why;
        return rc;
}

/* Whether a plan for one is a plan for the other. */
static bool alike(const struct dev_info *a, const struct dev_info *b)
{
        return strcmp(a->name, b->name) == 0 && strcmp(a->driver, b->driver) == 0 &&
               strcmp(a->platform, b->platform) == 0 && a->global_bytes == b->global_bytes &&
               a->max_alloc_bytes == b->max_alloc_bytes && a->lanes == b->lanes && a->tf32 == b->tf32 &&
               a->clblast == b->clblast;
}

/* Whether one before it that is in use is alike: a large network is not planned twice. */
static bool known(const struct supervisor *sv, int device)
{
        for (int i = 0; i < device; i++)
                if (supervisor_state(sv, i) != DEVICE_QUARANTINED &&
                        alike(supervisor_info(sv, i), supervisor_info(sv, device)))
                        return true;
        return false;
}

/* Plans on every device in use: the first that takes whole batches, else the one that takes the largest
   micro-batches; the last device's refusal otherwise. */
static int plan(struct jobs *js, const struct train_request *r, const struct dataset *data,
        struct train_estimate *ret, struct err *e)
{
        const struct supervisor *sv = js->supervisor;
        int count = supervisor_count(sv), rc = ERR_UNAVAILABLE;
        if (!supervisor_probed(sv))
                return err_set(e, rc, "%s",
                        supervisor_problem(sv)[0] ? supervisor_problem(sv)
                                                  : "starting: the devices are being looked for");
        if (count == 0)
                return err_set(e, rc, "%s", supervisor_problem(sv));
        err_set(e, rc, "all devices are quarantined: see GET /v1/devices");
        bool found = false;
        for (int i = 0; i < count; i++) {
                struct train_estimate here;
                if (supervisor_state(sv, i) == DEVICE_QUARANTINED || known(sv, i))
                        continue;
                rc = train_request_suits(r, supervisor_info(sv, i), e);
                if (rc)
                        continue;
                rc = train_plan(r, data, supervisor_info(sv, i), &here, e);
                if (rc && rc != ERR_DEVICE_MEMORY)
                        return rc;
                if (rc == 0 && (!found || here.micro_batch > ret->micro_batch))
                        *ret = here;
                found = found || rc == 0;
                if (found && ret->micro_batch >= r->batch_size)
                        break;
        }
        if (!found && supervisor_looking(sv))
                return err_set(e, ERR_UNAVAILABLE,
                        "starting: a driver has not said yet which devices it has, and no other device can "
                        "take "
                        "the job");
        return found ? 0 : rc;
}

/* A line each: of the plan, of the data. NULL for none. */
static int write_note(const char *plan, const struct dataset *data, char **ret, struct err *e)
{
        struct str note = {0}, gaps = {0};
        dataset_gaps(data, &gaps);
        if (plan[0] || gaps.len)
                str_addf(&note, "%s%s%s", plan, plan[0] && gaps.len ? "\n" : "", gaps.len ? gaps.data : "");
        bool failed = note.failed || gaps.failed;
        str_free(&gaps);
        *ret = note.len ? str_take(&note) : NULL;
        return failed ? err_set(e, ERR_NO_MEMORY, "no memory for a job") : 0;
}

/* Train points, and a validation and a checkpoint an epoch: what a run that nothing stops brings, but for the
   checkpoints between. */
static int64_t count_points(const struct train_request *r, int64_t steps)
{
        int64_t epochs = r->epochs > 0 ? r->epochs : 1;
        return steps / train_request_report_every(r, steps / epochs) + 2 * epochs;
}

/* By the head of its file; the run looks again. */
static int check_init(
        struct jobs *js, const struct train_request *r, const struct dataset *data, struct err *e)
{
        struct safetensors *head = NULL;
        int rc = models_head(js->models, r->init.from, &head, e);
        if (rc == 0)
                rc = initfit_check(r, data, head, e);
        safetensors_close(head);
        return rc;
}

static int check_train(
        struct jobs *js, const struct identity *who, const cJSON *body, struct submission *s, struct err *e)
{
        struct train_request r;
        struct train_estimate estimate = {0};
        const struct dataset *data = NULL;
        int rc = train_request_parse(body, &r, e);
        if (rc)
                return rc;
        rc = find_dataset(js, who, body, r.dataset, &data, e);
        if (rc == 0 && r.init.from[0])
                rc = see_model(js, who, r.init.from, "/init/from", e);
        if (rc == 0 && r.save_as[0])
                rc = may_save(js, who, r.save_as, e);
        if (rc == 0)
                rc = plan(js, &r, data, &estimate, e);
        if (rc == 0 && r.init.from[0])
                rc = check_init(js, &r, data, e);
        if (rc == 0) {
                s->row.name = strdup(r.title);
                s->row.steps = estimate.steps;
                s->points = count_points(&r, estimate.steps);
                s->row.device_bytes = (int64_t)estimate.device_bytes;
                s->row.largest_buffer = (int64_t)estimate.largest_buffer;
                s->row.model_bytes = r.save_as[0] ? (int64_t)estimate.model_bytes : 0;
                s->row.micro_batch = estimate.micro_batch;
                s->row.tf32 = r.precision == OP_TF32;
                rc = write_note(estimate.note, data, &s->row.note, e);
                memcpy(s->row.dataset, r.dataset, sizeof s->row.dataset);
                memcpy(s->row.save_as, r.save_as, sizeof s->row.save_as);
                memcpy(s->init_from, r.init.from, sizeof s->init_from);
        }
        train_request_finish(&r);
        return rc;
}

/* What evaluate_run would find only then. */
static int check_scoring(const struct model_shape *model, const struct dataset *data, struct err *e)
{
        static const char at[] = "/dataset";
        if (model->num_classes != data->num_classes)
                return err_at(e, ERR_INVALID, at, "the model has %d classes, the data set %d",
                        model->num_classes, data->num_classes);
        if (data->num_classes > WIRE_MAX_SCORED)
                return err_at(e, ERR_INVALID, at,
                        "a confusion matrix of %d classes; at most %d are counted: choose a data set of "
                        "fewer",
                        data->num_classes, WIRE_MAX_SCORED);
        if (!image_channels_fit(data->c, model->c))
                return err_at(e, ERR_INVALID, at,
                        "the data set's images have %d channels, the model takes %d; only grey and RGB are "
                        "turned into each other",
                        data->c, model->c);
        if (data->split[DATASET_VAL].count == 0)
                return err_at(e, ERR_INVALID, at, "the data set has no val images");
        return 0;
}

/* Why the worker will not match them by name, `count` names each in one spelling, which it sorts; nothing
   where it will. */
static void tell_unmatched(char **model, char **data, size_t count, struct str *out)
{
        qsort(model, count, sizeof *model, str_by_text);
        qsort(data, count, sizeof *data, str_by_text);
        for (size_t i = 0; i < count && !out->len; i++)
                if (!bsearch(&model[i], data, count, sizeof *data, str_by_text))
                        str_addf(out,
                                "classes are matched by number, for the data set has no \"%.200s\" as the "
                                "model has",
                                model[i]);
        for (size_t i = 1; i < count && !out->len; i++)
                if (strcmp(model[i], model[i - 1]) == 0)
                        str_addf(out,
                                "classes are matched by number, for two of the model's are called "
                                "\"%.200s\"",
                                model[i]);
}

/* That classes are matched by number is to be known before it is seen in the scores. */
static int note_classes(
        const struct model_facts *model, const struct dataset *data, char **ret, struct err *e)
{
        const size_t count = (size_t)data->num_classes;
        char **names = calloc(2 * count, sizeof *names);
        struct str note = {0};
        bool whole = names;
        for (size_t i = 0; whole && i < 2 * count; i++) {
                names[i] = name_normal(i < count ? model->classes[i] : data->classes[i - count]);
                whole = names[i];
        }
        if (whole)
                tell_unmatched(names, names + count, count, &note);
        for (size_t i = 0; names && i < 2 * count; i++)
                free(names[i]);
        free(names);
        whole = whole && !note.failed;
        *ret = whole && note.len ? str_take(&note) : NULL;
        str_free(&note);
        return whole ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %zu classes", count);
}

/* What the scores of `images` take, about (worker/outcome.c): columns, names of files, confusion matrix. */
static int64_t guess_result(const struct dataset *data, int64_t images)
{
        const struct dataset_origins *o = &data->origins;
        const int64_t classes = data->num_classes, val = o->files[DATASET_VAL],
                      all = val + o->files[DATASET_TRAIN], named = val < images ? val : images;
        const double names = all ? (double)o->len * (double)named / (double)all : 0;
        return images * IMAGE_BYTES + (int64_t)names + classes * (CLASS_BYTES + 4 * classes);
}

static int check_classify(
        struct jobs *js, const struct identity *who, const cJSON *body, struct submission *s, struct err *e)
{
        const char *title = "", *model = NULL, *dataset = NULL;
        int64_t limit = 0;
        const struct dataset *data;
        const struct model_facts *facts;
        int rc = json_only(body, "type name model dataset limit priority", "", e);
        if (rc == 0)
                rc = json_get_string(body, "name", REQUEST_TITLE_MAX, "", &title, e);
        if (rc == 0)
                rc = json_need(body, "model", "", e);
        if (rc == 0)
                rc = json_get_string(body, "model", REQUEST_NAME_MAX, "", &model, e);
        if (rc == 0)
                rc = json_need(body, "dataset", "", e);
        if (rc == 0)
                rc = json_get_string(body, "dataset", REQUEST_NAME_MAX, "", &dataset, e);
        if (rc == 0)
                rc = json_get_int(body, "limit", 1, INT32_MAX, "", &limit, e);
        if (rc == 0)
                rc = find_dataset(js, who, body, dataset, &data, e);
        if (rc)
                return rc;
        rc = see_model(js, who, model, "/model", e);
        if (rc)
                return rc;
        rc = models_facts(js->models, model, &facts, e);
        if (rc)
                return rc;
        rc = check_scoring(&facts->shape, data, e);
        if (rc == 0)
                rc = note_classes(facts, data, &s->row.note, e);
        if (rc)
                return rc;
        const int count = data->split[DATASET_VAL].count;
        s->row.name = strdup(title);
        s->row.steps = limit && limit < count ? limit : count;
        s->result_bytes = guess_result(data, s->row.steps);
        snprintf(s->row.dataset, sizeof s->row.dataset, "%s", dataset);
        snprintf(s->row.model, sizeof s->row.model, "%s", model);
        snprintf(s->init_from, sizeof s->init_from, "%s", model);
        return 0;
}

/* For the scheduler; the engine does not look at it. */
static int read_priority(const struct identity *who, const cJSON *body, struct submission *s, struct err *e)
{
        int64_t priority = 0;
        int rc = json_get_int(body, "priority", -JOBS_PRIORITY_MAX, JOBS_PRIORITY_MAX, "", &priority, e);
        if (rc == 0 && priority > 0 && !who->operator)
                rc = err_at(
                        e, ERR_DENIED, "/priority", "an operator may let a job go before others'; at most 0");
        s->row.priority = (int)priority;
        return rc;
}

static int check_type(
        struct jobs *js, const struct identity *who, const cJSON *body, struct submission *s, struct err *e)
{
        const char *type = NULL;
        int rc = json_need(body, "type", "", e);
        if (rc == 0)
                rc = json_get_string(body, "type", 40, "", &type, e);
        if (rc)
                return rc;
        if (strcmp(type, "train") == 0) {
                s->row.type = JOB_TRAIN;
                return check_train(js, who, body, s, e);
        }
        if (strcmp(type, "classify") == 0) {
                s->row.type = JOB_CLASSIFY;
                return check_classify(js, who, body, s, e);
        }
        return err_at(
                e, ERR_INVALID, "/type", "there are \"train\" and \"classify\" jobs, but no \"%s\"", type);
}

int submit_check(
        struct jobs *js, const struct identity *who, const cJSON *body, struct submission *s, struct err *e)
{
        int rc = json_is_object(body, "", e);
        if (rc == 0)
                rc = read_priority(who, body, s, e);
        return rc ? rc : check_type(js, who, body, s, e);
}
