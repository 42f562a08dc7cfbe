/* Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, 2012; as
   the course draws it, in one column and with a first padding of 1. */
#include "zoo/presets.h"
#include "zoo/write.h"

static int alexnet(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        (void)params, (void)variant;
        cJSON *layers = cJSON_CreateArray();
        zoo_conv_relu(layers, 96, 11, 4, 1);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        zoo_conv_relu(layers, 256, 5, 1, 2);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        zoo_conv_relu(layers, 384, 3, 1, 1);
        zoo_conv_relu(layers, 384, 3, 1, 1);
        zoo_conv_relu(layers, 256, 3, 1, 1);
        zoo_pool(layers, "max_pool2d", 3, 2, 0);
        zoo_classifier(layers, num_classes);
        return zoo_done(layers, ret, e);
}

const struct zoo_preset zoo_alexnet = {
        "alexnet", "AlexNet: five convolutions, three fully connected layers", NULL, alexnet, 0};
