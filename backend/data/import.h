/* Data sets of users: an archive of images, or arrays, to one file of dataset.h.

   Archives. A zip or tar (plain or gzipped) of class folders, CLASS/FILE, with any format of image.h; folders
   that all names begin with are left out. Folders train/ and val/ (or valid/, validation/, test/) above the
   classes are the splits; where val/ and test/ are both there, test/ is left out. Or a labels.csv,
   "file,label[,split]" a line, names relative to its folder; what it does not list is left out. Or IDX pairs
   (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, each plain or .gz). Text that lies beside
   images, by the end of its name (.txt, .xml, …), is passed over; any other file that is no image is an
   error. An NPZ is a zip with x and y, images and labels, or x_train, y_train and x_test, y_test (or x_val,
   y_val) at its top.

   Without split folders a share `val` of each class's source files goes to the validation, by a hash of their
   names: the same files whatever the archive's order; all frames and tiles of a file go together.

   Pixels go the way of recipe.h. Images of values k/255 (8-bit sources) stay 8 bits unless
   normalize=per_image; all others are stored as float. A set of both is stored as float. */
#ifndef CNND_IMPORT_H
#define CNND_IMPORT_H

#include "base/err.h"
#include "data/recipe.h"

#include <stdbool.h>
#include <stdint.h>

/* All zero but `val` is what holds without options: import_defaults. */
struct import_options {
        struct recipe recipe; /* a size of 0: all images must have one */
        int stride;           /* of tiles; 0: the window's own sides */
        int channels;         /* 1 or 3; 0: all images must agree */
        double val;           /* share; below 0: not given, IMPORT_VAL_DEFAULT without split folders */
};
#define IMPORT_VAL_DEFAULT 0.2
#define IMPORT_OPTIONS     "size fit stride channels val normalize pixel_size"
/* What all images of a set may fill on the disk. */
#define IMPORT_MAX_BYTES ((uint64_t)64 << 30)

void import_defaults(struct import_options *o);
/* One option of IMPORT_OPTIONS by its text: size "64" or "48x64" (HxW), fit, stride, channels, val "0.2",
   normalize "percentiles", "per_image" or "none", pixel_size "0.5" (nm). ERR_INVALID names it. */
int import_option(struct import_options *o, const char *key, const char *value, struct err *e);
/* What holds between options. */
int import_options_check(const struct import_options *o, struct err *e);

/* An array of NumPy's kinds in C order; borrowed. */
struct import_array {
        const char *name;
        char kind; /* 'u', 'i', 'f' or 'b' */
        int size;  /* bytes of one element */
        bool big_endian;
        int ndim;
        uint64_t dims[4];
        const unsigned char *data;
};

/* How far an import is. */
struct import_progress {
        uint64_t files, bytes; /* of the archive, read so far */
        uint64_t images;       /* prepared */
        const char *split;     /* "train" or "val" while that is being written, NULL before */
        uint64_t written;      /* of the images */
};
/* Any may be NULL. */
struct import_hooks {
        void *ctx;
        /* Before each file that is decoded, so that the process can watch its limits. */
        int (*file)(void *ctx, struct err *e);
        /* After each image; an error ends the import. */
        int (*progress)(void *ctx, const struct import_progress *p, struct err *e);
        /* Once the data set is whole, where files of text were passed over: how many, and one of them. */
        void (*skipped)(void *ctx, int count, const char *first);
        /* Once it is whole, a few times at most: what people should know of it. */
        void (*warning)(void *ctx, const char *text);
};

/* Makes `out_path` from the archive `path`, atomically. Temporary files have no names and lie in `tmp_dir`.
   Reads untrusted bytes: never in the front process. Errors name the file in the archive: ERR_INVALID for one
   that cannot be read, ERR_SYNTAX for a damaged archive, ERR_MEDIA for what is none, ERR_TOO_LARGE. */
struct import_place {
        const char *name, *out_path, *tmp_dir; /* borrowed */
};
int import_archive(const char *path, const struct import_options *o, const struct import_place *place,
        const struct import_hooks *hooks, struct err *e);
/* The same from arrays: images (N,H,W), (N,C,H,W) or (N,H,W,C) with C 1 or 3, labels (N) or (N,1) of whole
   numbers, in the pairs named above. `from` is for people: "safetensors". */
int import_arrays(const struct import_array *arrays, int count, const char *from,
        const struct import_options *o, const struct import_place *place, const struct import_hooks *hooks,
        struct err *e);

#endif
