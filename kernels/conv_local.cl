/* conv2d and linear on devices whose tensors have 32 lanes: matrix products in tiles of local memory. linear is a
   convolution of one pixel. No matrix is written out: tiles are gathered from the tensors themselves.

   Forward and gradient of the input are correlations (backend/ops/correlation.h), formed by `conv_local`,

       out[o, n] (+)= bias[o] + sum over q of  w[o, q] * in[q, n]        q = (i, r, s), n = (pixel of any block, lane)

   and the gradient of the weights is, formed by `conv_local_weights`,

       dw[k, q] (+)= sum over n of  dy[k, n] * x[q, n]

   A work-group of ITEMS work-items forms TILE_M x TILE_N sums, SUMS_M x 8 a work-item, in steps of DEPTH along the
   sum. While one step is multiplied, the next is on its way into registers, then into the other of two buffers, so that
   a step has one barrier. A buffer is [DEPTH][TILE_M + PAD], then [DEPTH][TILE_N + PAD]: the padding keeps what is read or
   written together in different banks.

   With TF32 the products are NVIDIA's matrix units', in tf32 (10 bits of fraction): conv_local_units.cl says how tiles lie
   then. Without TF32_UNITS the same fragments are multiplied through local memory, so that every index can be tried on any
   device.

   Long sums are cut into `splits` (second dimension of the grid), whose parts go to scratch and are added in their order
   by conv_local_join and conv_local_join_weights: no atomics, one result. */
#ifndef TILE_M
#define TILE_M 64
#define TILE_N 128
#define SUMS_M 8
#define TURNED 0
#define TF32 0
#endif
#define SUMS_N 8
#define ITEMS (TILE_M / SUMS_M * TILE_N / SUMS_N)
#define SUMS (SUMS_M * SUMS_N / 4) /* float4 */
#define QUADS (LANES / 4)
#define TILE_KERNEL kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
/* Sums stay in registers only where they are no function's argument. */
#define INLINE static inline __attribute__((always_inline))
#define TILES(name) local float name[2 * BUFFER] __attribute__((aligned(16)))
/* Loops over what shall stay in registers; where tf32 is emulated nothing does, and a compiler is sooner done. */
#if TF32 && !TF32_UNITS
#define UNROLL _Pragma("unroll 1")
#else
#define UNROLL _Pragma("unroll")
#endif
/* What a work-item brings of a tile that has `count` things. */
#define SHARE(count) (((count) + ITEMS - 1) / ITEMS)

#if LANES == 32
/* Of each precision: how tiles lie, and what a work-item loads, puts down and multiplies of them. */
#if TF32
#include "conv_local_units.cl"
#else
#define DEPTH 8
#define PAD 4
#define PITCH_M (TILE_M + PAD)
#define PITCH_N (TILE_N + PAD)
#define BUFFER (DEPTH * (PITCH_M + PITCH_N))
#define EXCHANGE(name) local float *name = 0
/* Where a work-item's sums lie: four rows (and four more below all others') and four columns (and four more half a tile
   on). Of 32 consecutive work-items each pair shares its rows, each pair of the next but one its columns: devices that
   read float4 for a part of them at a time then read it for twice as many. */
#define ROWS (TILE_M / SUMS_M)
#define ROW_OF(item) ((item) / 32 / (TILE_N / 64) * 4 + ((item) >> 1 & 1) + ((item) >> 3 & 2))
#define COLUMN_OF(item) ((item) / 32 % (TILE_N / 64) * 8 + ((item) & 1) + ((item) >> 1 & 6))
#define RESULTS SUMS
#define RESULT_OF(sums, i) sums[i]
#define RESULT_M(item, i) ((i) / 8 * ROWS * 4 + ROW_OF(item) * 4 + (i) / 2 % 4)
#define RESULT_N(item, i) (COLUMN_OF(item) * 4 + (i) % 2 * (TILE_N / 2))

