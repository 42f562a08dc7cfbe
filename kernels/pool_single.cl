/* max_pool2d of single images on CPU devices: forward where tensors have one lane and nothing is kept for a backward pass.

   x (N,C,H,W), y (N,C,OH,OW); windows of kh x kw every sh x sw pixels over a border of ph x pw. The rows of a window become
   one `line`, as vectors, then the columns of all windows in it. Beyond the image a line holds what no maximum is.
   A work-item, alone in its work-group, makes `rows` rows of y. Grid: (ceil(OH / rows), C, N). */
static inline float larger(const float a, const float b)
{
        return b > a || b != b ? b : a; /* NaN stays */
}

#define COLUMNS(STEP) \
        for (int s = 0; s < kw; s++) \
                for (int j = 0; j < ow; j++) \
                        out[j] = s ? larger(out[j], line[j * (STEP) + s]) : line[j * (STEP)];

ITEM_KERNEL void max_pool2d_forward_single(TENSOR(x), TENSOR(y), const int rows, const int h, const int w, const int oh,
        const int ow, const int kh, const int kw, const int sh, const int sw, const int ph, const int pw, const int length,
        local float *line)
{
        const int c = get_group_id(1), b = get_group_id(2), first = get_group_id(0) * rows, last = min(oh, first + rows);
        const global float *plane = AT(x, b) + (ulong)c * h * w;
        for (int j = 0; j < length; j++)
                line[j] = -INFINITY;
        for (int i = first; i < last; i++) {
                const int r0 = max(0, i * sh - ph), r1 = min(h, i * sh - ph + kh);
                global float *out = AT(y, b) + ((ulong)c * oh + i) * ow;
                for (int j = 0; j < w; j++)
                        line[pw + j] = plane[r0 * w + j];
                for (int r = r0 + 1; r < r1; r++)
                        for (int j = 0; j < w; j++)
                                line[pw + j] = larger(line[pw + j], plane[r * w + j]);
                if (sw == 1)
                        COLUMNS(1)
                else if (sw == 2)
                        COLUMNS(2)
                else
                        COLUMNS(sw)
        }
}
