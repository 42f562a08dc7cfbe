#include "stock.h"

#include "data/dataset.h"
#include "fuzz.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

enum { PIXELS = STOCK_SIDE * STOCK_SIDE, PATH_BYTES = 600 };

static const uint8_t images[STOCK_IMAGES * PIXELS];
static const int32_t labels[STOCK_IMAGES] = {0, 1, 0, 1, 0, 1};

void stock_dataset(const char *path)
{
        static const char *const names[STOCK_CLASSES] = {"a", "b"};
        struct err e;
        struct dataset d = {
                .name = "tiny", .c = 1, .h = STOCK_SIDE, .w = STOCK_SIDE, .num_classes = STOCK_CLASSES};
        d.classes = (char **)(uintptr_t)names;
        for (int s = 0; s < DATASET_SPLITS; s++) {
                d.split[s].count = STOCK_IMAGES;
                d.split[s].images = images;
                d.split[s].labels = labels;
        }
        FUZZ_CHECK(dataset_write(&d, path, &e) == 0);
}

void stock_model(const char *path)
{
        static const float weights[STOCK_CLASSES * PIXELS];
        static const char *const metadata[] = {
                "architecture", STOCK_LAYERS, "input", "[1,4,4]", "classes", "[\"a\",\"b\"]", NULL};
        const struct safetensors_tensor t = {.name = "net.1.weight",
                .type = SAFETENSORS_F32,
                .ndim = 2,
                .dims = {STOCK_CLASSES, PIXELS},
                .data = weights,
                .bytes = sizeof weights};
        struct err e;
        FUZZ_CHECK(safetensors_write(path, &t, 1, metadata, &e) == 0);
}

void stock_arrays(const char *path)
{
        const struct safetensors_tensor t[] = {{.name = "x",
                                                       .type = SAFETENSORS_U8,
                                                       .ndim = 3,
                                                       .dims = {STOCK_IMAGES, STOCK_SIDE, STOCK_SIDE},
                                                       .data = images,
                                                       .bytes = sizeof images},
                {.name = "y",
                        .type = SAFETENSORS_I32,
                        .ndim = 1,
                        .dims = {STOCK_IMAGES},
                        .data = labels,
                        .bytes = sizeof labels}};
        static const char *const metadata[] = {NULL};
        struct err e;
        FUZZ_CHECK(safetensors_write(path, t, 2, metadata, &e) == 0);
}

void stock_clear(const char *path)
{
        char inner[PATH_BYTES];
        DIR *dir = opendir(path);
        for (const struct dirent *d; dir && (d = readdir(dir));) {
                if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
                        continue;
                snprintf(inner, sizeof inner, "%s/%s", path, d->d_name);
                if (d->d_type == DT_DIR)
                        stock_clear(inner);
                remove(inner);
        }
        if (dir)
                closedir(dir);
}

void stock_path(char out[STOCK_PATH_BYTES], const char *name)
{
        snprintf(out, STOCK_PATH_BYTES, "%s/%s", fuzz_dir(), name);
}

void stock_link(const char *file, const char *place)
{
        char from[STOCK_PATH_BYTES], to[STOCK_PATH_BYTES];
        stock_path(from, file);
        stock_path(to, place);
        FUZZ_CHECK(link(from, to) == 0);
}
