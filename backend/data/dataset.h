/* A data set as the engine reads it: one mapped file with images, labels and class names, two splits.

   File (little-endian): 64-byte header, JSON description, then at 4096-byte boundaries the train images,
   train labels, val images, val labels, and the origins of the images (origins.h) where they are known. The
   version is in the header: 1 without origins, DATASET_VERSION with them. Raise it when the layout changes
   and let dataset_open refuse what it cannot read any more with the words "import it again". Written to a
   temporary name, fsynced, renamed: a file that exists is whole.

   Header: bytes 0-7 "cnndset\0", 8 u32 version, 12 u32 length of the description, 16 u64 length of the file,
   24 u32 CRC-32 of the description, 28 u32 CRC-32 of bytes 0-27, then zeros. The sections' places follow from
   the description alone: {"name","source","channels","height","width","type":"u8"|"f32","train","val",
   "classes":[…],"import":{…}|absent (recipe.h),"origins":{"files":[train,val],"step":[y,x],"bytes","crc"}|
   absent}. Images carry no checksum: reading 45 MB for one would cost more than all the rest. */
#ifndef CNND_DATASET_H
#define CNND_DATASET_H

#include "base/err.h"
#include "base/str.h"
#include "data/recipe.h"

#include <stddef.h>
#include <stdint.h>

enum {
        DATASET_VERSION = 2,
        DATASET_MAX_CLASSES = 65536,
        DATASET_NAME_MAX = 64,
        DATASET_CLASS_NAME_MAX = 200
};
enum { DATASET_MAX_SIDE = 65536, DATASET_MAX_CHANNELS = 4096 };

enum dataset_split { DATASET_TRAIN, DATASET_VAL, DATASET_SPLITS };
enum dataset_type { DATASET_U8, DATASET_F32 }; /* U8 is scaled to 0..1 by 255 when it is read */

/* Where the images came from: origins.h reads it. */
struct dataset_origins {
        int files[DATASET_SPLITS];
        int step_y, step_x; /* pixels from tile to tile; 0 where nothing is tiled */
        uint64_t len, at;   /* of the section, and where it begins in the file; a length of 0: nobody told */
        uint32_t crc;
        const void *section; /* borrowed from the map */
};

struct dataset {
        char name[DATASET_NAME_MAX + 1];
        char source[256]; /* where it came from, for people */
        int c, h, w;
        enum dataset_type type;
        struct recipe recipe; /* how its pictures were made; none where nobody told */
        int num_classes;
        char **classes; /* owned; num_classes names */
        struct {
                int count;
                const void *images;            /* borrowed from the map: count*c*h*w of `type` */
                const int32_t *labels;         /* borrowed from the map: count, each in [0,num_classes) */
                uint64_t images_at, labels_at; /* where they begin in the file */
                int64_t *class_counts;         /* owned; num_classes */
        } split[DATASET_SPLITS];
        struct dataset_origins origins;
        void *map; /* owned; NULL where it was only looked at, as images and labels are */
        size_t file_len;
        char *path; /* owned; of one that was looked at */
};

/* Maps a file that dataset_write made. Every offset, size and label is checked: a damaged file is ERR_SYNTAX,
   never a fault later; one of a later version is ERR_STATE. */
int dataset_open(const char *path, struct dataset **ret, struct err *e);
/* The same checks, by reading: for who may not die of a disk that fails, or of a file that is cut. The file
   is closed again; images and labels are read from it anew where they are wanted. */
int dataset_look(const char *path, struct dataset **ret, struct err *e);
/* The file of one that was looked at goes there. */
int dataset_move(struct dataset *d, const char *path, struct err *e);
/* Opens it; ERR_UNAVAILABLE where it cannot be, or another stands there. Names no path. The caller closes. */
int dataset_file(const struct dataset *d, int *ret_fd, struct err *e);
/* Labels `first` to `first + count` as they stand there now: not checked again. */
int dataset_labels(const struct dataset *d, enum dataset_split split, int fd, int first, int count,
        int32_t *out, struct err *e);
/* How many of the first `first` images are of each class: num_classes numbers. ERR_UNAVAILABLE where the file
   cannot be read. */
int dataset_count(
        const struct dataset *d, enum dataset_split split, int first, int64_t *counts, struct err *e);
/* Says what befell the file of one that was looked at: ERR_UNAVAILABLE, for it is no fault of who asks, or
   ERR_NO_MEMORY. */
int dataset_unread(const struct dataset *d, const struct err *why, struct err *e);
void dataset_close(struct dataset *d);
size_t dataset_image_bytes(const struct dataset *d); /* of one image */

/* Writes `d` (its `map` and class counts ignored, its images, labels and origins borrowed) to `path`,
   atomically and durably. A split may be empty, not both. ERR_INVALID for what dataset_open would refuse. */
int dataset_write(const struct dataset *d, const char *path, struct err *e);

/* Appends, for people, what is missing to train with: images, a second class, images of some classes; nothing
   where all is there. */
void dataset_gaps(const struct dataset *d, struct str *out);

/* Imports an IDX quadruple (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, each plain or .gz, the
   plain one first) from a directory into `path`. `classes` are num_classes names. ERR_NOT_FOUND names the
   file that is missing; ERR_SYNTAX for damaged content; ERR_INVALID where images and labels do not fit
   together; ERR_TOO_LARGE above IDX_MAX_BYTES. */
int idx_import(const char *dir, const char *name, const char *const *classes, int num_classes,
        const char *path, struct err *e);
/* Whether it was imported so from that directory. */
bool idx_made(const struct dataset *d, const char *dir);

/* Data sets that register themselves where their files are installed. Fashion-MNIST: Debian's
   dataset-fashion-mnist under /usr/share/datasets/fashion-mnist. */
struct dataset_known {
        const char *name, *dir;
        const char *const *classes;
        int num_classes;
};
extern const struct dataset_known dataset_known[];
extern const int dataset_known_count;
/* NULL for any other name. */
const struct dataset_known *dataset_known_find(const char *name);

#endif
