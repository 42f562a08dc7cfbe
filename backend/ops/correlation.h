/* A convolution's forward pass and the gradient of its input as what both are, a correlation per group:

       out[o, t*out_step + out_first] (+)= sum over i, r, s of
               w[o, i, r, s] * in[i, t*in_step + in_first + (r,s)*in_tap]

   in rows and columns alike, for t within `size`. The element (o, i, r, s) of its weights is, of the layer's
   own, w[group*weights_group + o*weights_out + i*weights_in + tap_first[0] + r*tap_step[0] + tap_first[1] +
   s*tap_step[1]]. [0] is height, [1] is width. */
#ifndef CNND_CORRELATION_H
#define CNND_CORRELATION_H

#include "ops/op.h"

struct correlation {
        int groups, ins, outs; /* channels per group */
        struct shape in;       /* of the tensor read */
        int taps[2], size[2];  /* size: of the output pixels it computes */
        int in_step[2], in_first[2], in_tap[2], out_step[2], out_first[2];
        int tap_first[2], tap_step[2];              /* in w, in weights */
        int weights_group, weights_in, weights_out; /* strides of w */
};

struct correlation correlation_forward(const struct op *conv);
/* The gradient of the input pixels whose (row + padding) % stride is phase[0], likewise columns: the taps r
   with r * dilation % stride == phase meet them, the last one first. No phase has more taps than {0, 0}; some
   may have none, and a size may be 0. */
struct correlation correlation_data(const struct op *conv, const int phase[2]);

#endif
