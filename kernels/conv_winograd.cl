/* conv2d with stride 1 and square kernels on CPU devices by Winograd's filtering (winograd.cl), forward and gradient of the
   input.

   The correlation is that of conv_tiled.cl,

       out[o, t] (+)= bias[o] + sum over i, r, s of  w[o, i, r, s] * in[i, t + first + (r,s)]

   conv_winograd_pack brings the weights to the points, in the order in which they are read:

       packed[group][chunk of i][point][tile of TILE o][i within chunk][o within tile, PACKED of them]

   conv_winograd then has one work-item per work-group, which computes `patch` tiles of outputs for a range of tiles of o and one
   block: it brings a chunk of inputs to the points in local memory, [point][tile][i], adds its products to
   [point][tile of o][tile][o within tile] behind that, and at the end turns these into outputs. */
#ifndef TILE
#define TILE 6
#endif
#define PACKED (TILE > 8 ? 16 : 8)

#include "winograd.cl"

/* Element (o, i, r, s) of the weights is w[group*group_stride + o*out_stride + i*in_stride + first + r*row_step + s*column_step].
   Grid: (tiles of o, groups, chunks). */
ITEM_KERNEL void conv_winograd_pack(VIEW(w), VIEW(packed), const int outs, const int ins, const int chunk,
        const int group_stride, const int out_stride, const int in_stride, const int first, const int row_step,
        const int column_step)
{
        const int tile = get_global_id(0), tiles = get_global_size(0), group = get_global_id(1);
        const int i0 = get_global_id(2) * chunk, n = min(chunk, ins - i0);
        const global float *from = FROM(w) + (ulong)group * group_stride + (ulong)i0 * in_stride + first;
        global float *to = FROM(packed) + ((ulong)group * ins + i0) * POINTS * tiles * PACKED;
        for (int i = 0; i < n; i++) {
                float16 v[POINTS];
#pragma unroll 1
                for (int tap = 0; tap < TAPS * TAPS; tap++) {
                        const int r = tap / TAPS, s = tap % TAPS;
                        float each[16] = {0};
#pragma unroll
                        for (int o = 0; o < TILE; o++)
                                each[o] = from[(ulong)min(tile * TILE + o, outs - 1) * out_stride + (ulong)i * in_stride +
                                               r * row_step + s * column_step];
                        v[r * SIDE + s] = vload16(0, each);
                }
                weights_to_points(v);
#pragma unroll 1
                for (int p = 0; p < POINTS; p++) {
                        global float *at = to + (((ulong)p * tiles + tile) * n + i) * PACKED;
#if TILE > 8
                        vstore16(v[p], 0, at);
#else
                        vstore8(v[p].lo, 0, at);
#endif
                }
        }
}

/* The tile whose corner is (h, w), of one channel, to its points: `step` floats lie between them. */
static void bring(local float *to, const int step, const global float *from, const int h, const int w, const int H,
        const int W)
{
        const bool whole = h >= 0 && w >= 0 && h + SIDE <= H && w + SIDE <= W;
        float16 v[POINTS], line[SIDE];
#pragma unroll 1
        for (int s = 0; s < SIDE; s++) {
                const int x = w + s;
                if (whole)
#pragma unroll
                        for (int r = 0; r < SIDE; r++)
                                line[r] = vload16((h + r) * W + x, from);
                else
#pragma unroll
                        for (int r = 0; r < SIDE; r++) {
                                const bool inside = h + r >= 0 && h + r < H && x >= 0 && x < W;
                                line[r] = inside ? vload16((h + r) * W + x, from) : (float16)(0.0f);
                        }
                input_points(line);
#pragma unroll
                for (int r = 0; r < SIDE; r++)
                        v[r * SIDE + s] = line[r];
        }
#pragma unroll 1
        for (int r = 0; r < SIDE; r++) {
#pragma unroll
                for (int s = 0; s < SIDE; s++)
                        line[s] = v[r * SIDE + s];
                input_points(line);
#pragma unroll
                for (int s = 0; s < SIDE; s++)
                        vstore16(line[s], 0, to + (r * SIDE + s) * step);
        }
}

/* sums[o] (+)= over i < n: w[AT] * x[i]. A function for each place where sums and weights are: OpenCL C 1.2 has no pointer for
   both. */
#define PRODUCTS(name, SUMS, WEIGHTS, AT_I_O) \
        static void name(SUMS float *sums, const WEIGHTS float *w, const local float *x, const int n, const bool fresh) \
        { \
                float16 acc[TILE]; \
                _Pragma("unroll") for (int o = 0; o < TILE; o++) acc[o] = fresh ? (float16)(0.0f) : vload16(o, sums); \
                for (int i = 0; i < n; i++) { \
                        const float16 v = vload16(i, x); \
                        _Pragma("unroll") for (int o = 0; o < TILE; o++) acc[o] = fma((float16)(w[AT_I_O]), v, acc[o]); \
                } \
                _Pragma("unroll") for (int o = 0; o < TILE; o++) vstore16(acc[o], o, sums); \
        }
