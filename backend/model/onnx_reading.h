/* What becoming a network is made of, between an ONNX graph's nodes and layers: the state, and the steps that
   operators are written in. Included by the onnx_ files that do it alone. All return 0 or set r->e. */
#ifndef CNND_ONNX_READING_H
#define CNND_ONNX_READING_H

#include "model/onnx_graph.h"
#include "model/safetensors.h"

#include <cjson/cJSON.h>

enum { ONNX_MAX_PARAMS = 5, ONNX_MAX_STEPS = 4096 };

/* A tensor of a layer under the name it has there ("weight"). */
struct onnx_param {
        const char *name;
        enum safetensors_type type;
        int ndim;
        int64_t dims[4];
        const void *data; /* `owned`, or the file's own bytes */
        void *owned;
        size_t bytes;
};

/* What makes a value: a layer of one input, or values that are added or joined. */
enum onnx_step_kind { ONNX_LAYER, ONNX_ADD, ONNX_CONCAT };
struct onnx_step {
        enum onnx_step_kind kind;
        int *inputs; /* owned; values */
        int num_inputs, output;
        int name;     /* in the file, of a layer's output */
        cJSON *layer; /* owned until it stands in the architecture; without a name */
        struct onnx_param params[ONNX_MAX_PARAMS];
        int num_params;
        bool placed;
};

/* Channels, height and width, whatever order the file has. Value 0 is the network's input. */
struct onnx_value {
        int step;      /* -1 of the input */
        int dominator; /* of onnx_blocks: the last value before it that all ways to it lead through */
        int depth;     /* from the input on, along dominators */
        int c, h, w;
};

/* What a name of the file stands for: a value, as it is seen there. */
enum onnx_special {
        ONNX_PLAIN,
        ONNX_UNKNOWN,
        ONNX_PROBABILITIES, /* a softmax of it: the end */
        ONNX_PIXEL_MEAN,    /* these are parts of the normalisation of an image by itself */
        ONNX_PIXEL_SQUARES,
        ONNX_PIXEL_VARIANCE,
        ONNX_PIXEL_CENTRED,
        ONNX_PIXEL_DEVIATION,
        ONNX_ROW_MEANS, /* of it, h of them: half of an adaptive pooling */
        /* From here on parts of a gelu: onnx_gelu.c. */
        ONNX_ERF,
        ONNX_ERF_AND_ONE,
        ONNX_GELU_TWICE,
        ONNX_SQUARE,
        ONNX_SQUARE_PART,
        ONNX_SLOPE,
        ONNX_CUBIC,
        ONNX_GATE,
};
struct onnx_edge {
        int value;
        enum onnx_special special;
        int rank;  /* 2: (N,C), the value then is C x 1 x 1; 4 */
        bool last; /* channels come last, (N,H,W,C); of rank 2 they did before it was flattened, and then: */
        int c, h, w; /* what was flattened so */
        int pad[4];  /* zeros around it that the next layer is to add: top, left, bottom, right */
        int stage;   /* of the input: how much of its normalisation is done */
};

/* Whole numbers that are known when the file is read, for shapes. */
enum { ONNX_KNOWN = 8 };
struct onnx_known {
        int count; /* -1: not known */
        int64_t numbers[ONNX_KNOWN];
};
/* Stands among them for the number of images. */
#define ONNX_BATCH INT64_MIN

enum { ONNX_MAX_CHANNELS = 64 }; /* of an image */

struct onnx_reading {
        struct onnx_graph graph;
        struct onnx_edge *edges;  /* owned; of each name */
        struct onnx_known *known; /* owned; of each name */
        float **made;             /* owned, each: numbers of constants that the file works out */
        int num_made;
        size_t made_numbers;       /* in them */
        int *uses;                 /* owned; of each name: inputs of nodes, and outputs of the graph */
        struct onnx_step **steps;  /* owned, each */
        struct onnx_value *values; /* owned */
        int num_steps, num_values, cap_steps, cap_values;
        int64_t batch; /* the file's fixed number of images, or -1 */
        /* x becomes (x - mean)/std before the first layer, or that of the image itself. */
        double mean[ONNX_MAX_CHANNELS], std[ONNX_MAX_CHANNELS];
        bool by_image;
        int stage;
        const struct onnx_op *op; /* in hand */
        struct err *e;
};

