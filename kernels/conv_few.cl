/* conv2d of single images of few pixels on CPU devices: forward where tensors have one lane, and vectors of pixels would
   stay half empty. There are more weights than anything else then, and they are to be read once, in their order: what a pixel
   sees lies in one column as the weights of a channel do, [i][r][s], and vectors run along both.

   x (N,C,H,W), y (N,K,OH,OW), w (K,C/groups,R,S), columns [group][pixel][length] for each image, length = C/groups * R * S. */
#define TILE 8
#define PASS 3
#define MOST 18 /* pixels */
#define PART 512 /* of columns and weights that stay in the first cache */

/* A work-item fills a group's columns with `share` channels. Grid: (shares, groups, images). */
ITEM_KERNEL void conv_few_columns(TENSOR(x), VIEW(columns), const ulong stride, CONV_GEOMETRY, const int share)
{
        const int ins = C / groups, length = ins * R * S, group = get_group_id(1), b = get_group_id(2);
        const int begin = get_group_id(0) * share, end = min(ins, begin + share);
        global float *to = FROM(columns) + b * stride + (ulong)group * OH * OW * length;
        for (int i = begin; i < end; i++) {
                const global float *plane = AT(x, b) + ((ulong)group * ins + i) * H * W;
                for (int oh = 0; oh < OH; oh++)
                        for (int ow = 0; ow < OW; ow++) {
                                global float *at = to + (ulong)(oh * OW + ow) * length + (ulong)i * R * S;
                                for (int r = 0; r < R; r++)
                                        for (int s = 0; s < S; s++) {
                                                const int h = oh * stride_h - pad_h + r * dilation_h;
                                                const int v = ow * stride_w - pad_w + s * dilation_w;
                                                const bool inside = h >= 0 && h < H && v >= 0 && v < W;
                                                *at++ = inside ? plane[h * W + v] : 0.0f;
                                        }
                        }
        }
}

/* A work-item computes `range` channels of a group. Grid: (ranges, groups, images). */
ITEM_KERNEL void conv_few(VIEW(columns), const ulong stride, VIEW(w), VIEW(bias), TENSOR(y), const int length,
        const int outs, const int pixels, const int has_bias, const int range, EPILOGUE)
{
        const int begin = get_group_id(0) * range, end = min(outs, begin + range), group = get_group_id(1);
        const int b = get_group_id(2), whole = length / 16 * 16;
        const global float *x = FROM(columns) + b * stride + (ulong)group * pixels * length;
        for (int tile = begin; tile < end; tile += TILE) {
                const int o0 = group * outs + tile, kept = min(TILE, end - tile);
                const global float *rows[TILE];
                float16 sums[MOST * TILE];
#pragma unroll
                for (int o = 0; o < TILE; o++)
                        rows[o] = FROM(w) + (ulong)(o0 + min(o, kept - 1)) * length;
                for (int i = 0; i < (pixels + PASS - 1) / PASS * PASS * TILE; i++)
                        sums[i] = 0.0f;
                for (int part = 0; part < whole; part += PART)
#pragma unroll 1
                        for (int p = 0; p < pixels; p += PASS) {
                                const global float *pixel[PASS];
                                float16 s[PASS * TILE];
#pragma unroll
                                for (int j = 0; j < PASS; j++)
                                        pixel[j] = x + (ulong)min(p + j, pixels - 1) * length;
#pragma unroll
                                for (int i = 0; i < PASS * TILE; i++)
                                        s[i] = sums[p * TILE + i];
#pragma unroll 1
                                for (int k = part; k < min(whole, part + PART); k += 16) {
                                        float16 v[PASS];
#pragma unroll
                                        for (int j = 0; j < PASS; j++)
                                                v[j] = vload16(0, pixel[j] + k);
#pragma unroll
                                        for (int o = 0; o < TILE; o++) {
                                                const float16 factor = vload16(0, rows[o] + k);
#pragma unroll
                                                for (int j = 0; j < PASS; j++)
                                                        s[j * TILE + o] = fma(factor, v[j], s[j * TILE + o]);
                                        }
                                }
#pragma unroll
                                for (int i = 0; i < PASS * TILE; i++)
                                        sums[p * TILE + i] = s[i];
                        }
                for (int o = 0; o < kept; o++) {
                        const global float *row = FROM(w) + (ulong)(o0 + o) * length;
                        const norm_t n = NORM_OF(o0 + o);
                        for (int p = 0; p < pixels; p++) {
                                float sum = sum_lanes(sums[p * TILE + o]);
                                for (int k = whole; k < length; k++)
                                        sum = fma(row[k], x[(ulong)p * length + k], sum);
                                AT(y, b)[(ulong)(o0 + o) * pixels + p] =
                                        FINISH(has_bias ? sum + FROM(bias)[o0 + o] : sum, n);
                        }
                }
        }
}
