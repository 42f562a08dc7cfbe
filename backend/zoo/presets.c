/* The one list of architectures. Adding one: zoo/NAME.c and a line here. */
#include "zoo/presets.h"

const struct zoo_preset *const zoo_presets[] = {
        &zoo_lenet,
        &zoo_bn_lenet,
};
const int zoo_presets_count = sizeof zoo_presets / sizeof zoo_presets[0];
