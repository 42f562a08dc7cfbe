#include "train/estimate.h"
#include "base/str.h"
#include "train/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool inside(const struct setup *s, const struct dev_info *info)
{
        return s->total_bytes <= info->global_bytes && s->largest_bytes <= info->max_alloc_bytes;
}

/* What is tried for: one request on one device. */
struct fitting {
        const struct train_request *r; /* borrowed, as all here */
        const struct dataset *data;
        const struct dev_info *info;
        struct net *net;
        struct err failed; /* of a size that could not be tried: nothing can be told then */
};

/* That it is too large is no failure, also when that shows in the plan. */
static void note(struct fitting *f, int rc, const struct err *why)
{
        if (rc && rc != ERR_DEVICE_MEMORY && !f->failed.code)
                f->failed = *why;
}

static int failure(const struct fitting *f, struct err *e)
{
        if (e)
                *e = f->failed;
        return f->failed.code;
}

/* A setup where it fits. */
static struct setup *try(struct fitting *f, int micro_batch)
{
        struct setup *s = NULL;
        struct err why;
        int rc = setup_create(f->r, f->data, f->info, f->net, micro_batch, f->info->global_bytes, &s, &why);
        note(f, rc, &why);
        if (rc == 0 && inside(s, f->info))
                return s;
        if (rc == 0)
                setup_destroy(s);
        return NULL;
}

static bool fits(struct fitting *f, int micro_batch)
{
        struct setup *s = try(f, micro_batch);
        setup_destroy(s);
        return s != NULL;
}

/* UINT64_MAX where one tensor is too large already, or it cannot be told. */
static uint64_t least_bytes(struct fitting *f, int micro_batch)
{
        uint64_t bytes = UINT64_MAX;
        struct err why;
        note(f, setup_least_bytes(f->r, f->data, f->info, f->net, micro_batch, &bytes, &why), &why);
        return bytes;
}

/* The largest multiple of `unit` samples, below the `high`-th, whose tensors may fit: how many units; 0 for
   none. Plans differ in little but the size of their tensors, so that a line through two leads to the third.
 */
static int most_units(struct fitting *f, int unit, int high)
{
        enum { STRAIGHT = 8 }; /* so often at most */
        const uint64_t limit = f->info->global_bytes;
        uint64_t below = plan_param_bytes(f->net, PLAN_TRAIN),
                 above = least_bytes(f, high * unit < f->r->batch_size ? high * unit : f->r->batch_size);
        int low = 0;
        for (int i = 0; high - low > 1; i++) {
                int middle = low + (high - low) / 2;
                if (i < STRAIGHT && above != UINT64_MAX && below < limit && limit < above)
                        middle = low + (int)((double)(high - low) * (double)(limit - below) /
                                               (double)(above - below));
                middle = middle <= low ? low + 1 : middle >= high ? high - 1 : middle;
                const uint64_t bytes = least_bytes(f, middle * unit);
                if (bytes <= limit) {
                        low = middle;
                        below = bytes;
                } else {
                        high = middle;
                        above = bytes;
                }
        }
        return low;
}

