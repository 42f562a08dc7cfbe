/* cnn-bench: images per second, GFLOP/s, peak device bytes and kernel-by-kernel times of one network.

   cnn-bench --architecture bn-lenet --input 1x28x28 --batch 128 --mode train|inference [--device SPEC]
             [--seconds S] [--classes N] [--precision fp32|tf32] [--kernels] [--tuning FILE] [--ahead N]
   cnn-bench --peak [--device SPEC]     multiply-adds that the device can do at most

   --tuning is a file that cnnd --tune kept; without it layers run as on a device that nobody has tuned. The
   device is waited for after every N batches, 1 where nothing is said. */
#include "../execmem.h"
#include "device_peak.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "train/update.h"
#include "train/weights.h"
#include "zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
        const char *architecture, *device, *mode, *precision, *tuning;
        int c, h, w, batch, classes, ahead;
        double seconds;
        bool kernels, peak;
};

struct bench {
        struct dev *dev;
        struct net *net;
        struct plan *plan;
        struct exec *exec;
        struct exec_memory memory;
        struct update *update;
        struct strategies *strategies;
};

static int parse(int argc, char **argv, struct options *o)
{
        for (int i = 1; i < argc; i++) {
                const char *value = i + 1 < argc ? argv[i + 1] : "";
                if (strcmp(argv[i], "--kernels") == 0) {
                        o->kernels = true;
                        continue;
                }
                if (strcmp(argv[i], "--peak") == 0) {
                        o->peak = true;
                        continue;
                }
                if (strcmp(argv[i], "--architecture") == 0)
                        o->architecture = value;
                else if (strcmp(argv[i], "--device") == 0)
                        o->device = value;
                else if (strcmp(argv[i], "--precision") == 0)
                        o->precision = value;
                else if (strcmp(argv[i], "--mode") == 0)
                        o->mode = value;
                else if (strcmp(argv[i], "--batch") == 0)
                        o->batch = atoi(value);
                else if (strcmp(argv[i], "--classes") == 0)
                        o->classes = atoi(value);
                else if (strcmp(argv[i], "--tuning") == 0)
                        o->tuning = value;
                else if (strcmp(argv[i], "--ahead") == 0)
                        o->ahead = atoi(value);
                else if (strcmp(argv[i], "--seconds") == 0)
                        o->seconds = atof(value);
                else if (strcmp(argv[i], "--input") != 0 ||
                         sscanf(value, "%dx%dx%d", &o->c, &o->h, &o->w) != 3)
                        return -1;
                i++;
        }
        bool train = strcmp(o->mode, "train") == 0;
        const bool known = train || strcmp(o->mode, "inference") == 0;
        return known && o->batch > 0 && o->classes > 0 && o->ahead > 0 ? 0 : -1;
}

static int make_net(struct bench *b, const struct options *o, struct err *e)
{
        cJSON *layers = NULL;
        cJSON *architecture = o->architecture[0] == '{'
                                      ? json_parse(o->architecture, strlen(o->architecture), e)
                                      : cJSON_CreateString(o->architecture);
        int rc = architecture ? zoo_expand(architecture, o->classes, &layers, e) : ERR_SYNTAX;
        if (rc == 0)
                rc = net_create(layers, (struct shape){o->c, o->h, o->w}, &b->net, e);
        cJSON_Delete(architecture);
        cJSON_Delete(layers);
        return rc;
}

/* Seeded weights, and an input that is no constant. */
static int fill(struct bench *b, struct err *e)
{
        float *block = malloc(b->net->param_floats * sizeof *block);
        struct tensor x = exec_input(b->exec);
        size_t floats = tensor_floats(x.n, x.s, x.lanes);
        float *input = malloc(floats * sizeof *input);
        int rc = block && input ? 0 : err_set(e, ERR_NO_MEMORY, "no memory");
        if (rc == 0) {
                weights_init(b->net, &(struct init_spec){0}, 1, block);
                for (size_t i = 0; i < floats; i++)
                        input[i] = (float)(i * 2654435761u >> 16 & 255) / 255.0f;
                rc = buf_write(b->memory.params.buf, 0, block, b->net->param_floats * sizeof *block, e);
        }
        if (rc == 0)
                rc = buf_write(x.at.buf, x.at.offset * sizeof(float), input, floats * sizeof *input, e);
        free(block);
        free(input);
        return rc;
}

