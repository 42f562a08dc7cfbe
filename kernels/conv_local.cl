/* conv2d and linear on devices whose tensors have 32 lanes: matrix products in tiles of local memory. linear is a
   convolution of one pixel. No matrix is written out: tiles are gathered from the tensors themselves.

   Forward and gradient of the input are correlations (backend/ops/correlation.h), formed by `conv_local`,

       out[o, n] (+)= bias[o] + sum over q of  w[o, q] * in[q, n]        q = (i, r, s), n = (pixel of any block, lane)

   and the gradient of the weights is, formed by `conv_local_weights`,

       dw[k, q] (+)= sum over n of  dy[k, n] * x[q, n]

   A work-group of ITEMS work-items forms TILE_M x TILE_N sums, SUMS_M x 8 a work-item, in steps of DEPTH along the
   sum. While one step is multiplied, the next is on its way into registers, then into the other of two buffers, so that
   a step has one barrier. A buffer is [DEPTH][TILE_M + PAD], then [DEPTH][TILE_N + PAD]: the padding spreads columns
   over the banks and keeps float4 aligned.

   Long sums are cut into `splits` (second dimension of the grid), whose parts go to scratch and are added in their order
   by conv_local_join and conv_local_join_weights: no atomics, one result. */
#ifndef TILE_M
#define TILE_M 64
#define TILE_N 128
#define SUMS_M 8
#endif
#define DEPTH 8
#define SUMS_N 8
#define PAD 4
#define ROWS (TILE_M / SUMS_M)
#define ITEMS (ROWS * TILE_N / SUMS_N)
#define PITCH_M (TILE_M + PAD)
#define PITCH_N (TILE_N + PAD)
#define BUFFER (DEPTH * (PITCH_M + PITCH_N))
#define QUADS (LANES / 4)
#define TILE_KERNEL kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
/* Sums stay in registers only where they are no function's argument. */
#define INLINE static inline __attribute__((always_inline))
#define TILES(name) local float name[2 * BUFFER] __attribute__((aligned(16)))
/* What a work-item brings of a tile that has `count` things. */
#define SHARE(count) (((count) + ITEMS - 1) / ITEMS)

#if LANES == 32
/* Where a work-item's sums lie: four rows (and four more ROWS*4 below) and four columns (and four more TILE_N/2 on). Of 32
   consecutive work-items each pair shares its rows, each pair of the next but one its columns: devices that read
   float4 for a part of them at a time then read it for twice as many. */
INLINE int row_of(const int item)
{
        return item / 32 / (TILE_N / 64) * 4 + (item >> 1 & 1) + (item >> 3 & 2);
}

INLINE int column_of(const int item)
{
        return item / 32 % (TILE_N / 64) * 8 + (item & 1) + (item >> 1 & 6);
}

INLINE int row_at(const int i, const int row)
{
        return i / 4 * ROWS * 4 + row * 4 + i % 4;
}

INLINE void multiply(float4 sums[SUMS_M][2], local const float *buffer, const int row, const int column)
{
        local const float4 *m = (local const float4 *)buffer + row;
        local const float4 *n = (local const float4 *)(buffer + DEPTH * PITCH_M) + column;
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
                const float4 left = n[d * (PITCH_N / 4)], right = n[d * (PITCH_N / 4) + TILE_N / 8];
#pragma unroll
                for (int i = 0; i < SUMS_M; i += 4) {
                        const float4 v = m[d * (PITCH_M / 4) + i / 4 * ROWS];
                        const float four[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
                        for (int k = 0; k < 4; k++) {
                                sums[i + k][0] = fma((float4)(four[k]), left, sums[i + k][0]);
                                sums[i + k][1] = fma((float4)(four[k]), right, sums[i + k][1]);
                        }
                }
        }
}

/* A place (i, r, s) in the sum of a correlation, for the pixel whose window begins at row h and column v. */
typedef struct {
        int q, r, s, at; /* at: the input's pixel */
} tap;

/* `steps` further, of which (i, r, s) is `jump`. */
INLINE void tap_move(tap *t, const int steps, const int3 jump, const int H, const int W, const int R, const int S)
{
        t->q += steps;
        t->s += jump.z;
        t->r += jump.y;
        t->at += (jump.x * H + jump.y) * W + jump.z;
        if (t->s >= S) {
                t->s -= S;
                t->r += 1;
                t->at += W - S;
        }
        if (t->r >= R) {
                t->r -= R;
                t->at += (H - R) * W;
        }
}

INLINE int3 tap_split(const int q, const int R, const int S)
{
        return (int3)(q / (R * S), q / S % R, q % S);
}

