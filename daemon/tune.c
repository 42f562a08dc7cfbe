#include "daemon/tune.h"

#include "base/json.h"
#include "daemon/devices/drivercache.h"
#include "daemon/worker/tuned.h"
#include "device/vendors.h"
#include "ops/selftest.h"
#include "ops/tuner.h"
#include "zoo/zoo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The exit status of a process whose driver has no device to tune. */
enum { NOTHING_TUNED = 3 };
/* For the parameters of CLBlast, whose kernels are compiled for each. */
static const double clblast_seconds = 60;

static const struct {
        const char *architecture; /* JSON */
        struct shape input;
} networks[] = {
        {"\"lenet\"", {1, 28, 28}},
        {"\"bn-lenet\"", {1, 28, 28}},
        {"\"alexnet\"", {1, 224, 224}},
        {"{\"name\":\"vgg\",\"arch\":[[1,16],[1,32],[2,64],[2,128],[2,128]]}", {1, 224, 224}},
        {"\"nin\"", {1, 224, 224}},
        {"\"resnet18\"", {1, 96, 96}},
        {"\"densenet\"", {1, 96, 96}},
        {"\"googlenet\"", {1, 96, 96}},
        {"\"vgg11\"", {3, 224, 224}},
        {"\"vgg13\"", {3, 224, 224}},
        {"\"vgg16\"", {3, 224, 224}},
        {"\"vgg19\"", {3, 224, 224}},
        {"\"resnet18\"", {3, 224, 224}},
        {"\"resnet50\"", {3, 224, 224}},
        {"\"resnext50\"", {3, 224, 224}},
        {"\"densenet121\"", {3, 224, 224}},
};

struct tune {
        struct dev *dev;             /* borrowed */
        struct strategies *measured; /* borrowed */
};

/* As in the file, and behind it milliseconds by direction: those of each variant that was tried. */
static void print_layer(const char *name, const enum op_variant v[OP_DIRECTIONS], const struct tuner_times *t)
{
        printf("%s:", name);
        for (int d = 0; d < OP_DIRECTIONS; d++)
                printf(" %s", op_variant_name(v[d]));
        for (int d = 0; d < OP_DIRECTIONS; d++)
                for (int i = 0; i < OP_VARIANTS; i++)
                        if (t->seconds[d][i] > 0)
                                printf("%s %s %s %.3f ms", d || i > OP_TILED ? "," : " #",
                                        op_direction_name((enum op_direction)d),
                                        op_variant_name((enum op_variant)i), t->seconds[d][i] * 1e3);
        printf("\n");
        fflush(stdout);
}

/* As in the file too; without it layers are measured without CLBlast. */
static int tune_clblast(struct tune *t, struct err *e)
{
        struct clblast_params p;
        struct str text = {0};
        double gflops;
        int rc = dev_info(t->dev)->clblast ? tuner_clblast(t->dev, clblast_seconds, &p, &gflops, e)
                                           : ERR_NOT_FOUND;
        if (rc == ERR_NOT_FOUND) {
                if (dev_info(t->dev)->clblast)
                        printf("# %s\n", e->message);
                *e = (struct err){0};
                return 0;
        }
        if (rc)
                return err_wrap(e, "CLBlast's parameters");
        strategies_put_clblast(t->measured, &p);
        clblast_params_print(&p, &text);
        printf("clblast Xgemm: %s # %.0f GFLOP/s\n", text.failed ? "" : text.data, gflops);
        str_free(&text);
        return 0;
}

static int tune_layer(struct tune *t, const struct op *op, int n, struct err *e)
{
        const struct dev_info *info = dev_info(t->dev);
        char name[STRATEGY_NAME];
        enum op_variant v[OP_DIRECTIONS];
        struct tuner_times times;
        if (!strategy_name(op, n, info->lanes, info, name) || strategies_find(t->measured, name, v))
                return 0;
        int rc = tuner_measure(t->dev, op, n, info->lanes, v, &times, e);
        if (rc == ERR_DEVICE_MEMORY) {
                printf("# %s: %s\n", name, e->message);
                *e = (struct err){0};
                return 0;
        }
        if (rc == 0)
                rc = strategies_put(t->measured, name, v, e);
        if (rc == 0)
                print_layer(name, v, &times);
        return rc ? err_wrap(e, "%s", name) : 0;
}

static int tune_network(struct tune *t, const char *architecture, struct shape input, struct err *e)
{
        struct net *net = NULL;
        cJSON *json = json_parse(architecture, strlen(architecture), e);
        int rc = json ? zoo_net(json, 0, input, &net, e) : ERR_INTERNAL;
        const int lanes = dev_info(t->dev)->lanes, batches[] = {lanes, 2 * lanes};
        for (int b = 0; b < 2 && rc == 0; b++)
                for (int i = 0; i < net->num_nodes && rc == 0; i++)
                        rc = tune_layer(t, net->nodes[i].op, batches[b], e);
        net_destroy(net);
        cJSON_Delete(json);
        return rc;
}

