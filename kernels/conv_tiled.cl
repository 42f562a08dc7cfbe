/* conv2d on CPU devices, forward and gradient of the input: both are a correlation

       out[o, t*out_step + out_first] (+)= bias[o] + sum over i, r, s of
               w[o, i, r, s] * in[i, t*in_step + in_first + (r,s)*in_tap]

   in rows and columns alike; of a gradient there is one such correlation per phase of the stride, with the taps that
   meet it, turned around. Weights come packed in the order in which they are read:

       packed[group][tile of TILE o][chunk of i][s][r][i within chunk][o within tile]

   One work-item per work-group computes `segment` output pixels of a row, for a range of tiles and one block. It copies
   the window of the input that these pixels see to local memory, [column][r][i], so that each pixel's sum runs over
   contiguous memory in both operands, whatever the sizes; of columns that are further apart than 1, each by itself. */
#ifndef TILE
#define TILE 6
#endif

/* Element (o, i, r, s) of the packed weights is w[group*group_stride + o*out_stride + i*in_stride + row_first +
   r*row_step + column_first + s*column_step]. Grid: (chunks * tiles, groups). */
ITEM_KERNEL void conv_pack(VIEW(w), VIEW(packed), const int outs, const int ins, const int rows, const int columns,
        const int chunk, const int tiles, const int group_stride, const int out_stride, const int in_stride,
        const int row_first, const int row_step, const int column_first, const int column_step)
{
        const int group = get_group_id(1), tile = get_group_id(0) % tiles;
        const int i0 = get_group_id(0) / tiles * chunk, i1 = min(ins, i0 + chunk);
        const global float *from = FROM(w) + (ulong)group * group_stride + row_first + column_first;
        global float *to = FROM(packed) + (((ulong)group * tiles + tile) * ins + i0) * rows * columns * TILE;
        for (int s = 0; s < columns; s++)
                for (int r = 0; r < rows; r++)
                        for (int i = i0; i < i1; i++)
                                for (int o = 0; o < TILE; o++)
                                        *to++ = from[(ulong)min(tile * TILE + o, outs - 1) * out_stride +
                                                     (ulong)i * in_stride + r * row_step + s * column_step];
}

/* sums[o] += over q < count: w[q][o] * x[q]. */
static void add_products(float16 sums[TILE], const global float *w, const local float *x, const int count)
{
        for (int q = 0; q < count; q++) {
                const float16 v = vload16(q, x);
#pragma unroll
                for (int o = 0; o < TILE; o++)
                        sums[o] = fma((float16)(w[q * TILE + o]), v, sums[o]);
        }
}

/* One tile at one pixel: `plane` vectors lie between its outputs, of which `kept` exist. */
static void load_sums(float16 sums[TILE], const global float *at, const ulong plane, const int kept)
{
#pragma unroll
        for (int o = 0; o < TILE; o++)
                sums[o] = vload16(min(o, kept - 1) * plane, at);
}

static void store_sums(float16 sums[TILE], global float *at, const ulong plane, const int kept)
{
#pragma unroll
        for (int o = 0; o < TILE; o++)
                if (o < kept)
                        vstore16(sums[o], o * plane, at);
}

/* How many taps lie less than `distance` behind the first one. */
static int taps_before(const int distance, const int in_tap)
{
        return max(0, distance + in_tap - 1) / in_tap;
}

/* Grid: (rows * segments, groups * ranges of tiles, blocks). The window holds, of each column [v0, v1) that lies inside
   the input, its `seen` rows that do. */