INLINE void multiply(float4 sums[SUMS], local const float *buffer, local float *exchange, const int item, const int lines)
{
        local const float4 *m = (local const float4 *)buffer + ROW_OF(item);
        local const float4 *n = (local const float4 *)(buffer + DEPTH * PITCH_M) + COLUMN_OF(item);
        UNROLL for (int d = 0; d < DEPTH; d++) {
                const float4 left = n[d * (PITCH_N / 4)], right = n[d * (PITCH_N / 4) + TILE_N / 8];
                UNROLL for (int i = 0; i < SUMS_M; i += 4) {
                        const float4 v = m[d * (PITCH_M / 4) + i / 4 * ROWS];
                        const float four[4] = {v.x, v.y, v.z, v.w};
                        UNROLL for (int k = 0; k < 4; k++) {
                                sums[2 * (i + k)] = fma((float4)(four[k]), left, sums[2 * (i + k)]);
                                sums[2 * (i + k) + 1] = fma((float4)(four[k]), right, sums[2 * (i + k) + 1]);
                        }
                }
        }
}

/* Weights of one step, TURNED where those of one q stand side by side, else those of one o. */
#define LOADS_M SHARE(DEPTH * TILE_M)
#define ALIGNED(offset, group_stride, o_stride, q_stride) 0
typedef float weight;
#if TURNED
#define O_OF(item, i) ((item) % TILE_M)
#define D_OF(item, i) ((item) / TILE_M + (i) * (ITEMS / TILE_M))
#else
/* 32 work-items bring what stands in 32 banks. */
#define SIDE (32 / PAD)
#define O_OF(item, i) (((item) + (i) * ITEMS) / SIDE % TILE_M)
#define D_OF(item, i) ((item) % SIDE + ((item) + (i) * ITEMS) / (SIDE * TILE_M) * SIDE)
#endif

INLINE void load_weights(float v[LOADS_M], global const float *w, const int item, const int o0, const int outs,
        const int o_stride, const int q0, const int all, const int q_stride, const int aligned)
{
        UNROLL for (int i = 0; i < LOADS_M; i++)
                v[i] = w[min(o0 + O_OF(item, i), outs - 1) * o_stride + min(q0 + D_OF(item, i), all - 1) * q_stride];
}

INLINE void store_weights(local float *buffer, const float v[LOADS_M], const int item)
{
        UNROLL for (int i = 0; i < LOADS_M; i++)
                buffer[D_OF(item, i) * PITCH_M + O_OF(item, i)] = v[i];
}

/* Pixels of one step: a work-item has PLACES_N places of the sum, one behind the other, of four lanes of a pixel. */
#define PLACES_N SHARE(DEPTH * TILE_N / 4)
#define PIXELS_N 1
#define QUADS_N 1
#define FOURS (TILE_N / 4)
#define PLACE_OF(item) ((item) / FOURS * PLACES_N)
#define PIXEL_OF(item, i) ((item) % FOURS / QUADS)
#define QUAD_OF(item, i) ((item) % QUADS)

INLINE void store_pixels(local float *buffer, const float4 v[PLACES_N], const int item)
{
        local float *to = buffer + DEPTH * PITCH_M;
        UNROLL for (int i = 0; i < PLACES_N; i++) {
                const int d = PLACE_OF(item) + i, column = item % FOURS * 4;
                *(local float4 *)(to + d * PITCH_N + column) = v[i];
        }
}

/* A matrix whose rows have the sum side by side comes in float4 of DEPTH / 4 a row and is turned when it is put down. */
#define QUADS_OF_STEP (DEPTH / 4)
#define LOADS_DY SHARE(TILE_M * QUADS_OF_STEP)
#define LOADS_X SHARE(TILE_N * QUADS_OF_STEP)
#define PART_OF(item, i) (((item) + (i) * ITEMS) % QUADS_OF_STEP)
#define LINE_OF(item, i) (((item) + (i) * ITEMS) / QUADS_OF_STEP)
#define DY_LINE LINE_OF
#define DY_PART PART_OF
#define X_LINE LINE_OF
#define X_PART PART_OF

INLINE void store_turned(local float *tile, const float4 v, const int line, const int part, const int width)
{
        local float *to = tile + 4 * part * (width + PAD) + line;
        to[0] = v.x;
        to[width + PAD] = v.y;
        to[2 * (width + PAD)] = v.z;
        to[3 * (width + PAD)] = v.w;
}

