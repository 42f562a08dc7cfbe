/* Tensors on a device: (N,C,H,W) floats in blocks of samples.

   A tensor of n samples is ceil(n/lanes) blocks, `stride` floats apart; in a block the element (c,h,w) of all
   its samples stands side by side:

       index(n,c,h,w) = offset + (n / lanes) * stride + ((c*H + h)*W + w) * lanes + n % lanes

   lanes = 1 is PyTorch's NCHW, for a few images. On CPU devices lanes is 16: whatever the kernel size, stride
   or padding, every inner loop then runs over whole aligned vectors, which no layout over pixels or channels
   gives to networks of 6 or 16 channels. A channel slice of a joined tensor keeps the joined tensor's stride
   and moves the offset by c0*H*W*lanes, so that concatenation needs no copy. Flattening (C,H,W) to
   (C*H*W,1,1) changes nothing.

   The samples beyond n in the last block are padding. Their values are finite and must not reach a result:
   the loss writes zero gradients for them and every backward kernel keeps zeros zero. That they stay finite
   is the business of ops whose factors come from the other samples: these write zeros. */
#ifndef CNND_TENSOR_H
#define CNND_TENSOR_H

#include <stdint.h>

struct buf;

enum { TENSOR_MAX_LANES = 32 };

/* A place in device memory, counted in floats. Buffer borrowed. */
struct view {
        struct buf *buf;
        uint64_t offset;
};

/* Of one sample. (N,F) tensors have h = w = 1 and c = F. */
struct shape {
        int c, h, w;
};

struct tensor {
        struct view at;
        int n;
        struct shape s;
        int lanes;
        uint64_t stride;
};

static inline int64_t shape_count(struct shape s)
{
        return (int64_t)s.c * s.h * s.w;
}

static inline int tensor_blocks(const struct tensor *t)
{
        return (t->n + t->lanes - 1) / t->lanes;
}

/* Floats that a tensor of its own (not a slice) takes. */
static inline uint64_t tensor_floats(int n, struct shape s, int lanes)
{
        return (uint64_t)((n + lanes - 1) / lanes) * (uint64_t)lanes * (uint64_t)shape_count(s);
}

static inline struct tensor tensor_whole(struct view at, int n, struct shape s, int lanes)
{
        return (struct tensor){at, n, s, lanes, (uint64_t)shape_count(s) * (uint64_t)lanes};
}

#endif
