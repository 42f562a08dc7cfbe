#include "device/launch.h"
#include "base/clock.h"
#include "device/cl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIMS = 3, FIRST_FLUSH = 8 };
/* Of work-groups in the second and third dimension NVIDIA's devices take no more at once. A kernel for GPUs
   does not ask in these for more than get_global_id: not for the size of the grid, which may come in parts.
 */
enum { MOST_GROUPS = 65535, GPU_LANES = 32 };

struct recorded {
        cl_kernel kernel;          /* owned; its arguments stay bound */
        struct clblast_call *gemm; /* owned; instead of a kernel */
        const char *name;          /* borrowed */
        int owner;
        cl_uint dims;
        bool has_local, once, has_run;
        size_t global[MAX_DIMS], local[MAX_DIMS];
};

struct launch_list {
        struct recorded *items; /* owned */
        int count, cap, owner;
};

struct launch launch_begin(struct dev *d, const char *file, const char *options, const char *name)
{
        struct launch l = {.dev = d, .name = name};
        cl_kernel kernel;
        if (prog_kernel(d, file, options, name, &kernel, &l.failure) != 0)
                return l;
        l.kernel = kernel;
        cl_uint args;
        cl_int status = clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof args, &args, NULL);
        if (status != CL_SUCCESS)
                err_cl(&l.failure, status, "kernel %s", name);
        else
                l.args = args;
        return l;
}

static void bind(struct launch *l, size_t len, const void *value)
{
        if (l->failure.code)
                return;
        if (l->next >= l->args) {
                err_set(&l->failure, ERR_INTERNAL, "kernel %s takes only %u arguments", l->name, l->args);
                return;
        }
        cl_int status = clSetKernelArg(l->kernel, l->next, len, value);
        if (status != CL_SUCCESS)
                err_cl(&l->failure, status, "argument %u of kernel %s", l->next, l->name);
        l->next++;
}

void launch_int(struct launch *l, int v)
{
        cl_int value = v;
        bind(l, sizeof value, &value);
}

void launch_int_array(struct launch *l, const int *values, size_t count)
{
        for (size_t i = 0; i < count; i++)
                launch_int(l, values[i]);
}

void launch_ulong(struct launch *l, uint64_t v)
{
        cl_ulong value = v;
        bind(l, sizeof value, &value);
}

void launch_float(struct launch *l, float v)
{
        bind(l, sizeof v, &v);
}

void launch_buf(struct launch *l, const struct buf *b)
{
        if (!b && !l->failure.code)
                err_set(&l->failure, ERR_INTERNAL, "argument %u of kernel %s has no buffer", l->next,
                        l->name);
        if (b)
                bind(l, sizeof b->mem, &b->mem);
}

void launch_view(struct launch *l, const struct view *v)
{
        launch_buf(l, v->buf);
        launch_ulong(l, v->offset);
}

void launch_tensor(struct launch *l, const struct tensor *t)
{
        launch_view(l, &t->at);
        launch_ulong(l, t->stride);
}

void launch_local(struct launch *l, size_t bytes)
{
        bind(l, bytes, NULL);
}

static int append(struct launch_list *list, const struct recorded *r, struct err *e)
{
        if (list->count == list->cap) {
                int cap = list->cap ? list->cap * 2 : 64;
                struct recorded *items = realloc(list->items, (size_t)cap * sizeof *items);
                if (!items)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %d launches", cap);
                list->items = items;
                list->cap = cap;
        }
        list->items[list->count++] = *r;
        return 0;
}

static size_t least(size_t a, size_t b)
{
        return a < b ? a : b;
}

/* From work-item `first` on, at most `most` in each dimension. */
static int enqueue_part(struct dev *d, const struct recorded *r, const size_t first[MAX_DIMS],
        const size_t most[MAX_DIMS], struct err *e)
{
        cl_event event;
        size_t global[MAX_DIMS];
        for (int i = 0; i < MAX_DIMS; i++)
                global[i] = least(most[i], r->global[i] - first[i]);
        cl_int status = clEnqueueNDRangeKernel(d->queue, r->kernel, r->dims,
                first[1] || first[2] ? first : NULL, global, r->has_local ? r->local : NULL, 0, NULL, &event);
        if (status != CL_SUCCESS)
                return err_cl(e, status, "starting kernel %s", r->name);
        return pending_add(d, event, r->name, e);
}

static int enqueue(struct dev *d, const struct recorded *r, struct err *e)
{
        cl_event event;
        if (r->gemm) {
                const int rc = clblast_call_enqueue(d, r->gemm, &event, e);
                return rc ? rc : pending_add(d, event, r->name, e);
        }
        size_t first[MAX_DIMS] = {0}, most[MAX_DIMS];
        memcpy(most, r->global, sizeof most);
        for (int i = 1; d->info.lanes == GPU_LANES && i < MAX_DIMS; i++)
                most[i] = least(most[i], MOST_GROUPS * r->local[i]);
        int rc = 0;
        for (; rc == 0 && first[2] < r->global[2]; first[2] += most[2])
                for (first[1] = 0; rc == 0 && first[1] < r->global[1]; first[1] += most[1])
                        rc = enqueue_part(d, r, first, most, e);
        return rc;
}

static int check(const struct launch *l, const struct recorded *r, struct err *e)
{
        if (l->failure.code) {
                if (e)
                        *e = l->failure;
                return l->failure.code;
        }
        if (l->next != l->args)
                return err_set(
                        e, ERR_INTERNAL, "kernel %s takes %u arguments, %u given", l->name, l->args, l->next);
        for (cl_uint i = 0; i < r->dims; i++)
                if (r->global[i] == 0 || (r->has_local && (r->local[i] == 0 || r->global[i] % r->local[i])))
                        return err_set(e, ERR_INTERNAL, "kernel %s: bad grid in dimension %u", l->name, i);
        return 0;
}