INLINE void store_dy(local float *buffer, const float4 v[LOADS_DY], const int item)
{
        UNROLL for (int i = 0; i < LOADS_DY; i++)
                if (LINE_OF(item, i) < TILE_M)
                        store_turned(buffer, v[i], LINE_OF(item, i), PART_OF(item, i), TILE_M);
}

INLINE void store_x(local float *buffer, const float4 v[LOADS_X], const int item)
{
        UNROLL for (int i = 0; i < LOADS_X; i++)
                store_turned(buffer + DEPTH * PITCH_M, v[i], LINE_OF(item, i), PART_OF(item, i), TILE_N);
}
#endif

/* A work-item's results are vectors of four lanes. */
#define FINISH_RESULT(v, n) (float4)(FINISH((v).x, n), FINISH((v).y, n), FINISH((v).z, n), FINISH((v).w, n))
#define COMPONENT(v, j) ((j) == 0 ? (v).x : (j) == 1 ? (v).y : (j) == 2 ? (v).z : (v).w)

/* A place q = (i, r, s) in the sum of a correlation: the row and the column, from where a window begins, and the pixel that
   is there. */
typedef struct {
        int q, row, column, at;
} tap;

/* `steps` further, which is `jump`; a channel has `rows` and `columns`, and a row is `in_tap_h` below the one before. */
INLINE void tap_move(tap *t, const int steps, const int3 jump, const int H, const int W, const int rows,
        const int columns, const int in_tap_h)
{
        t->q += steps;
        t->column += jump.z;
        t->row += jump.y;
        t->at += (jump.x * H + jump.y) * W + jump.z;
        if (t->column >= columns) {
                t->column -= columns;
                t->row += in_tap_h;
                t->at += in_tap_h * W - columns;
        }
        if (t->row >= rows) {
                t->row -= rows;
                t->at += (H - rows) * W;
        }
}

/* Channel, row and column. */
INLINE int3 tap_split(const int q, const int R, const int S, const int in_tap_h, const int in_tap_w)
{
        return (int3)(q / (R * S), q / S % R * in_tap_h, q % S * in_tap_w);
}

/* Pixels that are computed, and where they lie in `out`. */
#define PIXELS \
        const int height, const int width, const int OH, const int OW, const int out_step_h, const int out_step_w, \
                const int out_first_h, const int out_first_w
#define OUT_AT(channel, t, u) \
        (((channel) * OH + (t) * out_step_h + out_first_h) * OW + (u) * out_step_w + out_first_w)

