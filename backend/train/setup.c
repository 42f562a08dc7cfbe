#include "train/setup.h"
#include "device/buf.h"
#include "ops/kinds.h"
#include "zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>

/* Larger validation batches gain nothing; larger ones than in training would decide what fits. */
enum { EVAL_BATCH = 256 };

static int used(int count, int limit)
{
        return limit && limit < count ? limit : count;
}

/* Training images that come at once, at most. */
static int most_at_once(const struct setup *s)
{
        return used(s->count[DATASET_TRAIN], s->micro_batch);
}

/* Before plans are made: what is frozen needs no gradients. */
static int freeze_layers(const struct train_request *r, struct net *net, struct err *e)
{
        const cJSON *prefix;
        int i = 0;
        cJSON_ArrayForEach(prefix, r->init.freeze)
        {
                char pointer[40];
                snprintf(pointer, sizeof pointer, "/init/freeze/%d", i++);
                if (net_freeze(net, prefix->valuestring) == 0)
                        return err_at(e, ERR_INVALID, pointer,
                                "the network has no layer \"%.80s\"; its first one is \"%s\"",
                                prefix->valuestring, net->nodes[0].name);
        }
        if (net->trainable_floats == 0)
                return err_at(e, ERR_INVALID, "/init/freeze",
                        "all of the network is frozen, nothing is left to train");
        return 0;
}

int setup_net(const struct train_request *r, const struct dataset *data, struct net **ret, struct err *e)
{
        struct net *net = NULL;
        struct shape input = {
                data->c, r->resize_h ? r->resize_h : data->h, r->resize_w ? r->resize_w : data->w};
        int rc = zoo_net(r->architecture, data->num_classes, input, &net, e);
        if (rc)
                return err_prefix(e, "/architecture");
        int outputs = net->values[net->output].s.c;
        if (outputs != data->num_classes)
                rc = err_at(e, ERR_INVALID, "/architecture",
                        "the network gives %d numbers; data set %s has %d classes", outputs, data->name,
                        data->num_classes);
        if (rc == 0)
                rc = freeze_layers(r, net, e);
        if (rc) {
                net_destroy(net);
                return rc;
        }
        *ret = net;
        return 0;
}

static int check_metrics(
        const struct setup *s, const struct train_request *r, const struct dataset *data, struct err *e)
{
        const bool stops = metric_validates(r->stop_when.metric);
        if (s->count[DATASET_VAL] || (!stops && !metric_validates(r->save_best)))
                return 0;
        return err_at(e, ERR_INVALID, stops ? "/stop_when/metric" : "/save_best",
                "data set %s has no validation images", data->name);
}

bool setup_needs_two(const struct net *net, const char **ret_layer)
{
        for (int i = 0; i < net->num_nodes; i++) {
                const struct net_node *n = &net->nodes[i];
                if (n->op->kind != &op_batch_norm || n->frozen || n->op->in[0].h * n->op->in[0].w > 1)
                        continue;
                *ret_layer = n->name;
                return true;
        }
        return false;
}

static void count_batches(struct setup *s, const struct train_request *r, const struct dataset *data)
{
        s->count[DATASET_TRAIN] = used(data->split[DATASET_TRAIN].count, r->limit);
        s->count[DATASET_VAL] = used(data->split[DATASET_VAL].count, r->val_limit);
        int train = s->count[DATASET_TRAIN], val = s->count[DATASET_VAL];
        int rest = train % r->batch_size;
        const char *layer;
        s->drops_one = rest == 1 && train > r->batch_size && setup_needs_two(s->net, &layer);
        if (s->drops_one)
                rest = 0;
        s->eval_batch = s->micro_batch < EVAL_BATCH ? s->micro_batch : EVAL_BATCH;
        if (val < s->eval_batch)
                s->eval_batch = val;
        s->n[SETUP_TRAIN] = train >= s->micro_batch ? s->micro_batch : 0;
        s->n[SETUP_TRAIN_REST] = train >= r->batch_size ? r->batch_size % s->micro_batch : 0;
        s->n[SETUP_TRAIN_LAST] = rest % s->micro_batch;
        s->begins[SETUP_TRAIN] = true;
        s->begins[SETUP_TRAIN_LAST] = rest < s->micro_batch;
        s->adds[SETUP_TRAIN] = (train >= r->batch_size ? r->batch_size : rest) >= 2 * s->micro_batch;
        s->adds[SETUP_TRAIN_REST] = true;
        s->adds[SETUP_TRAIN_LAST] = rest > s->micro_batch;
        s->begins[SETUP_EVAL] = s->begins[SETUP_EVAL_LAST] = true;
        s->n[SETUP_EVAL] = s->eval_batch;
        s->n[SETUP_EVAL_LAST] = s->eval_batch ? val % s->eval_batch : 0;
        s->steps_per_epoch = train / r->batch_size + (rest > 0);
        s->steps = s->steps_per_epoch * r->epochs;
        if (r->max_steps && r->max_steps < s->steps)
                s->steps = r->max_steps;
}

