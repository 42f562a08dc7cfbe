/* What the fuzz targets share. Each is one function, linked with libFuzzer (-Dfuzz=true, clang) or, in every
   build, with corpus.c, which runs it once over the files of its corpus. */
#ifndef CNND_FUZZ_H
#define CNND_FUZZ_H

#include "device/dev.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* A broken promise of the code under test ends the run like a crash. */
#define FUZZ_CHECK(condition)                                                                                \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                             \
                }                                                                                            \
        } while (0)

/* What a CPU may tell of itself. */
extern const struct dev_info fuzz_device;

struct image;
/* Decodes under this media type and checks what image.h promises of the result. */
void fuzz_image(const uint8_t *bytes, size_t len, const char *media_type);

/* The bytes as a text, which a zero byte ends; the caller frees it. */
char *fuzz_text(const uint8_t *bytes, size_t len);

enum { FUZZ_PATH_BYTES = 32 };
/* The bytes as a file in memory; fills in a path that opens it. Close the descriptor after use. */
int fuzz_file(const uint8_t *bytes, size_t len, char path[FUZZ_PATH_BYTES]);

/* A folder of this process alone, in memory where that can be; removed at exit. */
const char *fuzz_dir(void);
void fuzz_write(const char *path, const uint8_t *bytes, size_t len);

#endif
