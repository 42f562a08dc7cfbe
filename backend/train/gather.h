/* The kernel that makes a batch: images of a buffer, by an order, into a network's input tensor. */
#ifndef CNND_GATHER_H
#define CNND_GATHER_H

#include "base/err.h"
#include "device/buf.h"
#include "device/tensor.h"

#include <stdbool.h>

/* Whose random numbers: an image's follow from where it stands in its epoch. */
struct gather_draw {
        uint64_t seed;
        uint32_t epoch;
        int position; /* of the first image in the epoch's order */
};

/* Geometric steps of an augmentation, see transform.h. */
struct gather_moves {
        char steps[256];   /* kernels/gather.cl's names, separated by commas */
        int count, first;  /* how many, and the place of the first one in the augmentation */
        bool mirrored;     /* one of them is affine */
        struct view draws; /* floats */
        int room;          /* samples that the draws are laid out for, a multiple of 32 */
        struct gather_draw draw;
};

struct gather {
        const struct buf *images; /* (count, channels, h, w) bytes, scaled by 1/255, or floats */
        const struct buf *labels; /* ints, one an image; NULL where nobody wants labels */
        const struct buf *order;  /* ints: which image stands at each position */
        int first;                /* position of the batch's first image */
        bool bytes;
        int channels, h, w;
        /* Not 0: `images` is one image (channels, field_h, field_w), and `order` holds the places y * field_w
           + x of the corners of windows (h, w) in it. */
        int field_h, field_w;
        const struct gather_moves *moves; /* NULL: none */
};

enum { GATHER_DRAW = 5 }; /* floats that are drawn for each step and sample */

/* Enqueues it. x (n,channels,·,·) overwritten, zeros in its padding lanes; images are resized to it
 * bilinearly. */
int gather_run(struct dev *d, const struct gather *g, const struct tensor *x, const struct view *labels,
        struct err *e);
/* Enqueues: y = moves of x, of the same shape, in other memory. */
int gather_move(struct dev *d, const struct gather_moves *m, const struct tensor *x, const struct tensor *y,
        struct err *e);

#endif