/* What its fullest training batch takes at least. */
static int least_bytes(const struct setup *s, const struct dev_info *info, uint64_t *ret, struct err *e)
{
        struct plan *p = NULL;
        int n = 0;
        for (int i = 0; i < SETUP_EVAL; i++)
                n = s->n[i] > n ? s->n[i] : n;
        int rc = n ? plan_outline(s->net, info, PLAN_TRAIN, n, &p, e) : 0;
        if (rc)
                return rc;
        *ret = plan_param_bytes(s->net, PLAN_TRAIN) + (p ? p->peak_floats * sizeof(float) : 0);
        plan_destroy(p);
        return 0;
}

int setup_least_bytes(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct net *net, int micro_batch, uint64_t *ret, struct err *e)
{
        struct setup s = {.net = net, .micro_batch = micro_batch};
        count_batches(&s, r, data);
        return least_bytes(&s, info, ret, e);
}

static int check_limit(
        const struct setup *s, const struct dev_info *info, uint64_t limit_bytes, struct err *e)
{
        uint64_t bytes = 0;
        int rc = limit_bytes == UINT64_MAX ? 0 : least_bytes(s, info, &bytes, e);
        if (rc == 0 && bytes > limit_bytes)
                rc = err_set(e, ERR_DEVICE_MEMORY, "%d images at once take at least %llu bytes",
                        s->micro_batch, (unsigned long long)bytes);
        return rc;
}

static int make_plans(struct setup *s, const struct dev_info *info, struct err *e)
{
        for (int i = 0; i < SETUP_PHASES; i++) {
                if (s->n[i] == 0)
                        continue;
                enum plan_mode mode = i < SETUP_EVAL ? PLAN_TRAIN : PLAN_EVAL;
                int rc = plan_create(s->net, info, mode, s->n[i], &s->plans[i], e);
                if (rc)
                        return rc;
                const struct plan *p = s->plans[i];
                for (int k = 0; k < p->num_chunks; k++)
                        if (p->chunk_floats[k] * sizeof(float) > s->chunk_bytes[k])
                                s->chunk_bytes[k] = p->chunk_floats[k] * sizeof(float);
                if (p->num_chunks > s->num_chunks)
                        s->num_chunks = p->num_chunks;
        }
        return 0;
}

static void add(struct setup *s, uint64_t bytes)
{
        uint64_t rounded = buf_rounded(bytes);
        s->total_bytes += rounded;
        if (rounded > s->largest_bytes)
                s->largest_bytes = rounded;
}

static int check_input(const struct setup *s, const struct train_request *r, struct err *e)
{
        struct shape input = s->net->values[0].s;
        int rc = augment_check(&r->augment, input, e);
        return rc ? rc : normalize_check(&r->normalize, input.c, "/dataset/normalize", e);
}

/* What happens to the images before the network: training batches are augmented, validation never. */
static void describe_transforms(struct setup *s, const struct train_request *r, const struct dev_info *info)
{
        for (int i = 0; i < DATASET_SPLITS; i++) {
                int n = i == DATASET_TRAIN ? most_at_once(s) : s->eval_batch;
                s->transform[i] = (struct transform_spec){.augment = i == DATASET_TRAIN ? &r->augment : NULL,
                        .normalize = &r->normalize,
                        .s = s->net->values[0].s,
                        .n = n,
                        .lanes = plan_lanes(info, i == DATASET_TRAIN ? PLAN_TRAIN : PLAN_EVAL, n)};
                struct transform_bytes bytes = transform_bytes(&s->transform[i]);
                if (s->count[i] && bytes.numbers)
                        add(s, bytes.numbers);
                if (s->count[i] && bytes.scratch)
                        add(s, bytes.scratch);
        }
}

