/* The kernel that makes a batch: images of a buffer, by an order, into a network's input tensor. */
#ifndef CNND_GATHER_H
#define CNND_GATHER_H

#include "base/err.h"
#include "device/buf.h"
#include "device/tensor.h"

#include <stdbool.h>

struct gather {
        const struct buf *images; /* (count, channels, h, w) bytes, scaled by 1/255, or floats */
        const struct buf *labels; /* ints, one an image; NULL where nobody wants labels */
        const struct buf *order;  /* ints: which image stands at each position */
        int first;                /* position of the batch's first image */
        bool bytes;
        int channels, h, w;
};

/* Enqueues it. x (n,channels,·,·) overwritten, zeros in its padding lanes; images are resized to it bilinearly. */
int gather_run(struct dev *d, const struct gather *g, const struct tensor *x, const struct view *labels,
        struct err *e);

#endif