/* Weights of one step, TURNED where those of one q stand side by side, else those of one o. */
#define LOADS_M SHARE(DEPTH * TILE_M)
#if TURNED
#define O_OF(item, i) ((item) % TILE_M)
#define D_OF(item, i) ((item) / TILE_M + (i) * (ITEMS / TILE_M))
#else
#define O_OF(item, i) ((item) / DEPTH + (i) * (ITEMS / DEPTH))
#define D_OF(item, i) ((item) % DEPTH)
#endif

INLINE void load_weights(float v[LOADS_M], global const float *w, const int item, const int o0, const int outs,
        const int o_stride, const int q0, const int all, const int q_stride)
{
#pragma unroll
        for (int i = 0; i < LOADS_M; i++)
                v[i] = w[min(o0 + O_OF(item, i), outs - 1) * o_stride + min(q0 + D_OF(item, i), all - 1) * q_stride];
}

INLINE void store_weights(local float *buffer, const float v[LOADS_M], const int item)
{
#pragma unroll
        for (int i = 0; i < LOADS_M; i++)
                buffer[D_OF(item, i) * PITCH_M + O_OF(item, i)] = v[i];
}

/* Pixels of one step: a work-item has LOADS_N places of the sum, one behind the other, of four lanes of a pixel. */
#define LOADS_N SHARE(DEPTH * TILE_N / 4)
#define FOURS (TILE_N / 4)

INLINE void store_pixels(local float *buffer, const float4 v[LOADS_N], const int item)
{
        local float4 *to = (local float4 *)(buffer + DEPTH * PITCH_M) + item % FOURS;
#pragma unroll
        for (int i = 0; i < LOADS_N; i++)
                to[(item / FOURS * LOADS_N + i) * (PITCH_N / 4)] = v[i];
}

/* Pixels that are computed, and where they lie in `out`. */
#define PIXELS \
        const int height, const int width, const int OH, const int OW, const int out_step_h, const int out_step_w, \
                const int out_first_h, const int out_first_w
#define OUT_AT(channel, t, u) \
        ((((channel) * OH + (t) * out_step_h + out_first_h) * OW + (u) * out_step_w + out_first_w) * QUADS)