/* The largest number from `low` on, below `high`, that fits; `low` does, or is 0. */
static int bisect(struct fitting *f, int low, int high)
{
        while (high - low > 1) {
                int middle = low + (high - low) / 2;
                if (fits(f, middle))
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

/* The largest number of images that fits at once; 0 when not even one does. Full plans depend on the number
   of blocks, or of images where not even one block fits; what may fit mostly does, or almost.
   *ret_setup is the setup of this size where the search came by it, else NULL. */
static int largest(struct fitting *f, struct setup **ret_setup)
{
        const int lanes = f->info->lanes, whole = f->r->batch_size;
        int unit = lanes, count = most_units(f, lanes, (whole + lanes - 1) / lanes);
        if (count == 0) {
                unit = 1;
                count = most_units(f, 1, whole < lanes ? whole : lanes);
        }
        *ret_setup = count ? try(f, count * unit) : NULL;
        if (*ret_setup)
                return count * unit;
        int high = count * unit;
        for (int step = 1; (count -= step) > 0; step *= 2) {
                if (fits(f, count * unit))
                        return bisect(f, count * unit, high);
                high = count * unit;
        }
        return bisect(f, 0, high);
}

/* The largest divisor of `batch` up to `most` that is a multiple of `step`; 0 for none. */
static int divisor(int batch, int most, int step)
{
        for (int m = most / step * step; m > 0; m -= step)
                if (batch % m == 0)
                        return m;
        return 0;
}

/* Half of what fits is a fair price for micro-batches of one size. */
static int choose(int batch, int most, int lanes)
{
        int even = divisor(batch, most, lanes), any = divisor(batch, most, 1);
        if (even * 2 >= most)
                return even;
        if (most >= lanes)
                return most / lanes * lanes;
        return any * 2 >= most ? any : most;
}

static int refuse(const struct fitting *f, int micro_batch, int most, struct err *e)
{
        const struct dev_info *info = f->info;
        char needed[160], fitting[80] = "not even one image fits";
        struct setup *s = NULL;
        int rc = setup_create(f->r, f->data, info, f->net, micro_batch, UINT64_MAX, &s, e);
        if (rc && rc != ERR_DEVICE_MEMORY)
                return rc;
        if (rc == 0)
                snprintf(needed, sizeof needed, "takes %llu bytes, the largest buffer %llu",
                        (unsigned long long)s->total_bytes, (unsigned long long)s->largest_bytes);
        else
                snprintf(needed, sizeof needed, "has a tensor too large for one buffer");
        setup_destroy(s);
        if (most)
                snprintf(fitting, sizeof fitting, "the largest batch that fits is %d", most);
        return err_at(e, ERR_DEVICE_MEMORY, f->r->micro_batch ? "/micro_batch" : "/batch_size",
                "%d image%s at once %s; %s has %llu bytes and allows %llu in one buffer; %s", micro_batch,
                micro_batch == 1 ? "" : "s", needed, info->name, (unsigned long long)info->global_bytes,
                (unsigned long long)info->max_alloc_bytes, fitting);
}

/* Of what does not fit whole. */
static int divide(struct fitting *f, int wanted, struct setup **ret, struct err *e)
{
        struct setup *s = NULL;
        const int most = largest(f, &s), chosen = choose(f->r->batch_size, most, f->info->lanes);
        if (s && chosen == most && !f->r->micro_batch && !f->failed.code) {
                *ret = s;
                return 0;
        }
        setup_destroy(s);
        if (f->failed.code)
                return failure(f, e);
        if (f->r->micro_batch || most == 0)
                return refuse(f, most ? wanted : 1, most, e);
        *ret = try(f, chosen);
        if (!*ret && !f->failed.code)
                *ret = try(f, most);
        if (*ret)
                return 0;
        return f->failed.code ? failure(f, e) : refuse(f, most, most, e);
}

int estimate_setup(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct setup **ret, struct err *e)
{
        struct fitting f = {.r = r, .data = data, .info = info};
        struct setup *s = NULL;
        float *class_weights = NULL;
        int rc = train_request_suits(r, info, e);
        if (rc == 0)
                rc = setup_net(r, data, &f.net, e);
        if (rc == 0)
                rc = setup_weigh(r, data, &class_weights, e);
        if (rc) {
                net_destroy(f.net);
                return rc;
        }
        int wanted = r->micro_batch && r->micro_batch < r->batch_size ? r->micro_batch : r->batch_size;
        s = try(&f, wanted);
        if (!s)
                rc = f.failed.code ? failure(&f, e) : divide(&f, wanted, &s, e);
        if (rc) {
                net_destroy(f.net);
                free(class_weights);
                return rc;
        }
        s->owned_net = f.net;
        s->class_weights = class_weights;
        *ret = s;
        return 0;
}

static bool mixes_samples(const struct net *net)
{
        for (int i = 0; i < net->num_nodes; i++)
                if (net->nodes[i].op->kind->mixes_samples)
                        return true;
        return false;
}

/* A batch norm behind linear layers has one value a channel for an image: of one image its variance is 0, and
   so are the weights' gradients and what validation is normalised with. */
static int check_norms(const struct setup *s, const struct train_request *r, struct err *e)
{
        bool alone = false;
        const char *layer;
        for (int i = 0; i < SETUP_EVAL; i++)
                alone = alone || s->n[i] == 1;
        if (!alone || !setup_needs_two(s->net, &layer))
                return 0;
        return err_at(e, ERR_INVALID, "/batch_size",
                "batch_norm %s takes the variance of a batch, which one image does not have: %d images in "
                "batches "
                "of %d, %d "
                "at once, leave one by itself; choose another batch_size",
                layer, s->count[DATASET_TRAIN], r->batch_size, s->micro_batch);
}

/* A limit takes images from the front, where a data set from folders has its first classes. */
static int note_limit(const struct setup *s, const struct dataset *data, struct str *note, struct err *e)
{
        const int all = data->split[DATASET_TRAIN].count, taken = s->count[DATASET_TRAIN];
        const int64_t *of_all = data->split[DATASET_TRAIN].class_counts;
        int64_t *counts = taken < all ? calloc((size_t)data->num_classes, sizeof *counts) : NULL;
        int some = 0, rest = 0;
        if (taken == all)
                return 0;
        int rc = counts ? dataset_count(data, DATASET_TRAIN, taken, counts, e)
                        : err_set(e, ERR_NO_MEMORY, "no memory for %d classes", data->num_classes);
        for (int k = 0; k < data->num_classes && rc == 0; k++) {
                some += counts[k] > 0;
                rest += counts[k] == 0 && of_all[k] > 0;
        }
        free(counts);
        if (rest)
                str_addf(note, "the first %d of %d training images hold %d of %d classes\n", taken, all, some,
                        some + rest);
        return rc;
}

/* A line each. */
static int write_note(const struct setup *s, const struct train_request *r, const struct dataset *data,
        char *ret, size_t len, struct err *e)
{
        struct str note = {0};
        int rc = note_limit(s, data, &note, e);
        if (s->drops_one)
                str_addf(&note,
                        "an epoch leaves out one of its %d images, which would be a batch by itself: "
                        "batch_norm "
                        "takes the variance of a batch\n",
                        s->count[DATASET_TRAIN]);
        if (s->micro_batch < r->batch_size && mixes_samples(s->net))
                str_addf(&note,
                        "batch_norm takes its statistics from micro-batches of %d images, not from the batch "
                        "of "
                        "%d\n",
                        s->micro_batch, r->batch_size);
        if (rc == 0 && note.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a note");
        if (rc == 0 && note.len)
                snprintf(ret, len, "%.*s", (int)note.len - 1, note.data);
        str_free(&note);
        return rc;
}

int train_plan(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct train_estimate *ret, struct err *e)
{
        struct setup *s;
        int rc = estimate_setup(r, data, info, &s, e);
        if (rc)
                return rc;
        *ret = (struct train_estimate){.device_bytes = s->total_bytes,
                .largest_buffer = s->largest_bytes,
                .micro_batch = s->micro_batch,
                .steps = s->steps};
        rc = check_norms(s, r, e);
        if (rc == 0)
                rc = result_bytes(r, data, s->net, &ret->model_bytes, e);
        if (rc == 0)
                rc = write_note(s, r, data, ret->note, sizeof ret->note, e);
        setup_destroy(s);
        return rc;
}
