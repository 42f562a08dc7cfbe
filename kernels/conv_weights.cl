/* conv2d on CPU devices, gradients of weights and bias: one work-item per work-group, vectors over the samples.

   A work-item holds some input channels (a chunk), a range of tiles of TILE_K output channels, and a fixed share (split)
   of the patches: rectangles of output pixels of a block. For each patch it copies what the patch sees of the input to
   local memory, [channel / side][row][column][channel % side], zeros where the padding is. What no tap meets is left out: rows
   that taps begin at are `band_h` apart there, dilation_h in the input, columns likewise. A tap q, counted in the order
   (channel / side, r, s, channel % side), is then one offset into that window, and TILE_K x TILE_Q sums over the patch's
   pixels stay in registers. The sums of a split go to

       partial[split][group][chunk][tile of k][tile of q][TILE_K][TILE_Q]

   and conv_weights_sum adds the splits in order: the same sums whoever computes them. */
#ifndef TILE_K
#define TILE_K 3
#endif
#ifndef TILE_Q
#define TILE_Q 4
#endif
#ifndef WIDTH
#define WIDTH 8 /* floats in a vector register */
#endif
#if WIDTH == 16
typedef float16 part_t;
#define load_part vload16
#elif WIDTH == 8
typedef float8 part_t;
#define load_part vload8
#else
typedef float4 part_t;
#define load_part vload4
#endif
#define PARTS (LANES / WIDTH)

static float4 quarter(const part_t v)
{
#if WIDTH == 16
        const float8 pair = v.lo + v.hi;
        return pair.lo + pair.hi;
#elif WIDTH == 8
        return v.lo + v.hi;
#else
        return v;
#endif
}

/* The sums of four vectors. */
static float4 add_across(const part_t a, const part_t b, const part_t c, const part_t d)
{
        const float4 p = quarter(a), q = quarter(b), r = quarter(c), s = quarter(d);
        const float4 t = (float4)(p.lo, q.lo) + (float4)(p.hi, q.hi);
        const float4 u = (float4)(r.lo, s.lo) + (float4)(r.hi, s.hi);
        return (float4)(t.even, u.even) + (float4)(t.odd, u.odd);
}

/* Output pixels [top, bottom) x [left, right). */
struct area {
        int top, bottom, left, right;
};

/* Where a window lies in the input, and how it stands in local memory: behind each band `gap` rows or columns of the input
   are left out. */
struct window {
        int top, left, rows, columns, band_h, band_w, gap_h, gap_w, channels, side;
};

static void copy_window(local float *to, const global float *from, const struct window w, const int H, const int W)
{
        for (int c = 0; c < (w.channels + w.side - 1) / w.side * w.side; c++)
                for (int r = 0; r < w.rows; r++) {
                        const int h = w.top + r + (w.gap_h ? r / w.band_h * w.gap_h : 0);
                        const global float *row = from + ((ulong)c * H + h) * W * LANES;
                        local float *at = to + ((c / w.side * w.rows + r) * w.columns * w.side + c % w.side) * LANES;
                        for (int i = 0, left = w.left; i < w.columns; left += w.gap_w) {
                                const int end = w.gap_w ? min(w.columns, i + w.band_w) : w.columns;
                                for (; i < end; i++) {
                                        const int v = left + i;
                                        const bool inside = c < w.channels && h >= 0 && h < H && v >= 0 && v < W;
                                        vstore16(inside ? vload16(v, row) : (float16)(0.0f), i * w.side, at);
                                }
                        }
                }
}

