/* Every preset by name. */
#ifndef CNND_PRESETS_H
#define CNND_PRESETS_H

#include "zoo/zoo.h"

extern const struct zoo_preset zoo_lenet, zoo_bn_lenet, zoo_alexnet, zoo_nin, zoo_googlenet;
extern const struct zoo_preset zoo_vgg, zoo_vgg11, zoo_vgg13, zoo_vgg16, zoo_vgg19;
extern const struct zoo_preset zoo_resnet18, zoo_resnet34, zoo_resnet50, zoo_resnext50;
extern const struct zoo_preset zoo_densenet, zoo_densenet121, zoo_densenet169, zoo_densenet201,
        zoo_densenet161;

#endif
