/* The one list of architectures. Adding one: zoo/NAME.c and a line here. */
#include "zoo/presets.h"

const struct zoo_preset *const zoo_presets[] = {
        &zoo_lenet,
        &zoo_bn_lenet,
        &zoo_alexnet,
        &zoo_vgg,
        &zoo_vgg11,
        &zoo_vgg13,
        &zoo_vgg16,
        &zoo_vgg19,
        &zoo_nin,
        &zoo_googlenet,
        &zoo_resnet18,
        &zoo_resnet34,
        &zoo_resnet50,
        &zoo_resnext50,
        &zoo_densenet,
        &zoo_densenet121,
        &zoo_densenet169,
        &zoo_densenet201,
        &zoo_densenet161,
};
const int zoo_presets_count = sizeof zoo_presets / sizeof zoo_presets[0];
