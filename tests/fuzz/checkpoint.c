/* A job's checkpoint as a killed machine or a full disk may leave it: whole, or refused with a reason. */
#include "fuzz.h"

#include "base/json.h"
#include "train/checkpoint.h"

#include <math.h>
#include <string.h>

static const char layers[] = "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":3},"
                             "{\"type\":\"batch_norm\"},{\"type\":\"flatten\"},"
                             "{\"type\":\"linear\",\"out_features\":2}]}";

static struct net *make_net(void)
{
        struct net *net = NULL;
        struct err e;
        cJSON *tree = json_parse(layers, sizeof layers - 1, &e);
        FUZZ_CHECK(tree && net_create(tree, (struct shape){1, 4, 4}, &net, &e) == 0);
        cJSON_Delete(tree);
        return net;
}

static void check_progress(const struct progress *p)
{
        FUZZ_CHECK(p->step >= 0);
        FUZZ_CHECK(isfinite(p->window.loss) && isfinite(p->epoch.loss) && isfinite(p->stopping.best));
        FUZZ_CHECK(p->window.correct >= 0 && p->window.correct <= p->window.count);
        FUZZ_CHECK(p->epoch.correct >= 0 && p->epoch.correct <= p->epoch.count);
        FUZZ_CHECK(p->stopping.waited >= 0 && p->stopping.waited <= p->stopping.epochs);
        FUZZ_CHECK(p->best.step >= 0 && p->best.step <= p->step);
        for (int i = 0; i < METRICS; i++)
                FUZZ_CHECK(isfinite(p->best.metrics[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        static const struct optimizer_spec adam = {.kind = OPTIMIZER_ADAM, .lr = 0.1};
        static struct net *net;
        if (!net)
                net = make_net();
        const struct checkpoint c = {.net = net,
                .optimizer = &adam,
                .block = malloc(net->param_floats * sizeof(float)),
                .state = malloc(OPTIMIZER_MAX_STATES * net->trainable_floats * sizeof(float)),
                .best = malloc(net->param_floats * sizeof(float))};
        struct progress p = {.step = -1};
        struct str damage = {0};
        struct err e = {0};
        bool found = false;
        char path[300];
        snprintf(path, sizeof path, "%s/checkpoint.safetensors", fuzz_dir());
        fuzz_write(path, bytes, len);
        FUZZ_CHECK(c.block && c.state && c.best);
        FUZZ_CHECK(checkpoint_read(fuzz_dir(), &c, &p, &found, &damage, &e) == 0);
        FUZZ_CHECK(found == (p.step != -1) && found == (damage.len == 0));
        FUZZ_CHECK(found || strncmp(damage.data, "the last checkpoint is damaged (", 32) == 0);
        if (found)
                check_progress(&p);
        str_free(&damage);
        free(c.block);
        free(c.state);
        free(c.best);
        return 0;
}