static int make_update(struct bench *b, struct err *e)
{
        const struct optimizer_spec sgd = {.kind = OPTIMIZER_SGD, .lr = 1e-6};
        const struct update_memory m = {
                b->memory.params, b->memory.grads, b->memory.vars, b->net->trainable_floats, 0};
        int32_t vars[OP_VARS] = {0};
        update_vars(&sgd, sgd.lr, 0, vars);
        int rc = buf_write(b->memory.vars.buf, 0, vars, sizeof vars, e);
        return rc ? rc : update_create(b->dev, &sgd, &m, &b->update, e);
}

static int set_precision(struct bench *b, const struct options *o, struct err *e)
{
        const bool tf32 = strcmp(o->precision, "tf32") == 0;
        if (!tf32 && strcmp(o->precision, "fp32") != 0)
                return err_set(e, ERR_INVALID, "--precision is fp32 or tf32");
        if (tf32 && dev_info(b->dev)->tf32 == DEV_TF32_NONE)
                return err_set(e, ERR_INVALID, "%s has no matrix units for tf32", dev_info(b->dev)->name);
        b->memory.precision = tf32 ? OP_TF32 : OP_FP32;
        return 0;
}

/* As a job on this device would have it. */
static int know(struct bench *b, const struct options *o, struct err *e)
{
        void *bytes;
        size_t len;
        struct str text = {0};
        int rc = strategies_shipped(b->strategies, dev_info(b->dev), e);
        if (rc == 0 && o->tuning)
                rc = file_map(o->tuning, &bytes, &len, e);
        if (rc || !o->tuning)
                return rc;
        str_add_bytes(&text, bytes, len);
        file_unmap(bytes, len);
        rc = text.failed ? err_set(e, ERR_NO_MEMORY, "no memory for %s", o->tuning)
                         : strategies_read(b->strategies, text.data, e);
        str_free(&text);
        if (rc == 0 && strategies_clblast(b->strategies) && dev_info(b->dev)->clblast)
                rc = clblast_apply(b->dev, strategies_clblast(b->strategies), e);
        return rc;
}

static int prepare(struct bench *b, const struct options *o, struct err *e)
{
        bool train = strcmp(o->mode, "train") == 0;
        int rc = dev_open(o->device, NULL, &b->dev, e);
        if (rc == 0 && !(b->memory.strategies = b->strategies = strategies_create()))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        if (rc == 0)
                rc = set_precision(b, o, e);
        if (rc == 0)
                rc = make_net(b, o, e);
        if (rc == 0)
                rc = plan_create(
                        b->net, dev_info(b->dev), train ? PLAN_TRAIN : PLAN_INFER, o->batch, &b->plan, e);
        if (rc == 0)
                rc = execmem_create(b->dev, b->net, b->plan, &b->memory, e);
        if (rc == 0)
                rc = know(b, o, e);
        if (rc == 0)
                rc = exec_create(b->dev, b->net, b->plan, &b->memory, 1.0f / (float)o->batch, &b->exec, e);
        if (rc == 0)
                rc = fill(b, e);
        if (rc == 0 && train)
                rc = make_update(b, e);
        return rc;
}

static int one(struct bench *b, struct err *e)
{
        int rc = exec_run(b->exec, e);
        if (rc == 0 && b->update)
                rc = update_run(b->update, e);
        return rc;
}

/* `ahead` batches, and the wait for them. */
static int several(struct bench *b, int ahead, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < ahead && rc == 0; i++)
                rc = one(b, e);
        return rc ? rc : dev_finish(b->dev, e);
}

