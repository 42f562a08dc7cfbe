/* LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998; as the
   course draws it, sigmoid after every hidden layer, and a second one with batch norm before each sigmoid. */
#include "base/json.h"
#include "zoo/presets.h"
#include "zoo/write.h"

#include <string.h>

enum { PLAIN, BATCH_NORM };

static void activate(cJSON *layers, const char *activation, int batch_norm)
{
        if (batch_norm)
                zoo_layer(layers, "batch_norm");
        zoo_layer(layers, activation);
}

static int lenet(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        static const int channels[] = {6, 16}, padding[] = {2, 0}, features[] = {120, 84};
        const char *activation = "sigmoid";
        double dropout = 0;
        int rc = json_get_string(params, "activation", 16, "", &activation, e);
        if (rc == 0 && strcmp(activation, "sigmoid") != 0 && strcmp(activation, "relu") != 0 &&
                strcmp(activation, "tanh") != 0)
                rc = err_at(e, ERR_INVALID, "/activation", "\"activation\" is sigmoid, relu or tanh");
        if (rc == 0)
                rc = json_get_number(params, "dropout", 0, 0.99, "", &dropout, e);
        if (rc)
                return rc;
        cJSON *layers = cJSON_CreateArray();
        for (int i = 0; i < 2; i++) {
                zoo_conv(layers, channels[i], 5, 1, padding[i]);
                activate(layers, activation, variant);
                zoo_pool(layers, "avg_pool2d", 2, 2, 0);
        }
        zoo_layer(layers, "flatten");
        for (int i = 0; i < 2; i++) {
                zoo_linear(layers, features[i]);
                activate(layers, activation, variant);
                if (dropout > 0)
                        zoo_dropout(layers, dropout);
        }
        zoo_linear(layers, num_classes);
        return zoo_done(layers, ret, e);
}

static const struct zoo_param params[] = {
        {"activation", "string", "\"sigmoid\""},
        {"dropout", "number", "0"},
        {0},
};

const struct zoo_preset zoo_lenet = {"lenet", "LeNet-5 with average pooling", params, lenet, PLAIN};
const struct zoo_preset zoo_bn_lenet = {
        "bn-lenet", "LeNet-5 with batch norm before each activation", params, lenet, BATCH_NORM};
