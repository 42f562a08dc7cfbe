/* LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998; as the course
   draws it, sigmoid after every hidden layer, and a second one with batch norm before each sigmoid. */
#include "zoo/presets.h"

static int build(int num_classes, int batch_norm, cJSON **ret, struct err *e)
{
        static const int channels[] = {6, 16}, padding[] = {2, 0}, features[] = {120, 84};
        cJSON *layers = cJSON_CreateArray();
        for (int i = 0; i < 2; i++) {
                zoo_conv(layers, channels[i], 5, 1, padding[i]);
                if (batch_norm)
                        zoo_layer(layers, "batch_norm");
                zoo_layer(layers, "sigmoid");
                zoo_pool(layers, "avg_pool2d", 2, 2, 0);
        }
        zoo_layer(layers, "flatten");
        for (int i = 0; i < 2; i++) {
                zoo_linear(layers, features[i]);
                if (batch_norm)
                        zoo_layer(layers, "batch_norm");
                zoo_layer(layers, "sigmoid");
        }
        zoo_linear(layers, num_classes);
        return zoo_done(layers, ret, e);
}

static int lenet(const cJSON *params, int num_classes, cJSON **ret, struct err *e)
{
        (void)params;
        return build(num_classes, 0, ret, e);
}

static int bn_lenet(const cJSON *params, int num_classes, cJSON **ret, struct err *e)
{
        (void)params;
        return build(num_classes, 1, ret, e);
}

const struct zoo_preset zoo_lenet = {"lenet", "LeNet-5 with sigmoids and average pooling", "", lenet};
const struct zoo_preset zoo_bn_lenet = {"bn-lenet", "LeNet-5 with batch norm before each sigmoid", "", bn_lenet};