/* PoCL compiles a kernel anew for every local size, and left alone chooses one for every global size: a tenth
   of a second for each new shape. Powers of two are few. */
static void choose_local(const struct dev *d, struct recorded *r)
{
        if (d->info.type != DEV_CPU)
                return;
        r->has_local = true;
        while (r->local[0] < LAUNCH_GROUP && r->global[0] % (2 * r->local[0]) == 0 && r->global[0])
                r->local[0] *= 2;
}

int launch_grid(struct launch *l, int dims, const size_t *global, const size_t *local, struct err *e)
{
        struct recorded r = {.kernel = l->kernel,
                .name = l->name,
                .dims = (cl_uint)dims,
                .has_local = local != NULL,
                .once = l->once,
                .global = {1, 1, 1},
                .local = {1, 1, 1}};
        memcpy(r.global, global, (size_t)dims * sizeof *global);
        if (local)
                memcpy(r.local, local, (size_t)dims * sizeof *local);
        else
                choose_local(l->dev, &r);
        int rc = check(l, &r, e);
        struct launch_list *list = l->dev->recording;
        if (rc == 0 && list) {
                r.owner = list->owner;
                rc = append(list, &r, e);
                if (rc == 0)
                        l->kernel = NULL;
        } else if (rc == 0) {
                rc = enqueue(l->dev, &r, e);
        }
        if (l->kernel)
                clReleaseKernel(l->kernel);
        l->kernel = NULL;
        return rc;
}

int launch_over(struct launch *l, int dims, const size_t *counts, struct err *e)
{
        size_t global[MAX_DIMS] = {1, 1, 1};
        const size_t local[MAX_DIMS] = {LAUNCH_GROUP, 1, 1};
        memcpy(global, counts, (size_t)dims * sizeof *counts);
        global[0] = (global[0] + LAUNCH_GROUP - 1) / LAUNCH_GROUP * LAUNCH_GROUP;
        return launch_grid(l, dims, global, local, e);
}

int launch_gemm(struct dev *d, const struct gemm *g, struct err *e)
{
        struct recorded r = {.name = "clblast_gemm"};
        int rc = clblast_call_create(d, g, &r.gemm, e);
        if (rc == 0 && d->recording) {
                r.owner = d->recording->owner;
                rc = append(d->recording, &r, e);
                if (rc == 0)
                        return 0;
        } else if (rc == 0) {
                rc = enqueue(d, &r, e);
        }
        clblast_call_destroy(r.gemm);
        return rc;
}

int launch_list_create(struct launch_list **ret, struct err *e)
{
        struct launch_list *list = calloc(1, sizeof *list);
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory for a launch list");
        *ret = list;
        return 0;
}

void launch_list_destroy(struct launch_list *list)
{
        if (!list)
                return;
        for (int i = 0; i < list->count; i++) {
                if (list->items[i].kernel)
                        clReleaseKernel(list->items[i].kernel);
                clblast_call_destroy(list->items[i].gemm);
        }
        free(list->items);
        free(list);
}

void launch_record(struct dev *d, struct launch_list *list)
{
        d->recording = list;
}

void launch_record_end(struct dev *d)
{
        d->recording = NULL;
}

void launch_list_owner(struct launch_list *list, int owner)
{
        list->owner = owner;
}

int launch_list_count(const struct launch_list *list)
{
        return list->count;
}

/* Drivers may gather commands until somebody waits. After 8, 16, 32, … the device has work for as long as the
   host takes for as many again, by few submissions. */
static int begin_early(struct dev *d, int enqueued, struct err *e)
{
        if (enqueued < FIRST_FLUSH || (enqueued & (enqueued - 1)))
                return 0;
        const cl_int status = clFlush(d->queue);
        return status == CL_SUCCESS ? 0 : err_cl(e, status, "submitting launches to %s", d->info.name);
}

int launch_list_run_to(struct dev *d, struct launch_list *list, int last, struct err *e)
{
        int rc = 0, enqueued = 0;
        for (int i = 0; i < list->count && rc == 0; i++)
                if (list->items[i].owner <= last && !(list->items[i].once && list->items[i].has_run)) {
                        rc = enqueue(d, &list->items[i], e);
                        if (!list->items[i].has_run)
                                prog_tell(d, false);
                        list->items[i].has_run = rc == 0;
                        if (rc == 0)
                                rc = begin_early(d, ++enqueued, e);
                }
        return rc;
}

int launch_list_run(struct dev *d, struct launch_list *list, struct err *e)
{
        return launch_list_run_to(d, list, INT_MAX, e);
}

int launch_list_run_backwards(struct dev *d, struct launch_list *list, struct err *e)
{
        int rc = 0;
        for (int i = list->count - 1; i >= 0 && rc == 0; i--)
                rc = enqueue(d, &list->items[i], e);
        return rc;
}

int launch_list_profile(struct dev *d, struct launch_list *list, double *seconds, const char **names,
        int *owners, struct err *e)
{
        for (int i = 0; i < list->count; i++) {
                struct recorded *r = &list->items[i];
                double from = clock_now_s();
                int rc = r->once && r->has_run ? 0 : enqueue(d, r, e);
                r->has_run = rc == 0;
                if (rc == 0)
                        rc = dev_finish(d, e);
                if (rc)
                        return rc;
                seconds[i] += clock_now_s() - from;
                names[i] = r->name;
                owners[i] = r->owner;
        }
        return 0;
}
