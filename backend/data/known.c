#include "data/dataset.h"

/* The names of the data set's own README. */
static const char *const fashion_mnist[] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
        "Shirt", "Sneaker", "Bag", "Ankle boot"};

const struct dataset_known dataset_known[] = {
        {"fashion-mnist", "/usr/share/datasets/fashion-mnist", fashion_mnist,
                sizeof fashion_mnist / sizeof fashion_mnist[0]},
};
const int dataset_known_count = sizeof dataset_known / sizeof dataset_known[0];
