/* conv2d of single images on CPU devices: forward where tensors have one lane, by vectors of 16 pixels.

   An image is read as flat planes. Pad every plane, deal its rows and columns out by their position modulo the stride
   (the phases), and each tap of the kernel finds what it multiplies at a fixed distance:

       x[channel][phase of rows][phase of columns][row][column], `width` columns
       the pixel q = row * width + column meets the tap (r, s) at q + r / stride_h * width + s / stride_w of its phase,
       or where taps are further apart than 1, which they may be along a stride of 1, at q + r * tap_h * width + s * tap_w

   so that 16 pixels that follow one another are one unaligned vector, whatever the row they end in. The positions of a row
   behind its OW pixels compute nothing that is kept. Weights are read as they are stored, w[o][i][r][s]: there is no time to
   turn them, for one image uses many of them once.

   Of kernels of one tap, whose channels are as many as their sums are long, the vectors that a work-item takes at a time are
   panels instead, [step][channel][STEP pixels], so that it reads them one behind the other.

   A work-item, alone in its work-group, computes TILE output channels x up to VECTORS vectors at a time. */
#ifndef TILE
#define TILE 8
#endif
#ifndef VECTORS
#define VECTORS 3
#endif
#define STEP (VECTORS * 16)

/* The planes of x, and zeros behind those of the last channel, `tail` of them, which idle lanes read. Rows of all planes of
   an image are numbered one behind the other; a work-item fills `share` of them. Grid: (shares, images). */
ITEM_KERNEL void conv_single_spread(TENSOR(x), VIEW(planes), const ulong stride, const int H, const int W, const int pad_h,
        const int pad_w, const int stride_h, const int stride_w, const int phases_h, const int phases_w, const int height,
        const int width, const int rows, const int share, const int tail)
{
        const int begin = get_group_id(0) * share, end = min(rows, begin + share), b = get_group_id(1);
        global float *to = FROM(planes) + b * stride;
        for (int row = begin; row < end; row++) {
                const int phase = row / height, s = phase % phases_w, r = phase / phases_w % phases_h;
                const int c = phase / phases_w / phases_h, h = row % height * stride_h + r - pad_h, v = s - pad_w;
                const global float *from = AT(x, b) + ((ulong)c * H + clamp(h, 0, H - 1)) * W + v;
                const int first = h < 0 || h >= H ? width : min(width, first_inside(s, stride_w, pad_w));
                const int last = max(first, end_inside(s, stride_w, pad_w, W, width));
                global float *line = to + (ulong)row * width;
                for (int i = 0; i < first; i++)
                        line[i] = 0.0f;
                if (stride_w == 1)
                        for (int i = first; i < last; i++)
                                line[i] = from[i];
                else
                        for (int i = first; i < last; i++)
                                line[i] = from[i * stride_w];
                for (int i = last; i < width; i++)
                        line[i] = 0.0f;
        }
        if (end == rows)
                for (int i = 0; i < tail; i++)
                        to[(ulong)rows * width + i] = 0.0f;
}

/* Panels of the pixels that a kernel of one tap sees, OW of them in a row; zeros behind the last one. A work-item fills one
   of `share` channels. Grid: (panels, shares of channels, images). */
ITEM_KERNEL void conv_single_panels(TENSOR(x), VIEW(panels), const ulong stride, const int C, const int H, const int W,
        const int pad_h, const int pad_w, const int stride_h, const int stride_w, const int OW, const int pixels,
        const int share)
{
        const int first = get_group_id(0) * STEP, c0 = get_group_id(1) * share, b = get_group_id(2);
        const bool whole = stride_h == 1 && stride_w == 1 && OW == W && pad_h == 0 && first + STEP <= pixels;
        global float *to = FROM(panels) + b * stride + ((ulong)get_group_id(0) * C + c0) * STEP;
        for (int c = c0; c < min(C, c0 + share); c++, to += STEP) {
                const global float *plane = AT(x, b) + (ulong)c * H * W;
                if (whole) {
#pragma unroll
                        for (int j = 0; j < VECTORS; j++)
                                vstore16(vload16(j, plane + first), j, to);
                        continue;
                }
                int row = first / OW, column = first - row * OW;
                for (int i = 0; i < STEP; i++) {
                        const int h = row * stride_h - pad_h, v = column * stride_w - pad_w;
                        const bool inside = first + i < pixels && h >= 0 && h < H && v >= 0 && v < W;
                        to[i] = inside ? plane[h * W + v] : 0.0f;
                        if (++column == OW) {
                                column = 0;
                                row++;
                        }
                }
        }
}

/* How far the next tap is, in floats: of the next channel; of the next phase of rows, or their first one's next row; the
   same of columns. */
typedef struct {
        int ins, R, S, stride_h, stride_w;
        long channel, plane_h, next_h, plane, next_w;
} taps_of;

/* Stores N vectors of `kept` channels, results[o][N][16], of the pixels from q on. */
static void store_pixels(const float *results, const int vectors, const int kept, int q, global float *y, const int OH,
        const int OW, const int width)
{
        const int flat = width == OW, end = flat ? OH * OW : OW;
#pragma unroll 1
        for (int j = 0; j < vectors; j++, q += 16) {
                int row = flat ? 0 : q / width, column = q - row * width;
                if (column + 16 <= end) {
#pragma unroll 1
                        for (int o = 0; o < kept; o++)
                                vstore16(vload16(o * vectors + j, results), 0, y + (ulong)o * OH * OW + row * OW + column);
                        continue;
                }
#pragma unroll 1
                for (int i = 0; i < 16; i++) {
                        if (column < end && row < OH)
#pragma unroll 1
                                for (int o = 0; o < kept; o++)
                                        y[(ulong)o * OH * OW + row * OW + column] = results[(o * vectors + j) * 16 + i];
                        if (++column == width && !flat) {
                                column = 0;
                                row++;
                        }
                }
        }
}