/* Grid: (tiles of pixels * groups * tiles of outputs * ITEMS, splits). `share` places of the sum are one split's. */
TILE_KERNEL void conv_local(TENSOR(in), VIEW(w), VIEW(bias), TENSOR(out), VIEW(parts), PIXELS, const int groups,
        const int ins, const int H, const int W, const int outs, const int R, const int S, const int in_step_h,
        const int in_step_w, const int in_first_h, const int in_first_w, const int in_tap_h, const int in_tap_w,
        const int group_stride, const int o_stride, const int q_stride, const int blocks, const int share, const int has_bias,
        const int accumulate, EPILOGUE)
{
        TILES(tiles);
        EXCHANGE(exchange);
        const int item = get_local_id(0);
        const int tiles_m = (outs + TILE_M - 1) / TILE_M, pixels = height * width, all = ins * R * S;
        const int tile = get_group_id(0), of_m = tile % (groups * tiles_m), group = of_m / tiles_m, o0 = of_m % tiles_m * TILE_M;
        const int p0 = tile / (groups * tiles_m) * (TILE_N / LANES);
        const int first = get_group_id(1) * share, steps = (min(share, all - first) + DEPTH - 1) / DEPTH;

        int h[PIXELS_N], v[PIXELS_N]; /* where windows begin */
        global const float4 *from[PIXELS_N];
        UNROLL for (int i = 0; i < PIXELS_N; i++) {
                const int p = min(p0 + PIXEL_OF(item, i), blocks * pixels - 1);
                h[i] = p % pixels / width * in_step_h + in_first_h;
                v[i] = p % pixels % width * in_step_w + in_first_w;
                from[i] = (global const float4 *)(AT(in, p / pixels) + (ulong)group * ins * H * W * LANES) +
                          (h[i] * W + v[i]) * QUADS + QUAD_OF(item, 0);
        }
        const int rows = R * in_tap_h, columns = S * in_tap_w, q = first + PLACE_OF(item);
        const int3 one = tap_split(1, max(R, 1), max(S, 1), in_tap_h, in_tap_w);
        const int3 rest = tap_split(DEPTH - PLACES_N + 1, max(R, 1), max(S, 1), in_tap_h, in_tap_w);
        const int3 start = tap_split(q, max(R, 1), max(S, 1), in_tap_h, in_tap_w);
        tap t = {q, start.y, start.z, (start.x * H + start.y) * W + start.z};
        global const float *weights = FROM(w) + (ulong)group * group_stride;
        const int aligned = ALIGNED(w_offset, group_stride, o_stride, q_stride);

        float4 sums[SUMS], next[PLACES_N * PIXELS_N * QUADS_N];
        weight next_w[LOADS_M];
        UNROLL for (int i = 0; i < SUMS; i++)
                sums[i] = 0.0f;
        for (int step = -1; step < steps; step++) {
                local float *other = tiles + (step + 1) % 2 * BUFFER;
                if (step + 1 < steps) {
                        load_weights(next_w, weights, item, o0, outs, o_stride, first + (step + 1) * DEPTH, all, q_stride,
                                aligned);
                        UNROLL for (int i = 0; i < PLACES_N; i++) {
                                UNROLL for (int j = 0; j < PIXELS_N * QUADS_N; j++) {
                                        const int k = j / QUADS_N;
                                        const bool inside = t.q < all && (uint)(h[k] + t.row) < (uint)H &&
                                                            (uint)(v[k] + t.column) < (uint)W;
                                        next[i * PIXELS_N * QUADS_N + j] =
                                                inside ? from[k][t.at * QUADS + j % QUADS_N * 4] : (float4)(0.0f);
                                }
                                if (i + 1 < PLACES_N)
                                        tap_move(&t, 1, one, H, W, rows, columns, in_tap_h);
                        }
                        tap_move(&t, DEPTH - PLACES_N + 1, rest, H, W, rows, columns, in_tap_h);
                }
                if (step >= 0)
                        multiply(sums, tiles + step % 2 * BUFFER, exchange, item, 0);
                if (step + 1 < steps) {
                        store_weights(other, next_w, item);
                        store_pixels(other, next, item);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
        }

        UNROLL for (int i = 0; i < RESULTS; i++) {
                const int n = RESULT_N(item, i) / 4, pixel = p0 + n / QUADS, in_block = pixel % pixels;
                const int o = o0 + RESULT_M(item, i), channel = group * outs + o;
                if (pixel >= blocks * pixels || o >= outs)
                        continue;
                if (get_num_groups(1) > 1) {
                        const ulong part = (ulong)get_group_id(1) * groups * outs + channel;
                        global float4 *to = (global float4 *)FROM(parts) + n % QUADS;
                        to[(part * blocks * pixels + pixel) * QUADS] = RESULT_OF(sums, i);
                        continue;
                }
                const int at = OUT_AT(channel, in_block / width, in_block % width) * QUADS;
                global float4 *to = (global float4 *)AT(out, pixel / pixels) + at + n % QUADS;
                const float4 sum = has_bias ? RESULT_OF(sums, i) + FROM(bias)[channel] : RESULT_OF(sums, i);
                *to = accumulate ? *to + sum : sum;
        }
        if (!IS_FINISHED || get_num_groups(1) > 1)
                return;
/* A loop of its own that stays one: unrolled with the functions in it, it would take a compiler minutes. */
#pragma unroll 1
        for (int i = 0; i < RESULTS; i++) {
                const int n = RESULT_N(item, i) / 4, pixel = p0 + n / QUADS, in_block = pixel % pixels;
                const int o = o0 + RESULT_M(item, i), channel = group * outs + o;
                if (pixel >= blocks * pixels || o >= outs)
                        continue;
                const int at = OUT_AT(channel, in_block / width, in_block % width) * QUADS;
                global float4 *to = (global float4 *)AT(out, pixel / pixels) + at + n % QUADS;
                *to = FINISH_RESULT(*to, NORM_OF(channel));
        }
}

/* The sum of `splits` floats that are `step` apart, of the first `GROUP / sharers` work-items for one of their own each: as
   many as `sharers` add up some of them, the first then what these have, in a fixed order. For few floats of many splits: one
   work-item alone would wait for memory again and again. */
INLINE float sum_splits(local float *sums, global const float *first, const ulong step, const int splits, const int sharers)
{
        const int item = get_local_id(0), wide = GROUP / sharers;
        float sum = 0.0f;
#pragma unroll 8
        for (int i = item / wide; i < splits; i += sharers)
                sum += first[i * step];
        sums[item] = sum;
        barrier(CLK_LOCAL_MEM_FENCE);
        sum = 0.0f;
        for (int i = 0; i < sharers; i++)
                sum += sums[item % wide + i * wide];
        return sum;
}
#define SHARED_FLOAT(sharers) ((ulong)get_group_id(0) * (GROUP / (sharers)) + get_local_id(0) % (GROUP / (sharers)))
#define IS_OF_SUM(sharers) (get_local_id(0) < GROUP / (sharers))

/* Grid: (floats of the parts of a channel * sharers, channels) or more. */
GROUP_KERNEL void conv_local_join(VIEW(parts), VIEW(bias), TENSOR(out), PIXELS, const int blocks, const int channels,
        const int splits, const int sharers, const int has_bias, const int accumulate, EPILOGUE)
{
        local float sums[GROUP];
        const int channel = get_global_id(1), pixels = height * width;
        const ulong at = SHARED_FLOAT(sharers), floats = (ulong)blocks * pixels * LANES;
        const float all = sum_splits(sums, FROM(parts) + (ulong)channel * floats + at, (ulong)channels * floats,
                at < floats ? splits : 0, sharers);
        if (at >= floats || !IS_OF_SUM(sharers))
                return;
        const float sum = has_bias ? all + FROM(bias)[channel] : all;
        const int pixel = at / LANES, lane = at % LANES, in_block = pixel % pixels;
        global float *to = AT(out, pixel / pixels) + OUT_AT(channel, in_block / width, in_block % width) * LANES + lane;
        *to = FINISH(accumulate ? *to + sum : sum, NORM_OF(channel));
}

#if TURNED
/* turned[group][(i, r, s)][o] from w, which says where (o, i, r, s) lies. Grid: (floats) or more. */
GROUP_KERNEL void conv_local_turn(VIEW(w), VIEW(turned), const int count, const int ins, const int outs, const int R,
        const int S, const int group_stride, const int o_stride, const int i_stride, const int first, const int r_step,
        const int s_step)
{
        const int at = get_global_id(0), o = at % outs, s = at / outs % S, r = at / outs / S % R;
        const int i = at / outs / S / R % ins, group = at / outs / S / R / ins;
        if (at < count)
                FROM(turned)[at] = FROM(w)[group * group_stride + o * o_stride + i * i_stride + first + r * r_step + s * s_step];
}
#else

/* Grid: (tiles of q * groups * tiles of k * ITEMS, splits). `share` pixels of all blocks are one split's; `to` is dw, or
   [split][floats of dw]. */
TILE_KERNEL void conv_local_weights(TENSOR(x), TENSOR(dy), VIEW(to), CONV_GEOMETRY, const int blocks, const int share,
        const int accumulate)
{
        TILES(tiles);
        EXCHANGE(exchange);
        const int item = get_local_id(0);
        const int CG = C / groups, KG = K / groups, all = CG * R * S, tiles_m = (KG + TILE_M - 1) / TILE_M;
        const int tile = get_group_id(0), of_m = tile % (groups * tiles_m), group = of_m / tiles_m, k0 = of_m % tiles_m * TILE_M;
        const int q0 = tile / (groups * tiles_m) * TILE_N;
        const int first = get_group_id(1) * share, steps = min(share, blocks * OH * OW - first) * (LANES / DEPTH);
        int b = first / (OH * OW), oh = first / OW % OH, ow = first % OW;

        int line_dy[LOADS_DY], line_x[LOADS_X], h[LOADS_X], v[LOADS_X];
        UNROLL for (int i = 0; i < LOADS_DY; i++)
                line_dy[i] = (group * KG + min(k0 + DY_LINE(item, i), KG - 1)) * OH * OW * QUADS + DY_PART(item, i);
        UNROLL for (int i = 0; i < LOADS_X; i++) {
                const int q = min(q0 + X_LINE(item, i), all - 1);
                h[i] = q / S % R * dilation_h - pad_h;
                v[i] = q % S * dilation_w - pad_w;
                line_x[i] = (((group * CG + q / (R * S)) * H + h[i]) * W + v[i]) * QUADS + X_PART(item, i);
        }

        float4 sums[SUMS], next_dy[LOADS_DY], next_x[LOADS_X];
        UNROLL for (int i = 0; i < SUMS; i++)
                sums[i] = 0.0f;
        for (int step = -1; step < steps; step++) {
                local float *other = tiles + (step + 1) % 2 * BUFFER;
                if (step + 1 < steps) {
                        const int quad = (step + 1) % (LANES / DEPTH) * (DEPTH / 4);
                        global const float4 *dy = (global const float4 *)AT(dy, b) + (oh * OW + ow) * QUADS + quad;
                        global const float4 *x = (global const float4 *)AT(x, b) + quad;
                        const int window = (oh * stride_h * W + ow * stride_w) * QUADS;
                        UNROLL for (int i = 0; i < LOADS_DY; i++)
                                next_dy[i] = dy[line_dy[i]];
                        UNROLL for (int i = 0; i < LOADS_X; i++) {
                                const bool inside = (uint)(oh * stride_h + h[i]) < (uint)H &&
                                                    (uint)(ow * stride_w + v[i]) < (uint)W;
                                next_x[i] = inside ? x[line_x[i] + window] : (float4)(0.0f);
                        }
                        if (quad == QUADS - DEPTH / 4 && ++ow == OW) {
                                ow = 0;
                                if (++oh == OH) {
                                        oh = 0;
                                        b++;
                                }
                        }
                }
                if (step >= 0)
                        multiply(sums, tiles + step % 2 * BUFFER, exchange, item, 1);
                if (step + 1 < steps) {
                        store_dy(other, next_dy, item);
                        store_x(other, next_x, item);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
        }

        global float *to = FROM(to) + (ulong)get_group_id(1) * K * all + (ulong)group * KG * all;
        UNROLL for (int i = 0; i < RESULTS; i++) {
                const int k = k0 + RESULT_M(item, i), q = q0 + RESULT_N(item, i);
                const float4 sum = RESULT_OF(sums, i);
                global float *at = to + (ulong)k * all + q;
                UNROLL for (int j = 0; j < 4; j++)
                        if (k < KG && q + j < all)
                                at[j] = accumulate ? at[j] + COMPONENT(sum, j) : COMPONENT(sum, j);
        }
}

/* The gradient of the bias, or parts of it: a share is of `each` blocks. Grid: (GROUP, channels, shares). */
GROUP_KERNEL void conv_local_bias(TENSOR(dy), VIEW(to), const int channels, const int pixels, const int blocks, const int each,
        const int accumulate)
{
        local float sums[GROUP];
        const int item = get_local_id(0), k = get_global_id(1), share = get_global_id(2);
        const int first = share * each, count = min(each, blocks - first), fours = pixels * QUADS;
        float4 sum = 0;
        for (int i = item; i < count * fours; i += GROUP)
                sum += ((global const float4 *)AT(dy, first + i / fours))[(ulong)k * fours + i % fours];
        const float all = sum_items(sums, (sum.x + sum.y) + (sum.z + sum.w), GROUP);
        global float *at = FROM(to) + (ulong)share * channels + k;
        if (item == 0)
                *at = accumulate ? *at + all : all;
}

/* Grid: (count * sharers) or more. */
GROUP_KERNEL void conv_local_join_weights(VIEW(parts), VIEW(to), const ulong count, const int splits, const int sharers,
        const int accumulate)
{
        local float sums[GROUP];
        const ulong at = SHARED_FLOAT(sharers);
        const float sum = sum_splits(sums, FROM(parts) + at, count, at < count ? splits : 0, sharers);
        if (at < count && IS_OF_SUM(sharers))
                FROM(to)[at] = accumulate ? FROM(to)[at] + sum : sum;
}
#endif
#endif
