/* He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2016: table 1. 18 and 34 are the
   course's: two 3x3 convolutions a block, a 1x1 convolution where the size changes. 50 has the paper's
   bottlenecks, and ResNeXt-50 (Xie et al.: Aggregated residual transformations for deep neural networks,
   2017) groups their 3x3 convolutions, 32 of width 4. */
#include "zoo/presets.h"
#include "zoo/write.h"

#include <stdio.h>

static void conv_bn(cJSON *layers, int index, int out_channels, int kernel_size, int stride, int groups)
{
        cJSON *conv = zoo_conv_only(layers, out_channels, kernel_size, stride, kernel_size / 2);
        cJSON_AddNumberToObject(conv, "groups", groups);
        zoo_named(conv, "conv%d", index);
        zoo_named(zoo_layer(layers, "batch_norm"), "bn%d", index);
}

static void basic_block(cJSON *layers, int index, int channels, int stride, int changes)
{
        cJSON *residual = zoo_named(zoo_layer(layers, "residual"), "%d", index),
              *body = zoo_list(residual, "layers");
        zoo_named(zoo_conv(body, channels, 3, stride, 1), "conv1");
        zoo_named(zoo_layer(body, "batch_norm"), "bn1");
        zoo_layer(body, "relu");
        zoo_named(zoo_conv(body, channels, 3, 1, 1), "conv2");
        zoo_named(zoo_layer(body, "batch_norm"), "bn2");
        if (changes)
                zoo_named(zoo_conv(zoo_list(residual, "shortcut"), channels, 1, stride, 0), "conv3");
}

/* `width` channels inside, 4 * channels outside. */
static void bottleneck(cJSON *layers, int index, int channels, int width, int groups, int stride, int changes)
{
        cJSON *residual = zoo_named(zoo_layer(layers, "residual"), "%d", index),
              *body = zoo_list(residual, "layers");
        conv_bn(body, 1, width, 1, 1, 1);
        zoo_layer(body, "relu");
        conv_bn(body, 2, width, 3, stride, groups);
        zoo_layer(body, "relu");
        conv_bn(body, 3, 4 * channels, 1, 1, 1);
        if (!changes)
                return;
        cJSON *down = zoo_block(zoo_list(residual, "shortcut"), "sequential", "downsample");
        zoo_conv_only(down, 4 * channels, 1, stride, 0);
        zoo_layer(down, "batch_norm");
}

enum { R18, R34, R50, X50 };

static int resnet(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        static const int blocks[][4] = {{2, 2, 2, 2}, {3, 4, 6, 3}, {3, 4, 6, 3}, {3, 4, 6, 3}};
        (void)params;
        cJSON *layers = cJSON_CreateArray(), *first = zoo_block(layers, "sequential", NULL);
        const int deep = variant == R50 || variant == X50;
        (deep ? zoo_conv_only : zoo_conv)(first, 64, 7, 2, 3);
        zoo_layer(first, "batch_norm");
        zoo_layer(first, "relu");
        zoo_pool(first, "max_pool2d", 3, 2, 1);
        for (int i = 0; i < 4; i++) {
                char name[24];
                const int channels = 64 << i;
                snprintf(name, sizeof name, "b%d", i + 2);
                cJSON *stage = zoo_block(layers, "sequential", name);
                for (int k = 0; k < blocks[variant][i]; k++) {
                        const int stride = k == 0 && i > 0 ? 2 : 1;
                        if (deep)
                                bottleneck(stage, k, channels, variant == X50 ? 2 * channels : channels,
                                        variant == X50 ? 32 : 1, stride, k == 0);
                        else
                                basic_block(stage, k, channels, stride, stride > 1);
                        zoo_named(zoo_layer(stage, "relu"), "relu%d", k);
                }
        }
        cJSON *last = zoo_block(layers, "sequential", "last");
        zoo_global_pool(last);
        zoo_linear(last, num_classes);
        return zoo_done(layers, ret, e);
}

const struct zoo_preset zoo_resnet18 = {"resnet18", "ResNet-18", NULL, resnet, R18};
const struct zoo_preset zoo_resnet34 = {"resnet34", "ResNet-34", NULL, resnet, R34};
const struct zoo_preset zoo_resnet50 = {"resnet50", "ResNet-50, with bottlenecks", NULL, resnet, R50};
const struct zoo_preset zoo_resnext50 = {
        "resnext50", "ResNeXt-50 32x4d: 32 groups of width 4", NULL, resnet, X50};