/* sums[k][t] += over the pixels of `a`: dy[k] * window[tap t]. `kept` counts the tile's rows that exist. */
static void add_products(part_t sums[TILE_K][TILE_Q], const local float *window, const int *offset,
        const global float *dy, const int kept, const struct area a, const int pixel_step, const int row_step,
        const int OW, const ulong plane)
{
        for (int oh = a.top; oh < a.bottom; oh++) {
                const local float *x = window + (oh * row_step + a.left * pixel_step) * LANES;
                const global float *g = dy + ((ulong)oh * OW + a.left) * LANES;
                for (int ow = a.left; ow < a.right; ow++, x += pixel_step * LANES, g += LANES)
#pragma unroll
                        for (int h = 0; h < PARTS; h++) {
/* Twelve sums, the three held and the one passing by fill sixteen registers. */
#if TILE_K < TILE_Q
                                part_t held[TILE_K];
#pragma unroll
                                for (int k = 0; k < TILE_K; k++)
                                        held[k] = load_part(h, g + min(k, kept - 1) * plane);
#pragma unroll
                                for (int t = 0; t < TILE_Q; t++) {
                                        const part_t v = load_part(h, x + offset[t]);
#pragma unroll
                                        for (int k = 0; k < TILE_K; k++)
                                                sums[k][t] = fma(held[k], v, sums[k][t]);
                                }
#else
                                part_t held[TILE_Q];
#pragma unroll
                                for (int t = 0; t < TILE_Q; t++)
                                        held[t] = load_part(h, x + offset[t]);
#pragma unroll
                                for (int k = 0; k < TILE_K; k++) {
                                        const part_t v = load_part(h, g + min(k, kept - 1) * plane);
#pragma unroll
                                        for (int t = 0; t < TILE_Q; t++)
                                                sums[k][t] = fma(v, held[t], sums[k][t]);
                                }
#endif
                        }
        }
}

static void put_sums(global float *to, part_t sums[TILE_K][TILE_Q], const bool fresh)
{
#pragma unroll
        for (int k = 0; k < TILE_K; k++) {
#if TILE_Q == 4
                const float4 sum = add_across(sums[k][0], sums[k][1], sums[k][2], sums[k][3]);
                vstore4(fresh ? sum : vload4(k, to) + sum, k, to);
#else
                const float3 sum = add_across(sums[k][0], sums[k][1], sums[k][2], sums[k][2]).s012;
                vstore3(fresh ? sum : vload3(k, to) + sum, k, to);
#endif
        }
}

static float sum_area(const global float *dy, const struct area a, const int OW)
{
        float16 sum = 0.0f;
        for (int oh = a.top; oh < a.bottom; oh++)
                for (int ow = a.left; ow < a.right; ow++)
                        sum += vload16((ulong)oh * OW + ow, dy);
        const float8 pair = sum.lo + sum.hi;
        const float4 four = pair.lo + pair.hi;
        return (four.x + four.y) + (four.z + four.w);
}