static int tune_all(struct dev *d, struct strategies *measured, struct err *e)
{
        struct tune t = {.dev = d, .measured = measured};
        int rc = tune_clblast(&t, e);
        for (size_t i = 0; i < sizeof networks / sizeof networks[0] && rc == 0; i++)
                rc = tune_network(&t, networks[i].architecture, networks[i].input, e);
        return rc;
}

static int tune_device(const struct conf *conf, const struct dev_info *info, struct err *e)
{
        char cache[PATH_MAX];
        struct dev *d = NULL;
        cJSON *report = NULL;
        struct strategies *measured = strategies_create();
        snprintf(cache, sizeof cache, "%s/cache", conf->state);
        const struct dev_options options = {.cache_dir = cache};
        printf("# %s | %s | %s\n", info->name, info->driver, info->platform_version);
        int rc = measured ? dev_open(info->id, &options, &d, e)
                          : err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        if (rc == 0)
                rc = selftest_run(d, &report, e);
        if (rc == 0)
                rc = tune_all(d, measured, e);
        if (rc == 0)
                rc = tuned_add(conf->state, info, measured, e);
        if (rc == 0)
                printf("# %d layers of device %s: kept for jobs that start from now on\n",
                        strategies_count(measured), info->id);
        cJSON_Delete(report);
        strategies_destroy(measured);
        dev_close(d);
        return rc ? err_wrap(e, "device %s", info->id) : 0;
}

/* Of the drivers that this process sees. ERR_NOT_FOUND where the configuration names none of their devices.
 */
static int tune_driver(const struct conf *conf, struct err *e)
{
        struct dev_info *list = NULL;
        int count = 0, tuned = 0;
        int rc = drivercache_use(conf->state, "tune", e);
        if (rc == 0)
                rc = dev_list(&list, &count, e);
        for (int i = 0; i < count && rc == 0; i++)
                if (dev_matches(&list[i], conf->device)) {
                        rc = tune_device(conf, &list[i], e);
                        tuned++;
                }
        free(list);
        if (rc == 0 && tuned == 0)
                return err_set(e, ERR_NOT_FOUND, "no OpenCL device is named by \"%s\"", conf->device);
        return rc;
}

/* In a process of its own, which sees no other driver and may die of this one. */
static int tune_alone(const struct conf *conf, const char *driver, int platform, struct err *e)
{
        char folder[PATH_MAX];
        int status = 0;
        snprintf(folder, sizeof folder, "%s/cache/vendors", conf->state);
        fflush(stdout);
        pid_t pid = fork();
        if (pid < 0)
                return err_errno(e, errno, "fork");
        if (pid == 0) {
                int rc = vendors_use(folder, driver, platform, e);
                if (rc == 0)
                        rc = tune_driver(conf, e);
                if (rc && rc != ERR_NOT_FOUND)
                        fprintf(stderr, "cnnd: OpenCL driver %s: %s\n", driver, e->message);
                fflush(stdout);
                _exit(rc == 0 ? 0 : rc == ERR_NOT_FOUND ? NOTHING_TUNED : 1);
        }
        if (waitpid(pid, &status, 0) < 0)
                return err_errno(e, errno, "waitpid");
        if (WIFSIGNALED(status))
                fprintf(stderr, "cnnd: OpenCL driver %s: killed by signal %d (%s)\n", driver,
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
        if (WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_TUNED)
                return ERR_NOT_FOUND;
        return status == 0 ? 0 : err_set(e, ERR_DEVICE, "OpenCL driver %s failed", driver);
}

static int make_folders(const struct conf *conf, struct err *e)
{
        char cache[PATH_MAX];
        snprintf(cache, sizeof cache, "%s/cache", conf->state);
        if (mkdir(conf->state, 0700) != 0 && errno != EEXIST)
                return err_errno(e, errno, "%s", conf->state);
        return mkdir(cache, 0700) == 0 || errno == EEXIST ? 0 : err_errno(e, errno, "%s", cache);
}

/* Jobs of a daemon that runs take the result when they start, but what it computes meanwhile is in it. */
static void look_for_daemon(const struct conf *conf)
{
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/lock", conf->state);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
                fprintf(stderr,
                        "cnnd: a cnnd runs on the state folder %s: jobs and classifications of the next "
                        "minutes "
                        "would falsify what is measured, and is kept. Stop it meanwhile, or see to it that "
                        "it "
                        "has nothing to do\n",
                        conf->state);
        close(fd);
}

/* A driver that fails does not keep the others from being tuned. */
int tune_main(const struct conf *conf, struct err *e)
{
        struct vendors drivers;
        struct err why;
        int tuned = 0, failed = 0, rc = make_folders(conf, e);
        if (rc == 0)
                rc = vendors_find(&drivers, e);
        if (rc)
                return rc;
        look_for_daemon(conf);
        if (drivers.count == 0)
                return tune_driver(conf, e);
        for (int i = 0; i < drivers.count; i++) {
                int one = tune_alone(conf, drivers.file[i], i, &why);
                tuned += one == 0;
                if (one && one != ERR_NOT_FOUND) {
                        failed++;
                        *e = why;
                }
        }
        vendors_finish(&drivers);
        if (failed)
                return e->code;
        return tuned ? 0 : err_set(e, ERR_NOT_FOUND, "no OpenCL device is named by \"%s\"", conf->device);
}