PRODUCTS(multiply, local, global, i * PACKED + o)

/* Sums at the points, `step` floats apart, to outputs (h, w) and on of one channel. */
static void put_outputs(const local float *sums, const int step, global float *to, const int h, const int w, const int OH,
        const int OW, const float bias, const bool accumulate, const norm_t n, const int norm, const int activation)
{
        float16 v[POINTS], line[SIDE];
#pragma unroll 1
        for (int s = 0; s < SIDE; s++) {
#pragma unroll
                for (int r = 0; r < SIDE; r++)
                        line[r] = vload16(0, sums + (r * SIDE + s) * step);
                output_sums(line, 1, STEP);
#pragma unroll
                for (int r = 0; r < STEP; r++)
                        v[r * SIDE + s] = line[r];
        }
#pragma unroll 1
        for (int r = 0; r < min(STEP, OH - h); r++) {
#pragma unroll
                for (int s = 0; s < SIDE; s++)
                        line[s] = v[r * SIDE + s];
                output_sums(line, 1, STEP);
#pragma unroll
                for (int s = 0; s < STEP; s++)
                        if (w + s < OW) {
                                const int at = (h + r) * OW + w + s;
                                const float16 sum = line[s] + bias;
                                line[s] = accumulate ? vload16(at, to) + sum : sum;
                        }
                if (IS_FINISHED) {
                        float16 done[STEP]; /* so that the line stays in registers, and the loop a loop */
#pragma unroll
                        for (int s = 0; s < STEP; s++)
                                done[s] = line[s];
#pragma unroll 1
                        for (int s = 0; s < STEP; s++)
                                done[s] = FINISH_LANES(done[s], n);
#pragma unroll
                        for (int s = 0; s < STEP; s++)
                                line[s] = done[s];
                }
#pragma unroll
                for (int s = 0; s < STEP; s++)
                        if (w + s < OW)
                                vstore16(line[s], (h + r) * OW + w + s, to);
        }
}

/* Grid: (patches, groups * ranges of tiles of o, blocks). `spots` tiles of outputs cover an image, `spots_w` a row of it. */
ITEM_KERNEL void conv_winograd(TENSOR(in), VIEW(packed), VIEW(bias), TENSOR(out), const int ins, const int H, const int W,
        const int outs, const int OH, const int OW, const int first_h, const int first_w, const int has_bias,
        const int accumulate, const int chunk, const int patch, const int spots, const int spots_w, const int tiles,
        const int range, const int ranges, EPILOGUE, local float *memory)
{
        const int spot0 = get_global_id(0) * patch, count = min(patch, spots - spot0), b = get_global_id(2);
        const int group = get_global_id(1) / ranges, tile0 = get_global_id(1) % ranges * range;
        const int kept = min(range, tiles - tile0), step = range * patch * TILE * LANES;
        const global float *from = AT(in, b) + (ulong)group * ins * H * W * LANES;
        local float *sums = memory + POINTS * chunk * patch * LANES;
        for (int i0 = 0; i0 < ins; i0 += chunk) {
                const int n = min(chunk, ins - i0);
                for (int i = 0; i < n; i++)
                        for (int t = 0; t < count; t++)
                                bring(memory + (t * n + i) * LANES, patch * n * LANES, from + (ulong)(i0 + i) * H * W * LANES,
                                        (spot0 + t) / spots_w * STEP + first_h, (spot0 + t) % spots_w * STEP + first_w, H, W);
                for (int p = 0; p < POINTS; p++)
                        for (int tile = 0; tile < kept; tile++) {
                                const global float *w =
                                        FROM(packed) + (((ulong)group * ins + i0) * POINTS * tiles +
                                                               ((ulong)p * tiles + tile0 + tile) * n) * PACKED;
                                for (int t = 0; t < count; t++)
                                        multiply(sums + p * step + (tile * patch + t) * TILE * LANES, w,
                                                memory + (p * patch + t) * n * LANES, n, i0 == 0);
                        }
        }
        for (int o = 0; o < min(kept * TILE, outs - tile0 * TILE); o++) {
                const int k = group * outs + tile0 * TILE + o;
                const norm_t n = NORM_OF(k);
                for (int t = 0; t < count; t++)
                        put_outputs(sums + ((o / TILE * patch + t) * TILE + o % TILE) * LANES, step,
                                AT(out, b) + (ulong)k * OH * OW * LANES, (spot0 + t) / spots_w * STEP,
                                (spot0 + t) % spots_w * STEP, OH, OW, has_bias ? FROM(bias)[k] : 0.0f, accumulate, n, norm,
                                activation);
        }
}