/* Grid: (splits, groups * chunks, ranges of tiles). */
ITEM_KERNEL void conv_weights_tiled(TENSOR(x), TENSOR(dy), VIEW(partial), VIEW(partial_bias), CONV_GEOMETRY,
        const int blocks, const int chunk, const int chunks, const int patch_h, const int patch_w, const int splits,
        const int tiles_k, const int tiles_q, const int range, const int side, const int block, const int bias,
        local float *memory)
{
        const int split = get_group_id(0), group = get_group_id(1) / chunks, part = get_group_id(1) % chunks;
        const int tile0 = get_group_id(2) * range, tile1 = min(tiles_k, tile0 + range);
        const int CG = C / groups, KG = K / groups, c0 = part * chunk, channels = min(chunk, CG - c0);
        const int patches_w = (OW + patch_w - 1) / patch_w, patches_h = (OH + patch_h - 1) / patch_h;
        const ulong patches = (ulong)patches_h * patches_w * blocks, plane = (ulong)OH * OW * LANES;
        const int first = patches * split / splits, end = patches * (split + 1) / splits;
        const int taps = (channels + side - 1) / side * side * R * S;
        global float *sums = FROM(partial) + ((ulong)split * groups * chunks + get_group_id(1)) * tiles_k * tiles_q *
                                                     TILE_K * TILE_Q;
        global float *bias_sums = FROM(partial_bias) + (ulong)split * K + group * KG;
        for (int p = first; p < end; p++) {
                const int b = p / (patches_h * patches_w);
                const int oh = p / patches_w % patches_h * patch_h, ow = p % patches_w * patch_w;
                const struct area patch = {oh, min(OH, oh + patch_h), ow, min(OW, ow + patch_w)};
                const int seen_h = (patch.bottom - oh - 1) * stride_h + 1, seen_w = (patch.right - ow - 1) * stride_w + 1;
                const int band_h = min(dilation_h, seen_h), band_w = min(dilation_w, seen_w);
                const struct window w = {oh * stride_h - pad_h, ow * stride_w - pad_w, (R - 1) * band_h + seen_h,
                        (S - 1) * band_w + seen_w, band_h, band_w, dilation_h - band_h, dilation_w - band_w, channels, side};
                const int pixel_step = stride_w * side, row_step = stride_h * w.columns * side;
                const local float *origin = memory - (oh * row_step + ow * pixel_step) * LANES;
                const global float *gradients = AT(dy, b) + group * KG * plane;
                copy_window(memory, AT(x, b) + (ulong)(group * CG + c0) * H * W * LANES, w, H, W);
                for (int tile = tile0; tile < tile1; tile += block)
                        for (int tile_q = 0; tile_q < tiles_q; tile_q++) {
                                struct area a = {patch.bottom, oh, patch.right, ow};
                                int offset[TILE_Q];
                                for (int t = 0; t < TILE_Q; t++) {
                                        const int q = min(tile_q * TILE_Q + t, taps - 1);
                                        const int g = q / side / S / R, row = q / side / S % R, column = q / side % S;
                                        const int place = (g * w.rows + row * band_h) * w.columns + column * band_w;
                                        const int r = row * dilation_h, s = column * dilation_w;
                                        offset[t] = (place * side + q % side) * LANES;
                                        a.top = min(a.top, max(oh, first_inside(r, stride_h, pad_h)));
                                        a.bottom = max(a.bottom, min(patch.bottom, end_inside(r, stride_h, pad_h, H, OH)));
                                        a.left = min(a.left, max(ow, first_inside(s, stride_w, pad_w)));
                                        a.right = max(a.right, min(patch.right, end_inside(s, stride_w, pad_w, W, OW)));
                                }
                                for (int k = tile; k < min(tile1, tile + block); k++) {
                                        part_t acc[TILE_K][TILE_Q];
#pragma unroll
                                        for (int i = 0; i < TILE_K * TILE_Q; i++)
                                                acc[i / TILE_Q][i % TILE_Q] = (part_t)(0.0f);
                                        add_products(acc, origin, offset, gradients + k * TILE_K * plane, KG - k * TILE_K, a,
                                                pixel_step, row_step, OW, plane);
                                        put_sums(sums + ((ulong)k * tiles_q + tile_q) * TILE_K * TILE_Q, acc, p == first);
                                }
                        }
                for (int k = tile0 * TILE_K; bias && part == 0 && k < min(KG, tile1 * TILE_K); k++) {
                        const float sum = sum_area(gradients + k * plane, patch, OW);
                        bias_sums[k] = p == first ? sum : bias_sums[k] + sum;
                }
        }
}

static float sum_splits(const global float *from, const int splits, const ulong stride)
{
        float sum = from[0];
        for (int split = 1; split < splits; split++)
                sum += from[split * stride];
        return sum;
}

/* Grid: (tiles of k, groups * chunks). */
ITEM_KERNEL void conv_weights_sum(VIEW(partial), VIEW(partial_bias), VIEW(dw), VIEW(db), CONV_GEOMETRY, const int chunk,
        const int chunks, const int splits, const int tiles_k, const int tiles_q, const int side, const int bias,
        const int accumulate)
{
        const int tile = get_group_id(0), group = get_group_id(1) / chunks, part = get_group_id(1) % chunks;
        const int CG = C / groups, KG = K / groups, c0 = part * chunk, channels = min(chunk, CG - c0);
        const int k0 = group * KG + tile * TILE_K, count = min(TILE_K, KG - tile * TILE_K);
        const ulong tiles = (ulong)tiles_k * tiles_q * TILE_K * TILE_Q, stride = tiles * groups * chunks;
        const global float *from = FROM(partial) + get_group_id(1) * tiles + (ulong)tile * tiles_q * TILE_K * TILE_Q;
        int q = 0;
        for (int g = 0; g < channels; g += side)
                for (int tap = 0; tap < R * S; tap++)
                        for (int c = g; c < g + side; c++, q++)
                                for (int k = 0; k < (c < channels ? count : 0); k++) {
                                        const float sum = sum_splits(
                                                from + ((ulong)(q / TILE_Q) * TILE_K + k) * TILE_Q + q % TILE_Q, splits, stride);
                                        global float *to = FROM(dw) + ((ulong)(k0 + k) * CG + c0 + c) * R * S + tap;
                                        *to = accumulate ? *to + sum : sum;
                                }
        for (int k = k0; bias && part == 0 && k < k0 + count; k++) {
                const float sum = sum_splits(FROM(partial_bias) + k, splits, K);
                FROM(db)[k] = accumulate ? FROM(db)[k] + sum : sum;
        }
}
