/* conv2d with stride 1 and square kernels on devices whose tensors have 32 lanes, by Winograd's filtering (winograd.cl): what is
   beside the products. These are conv_local.cl's: at each point a matrix product over all tiles of outputs, so that the points
   are groups of a convolution of 1x1 whose pixels are tiles. What lies between is a tensor whose channels are

       [point][channel of the layer], and with groups its weights [point][output channel][input channel of its group]

   and whose rows are `rows` rows of tiles from the image's `row0` on, each of `columns` tiles. A work-item takes a tile of one
   channel and sample, so that those beside it read and write what stands beside that. */
#include "winograd.cl"

#define TILES const int channels, const int H, const int W, const int row0, const int rows, const int columns
/* Grid: (channels * rows * columns * LANES, blocks) or more. */
#define TILE_OF_ITEM \
        const int at = get_global_id(0), b = get_global_id(1), lane = at % LANES, spot = at / LANES % (rows * columns); \
        const int channel = at / LANES / (rows * columns), h = (row0 + spot / columns) * STEP, v = spot % columns * STEP; \
        const int point_floats = channels * rows * columns * LANES; \
        if (channel >= channels) \
        return

FILTER void store_points(global float *to, const int step, const points_t p[POINTS])
{
#pragma unroll
        for (int i = 0; i < POINTS; i++)
                to[i * step] = p[i];
}

FILTER void load_points(points_t p[POINTS], global const float *from, const int step)
{
#pragma unroll
        for (int i = 0; i < POINTS; i++)
                p[i] = from[i * step];
}

/* `side` rows and columns, h and v on, of an image; what lies outside is 0. */
#define LOAD_TILE(name, side) \
        FILTER void name(points_t p[POINTS], global const float *from, const int h, const int v, const int H, const int W) \
        { \
                WOUND for (int i = 0; i < side * side; i++) \
                { \
                        const int row = h + i / side, column = v + i % side; \
                        const float one = from[(min(max(row, 0), H - 1) * W + min(max(column, 0), W - 1)) * LANES]; \
                        p[i / side * SIDE + i % side] = (uint)row < (uint)H && (uint)column < (uint)W ? one : 0.0f; \
                } \
        }
LOAD_TILE(load_inputs, SIDE)
LOAD_TILE(load_gradients, STEP)

FILTER void inputs_to_points(points_t p[POINTS])
{
#pragma unroll
        for (int s = 0; s < SIDE; s++) {
                points_t column[SIDE];
#pragma unroll
                for (int r = 0; r < SIDE; r++)
                        column[r] = p[r * SIDE + s];
                input_points(column);
#pragma unroll
                for (int r = 0; r < SIDE; r++)
                        p[r * SIDE + s] = column[r];
        }
#pragma unroll
        for (int r = 0; r < SIDE; r++)
                input_points(p + r * SIDE);
}

/* A tile of inputs begins at (first_h, first_w) from its outputs. */
GROUP_KERNEL void conv_winograd_local_inputs(TENSOR(in), TENSOR(to), TILES, const int first_h, const int first_w)
{
        TILE_OF_ITEM;
        points_t p[POINTS];
        load_inputs(p, AT(in, b) + (ulong)channel * H * W * LANES + lane, h + first_h, v + first_w, H, W);
        inputs_to_points(p);
        store_points(AT(to, b) + at, point_floats, p);
}

GROUP_KERNEL void conv_winograd_local_gradients(TENSOR(dy), TENSOR(to), TILES)
{
        TILE_OF_ITEM;
        points_t p[POINTS];
        load_gradients(p, AT(dy, b) + (ulong)channel * H * W * LANES + lane, h, v, H, W);
        gradients_to_points(p);
        store_points(AT(to, b) + at, point_floats, p);
}

GROUP_KERNEL void conv_winograd_local_outputs(
        TENSOR(from), VIEW(bias), TENSOR(out), TILES, const int has_bias, const int accumulate, EPILOGUE)
{
        TILE_OF_ITEM;
        points_t p[POINTS];
        load_points(p, AT(from, b) + at, point_floats);
        points_to_outputs(p);
        const norm_t n = NORM_OF(channel);
        const float more = has_bias ? FROM(bias)[channel] : 0.0f;
        global float *to = AT(out, b) + (ulong)channel * H * W * LANES + lane;
#pragma unroll
        for (int i = 0; i < STEP * STEP; i++)
                if (h + i / STEP < H && v + i % STEP < W) {
                        global float *one = to + ((h + i / STEP) * W + v + i % STEP) * LANES;
                        const float sum = p[i / STEP * SIDE + i % STEP] + more;
                        *one = accumulate ? *one + sum : sum;
                }
        if (!IS_FINISHED)
                return;
/* A loop of its own that stays one: unrolled with the functions in it, it would take a compiler long. */
#pragma unroll 1
        for (int i = 0; i < STEP * STEP; i++)
                if (h + i / STEP < H && v + i % STEP < W) {
                        global float *one = to + ((h + i / STEP) * W + v + i % STEP) * LANES;
                        *one = FINISH(*one, n);
                }
}

/* Element (o, i, r, s) of the weights is w[group*group_stride + o*out_stride + i*in_stride + first + r*row_step + s*column_step].
   Grid: (count) or more, of all channels o and their inputs i. */
GROUP_KERNEL void conv_winograd_local_weights(VIEW(w), VIEW(to), const int count, const int outs, const int ins,
        const int group_stride, const int out_stride, const int in_stride, const int first, const int row_step,
        const int column_step)
{
        const int at = get_global_id(0), i = at % ins, o = at / ins % outs, group = at / ins / outs;
        if (at >= count)
                return;
        global const float *from = FROM(w) + (ulong)group * group_stride + (ulong)o * out_stride + (ulong)i * in_stride + first;
        points_t p[POINTS];
#pragma unroll
        for (int tap = 0; tap < TAPS * TAPS; tap++)
                p[tap / TAPS * SIDE + tap % TAPS] = from[tap / TAPS * row_step + tap % TAPS * column_step];
        weights_to_points(p);
        global float *at_first = FROM(to) + at;
#pragma unroll
        for (int k = 0; k < POINTS; k++)
                at_first[(ulong)k * count] = p[k];
}

/* The gradient of the weights out of its sums at the points. Grid: (count) or more, as above. */
GROUP_KERNEL void conv_winograd_local_sums(VIEW(from), VIEW(dw), const int count, const int accumulate)
{
        const int at = get_global_id(0);
        if (at >= count)
                return;
        global const float *first = FROM(from) + at;
        points_t p[POINTS];
#pragma unroll
        for (int k = 0; k < POINTS; k++)
                p[k] = first[(ulong)k * count];
        points_to_weights(p);
        global float *to = FROM(dw) + (ulong)at * (TAPS * TAPS);
#pragma unroll
        for (int tap = 0; tap < TAPS * TAPS; tap++) {
                const float sum = p[tap / TAPS * SIDE + tap % TAPS];
                to[tap] = accumulate ? to[tap] + sum : sum;
        }
}
