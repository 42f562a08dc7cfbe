/* Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014: table 1.
   Blocks of 3x3 convolutions, each block ended by pooling that halves. */
#include "zoo/presets.h"
#include "zoo/write.h"

static int vgg(const cJSON *params, int variant, int num_classes, cJSON **ret, struct err *e)
{
        int arch[ZOO_MAX_BLOCKS][2], blocks;
        int convolutions = 0;
        (void)variant;
        int rc = zoo_arch(params, 2, 8192, &arch[0][0], &blocks, e);
        for (int i = 0; rc == 0 && i < blocks; i++)
                convolutions += arch[i][0];
        if (rc == 0)
                rc = zoo_check_depth(convolutions, e);
        if (rc)
                return rc;
        cJSON *layers = cJSON_CreateArray();
        for (int i = 0; i < blocks; i++) {
                cJSON *block = zoo_block(layers, "sequential", NULL);
                for (int k = 0; k < arch[i][0]; k++)
                        zoo_conv_relu(block, arch[i][1], 3, 1, 1);
                zoo_pool(block, "max_pool2d", 2, 2, 0);
        }
        zoo_classifier(layers, num_classes);
        return zoo_done(layers, ret, e);
}

#define ARCH(text)                                                                                           \
        (const struct zoo_param[])                                                                           \
        {                                                                                                    \
                {"arch", "list of [convolutions, channels], one a block", text},                             \
                {                                                                                            \
                        0                                                                                    \
                }                                                                                            \
        }
#define VGG11 "[[1,64],[1,128],[2,256],[2,512],[2,512]]"

const struct zoo_preset zoo_vgg = {"vgg", "VGG of any blocks", ARCH(VGG11), vgg, 0};
const struct zoo_preset zoo_vgg11 = {"vgg11", "VGG-11", ARCH(VGG11), vgg, 0};
const struct zoo_preset zoo_vgg13 = {
        "vgg13", "VGG-13", ARCH("[[2,64],[2,128],[2,256],[2,512],[2,512]]"), vgg, 0};
const struct zoo_preset zoo_vgg16 = {
        "vgg16", "VGG-16", ARCH("[[2,64],[2,128],[3,256],[3,512],[3,512]]"), vgg, 0};
const struct zoo_preset zoo_vgg19 = {
        "vgg19", "VGG-19", ARCH("[[2,64],[2,128],[4,256],[4,512],[4,512]]"), vgg, 0};
