/* Every preset by name. */
#ifndef CNND_PRESETS_H
#define CNND_PRESETS_H

#include "zoo/zoo.h"

extern const struct zoo_preset zoo_lenet, zoo_bn_lenet;

#endif