/* All buffers but the images, which may stay on the host. */
static void count_bytes(struct setup *s, const struct train_request *r, const struct dataset *data)
{
        const bool weighs = r->class_weights.mode != CLASS_WEIGHTS_NONE;
        s->param_bytes = s->net->param_floats * sizeof(float);
        s->grad_bytes = s->net->trainable_floats * sizeof(float);
        const int most = most_at_once(s);
        s->labels_bytes = (uint64_t)(most > s->eval_batch ? most : s->eval_batch) * sizeof(int32_t);
        s->results_bytes = (uint64_t)SETUP_SLOTS * 2 * sizeof(float);
        s->vars_bytes = OP_VARS * sizeof(int32_t);
        s->class_weights_bytes = weighs ? (uint64_t)data->num_classes * sizeof(float) : 0;
        for (int i = 0; i < s->num_chunks; i++)
                add(s, s->chunk_bytes[i]);
        add(s, s->param_bytes);
        add(s, s->grad_bytes);
        add(s, s->labels_bytes);
        add(s, s->results_bytes);
        add(s, s->vars_bytes);
        if (s->class_weights_bytes)
                add(s, s->class_weights_bytes);
        for (int i = 0; i < s->update.num_states; i++)
                add(s, s->update.state_bytes);
        if (s->update.clip_bytes)
                add(s, s->update.clip_bytes);
}

static void place_images(struct setup *s, const struct dataset *data, const struct dev_info *info)
{
        uint64_t image = dataset_image_bytes(data), room = info->global_bytes - s->total_bytes;
        int batch[DATASET_SPLITS] = {most_at_once(s), s->eval_batch};
        s->resident = s->total_bytes < info->global_bytes;
        for (int i = 0; i < DATASET_SPLITS; i++)
                s->resident = s->resident && image * (uint64_t)s->count[i] < info->max_alloc_bytes &&
                              image * (uint64_t)s->count[i] < room / 4;
        for (int i = 0; i < DATASET_SPLITS; i++) {
                uint64_t held = (uint64_t)(s->resident ? s->count[i] : batch[i]);
                if (s->count[i] == 0)
                        continue;
                s->image_bytes[i] = image * held;
                s->split_label_bytes[i] = s->order_bytes[i] = held * sizeof(int32_t);
                add(s, s->image_bytes[i]);
                add(s, s->split_label_bytes[i]);
                add(s, s->order_bytes[i]);
        }
}

int setup_weigh(const struct train_request *r, const struct dataset *data, float **ret, struct err *e)
{
        const int images = used(data->split[DATASET_TRAIN].count, r->limit);
        int64_t *counts = calloc((size_t)data->num_classes, sizeof *counts);
        int rc = counts ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %d classes", data->num_classes);
        if (rc == 0 && r->class_weights.mode == CLASS_WEIGHTS_BALANCED)
                rc = dataset_count(data, DATASET_TRAIN, images, counts, e);
        if (rc == 0)
                rc = class_weights_make(&r->class_weights, counts, data->num_classes, ret, e);
        free(counts);
        return rc;
}

int setup_create(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct net *net, int micro_batch, uint64_t limit_bytes, struct setup **ret, struct err *e)
{
        struct setup *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for a job");
        s->net = net;
        s->micro_batch = micro_batch;
        count_batches(s, r, data);
        int rc = 0;
        if (s->count[DATASET_TRAIN] == 0)
                rc = err_at(e, ERR_INVALID, "/dataset", "data set %s has no training images", data->name);
        if (rc == 0)
                rc = check_input(s, r, e);
        if (rc == 0)
                rc = check_metrics(s, r, data, e);
        if (rc == 0)
                update_needs(&r->optimizer, s->net->trainable_floats, &s->update);
        if (rc == 0)
                rc = check_limit(s, info, limit_bytes, e);
        if (rc == 0)
                rc = make_plans(s, info, e);
        if (rc) {
                setup_destroy(s);
                return rc;
        }
        count_bytes(s, r, data);
        describe_transforms(s, r, info);
        place_images(s, data, info);
        *ret = s;
        return 0;
}

void setup_destroy(struct setup *s)
{
        if (!s)
                return;
        for (int i = 0; i < SETUP_PHASES; i++)
                plan_destroy(s->plans[i]);
        net_destroy(s->owned_net);
        free(s->class_weights);
        free(s);
}