/* TILE channels, the first `kept` of which exist, at N vectors from x on. */
#define CORRELATE(N) \
        static void correlate_##N(const taps_of t, const global float *x, const global float *w, const int kept, \
                const global float *bias, const int has_bias, float *results) \
        { \
                const ulong weights = (ulong)t.ins * t.R * t.S; \
                const global float *rows[TILE]; \
                float16 sums[TILE * N]; \
                _Pragma("unroll") for (int o = 0; o < TILE; o++) \
                { \
                        const int from = min(o, kept - 1); \
                        rows[o] = w + from * weights; \
                        const float16 start = has_bias ? bias[from] : 0.0f; \
                        _Pragma("unroll") for (int j = 0; j < N; j++) sums[o * N + j] = start; \
                } \
                ulong k = 0; \
                _Pragma("unroll 1") for (int i = 0; i < t.ins; i++, x += t.channel) \
                { \
                        const global float *row = x; \
                        int phase_h = 0; \
                        _Pragma("unroll 1") for (int r = 0; r < t.R; r++) \
                        { \
                                const global float *at = row; \
                                int phase_w = 0; \
                                _Pragma("unroll 1") for (int s = 0; s < t.S; s++, k++) \
                                { \
                                        float16 v[N]; \
                                        _Pragma("unroll") for (int j = 0; j < N; j++) v[j] = vload16(j, at); \
                                        _Pragma("unroll") for (int o = 0; o < TILE; o++) \
                                        { \
                                                const float16 factor = rows[o][k]; \
                                                _Pragma("unroll") for (int j = 0; j < N; j++) sums[o * N + j] = \
                                                        fma(factor, v[j], sums[o * N + j]); \
                                        } \
                                        at += ++phase_w == t.stride_w ? t.next_w : t.plane; \
                                        phase_w = phase_w == t.stride_w ? 0 : phase_w; \
                                } \
                                row += ++phase_h == t.stride_h ? t.next_h : t.plane_h; \
                                phase_h = phase_h == t.stride_h ? 0 : phase_h; \
                        } \
                } \
                _Pragma("unroll") for (int i = 0; i < TILE * N; i++) vstore16(sums[i], i, results); \
        }

CORRELATE(1)
#if VECTORS > 1
CORRELATE(2)
#endif
#if VECTORS > 2
CORRELATE(3)
#endif

/* x are planes, or panels that are `panel` floats apart. Grid: (ranges of pixels, groups * ranges of tiles, images); a range
   has `steps` times STEP pixels. The last vectors of planes are whole ones that begin earlier, where there are so many. */
ITEM_KERNEL void conv_single(TENSOR(x), VIEW(w), VIEW(bias), TENSOR(y), const int ins, const int outs, const int OH,
        const int OW, const int R, const int S, const int stride_h, const int stride_w, const int tap_h, const int tap_w,
        const int phases, const int channel, const int plane, const int width, const int panel, const int has_bias,
        const int steps, const int tiles, const int range, const int ranges, EPILOGUE)
{
        const long plane_h = (long)phases * plane;
        const taps_of t = {ins, R, S, stride_h, stride_w, channel, plane_h,
                (long)tap_h * width - (stride_h - 1) * plane_h, plane, tap_w - (long)(stride_w - 1) * plane};
        const int pixels = (OH - 1) * width + OW, vectors = (pixels + 15) / 16, b = get_group_id(2);
        const int begin = get_group_id(0) * steps * VECTORS, end = min(vectors, begin + steps * VECTORS);
        const int group = get_group_id(1) / ranges, tile0 = get_group_id(1) % ranges * range;
        const global float *from = AT(x, b) + (ulong)group * ins * channel;
        for (int tile = tile0; tile < min(tiles, tile0 + range); tile++) {
                const int o0 = group * outs + tile * TILE, kept = min(TILE, outs - tile * TILE);
                const global float *weights = FROM(w) + (ulong)o0 * ins * R * S, *offsets = FROM(bias) + (has_bias ? o0 : 0);
                for (int v = begin; v < end; v += VECTORS) {
                        float results[TILE * VECTORS * 16];
                        const int n = min(VECTORS, end - v), q = panel ? v * 16 : min(v * 16, max(0, pixels - n * 16));
                        const global float *at = from + (panel ? (ulong)(v / VECTORS) * panel : (ulong)q);
#if VECTORS > 2
                        if (n == 3)
                                correlate_3(t, at, weights, kept, offsets, has_bias, results);
                        else
#endif
#if VECTORS > 1
                                if (n == 2)
                                correlate_2(t, at, weights, kept, offsets, has_bias, results);
                        else
#endif
                                correlate_1(t, at, weights, kept, offsets, has_bias, results);
                        if (IS_FINISHED)
#pragma unroll 1
                                for (int i = 0; i < kept * n; i++)
                                        vstore16(FINISH_LANES(vload16(i, results), NORM_OF(o0 + i / n)), i, results);
                        store_pixels(results, n, kept, q, AT(y, b) + (ulong)o0 * OH * OW, OH, OW, width);
                }
        }
}