ITEM_KERNEL void conv_tiled(TENSOR(in), VIEW(packed), VIEW(bias), TENSOR(out), const int ins, const int H, const int W,
        const int outs, const int OH, const int OW, const int rows, const int columns, const int width,
        const int in_step_h, const int in_step_w, const int in_first_h, const int in_first_w, const int in_tap_h,
        const int in_tap_w, const int out_step_h, const int out_step_w, const int out_first_h, const int out_first_w,
        const int has_bias, const int accumulate, const int chunk, const int segment, const int segments, const int tiles,
        const int range, const int ranges, EPILOGUE, local float *window)
{
        const int t = get_group_id(0) / segments, u0 = get_group_id(0) % segments * segment, u1 = min(width, u0 + segment);
        const int group = get_group_id(1) / ranges, tile0 = get_group_id(1) % ranges * range, b = get_group_id(2);
        const int h = t * in_step_h + in_first_h, r0 = taps_before(-h, in_tap_h);
        const int seen = max(0, min(rows, taps_before(H - h, in_tap_h)) - r0);
        const int v0 = max(0, u0 * in_step_w + in_first_w);
        const int v1 = min(W, (u1 - 1) * in_step_w + in_first_w + (columns - 1) * in_tap_w + 1);
        const bool whole = seen == rows && in_tap_w == 1;
        const global float *from = AT(in, b) + ((ulong)group * ins * H + h + r0 * in_tap_h) * W * LANES;
        const ulong plane = (ulong)OH * OW;
        for (int i0 = 0; i0 < ins; i0 += chunk) {
                const int n = min(chunk, ins - i0);
                for (int i = 0; i < n; i++)
                        for (int r = 0; r < seen; r++)
                                for (int v = v0; v < v1; v++)
                                        vstore16(vload16(v, from + ((ulong)(i0 + i) * H + r * in_tap_h) * W * LANES),
                                                ((v - v0) * seen + r) * n + i, window);
                for (int tile = tile0; tile < min(tiles, tile0 + range); tile++) {
                        const global float *w =
                                FROM(packed) + (((ulong)group * tiles + tile) * ins + i0) * rows * columns * TILE;
                        const int o0 = group * outs + tile * TILE, kept = outs - tile * TILE;
                        global float *to = AT(out, b) + ((ulong)o0 * OH + t * out_step_h + out_first_h) * OW * LANES;
                        const bool ends = IS_FINISHED && i0 + n == ins;
                        float16 start[TILE];
                        norm_t norms[TILE];
#pragma unroll
                        for (int o = 0; o < TILE; o++)
                                start[o] = has_bias ? FROM(bias)[o0 + min(o, kept - 1)] : 0.0f;
#pragma unroll 1
                        for (int o = 0; ends && o < min(TILE, kept); o++)
                                norms[o] = NORM_OF(o0 + o);
                        for (int u = u0; u < u1; u++) {
                                const int v = u * in_step_w + in_first_w;
                                global float *at = to + (ulong)(u * out_step_w + out_first_w) * LANES;
                                float16 sums[TILE];
                                if (i0 || accumulate)
                                        load_sums(sums, at, plane, kept);
                                else
#pragma unroll
                                        for (int o = 0; o < TILE; o++)
                                                sums[o] = start[o];
                                if (whole) {
                                        const int s0 = max(0, -v), s1 = min(columns, W - v);
                                        add_products(sums, w + s0 * rows * n * TILE,
                                                window + (v + s0 - v0) * rows * n * LANES, (s1 - s0) * rows * n);
                                } else
                                        for (int s = 0, column = v; s < columns; s++, column += in_tap_w)
                                                if (column >= 0 && column < W)
                                                        add_products(sums, w + (s * rows + r0) * n * TILE,
                                                                window + (column - v0) * seen * n * LANES, seen * n);
                                if (!ends) {
                                        store_sums(sums, at, plane, kept);
                                        continue;
                                }
                                float16 done[TILE]; /* so that the sums stay in registers, and the loop below a loop */
#pragma unroll
                                for (int o = 0; o < TILE; o++)
                                        done[o] = sums[o];
#pragma unroll 1
                                for (int o = 0; o < min(TILE, kept); o++)
                                        vstore16(FINISH_LANES(done[o], norms[o]), o * plane, at);
                        }
                }
        }
}
