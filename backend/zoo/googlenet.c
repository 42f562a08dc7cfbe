/* Szegedy et al.: Going deeper with convolutions, 2015: table 1, without the auxiliary classifiers, as the
 * course draws it. */
#include "base/json.h"
#include "zoo/presets.h"
#include "zoo/write.h"

/* Channels of the 1x1 path, the 3x3 path and its reduction, the 5x5 path and its reduction, the pooling path.
 */
struct inception {
        int c1, c2[2], c3[2], c4;
};

static void inception_block(cJSON *layers, const struct inception *s)
{
        cJSON *branches = zoo_list(zoo_layer(layers, "concat"), "branches"), *branch[4];
        for (int i = 0; i < 4; i++)
                branch[i] = json_push(branches, cJSON_CreateArray());
        zoo_named(zoo_conv_relu(branch[0], s->c1, 1, 1, 0), "b1_1");
        zoo_named(zoo_conv_relu(branch[1], s->c2[0], 1, 1, 0), "b2_1");
        zoo_named(zoo_conv_relu(branch[1], s->c2[1], 3, 1, 1), "b2_2");
        zoo_named(zoo_conv_relu(branch[2], s->c3[0], 1, 1, 0), "b3_1");
        zoo_named(zoo_conv_relu(branch[2], s->c3[1], 5, 1, 2), "b3_2");
        zoo_pool(branch[3], "max_pool2d", 3, 1, 1);
        zoo_named(zoo_conv_relu(branch[3], s->c4, 1, 1, 0), "b4_2");
}

static cJSON *stage(cJSON *layers, const struct inception *blocks, int count)
{
        cJSON *block = zoo_block(layers, "sequential", NULL);
        for (int i = 0; i < count; i++)
                inception_block(block, &blocks[i]);
        return block;
}

static int googlenet(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        static const struct inception b3[] = {{64, {96, 128}, {16, 32}, 32}, {128, {128, 192}, {32, 96}, 64}},
                                      b4[] = {{192, {96, 208}, {16, 48}, 64}, {160, {112, 224}, {24, 64}, 64},
                                              {128, {128, 256}, {24, 64}, 64},
                                              {112, {144, 288}, {32, 64}, 64},
                                              {256, {160, 320}, {32, 128}, 128}},
                                      b5[] = {{256, {160, 320}, {32, 128}, 128},
                                              {384, {192, 384}, {48, 128}, 128}};
        (void)params, (void)variant;
        cJSON *layers = cJSON_CreateArray(), *block = zoo_block(layers, "sequential", NULL);
        zoo_conv_relu(block, 64, 7, 2, 3);
        zoo_pool(block, "max_pool2d", 3, 2, 1);
        block = zoo_block(layers, "sequential", NULL);
        zoo_conv_relu(block, 64, 1, 1, 0);
        zoo_conv_relu(block, 192, 3, 1, 1);
        zoo_pool(block, "max_pool2d", 3, 2, 1);
        zoo_pool(stage(layers, b3, 2), "max_pool2d", 3, 2, 1);
        zoo_pool(stage(layers, b4, 5), "max_pool2d", 3, 2, 1);
        zoo_global_pool(stage(layers, b5, 2));
        zoo_linear(layers, num_classes);
        return zoo_done(layers, ret, e);
}

const struct zoo_preset zoo_googlenet = {"googlenet", "GoogLeNet: nine inception blocks", NULL, googlenet, 0};
