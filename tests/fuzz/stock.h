/* Files that fit each other, for targets that run more of the daemon than one module. */
#ifndef CNND_STOCK_H
#define CNND_STOCK_H

/* A linear network of two classes on 1x4x4, as JSON. */
#define STOCK_LAYERS                                                                                         \
        "{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":2,\"bias\":false}]}"

enum { STOCK_IMAGES = 6 /* of a split */, STOCK_SIDE = 4, STOCK_CLASSES = 2 };

/* A data set "tiny" of black images. */
void stock_dataset(const char *path);
/* The network with weights of zero, metadata and all. */
void stock_model(const char *path);
/* The images and labels as arrays in a safetensors file, to be imported. */
void stock_arrays(const char *path);

/* A name in fuzz_dir, and a second name there for a file. */
enum { STOCK_PATH_BYTES = 300 };
void stock_path(char out[STOCK_PATH_BYTES], const char *name);
void stock_link(const char *file, const char *place);

/* Removes what is in a folder, not the folder. */
void stock_clear(const char *path);

#endif
