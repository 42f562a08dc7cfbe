/* linear of a few images on CPU devices: forward where tensors have one lane. Of each weight little more is made than a
   multiply-add, so that what counts is to read them once, in their order: vectors of 16 inputs, TILE outputs at a time.

   x (N,IN), y (N,OUT), w (OUT,IN) contiguous, bias (OUT). A work-item, alone in its work-group, computes `range` outputs
   of all images. Grid: (ranges). */
#ifndef TILE
#define TILE 8
#endif

ITEM_KERNEL void linear_forward_single(TENSOR(x), VIEW(w), VIEW(bias), TENSOR(y), const int ins, const int outs,
        const int has_bias, const int images, const int range, EPILOGUE)
{
        const int begin = get_group_id(0) * range, end = min(outs, begin + range);
        for (int tile = begin; tile < end; tile += TILE) {
                const global float *rows[TILE];
#pragma unroll
                for (int o = 0; o < TILE; o++)
                        rows[o] = FROM(w) + (ulong)min(tile + o, end - 1) * ins;
#pragma unroll 1
                for (int b = 0; b < images; b++) {
                        const global float *from = AT(x, b);
                        float16 sums[TILE];
                        float results[TILE];
                        int i = 0;
#pragma unroll
                        for (int o = 0; o < TILE; o++)
                                sums[o] = 0.0f;
#pragma unroll 1
                        for (; i + 16 <= ins; i += 16) {
                                const float16 v = vload16(0, from + i);
#pragma unroll
                                for (int o = 0; o < TILE; o++)
                                        sums[o] = fma(vload16(0, rows[o] + i), v, sums[o]);
                        }
#pragma unroll
                        for (int o = 0; o < TILE; o++)
                                results[o] = sum_lanes(sums[o]);
#pragma unroll 1
                        for (; i < ins; i++)
#pragma unroll
                                for (int o = 0; o < TILE; o++)
                                        results[o] = fma(rows[o][i], from[i], results[o]);
#pragma unroll 1
                        for (int o = 0; o < min(TILE, end - tile); o++)
                                AT(y, b)[tile + o] =
                                        FINISH(has_bias ? results[o] + FROM(bias)[tile + o] : results[o], NORM_OF(tile + o));
                }
        }
}
