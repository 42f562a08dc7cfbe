/* Times conv2d and linear by direction: GFLOP/s of forward, gradient of the input, gradient of the
   parameters.

       op_bench [--device 0:0] [--batch 128] [--lanes 16] [--naive] [--winograd] [--clblast PARAMETERS]
   [--seconds 0.3] [--kernels] [--cpu-time] [--forward] [LAYER…]

   LAYER is conv:C,H,W,K,kernel,stride,padding[,groups[,dilation]] or linear:IN,OUT; without any, a list of
   layers of known networks. PARAMETERS are as the line "clblast Xgemm" of a tuning file has them. --forward
   leaves the gradients out. --kernels prints what each launch takes. --cpu-time counts the seconds of all
   cores of a CPU device instead of the wall's: GFLOP/s per core, also on a busy machine. */
#include "base/err.h"
#include "device/clblast.h"
#include "device/launch.h"
#include "ops/conv.h"
#include "ops/kinds.h"
#include "ops/linear.h"
#include "ops/stopwatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct settings {
        const char *device, *clblast; /* parameters; NULL without */
        int batch, lanes;             /* 0: the layer's own, the device's own */
        enum op_variant variant;
        double seconds; /* to measure each direction for */
        bool kernels, forward;
        clockid_t clock;
};

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

static int bench_layer(
        const struct settings *s, struct dev *d, const struct op *op, const char *name, int n, struct err *e)
{
        struct stopwatch *w = NULL;
        int rc = stopwatch_create(d, op, n, s->lanes ? s->lanes : dev_info(d)->lanes, &w, e);
        printf("%-34s %4d", name, n);
        for (int i = 0; i < (s->forward ? OP_FORWARD + 1 : OP_DIRECTIONS) && rc == 0; i++) {
                struct launch_list *list = NULL;
                double seconds = 0;
                rc = stopwatch_record(w, (enum op_direction)i, s->variant, &list, e);
                if (rc == 0)
                        rc = stopwatch_time(w, list, s->seconds, s->clock, &seconds, e);
                if (rc == 0)
                        printf(" %10.3f ms %6.1f", seconds * 1e3,
                                (double)(op->kind->flops(op) * n) / seconds * 1e-9);
                if (rc == 0 && s->kernels)
                        rc = print_kernels(d, list, e);
                fflush(stdout);
                launch_list_destroy(list);
        }
        printf("\n");
        stopwatch_destroy(w);
        return rc;
}

static int bench_text(const struct settings *s, struct dev *d, const char *text, int n, struct err *e)
{
        struct conv_args conv = {.dilation = {1, 1}, .groups = 1, .bias = true};
        struct linear_args linear = {.bias = true};
        struct shape in = {1, 1, 1};
        struct op *op;
        int rc;
        if (sscanf(text, "linear:%d,%d", &in.c, &linear.out_features) == 2) {
                rc = op_create(&op_linear, &linear, &in, 1, &op, e);
        } else if (sscanf(text, "conv:%d,%d,%d,%d,%d,%d,%d,%d,%d", &in.c, &in.h, &in.w, &conv.out_channels,
                           &conv.kernel_size[0], &conv.stride[0], &conv.padding[0], &conv.groups,
                           &conv.dilation[0]) >= 7) {
                conv.kernel_size[1] = conv.kernel_size[0];
                conv.stride[1] = conv.stride[0];
                conv.padding[1] = conv.padding[0];
                conv.dilation[1] = conv.dilation[0];
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
                if (strcmp(argv[i], "--winograd") == 0) {
                        s->variant = OP_WINOGRAD;
                        continue;
                }
                if (strcmp(argv[i], "--kernels") == 0) {
                        s->kernels = true;
                        continue;
                }
                if (strcmp(argv[i], "--forward") == 0) {
                        s->forward = true;
                        continue;
                }
                if (strcmp(argv[i], "--cpu-time") == 0) {
                        s->clock = CLOCK_PROCESS_CPUTIME_ID;
                        continue;
                }
                if (strcmp(argv[i], "--device") == 0)
                        s->device = value;
                else if (strcmp(argv[i], "--clblast") == 0) {
                        s->clblast = value;
                        s->variant = OP_CLBLAST;
                } else if (strcmp(argv[i], "--batch") == 0)
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

static int apply_clblast(struct dev *d, const char *text, struct err *e)
{
        struct clblast_params p;
        const int rc = clblast_params_read(text, strlen(text), &p, e);
        return rc ? rc : clblast_apply(d, &p, e);
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
                fprintf(stderr,
                        "op_bench [--device D] [--batch N] [--lanes L] [--naive] [--winograd] [--clblast P] "
                        "[--seconds S] [--kernels] [--cpu-time] [--forward] [LAYER...]\n");
                return 2;
        }
        if (s.clblast) /* on CPU devices it is not asked for */
                setenv("CNND_TEST_CLBLAST", "1", 1);
        int rc = dev_open(s.device ? s.device : "all", NULL, &d, &e);
        if (rc == 0 && s.clblast)
                rc = apply_clblast(d, s.clblast, &e);
        if (rc == 0)
                rc = bench_all(&s, d, argv + first, argc - first, &e);
        dev_close(d);
        if (rc)
                fprintf(stderr, "op_bench: %s %s\n", e.message, e.log);
        return rc ? 1 : 0;
}
