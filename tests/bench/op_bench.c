/* Times conv2d and linear by direction: GFLOP/s of forward, gradient of the input, gradient of the
   parameters.

       op_bench [--device 0:0] [--batch 128] [--lanes 16] [--naive] [--seconds 0.3] [--kernels] [--cpu-time]
   [LAYER…]

   LAYER is conv:C,H,W,K,kernel,stride,padding[,groups] or linear:IN,OUT; without any, a list of layers of
   known networks. --kernels prints what each launch takes. --cpu-time counts the seconds of all cores of a
   CPU device instead of the wall's: GFLOP/s per core, also on a busy machine. */
#include "base/err.h"
#include "device/launch.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/linear.h"
#include "ops/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct settings {
        const char *device;
        int batch, lanes; /* 0: the layer's own, the device's own */
        enum op_variant variant;
        double seconds; /* to measure each direction for */
        bool kernels;
        clockid_t clock;
};

struct tensors {
        struct buf *bufs[16]; /* owned */
        int count;
        struct op_call call;
};

enum direction { FORWARD, DATA, WEIGHTS, DIRECTIONS };

static double now(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int add(struct tensors *t, struct dev *d, uint64_t floats, struct view *ret, struct err *e)
{
        float *host = malloc(floats * sizeof *host);
        uint64_t seed = floats;
        if (!host)
                return err_set(e, ERR_NO_MEMORY, "no memory for %llu floats", (unsigned long long)floats);
        for (uint64_t i = 0; i < floats; i++)
                host[i] = (float)(trial_uniform(&seed) - 0.5);
        int rc = buf_create(d, floats * sizeof *host, "benchmark", &ret->buf, e);
        if (rc == 0) {
                t->bufs[t->count++] = ret->buf;
                rc = buf_write(ret->buf, 0, host, floats * sizeof *host, e);
        }
        free(host);
        return rc;
}

static int add_tensor(
        struct tensors *t, struct dev *d, int n, struct shape s, int lanes, struct tensor *ret, struct err *e)
{
        struct view at = {0};
        int rc = add(t, d, tensor_floats(n, s, lanes), &at, e);
        *ret = tensor_whole(at, n, s, lanes);
        return rc;
}

static int make_call(struct tensors *t, struct dev *d, const struct op *op, int n, int lanes, struct err *e)
{
        struct op_call *c = &t->call;
        struct op_needs needs = {0};
        if (op->kind->needs)
                op->kind->needs(op, n, lanes, dev_info(d), &needs);
        int rc = add_tensor(t, d, n, op->in[0], lanes, &c->x[0], e);
        if (rc == 0)
                rc = add_tensor(t, d, n, op->in[0], lanes, &c->dx[0], e);
        if (rc == 0)
                rc = add_tensor(t, d, n, op->out, lanes, &c->y, e);
        if (rc == 0)
                rc = add_tensor(t, d, n, op->out, lanes, &c->dy, e);
        for (int i = 0; i < op->num_params && rc == 0; i++) {
                rc = add(t, d, (uint64_t)op_param_count(&op->params[i]), &c->params[i], e);
                if (rc == 0)
                        rc = add(t, d, (uint64_t)op_param_count(&op->params[i]), &c->dparams[i], e);
        }
        uint64_t workspace = needs.workspace_forward > needs.workspace_backward ? needs.workspace_forward
                                                                                : needs.workspace_backward;
        if (rc == 0 && workspace)
                rc = add(t, d, workspace, &c->workspace, e);
        c->dev = d;
        c->training = true;
        return rc;
}

static int record(const struct op *op, const struct op_call *all, enum direction direction,
        struct launch_list *list, struct err *e)
{
        struct op_call c = *all;
        if (direction == DATA)
                c.dparams[0].buf = c.dparams[1].buf = NULL;
        if (direction == WEIGHTS)
                c.dx[0].at.buf = NULL;
        launch_record(c.dev, list);
        int rc = direction == FORWARD ? op->kind->forward(op, &c, e) : op->kind->backward(op, &c, e);
        launch_record_end(c.dev);
        return rc;
}

static int print_kernels(struct dev *d, struct launch_list *list, struct err *e)
{
        enum { MOST = 16, RUNS = 3 };
        double seconds[MOST] = {0};
        const char *names[MOST];
        int owners[MOST], rc = 0;
        for (int i = 0; i < RUNS && rc == 0; i++)
                rc = launch_list_profile(d, list, seconds, names, owners, e);
        for (int i = 0; i < launch_list_count(list) && rc == 0; i++)
                printf("\n    %-28s %9.1f us", names[i], seconds[i] / RUNS * 1e6);
        return rc;
}

/* Best time of one run, in seconds: what disturbs a run only ever makes it longer. */
static int measure(
        const struct settings *s, struct dev *d, struct launch_list *list, double *ret, struct err *e)
{
        double best = 1e9, start = 0;
        int rc = launch_list_run(d, list, e); /* compiles */
        if (rc == 0)
                rc = dev_finish(d, e);
        start = now(CLOCK_MONOTONIC);
        for (int i = 0; rc == 0 && (i < 3 || now(CLOCK_MONOTONIC) - start < s->seconds); i++) {
                double from = now(s->clock);
                rc = launch_list_run(d, list, e);
                if (rc == 0)
                        rc = dev_finish(d, e);
                const double seconds = now(s->clock) - from;
                if (seconds < best)
                        best = seconds;
        }
        *ret = best;
        return rc;
}

static int bench_layer(
        const struct settings *s, struct dev *d, const struct op *op, const char *name, int n, struct err *e)
{
        struct tensors t = {0};
        int rc = make_call(&t, d, op, n, s->lanes ? s->lanes : dev_info(d)->lanes, e);
        t.call.variant = s->variant;
        printf("%-34s %4d", name, n);
        for (int i = getenv("D0") ? atoi(getenv("D0")) : 0;
                i < (getenv("D1") ? atoi(getenv("D1")) : DIRECTIONS) && rc == 0; i++) {
                struct launch_list *list = NULL;
                double seconds = 0;
                rc = launch_list_create(&list, e);
                if (rc == 0)
                        rc = record(op, &t.call, (enum direction)i, list, e);
                if (rc == 0)
                        rc = measure(s, d, list, &seconds, e);
                if (rc == 0)
                        printf(" %10.3f ms %6.1f", seconds * 1e3,
                                (double)(op->kind->flops(op) * n) / seconds * 1e-9);
                if (rc == 0 && s->kernels)
                        rc = print_kernels(d, list, e);
                fflush(stdout);
                launch_list_destroy(list);
        }
        printf("\n");
        for (int i = 0; i < t.count; i++)
                buf_destroy(t.bufs[i]);
        return rc;
}

static int bench_text(const struct settings *s, struct dev *d, const char *text, int n, struct err *e)
{
        struct conv_args conv = {.groups = 1, .bias = true};
        struct linear_args linear = {.bias = true};
        struct shape in = {1, 1, 1};
        struct op *op;
        int rc;
        if (sscanf(text, "linear:%d,%d", &in.c, &linear.out_features) == 2) {
                rc = op_create(&op_linear, &linear, &in, 1, &op, e);
        } else if (sscanf(text, "conv:%d,%d,%d,%d,%d,%d,%d,%d", &in.c, &in.h, &in.w, &conv.out_channels,
                           &conv.kernel_size[0], &conv.stride[0], &conv.padding[0], &conv.groups) >= 7) {
                conv.kernel_size[1] = conv.kernel_size[0];
                conv.stride[1] = conv.stride[0];
                conv.padding[1] = conv.padding[0];
                rc = op_create(&op_conv2d, &conv, &in, 1, &op, e);
        } else {
                return err_set(e, ERR_INVALID, "%s is no layer", text);
        }
        if (rc)
                return rc;
        rc = bench_layer(s, d, op, text, s->batch ? s->batch : n, e);
        op_destroy(op);
        return rc;
}

static const struct {
        const char *text;
        int n;
} layers[] = {
        {"conv:1,28,28,6,5,1,2", 128},
        {"conv:6,14,14,16,5,1,0", 128},
        {"linear:400,120", 128},
        {"linear:120,84", 128},
        {"linear:84,10", 128},
        {"conv:3,224,224,96,11,4,1", 32},
        {"conv:96,26,26,256,5,1,2", 32},
        {"conv:256,12,12,384,3,1,1", 32},
        {"conv:16,112,112,32,3,1,1", 32},
        {"conv:64,56,56,64,3,1,1", 32},
        {"conv:64,56,56,128,3,2,1", 32},
        {"conv:128,28,28,64,1,1,0", 32},
        {"conv:256,14,14,512,1,2,0", 32},
        {"linear:6400,4096", 32},
        {"linear:4096,4096", 32},
        {"linear:4096,4096", 128},
};

static int bench_all(const struct settings *s, struct dev *d, char **texts, int count, struct err *e)
{
        int rc = 0;
        printf("%s (%s)\n%-34s %4s %20s %20s %20s\n", dev_info(d)->name, dev_info(d)->version, "layer", "n",
                "forward GFLOP/s", "data GFLOP/s", "weights GFLOP/s");
        for (int i = 0; i < count && rc == 0; i++)
                rc = bench_text(s, d, texts[i], 32, e);
        for (size_t i = 0; i < sizeof layers / sizeof layers[0] && rc == 0 && count == 0; i++)
                rc = bench_text(s, d, layers[i].text, layers[i].n, e);
        return rc;
}

/* Index of the first layer in argv, 0 for a wrong call. */
static int parse(int argc, char **argv, struct settings *s)
{
        int i = 1;
        for (; i < argc && argv[i][0] == '-'; i++) {
                const char *value = i + 1 < argc ? argv[i + 1] : "";
                if (strcmp(argv[i], "--naive") == 0) {
                        s->variant = OP_NAIVE;
                        continue;
                }
                if (strcmp(argv[i], "--kernels") == 0) {
                        s->kernels = true;
                        continue;
                }
                if (strcmp(argv[i], "--cpu-time") == 0) {
                        s->clock = CLOCK_PROCESS_CPUTIME_ID;
                        continue;
                }
                if (strcmp(argv[i], "--device") == 0)
                        s->device = value;
                else if (strcmp(argv[i], "--batch") == 0)
                        s->batch = atoi(value);
                else if (strcmp(argv[i], "--lanes") == 0)
                        s->lanes = atoi(value);
                else if (strcmp(argv[i], "--seconds") == 0)
                        s->seconds = atof(value);
                else
                        return 0;
                i++;
        }
        return i > argc ? 0 : i;
}

int main(int argc, char **argv)
{
        struct settings s = {.device = getenv("CNND_DEVICE"),
                .variant = OP_TILED,
                .seconds = 0.3,
                .clock = CLOCK_MONOTONIC};
        struct err e = {0};
        struct dev *d = NULL;
        const int first = parse(argc, argv, &s);
        if (first == 0) {
                fprintf(stderr, "op_bench [--device D] [--batch N] [--lanes L] [--naive] [--seconds S] "
                                "[--kernels] [--cpu-time] [LAYER...]\n");
                return 2;
        }
        int rc = dev_open(s.device ? s.device : "all", NULL, &d, &e);
        if (rc == 0)
                rc = bench_all(&s, d, argv + first, argc - first, &e);
        dev_close(d);
        if (rc)
                fprintf(stderr, "op_bench: %s %s\n", e.message, e.log);
        return rc ? 1 : 0;
}
