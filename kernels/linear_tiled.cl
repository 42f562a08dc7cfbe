/* linear on CPU devices: one work-item per work-group, vectors over the 16 samples of a block, or over 16 weights for
   their gradient. x (N,C), y (N,K), w (K,C), bias (K).

   TILE   outputs whose sums stay in registers
   WIDE   inputs of a work-group of linear_data_tiled: whole tiles, whole cache lines
   STRIP  inputs of a work-group of linear_weights_tiled */
#ifndef TILE
#define TILE 6
#endif
#define WIDE (8 * TILE)
#define STRIP 64

static void load_sums(float16 sums[TILE], const global float *at, const int kept)
{
#pragma unroll
        for (int i = 0; i < TILE; i++)
                sums[i] = vload16(min(i, kept - 1), at);
}

static void store_sums(float16 sums[TILE], global float *at, const int kept)
{
#pragma unroll
        for (int i = 0; i < TILE; i++)
                if (i < kept)
                        vstore16(sums[i], i, at);
}

/* Grid: (ranges of `range` outputs, ranges of `share` blocks). The weights of a range and `chunk` inputs stay in the second
   cache while the blocks pass by. */
ITEM_KERNEL void linear_forward_tiled(TENSOR(x), VIEW(w), VIEW(bias), TENSOR(y), const int C, const int K,
        const int blocks, const int has_bias, const int range, const int share, const int chunk, EPILOGUE)
{
        const int k_first = get_group_id(0) * range, k_end = min(K, k_first + range);
        const int b_first = get_group_id(1) * share, b_end = min(blocks, b_first + share);
        for (int c0 = 0; c0 < C; c0 += chunk) {
                const int count = min(chunk, C - c0);
                for (int b = b_first; b < b_end; b++) {
                        const global float *samples = AT(x, b) + (ulong)c0 * LANES;
                        for (int k = k_first; k < k_end; k += TILE) {
                                const int kept = k_end - k;
                                const global float *row[TILE];
                                global float *at = AT(y, b) + (ulong)k * LANES;
                                float16 sums[TILE];
                                if (c0)
                                        load_sums(sums, at, kept);
#pragma unroll
                                for (int i = 0; i < TILE; i++) {
                                        row[i] = FROM(w) + (ulong)(k + min(i, kept - 1)) * C + c0;
                                        if (c0 == 0)
                                                sums[i] = has_bias ? FROM(bias)[k + min(i, kept - 1)] : 0.0f;
                                }
                                for (int c = 0; c < count; c++) {
                                        const float16 v = vload16(c, samples);
#pragma unroll
                                        for (int i = 0; i < TILE; i++)
                                                sums[i] = fma((float16)(row[i][c]), v, sums[i]);
                                }
                                if (!IS_FINISHED || c0 + chunk < C) {
                                        store_sums(sums, at, kept);
                                        continue;
                                }
                                float16 done[TILE]; /* so that the sums stay in registers, and the loop below a loop */
#pragma unroll
                                for (int i = 0; i < TILE; i++)
                                        done[i] = sums[i];
#pragma unroll 1
                                for (int i = 0; i < min(TILE, kept); i++)
                                        vstore16(FINISH_LANES(done[i], NORM_OF(k + i)), i, at);
                        }
                }
        }
}

/* Grid: (strips of WIDE inputs, ranges of `share` blocks). The weights of a strip and `chunk` outputs are copied to
   local memory once for all blocks. */