/* ERR_INVALID, telling the operator in hand. */
int onnx_refuse(struct onnx_reading *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int onnx_no_memory(struct onnx_reading *r);

/* The k-th input's name, -1 where it is left out; whether it is a tensor on its way through the network. */
int onnx_input_name(const struct onnx_reading *r, int k);
bool onnx_is_edge(const struct onnx_reading *r, int k);
enum onnx_special onnx_special_of(const struct onnx_reading *r, int k);
/* The k-th input: a value that layers may read, with padding only where `padded`. */
int onnx_take(struct onnx_reading *r, int k, bool padded, struct onnx_edge *ret);
/* The same of rank 4, channels first. */
int onnx_take_image(struct onnx_reading *r, int k, bool padded, struct onnx_edge *ret);
/* The k-th input: a constant of floats. *ret is malloc'ed. */
int onnx_take_floats(struct onnx_reading *r, int k, const struct onnx_tensor **ret_tensor, float **ret);
/* What the first output is. */
int onnx_give(struct onnx_reading *r, struct onnx_edge edge);

/* A step that makes a new value of c x h x w from values; the inputs are copied. */
int onnx_step(struct onnx_reading *r, enum onnx_step_kind kind, const int *inputs, int count,
        const int shape[3], struct onnx_step **ret);
/* A layer of `type` on an edge. The output is the edge in its new shape. */
int onnx_layer(struct onnx_reading *r, const char *type, const struct onnx_edge *from, const int shape[3],
        struct onnx_step **ret);
/* Whether a value comes from a layer of that type. */
bool onnx_made_by(const struct onnx_reading *r, int value, const char *type);
void onnx_number(struct onnx_step *s, const char *field, double value);
void onnx_pair(struct onnx_step *s, const char *field, const int pair[2]);
void onnx_flag(struct onnx_step *s, const char *field, bool value);
/* A tensor of the layer in hand: `floats` are taken. */
void onnx_param_floats(struct onnx_step *s, const char *name, int ndim, const int64_t *dims, float *floats);
/* A batch norm's "num_batches_tracked": none. */
void onnx_param_counter(struct onnx_step *s);
/* The k-th input as it stands, without a copy where it may be. */
int onnx_param_input(struct onnx_reading *r, struct onnx_step *s, const char *name, int k);

/* Operators: `r->op` is one of them. */
int onnx_conv(struct onnx_reading *r);
int onnx_gemm(struct onnx_reading *r);
int onnx_matmul(struct onnx_reading *r);
int onnx_means(struct onnx_reading *r); /* a product with means of rows or columns */
int onnx_batch_norm(struct onnx_reading *r);
int onnx_layer_norm(struct onnx_reading *r);
int onnx_max_pool(struct onnx_reading *r);
int onnx_average_pool(struct onnx_reading *r);
int onnx_global_pool(struct onnx_reading *r);
int onnx_reduce(struct onnx_reading *r);
int onnx_activation(struct onnx_reading *r);
int onnx_clip(struct onnx_reading *r);
int onnx_pad(struct onnx_reading *r);
int onnx_same(struct onnx_reading *r); /* what changes nothing */
int onnx_softmax(struct onnx_reading *r);
int onnx_arithmetic(struct onnx_reading *r);
int onnx_image_part(struct onnx_reading *r);
int onnx_erf(struct onnx_reading *r);
/* 1 where the operator is a part of a gelu, which it has read; 0 where it is not. */
int onnx_gelu_part(struct onnx_reading *r);
int onnx_concat(struct onnx_reading *r);
int onnx_flatten(struct onnx_reading *r);
int onnx_reshape(struct onnx_reading *r);
int onnx_squeeze(struct onnx_reading *r);
int onnx_transpose(struct onnx_reading *r);
int onnx_shape(struct onnx_reading *r);
int onnx_gather(struct onnx_reading *r);
int onnx_slice(struct onnx_reading *r);
int onnx_expand(struct onnx_reading *r);

/* Windows of a convolution or a pooling: kernel_shape (or what *ret has), strides, dilations, pads or
 * auto_pad. */
struct onnx_windows {
        int kernel[2], stride[2], dilation[2], begin[2], end[2];
};
int onnx_read_windows(struct onnx_reading *r, const struct onnx_edge *from, struct onnx_windows *ret);

/* The k-th input as whole numbers that are known, at most ONNX_KNOWN: how many there are, or -1. */
int onnx_known_ints(const struct onnx_reading *r, int k, int64_t ret[ONNX_KNOWN]);
/* `axes`, an attribute or the second input, as places in a tensor of that rank: how many, 0 for none. */
int onnx_axes(struct onnx_reading *r, int rank, int64_t ret[ONNX_KNOWN]);

/* The steps up to value `end` as an architecture, {"layers":[…]}, and their tensors under the names that they
   have there; the list is malloc'ed, its numbers stay with the steps. */
int onnx_blocks(struct onnx_reading *r, int end, cJSON **ret, struct safetensors_tensor **ret_tensors,
        int *ret_count);

#endif