/* The gradient of the weights: the correlation of a tile of dy with the SIDE x SIDE inputs that it saw, TAPS x TAPS sums of
   STEP x STEP products, so the same with STEP and TAPS exchanged. Summed over all tiles and samples the products are a matrix
   product for each point, whose vectors run over 16 channels i; a chunk is some vectors of them. A work-item holds a range of
   tiles of o, a chunk and a fixed share (split) of the patches, and brings PATCH tiles of both operands to the points:

       x  [point][vector of i][tile, sample][16 i]      dy  [point][o][tile, sample]

   Its sums go to partial[split][group][tile of o][vector of i][point][o within tile][16 i], and conv_winograd_sum adds the splits
   in order: the same sums whoever computes them. */
#ifndef PATCH
#define PATCH 4
#endif
#define WIDE (PATCH * LANES)

/* Rows and columns of a 16x16 matrix exchanged. */
#define PAIRS(d, FIRST, SECOND) \
        _Pragma("unroll") for (int i = 0; i < 16; i++) if (!(i & d)) \
        { \
                const float16 a = v[i], b = v[i + d]; \
                v[i] = FIRST; \
                v[i + d] = SECOND; \
        }
static void turn(float16 v[16])
{
        PAIRS(8, (float16)(a.lo, b.lo), (float16)(a.hi, b.hi))
        PAIRS(4, (float16)(a.s0123, b.s0123, a.s89ab, b.s89ab), (float16)(a.s4567, b.s4567, a.scdef, b.scdef))
        PAIRS(2, (float16)(a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd),
                (float16)(a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef))
        PAIRS(1, (float16)(a.s0, b.s0, a.s2, b.s2, a.s4, b.s4, a.s6, b.s6, a.s8, b.s8, a.sa, b.sa, a.sc, b.sc, a.se, b.se),
                (float16)(a.s1, b.s1, a.s3, b.s3, a.s5, b.s5, a.s7, b.s7, a.s9, b.s9, a.sb, b.sb, a.sd, b.sd, a.sf, b.sf))
}

/* Tile t of 16 channels, of which `kept` exist, `plane` vectors apart, to x; `step` floats lie between its points. */
static void bring_inputs(local float *x, const int step, local float *scratch, const int t, const global float *from,
        const ulong plane, const int kept, const int h, const int w, const int H, const int W)
{
        for (int i = 0; i < 16; i++)
                bring(scratch + i * LANES, 16 * LANES, from + min(i, kept - 1) * plane * LANES, h, w, H, W);
        for (int p = 0; p < POINTS; p++) {
                float16 v[16];
#pragma unroll
                for (int i = 0; i < 16; i++)
                        v[i] = vload16(p * 16 + i, scratch);
                turn(v);
#pragma unroll
                for (int i = 0; i < 16; i++)
                        vstore16(v[i], t * 16 + i, x + p * step);
        }
}

/* The tile of dy at (h, w) to its points. Returns the sum of its elements, sample by sample. */
static float16 bring_gradients(local float *to, const int step, const global float *from, const int h, const int w,
        const int OH, const int OW)
{
        float16 v[POINTS], sum = 0.0f;
#pragma unroll
        for (int r = 0; r < STEP; r++)
#pragma unroll
                for (int s = 0; s < STEP; s++) {
                        const bool inside = h + r < OH && w + s < OW;
                        v[r * SIDE + s] = inside ? vload16((h + r) * OW + w + s, from) : (float16)(0.0f);
                        sum += v[r * SIDE + s];
                }
        gradients_to_points(v);
#pragma unroll 1
        for (int p = 0; p < POINTS; p++)
                vstore16(v[p], 0, to + p * step);
        return sum;
}

PRODUCTS(correlate, global, local, o * WIDE + i)

/* Grid: (splits, groups * chunks, ranges of tiles of o). `vectors` of 16 channels make a group's inputs, `chunk` of them a
   chunk. Local memory: x, dy, and 16 channels of one tile at the points. */