ITEM_KERNEL void linear_data_tiled(VIEW(w), TENSOR(dy), TENSOR(dx), const int C, const int K, const int blocks,
        const int accumulate, const int share, const int chunk, local float *strip)
{
        const int c_first = get_group_id(0) * WIDE, width = min(WIDE, C - c_first);
        const int b_first = get_group_id(1) * share, b_end = min(blocks, b_first + share);
        for (int k0 = 0; k0 < K; k0 += chunk) {
                const int count = min(chunk, K - k0);
                for (int k = 0; k < count; k++) {
                        const global float *from = FROM(w) + (ulong)(k0 + k) * C + c_first;
                        if (width == WIDE)
#pragma unroll
                                for (int i = 0; i < WIDE / 8; i++)
                                        vstore8(vload8(i, from), i, strip + k * WIDE);
                        else
                                for (int i = 0; i < width; i++)
                                        strip[k * WIDE + i] = from[i];
                }
                for (int b = b_first; b < b_end; b++) {
                        const global float *gradients = AT(dy, b) + (ulong)k0 * LANES;
                        for (int c = 0; c < width; c += TILE) {
                                global float *at = AT(dx, b) + (ulong)(c_first + c) * LANES;
                                float16 sums[TILE];
                                if (k0 || accumulate)
                                        load_sums(sums, at, width - c);
                                else
#pragma unroll
                                        for (int i = 0; i < TILE; i++)
                                                sums[i] = 0.0f;
                                for (int k = 0; k < count; k++) {
                                        const float16 v = vload16(k, gradients);
#pragma unroll
                                        for (int i = 0; i < TILE; i++)
                                                sums[i] = fma((float16)(strip[k * WIDE + c + i]), v, sums[i]);
                                }
                                store_sums(sums, at, width - c);
                        }
                }
        }
}

static void add_gradients(global float *to, const float16 sum, const int count, const int accumulate)
{
        if (count >= 16) {
                if (accumulate) /* LLVM 18 stores a choice of vectors in four parts */
                        vstore16(vload16(0, to) + sum, 0, to);
                else
                        vstore16(sum, 0, to);
                return;
        }
        float values[16];
        vstore16(sum, 0, values);
        for (int i = 0; i < count; i++)
                to[i] = accumulate ? to[i] + values[i] : values[i];
}

/* Grid: (strips of STRIP inputs, ranges of `range` outputs). x of a strip is turned to [sample][input] in local memory. */
ITEM_KERNEL void linear_weights_tiled(TENSOR(x), TENSOR(dy), VIEW(dw), VIEW(db), const int C, const int K,
        const int blocks, const int range, const int bias, const int accumulate, local float *strip)
{
        const int c_first = get_group_id(0) * STRIP, width = min(STRIP, C - c_first);
        const int k_first = get_group_id(1) * range, k_end = min(K, k_first + range);
        for (int b = 0; b < blocks; b++)
                for (int c = 0; c < width; c++) {
                        float v[LANES];
                        vstore16(vload16(c_first + c, AT(x, b)), 0, v);
#pragma unroll
                        for (int i = 0; i < LANES; i++)
                                strip[(b * LANES + i) * STRIP + c] = v[i];
                }
        for (int k = k_first; k < k_end; k += TILE)
                for (int c = 0; c < width; c += 16) {
                        float16 sums[TILE];
#pragma unroll
                        for (int i = 0; i < TILE; i++)
                                sums[i] = 0.0f;
                        for (int b = 0; b < blocks; b++) {
                                const global float *row[TILE];
#pragma unroll
                                for (int i = 0; i < TILE; i++)
                                        row[i] = AT(dy, b) + (ulong)min(k + i, k_end - 1) * LANES;
                                for (int n = 0; n < LANES; n++) {
                                        const float16 v = vload16(0, strip + (b * LANES + n) * STRIP + c);
#pragma unroll
                                        for (int i = 0; i < TILE; i++)
                                                sums[i] = fma((float16)(row[i][n]), v, sums[i]);
                                }
                        }
                        float16 done[TILE]; /* so that the sums stay in registers, and the loop below a loop */
#pragma unroll
                        for (int i = 0; i < TILE; i++)
                                done[i] = sums[i];
#pragma unroll 1
                        for (int i = 0; i < min(TILE, k_end - k); i++)
                                add_gradients(FROM(dw) + (ulong)(k + i) * C + c_first + c, done[i], width - c, accumulate);
                }
        for (int k = k_first; bias && c_first == 0 && k < k_end; k++) {
                float16 sum = 0.0f;
                for (int b = 0; b < blocks; b++)
                        sum += vload16(k, AT(dy, b));
                const float8 pair = sum.lo + sum.hi;
                const float4 four = pair.lo + pair.hi;
                const float one = (four.x + four.y) + (four.z + four.w);
                FROM(db)[k] = accumulate ? FROM(db)[k] + one : one;
        }
}