static int by_kernel(struct bench *b, struct err *e)
{
        enum { ROUNDS = 5 };
        int count = launch_list_count(exec_launches(b->exec)), rc = 0;
        double *seconds = calloc((size_t)count, sizeof *seconds);
        const char **names = calloc((size_t)count, sizeof *names);
        int *owners = calloc((size_t)count, sizeof *owners);
        if (!seconds || !names || !owners)
                rc = err_set(e, ERR_NO_MEMORY, "no memory");
        for (int i = 0; i < ROUNDS && rc == 0; i++)
                rc = launch_list_profile(b->dev, exec_launches(b->exec), seconds, names, owners, e);
        for (int i = 0; i < count && rc == 0; i++) {
                int node = owners[i] / 2;
                printf("%9.1f us  %-28s %s%s\n", seconds[i] / ROUNDS * 1e6, names[i],
                        node < b->net->num_nodes ? b->net->nodes[node].name : "loss",
                        owners[i] % 2 ? " backward" : "");
        }
        free(seconds);
        free(names);
        free(owners);
        return rc;
}

static int measure(struct bench *b, const struct options *o, struct err *e)
{
        int rc = 0, rounds = 0;
        for (int i = 0; i < 3 && rc == 0; i++)
                rc = several(b, 1, e);
        double from = clock_now_s(), taken = 0;
        while (rc == 0 && (taken = clock_now_s() - from) < o->seconds) {
                rc = several(b, o->ahead, e);
                rounds += o->ahead;
        }
        if (rc)
                return rc;
        double images = (double)rounds * o->batch / taken;
        double flops = (double)net_flops(b->net) * (strcmp(o->mode, "train") == 0 ? 3 : 1);
        printf("%s %dx%dx%d batch %d %s %s on %s: %.0f images/s, %.1f GFLOP/s, %.1f MB on the device\n",
                o->architecture, o->c, o->h, o->w, o->batch, o->mode, o->precision, dev_info(b->dev)->name,
                images, images * flops * 1e-9, (double)dev_peak_bytes(b->dev) * 1e-6);
        return o->kernels ? by_kernel(b, e) : 0;
}

static int show_peak(struct bench *b, const struct options *o, struct err *e)
{
        double gflops;
        int rc = dev_open(o->device, NULL, &b->dev, e);
        if (rc == 0)
                rc = device_peak(b->dev, &gflops, e);
        if (rc == 0)
                printf("peak of %s: %.1f GFLOP/s\n", dev_info(b->dev)->name, gflops);
        return rc;
}

static void finish(struct bench *b)
{
        exec_destroy(b->exec);
        strategies_destroy(b->strategies);
        update_destroy(b->update);
        execmem_destroy(&b->memory);
        plan_destroy(b->plan);
        net_destroy(b->net);
        dev_close(b->dev);
}

int main(int argc, char **argv)
{
        const char *device = getenv("CNND_DEVICE");
        struct options o = {.architecture = "bn-lenet",
                .device = device ? device : "all",
                .mode = "train",
                .precision = "fp32",
                .c = 1,
                .h = 28,
                .w = 28,
                .batch = 128,
                .classes = 10,
                .ahead = 1,
                .seconds = 3};
        struct bench b = {0};
        struct err e = {0};
        if (parse(argc, argv, &o) != 0) {
                fprintf(stderr, "usage: cnn-bench [--architecture NAME|JSON] [--input CxHxW] [--batch N] "
                                "[--mode train|inference] [--device SPEC] [--classes N] [--seconds S] "
                                "[--precision fp32|tf32] [--kernels] [--tuning FILE] [--ahead N]\n"
                                "       cnn-bench --peak [--device SPEC]\n");
                return 2;
        }
        int rc = o.peak ? show_peak(&b, &o, &e) : prepare(&b, &o, &e);
        if (rc == 0 && !o.peak)
                rc = measure(&b, &o, &e);
        if (rc)
                fprintf(stderr, "cnn-bench: %s %s\n%s", e.message, e.pointer, e.log);
        finish(&b);
        return rc ? 1 : 0;
}
