/* Lin, Chen, Yan: Network in network, 2013; as the course draws it, with AlexNet's kernel sizes. */
#include "zoo/presets.h"
#include "zoo/write.h"

static void nin_block(cJSON *layers, int out_channels, int kernel_size, int stride, int padding)
{
        cJSON *block = zoo_block(layers, "sequential", NULL);
        zoo_conv_relu(block, out_channels, kernel_size, stride, padding);
        zoo_conv_relu(block, out_channels, 1, 1, 0);
        zoo_conv_relu(block, out_channels, 1, 1, 0);
}

static int nin(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        (void)params, (void)variant;
        cJSON *layers = cJSON_CreateArray();
        nin_block(layers, 96, 11, 4, 0);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        nin_block(layers, 256, 5, 1, 2);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        nin_block(layers, 384, 3, 1, 1);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        zoo_dropout(layers, 0.5);
        nin_block(layers, num_classes, 3, 1, 1);
        zoo_global_pool(layers);
        return zoo_done(layers, ret, e);
}

const struct zoo_preset zoo_nin = {"nin", "Network in network", NULL, nin, 0};
