/* Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, 2017. `densenet` is the
   course's: one 3x3 convolution a layer; 121 to 201 are table 1's, with bottlenecks of 4 k channels and no
   biases in convolutions. */
#include "base/json.h"
#include "zoo/presets.h"
#include "zoo/write.h"

#include <stdio.h>

enum { COURSE, PAPER };

static void norm_relu(cJSON *layers)
{
        zoo_layer(layers, "batch_norm");
        zoo_layer(layers, "relu");
}

static void dense_block(cJSON *layers, int index, int count, int growth, int variant)
{
        char name[24];
        snprintf(name, sizeof name, "dense_blk%d", index);
        cJSON *block = zoo_block(layers, "dense", name);
        for (int i = 0; i < count; i++) {
                cJSON *layer = zoo_block(block, "sequential", NULL);
                norm_relu(layer);
                if (variant == PAPER) {
                        zoo_conv_only(layer, 4 * growth, 1, 1, 0);
                        norm_relu(layer);
                }
                (variant == PAPER ? zoo_conv_only : zoo_conv)(layer, growth, 3, 1, 1);
        }
}

static void transition(cJSON *layers, int index, int channels, int variant)
{
        char name[24];
        snprintf(name, sizeof name, "tran_blk%d", index);
        cJSON *block = zoo_block(layers, "sequential", name);
        norm_relu(block);
        (variant == PAPER ? zoo_conv_only : zoo_conv)(block, channels, 1, 1, 0);
        zoo_pool(block, "avg_pool2d", 2, 2, 0);
}

static int densenet(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        int arch[ZOO_MAX_BLOCKS], blocks, depth = 0;
        int64_t growth = 0;
        int rc = json_get_int(params, "growth_rate", 1, 1024, "", &growth, e);
        if (rc == 0)
                rc = zoo_arch(params, 1, 1024, arch, &blocks, e);
        for (int i = 0; rc == 0 && i < blocks; i++)
                depth += arch[i];
        if (rc == 0)
                rc = zoo_check_depth(depth, e);
        if (rc)
                return rc;
        int channels = variant == PAPER ? 2 * (int)growth : 64;
        cJSON *layers = cJSON_CreateArray(), *first = zoo_block(layers, "sequential", NULL);
        (variant == PAPER ? zoo_conv_only : zoo_conv)(first, channels, 7, 2, 3);
        norm_relu(first);
        zoo_pool(first, "max_pool2d", 3, 2, 1);
        for (int i = 0; i < blocks; i++) {
                dense_block(layers, i + 1, arch[i], (int)growth, variant);
                channels += arch[i] * (int)growth;
                if (i + 1 < blocks)
                        transition(layers, i + 1, channels /= 2, variant);
        }
        cJSON *last = zoo_block(layers, "sequential", "last");
        norm_relu(last);
        zoo_global_pool(last);
        zoo_linear(last, num_classes);
        return zoo_done(layers, ret, e);
}

#define DENSE(growth, arch)                                                                                  \
        (const struct zoo_param[])                                                                           \
        {                                                                                                    \
                {"growth_rate", "integer", growth}, {"arch", "list of layers, one number a block", arch},    \
                {                                                                                            \
                        0                                                                                    \
                }                                                                                            \
        }

const struct zoo_preset zoo_densenet = {"densenet",
        "DenseNet of the course: 3x3 convolutions, transitions that halve", DENSE("32", "[4,4,4,4]"),
        densenet, COURSE};
const struct zoo_preset zoo_densenet121 = {
        "densenet121", "DenseNet-121", DENSE("32", "[6,12,24,16]"), densenet, PAPER};
const struct zoo_preset zoo_densenet169 = {
        "densenet169", "DenseNet-169", DENSE("32", "[6,12,32,32]"), densenet, PAPER};
const struct zoo_preset zoo_densenet201 = {
        "densenet201", "DenseNet-201", DENSE("32", "[6,12,48,32]"), densenet, PAPER};
const struct zoo_preset zoo_densenet161 = {
        "densenet161", "DenseNet-161", DENSE("48", "[6,12,36,24]"), densenet, PAPER};
