#include "train/setup.h"

#include <stdio.h>

static bool fits(const struct train_request *r, int batch, const struct dataset *data, const struct dev_info *info,
        struct setup **ret, struct err *e)
{
        struct train_request smaller = *r; /* borrows the architecture */
        smaller.batch_size = batch;
        if (setup_create(&smaller, data, info, ret, e) != 0)
                return false;
        if ((*ret)->total_bytes <= info->global_bytes && (*ret)->largest_bytes <= info->max_alloc_bytes)
                return true;
        setup_destroy(*ret);
        *ret = NULL;
        return false;
}

/* The largest batch that fits, by bisection; 0 when not even one image does. */
static int largest_batch(const struct train_request *r, const struct dataset *data, const struct dev_info *info)
{
        int low = 0, high = r->batch_size;
        while (high - low > 1) {
                int middle = low + (high - low) / 2;
                struct setup *s;
                if (fits(r, middle, data, info, &s, NULL)) {
                        setup_destroy(s);
                        low = middle;
                } else {
                        high = middle;
                }
        }
        return low;
}

static int too_large(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        uint64_t bytes, uint64_t largest, struct err *e)
{
        int batch = largest_batch(r, data, info);
        char needed[160] = "";
        if (bytes)
                snprintf(needed, sizeof needed, " takes %llu bytes, the largest buffer %llu;", (unsigned long long)bytes,
                        (unsigned long long)largest);
        else
                snprintf(needed, sizeof needed, " has a tensor too large for one buffer;");
        return err_at(e, ERR_DEVICE_MEMORY, "/batch_size",
                "batch size %d%s %s has %llu bytes and allows %llu in one buffer; %s%d", r->batch_size, needed,
                info->name, (unsigned long long)info->global_bytes, (unsigned long long)info->max_alloc_bytes,
                batch ? "the largest batch that fits is " : "not even one image fits: ", batch);
}

int train_plan(const struct train_request *r, const struct dataset *data, const struct dev_info *info,
        struct train_estimate *ret, struct err *e)
{
        struct setup *s;
        struct err why = {0};
        if (fits(r, r->batch_size, data, info, &s, &why)) {
                *ret = (struct train_estimate){s->total_bytes, s->largest_bytes, r->batch_size, s->steps};
                setup_destroy(s);
                return 0;
        }
        if (why.code && why.code != ERR_DEVICE_MEMORY) {
                if (e)
                        *e = why;
                return why.code;
        }
        uint64_t bytes = 0, largest = 0;
        if (!why.code && setup_create(r, data, info, &s, &why) == 0) {
                bytes = s->total_bytes;
                largest = s->largest_bytes;
                setup_destroy(s);
        }
        return too_large(r, data, info, bytes, largest, e);
}