/* Grid: (tiles of pixels * groups * tiles of outputs * ITEMS, splits). `share` places of the sum are one split's. */
TILE_KERNEL void conv_local(TENSOR(in), VIEW(w), VIEW(bias), TENSOR(out), VIEW(parts), PIXELS, const int groups,
        const int ins, const int H, const int W, const int outs, const int R, const int S, const int in_step_h,
        const int in_step_w, const int in_first_h, const int in_first_w, const int group_stride, const int o_stride,
        const int q_stride, const int blocks, const int share, const int has_bias, const int accumulate)
{
        TILES(tiles);
        const int item = get_local_id(0), row = row_of(item), column = column_of(item);
        const int tiles_m = (outs + TILE_M - 1) / TILE_M, pixels = height * width, all = ins * R * S;
        const int tile = get_group_id(0), of_m = tile % (groups * tiles_m), group = of_m / tiles_m, o0 = of_m % tiles_m * TILE_M;
        const int p0 = tile / (groups * tiles_m) * (TILE_N / LANES);
        const int first = get_group_id(1) * share, steps = (min(share, all - first) + DEPTH - 1) / DEPTH;

        const int p = min(p0 + item % FOURS / QUADS, blocks * pixels - 1);
        const int h = p % pixels / width * in_step_h + in_first_h, v = p % pixels % width * in_step_w + in_first_w;
        global const float4 *from =
                (global const float4 *)(AT(in, p / pixels) + (ulong)group * ins * H * W * LANES) + item % QUADS;
        const int3 one = tap_split(1, max(R, 1), max(S, 1)), rest = tap_split(DEPTH - LOADS_N, max(R, 1), max(S, 1));
        const int q = first + item / FOURS * LOADS_N;
        const int3 start = tap_split(q, max(R, 1), max(S, 1));
        tap t = {q, start.y, start.z, (start.x * H + h + start.y) * W + v + start.z};
        global const float *weights = FROM(w) + (ulong)group * group_stride;

        float4 sums[SUMS_M][2], next[LOADS_N];
        float next_w[LOADS_M];
#pragma unroll
        for (int i = 0; i < SUMS_M; i++)
                sums[i][0] = sums[i][1] = 0.0f;
        for (int step = -1; step < steps; step++) {
                local float *other = tiles + (step + 1) % 2 * BUFFER;
                if (step + 1 < steps) {
                        load_weights(next_w, weights, item, o0, outs, o_stride, first + (step + 1) * DEPTH, all, q_stride);
#pragma unroll
                        for (int i = 0; i < LOADS_N; i++) {
                                const bool inside = t.q < all && (uint)(h + t.r) < (uint)H && (uint)(v + t.s) < (uint)W;
                                next[i] = inside ? from[t.at * QUADS] : (float4)(0.0f);
                                tap_move(&t, 1, one, H, W, R, S);
                        }
                        tap_move(&t, DEPTH - LOADS_N, rest, H, W, R, S);
                }
                if (step >= 0)
                        multiply(sums, tiles + step % 2 * BUFFER, row, column);
                if (step + 1 < steps) {
                        store_weights(other, next_w, item);
                        store_pixels(other, next, item);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
        }

#pragma unroll
        for (int j = 0; j < 2; j++) {
                const int n = column + j * (TILE_N / 8), pixel = p0 + n / QUADS, in_block = pixel % pixels;
                if (pixel >= blocks * pixels)
                        continue;
                global float4 *to = (global float4 *)AT(out, pixel / pixels) + n % QUADS;
#pragma unroll
                for (int i = 0; i < SUMS_M; i++) {
                        const int o = o0 + row_at(i, row), channel = group * outs + o;
                        if (o >= outs)
                                continue;
                        if (get_num_groups(1) > 1) {
                                const ulong part = (ulong)get_group_id(1) * groups * outs + channel;
                                global float4 *to_part = (global float4 *)FROM(parts) + n % QUADS;
                                to_part[(part * blocks * pixels + pixel) * QUADS] = sums[i][j];
                                continue;
                        }
                        const int at = OUT_AT(channel, in_block / width, in_block % width);
                        const float4 sum = has_bias ? sums[i][j] + FROM(bias)[channel] : sums[i][j];
                        to[at] = accumulate ? to[at] + sum : sum;
                }
        }
}

/* Grid: (floats of the parts of a channel, channels) or more. */
GROUP_KERNEL void conv_local_join(VIEW(parts), VIEW(bias), TENSOR(out), PIXELS, const int blocks, const int splits,
        const int has_bias, const int accumulate)
{
        const int channel = get_global_id(1), channels = get_global_size(1), pixels = height * width;
        const int pixel = get_global_id(0) / LANES, lane = get_global_id(0) % LANES;
        if (pixel >= blocks * pixels)
                return;
        global const float *part = FROM(parts) + ((ulong)channel * blocks * pixels + pixel) * LANES + lane;
        float sum = has_bias ? FROM(bias)[channel] : 0.0f;
        for (int i = 0; i < splits; i++)
                sum += part[(ulong)i * channels * blocks * pixels * LANES];
        const int in_block = pixel % pixels;
        global float *to = AT(out, pixel / pixels) + OUT_AT(channel, in_block / width, in_block % width) * 4 + lane;
        *to = accumulate ? *to + sum : sum;
}

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

/* A matrix whose rows have the sum side by side comes in float4 of DEPTH / 4 a row and is turned when it is put down. */
#define QUADS_OF_STEP (DEPTH / 4)
#define LOADS_DY SHARE(TILE_M * QUADS_OF_STEP)
#define LOADS_X SHARE(TILE_N * QUADS_OF_STEP)
#define PART_OF(item, i) (((item) + (i) * ITEMS) % QUADS_OF_STEP)
#define LINE_OF(item, i) (((item) + (i) * ITEMS) / QUADS_OF_STEP)

INLINE void store_turned(local float *tile, const float4 v, const int line, const int part, const int pitch)
{
        tile[(4 * part + 0) * pitch + line] = v.x;
        tile[(4 * part + 1) * pitch + line] = v.y;
        tile[(4 * part + 2) * pitch + line] = v.z;
        tile[(4 * part + 3) * pitch + line] = v.w;
}

/* Grid: (tiles of q * groups * tiles of k * ITEMS, splits). `share` pixels of all blocks are one split's; `to` is dw, or
   [split][floats of dw]. */
TILE_KERNEL void conv_local_weights(TENSOR(x), TENSOR(dy), VIEW(to), const int C, const int H, const int W, const int K,
        const int OH, const int OW, const int R, const int S, const int stride_h, const int stride_w, const int pad_h,
        const int pad_w, const int groups, const int blocks, const int share, const int accumulate)
{
        TILES(tiles);
        const int item = get_local_id(0), row = row_of(item), column = column_of(item);
        const int CG = C / groups, KG = K / groups, all = CG * R * S, tiles_m = (KG + TILE_M - 1) / TILE_M;
        const int tile = get_group_id(0), of_m = tile % (groups * tiles_m), group = of_m / tiles_m, k0 = of_m % tiles_m * TILE_M;
        const int q0 = tile / (groups * tiles_m) * TILE_N;
        const int first = get_group_id(1) * share, steps = min(share, blocks * OH * OW - first) * (LANES / DEPTH);
        int b = first / (OH * OW), oh = first / OW % OH, ow = first % OW;

        int line_dy[LOADS_DY], line_x[LOADS_X], h[LOADS_X], v[LOADS_X];
#pragma unroll
        for (int i = 0; i < LOADS_DY; i++)
                line_dy[i] = (group * KG + min(k0 + LINE_OF(item, i), KG - 1)) * OH * OW * QUADS + PART_OF(item, i);
#pragma unroll
        for (int i = 0; i < LOADS_X; i++) {
                const int q = min(q0 + LINE_OF(item, i), all - 1);
                h[i] = q / S % R - pad_h;
                v[i] = q % S - pad_w;
                line_x[i] = (((group * CG + q / (R * S)) * H + h[i]) * W + v[i]) * QUADS + PART_OF(item, i);
        }

        float4 sums[SUMS_M][2], next_dy[LOADS_DY], next_x[LOADS_X];
#pragma unroll
        for (int i = 0; i < SUMS_M; i++)
                sums[i][0] = sums[i][1] = 0.0f;
        for (int step = -1; step < steps; step++) {
                local float *other = tiles + (step + 1) % 2 * BUFFER;
                if (step + 1 < steps) {
                        const int quad = (step + 1) % (LANES / DEPTH) * QUADS_OF_STEP;
                        global const float4 *dy = (global const float4 *)AT(dy, b) + (oh * OW + ow) * QUADS + quad;
                        global const float4 *x = (global const float4 *)AT(x, b) + quad;
                        const int window = (oh * stride_h * W + ow * stride_w) * QUADS;
#pragma unroll
                        for (int i = 0; i < LOADS_DY; i++)
                                next_dy[i] = dy[line_dy[i]];
#pragma unroll
                        for (int i = 0; i < LOADS_X; i++) {
                                const bool inside = (uint)(oh * stride_h + h[i]) < (uint)H &&
                                                    (uint)(ow * stride_w + v[i]) < (uint)W;
                                next_x[i] = inside ? x[line_x[i] + window] : (float4)(0.0f);
                        }
                        if (quad == QUADS - QUADS_OF_STEP && ++ow == OW) {
                                ow = 0;
                                if (++oh == OH) {
                                        oh = 0;
                                        b++;
                                }
                        }
                }
                if (step >= 0)
                        multiply(sums, tiles + step % 2 * BUFFER, row, column);
                if (step + 1 < steps) {
#pragma unroll
                        for (int i = 0; i < LOADS_DY; i++)
                                if (LINE_OF(item, i) < TILE_M)
                                        store_turned(other, next_dy[i], LINE_OF(item, i), PART_OF(item, i), PITCH_M);
#pragma unroll
                        for (int i = 0; i < LOADS_X; i++)
                                store_turned(other + DEPTH * PITCH_M, next_x[i], LINE_OF(item, i), PART_OF(item, i), PITCH_N);
                }
                barrier(CLK_LOCAL_MEM_FENCE);
        }

        global float *to = FROM(to) + (ulong)get_group_id(1) * K * all + (ulong)group * KG * all;
#pragma unroll
        for (int i = 0; i < SUMS_M; i++)
#pragma unroll
                for (int j = 0; j < 8; j++) {
                        const int k = k0 + row_at(i, row), q = q0 + column * 4 + j / 4 * (TILE_N / 2) + j % 4;
                        const float4 four = sums[i][j / 4];
                        const float sum = j % 4 == 0 ? four.x : j % 4 == 1 ? four.y : j % 4 == 2 ? four.z : four.w;
                        if (k < KG && q < all)
                                to[(ulong)k * all + q] = accumulate ? to[(ulong)k * all + q] + sum : sum;
                }
}

/* Part `block` of the gradient of the bias. Grid: (GROUP, K, blocks). */
GROUP_KERNEL void conv_local_bias(TENSOR(dy), VIEW(parts), const int pixels)
{
        local float sums[GROUP];
        const int item = get_local_id(0), k = get_global_id(1), b = get_global_id(2);
        global const float4 *dy = (global const float4 *)AT(dy, b) + (ulong)k * pixels * QUADS;
        float4 sum = 0;
        for (int i = item; i < pixels * QUADS; i += GROUP)
                sum += dy[i];
        sums[item] = (sum.x + sum.y) + (sum.z + sum.w);
        for (int some = GROUP / 2; some; some /= 2) {
                barrier(CLK_LOCAL_MEM_FENCE);
                if (item < some)
                        sums[item] += sums[item + some];
        }
        if (item == 0)
                FROM(parts)[(ulong)b * get_global_size(1) + k] = sums[0];
}

/* Grid: (count) or more. */
GROUP_KERNEL void conv_local_join_weights(VIEW(parts), VIEW(to), const ulong count, const int splits, const int accumulate)
{
        const ulong at = get_global_id(0);
        float sum = 0.0f;
        if (at >= count)
                return;
        for (int i = 0; i < splits; i++)
                sum += FROM(parts)[i * count + at];
        FROM(to)[at] = accumulate ? FROM(to)[at] + sum : sum;
}
#endif