ITEM_KERNEL void conv_winograd_weights(TENSOR(x), TENSOR(dy), VIEW(partial), VIEW(partial_bias), const int ins,
        const int H, const int W, const int outs, const int OH, const int OW, const int pad_h, const int pad_w,
        const int blocks, const int spots, const int spots_w, const int vectors, const int chunk, const int chunks,
        const int tiles, const int range, const int bias, local float *memory)
{
        const int split = get_global_id(0), splits = get_global_size(0), group = get_global_id(1) / chunks;
        const int groups = get_global_size(1) / chunks, i0 = get_global_id(1) % chunks * chunk;
        const int n = min(chunk, vectors - i0), tile0 = get_global_id(2) * range, kept = min(range, tiles - tile0);
        const int x_step = chunk * WIDE * 16, dy_step = range * TILE * WIDE;
        const int patches = (spots + PATCH - 1) / PATCH, all = patches * blocks;
        const int begin = (long)all * split / splits, end = (long)all * (split + 1) / splits;
        local float *dys = memory + POINTS * x_step, *scratch = dys + POINTS * dy_step;
        global float *to = FROM(partial) + (((ulong)split * groups + group) * tiles + tile0) * vectors * POINTS * TILE * 16;
        global float *bias_to = FROM(partial_bias) + ((ulong)split * groups + group) * outs * LANES;
        for (int at = begin; at < end; at++) {
                const int b = at / patches, spot0 = at % patches * PATCH, count = min(PATCH, spots - spot0);
                for (int t = 0; t < count; t++) {
                        const int h = (spot0 + t) / spots_w * STEP, w = (spot0 + t) % spots_w * STEP;
                        const ulong plane = (ulong)H * W, dy_plane = (ulong)OH * OW;
                        for (int i = 0; i < n; i++) {
                                const int first = (i0 + i) * 16;
                                bring_inputs(memory + i * WIDE * 16, x_step, scratch, t,
                                        AT(x, b) + ((ulong)group * ins + first) * plane * LANES, plane, ins - first, h - pad_h,
                                        w - pad_w, H, W);
                        }
                        for (int o = tile0 * TILE; o < (tile0 + kept) * TILE; o++) {
                                const int k = min(o, outs - 1);
                                const float16 sum = bring_gradients(dys + (o - tile0 * TILE) * WIDE + t * LANES, dy_step,
                                        AT(dy, b) + ((ulong)group * outs + k) * dy_plane * LANES, h, w, OH, OW);
                                if (bias && i0 == 0 && o < outs)
                                        vstore16(at == begin && t == 0 ? sum : vload16(k, bias_to) + sum, k, bias_to);
                        }
                }
                for (int p = 0; p < POINTS; p++)
                        for (int tile = 0; tile < kept; tile++)
                                for (int i = 0; i < n; i++)
                                        correlate(to + (((ulong)tile * vectors + i0 + i) * POINTS + p) * TILE * 16,
                                                dys + p * dy_step + tile * TILE * WIDE, memory + p * x_step + i * WIDE * 16,
                                                count * LANES, at == begin);
        }
}

/* Grid: (tiles of o, groups * vectors). */
ITEM_KERNEL void conv_winograd_sum(VIEW(partial), VIEW(partial_bias), VIEW(dw), VIEW(db), const int ins, const int outs,
        const int splits, const int vectors, const int bias, const int accumulate)
{
        const int tile = get_global_id(0), tiles = get_global_size(0), group = get_global_id(1) / vectors;
        const int groups = get_global_size(1) / vectors, vector = get_global_id(1) % vectors;
        const ulong size = (ulong)groups * tiles * vectors * POINTS * TILE * 16;
        const global float *from = FROM(partial) + (((ulong)group * tiles + tile) * vectors + vector) * POINTS * TILE * 16;
        for (int o = 0; o < min(TILE, outs - tile * TILE); o++) {
                const ulong k = (ulong)group * outs + tile * TILE + o;
                float16 v[POINTS];
#pragma unroll 1
                for (int p = 0; p < POINTS; p++) {
                        v[p] = vload16(p * TILE + o, from);
                        for (int split = 1; split < splits; split++)
                                v[p] += vload16(p * TILE + o, from + split * size);
                }
                points_to_weights(v);
#pragma unroll 1
                for (int tap = 0; tap < TAPS * TAPS; tap++) {
                        float each[16];
                        vstore16(v[tap / TAPS * SIDE + tap % TAPS], 0, each);
                        global float *to = FROM(dw) + (k * ins + vector * 16) * TAPS * TAPS + tap;
                        for (int i = 0; i < min(16, ins - vector * 16); i++)
                                to[i * TAPS * TAPS] = accumulate ? to[i * TAPS * TAPS] + each[i] : each[i];
                }
                if (bias && vector == 0) {
                        float16 sum = vload16(k, FROM(partial_bias));
                        for (int split = 1; split < splits; split++)
                                sum += vload16((ulong)split * groups * outs + k, FROM(partial_bias));
                        const float8 pair = sum.lo + sum.hi;
                        const float4 four = pair.lo + pair.hi;
                        const float total = (four.x + four.y) + (four.z + four.w);
                        FROM(db)[k] = accumulate ? FROM(db)[k] + total : total;
                }
        }
}
