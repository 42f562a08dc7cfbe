/* A batch out of a data set: x[i] = image order[first + i], scaled to floats, resized where the sizes differ.

   Grid: (elements c*h*w of the network's input, blocks). images is (count, C, source_h, source_w), IMAGE_T uchar
   (scaled by 1/255) or float. Padding lanes get zeros. Bilinear with half-pixel centres, as PyTorch's
   interpolate(align_corners=False). */
#ifndef IMAGE_T
#define IMAGE_T uchar
#define IMAGE_SCALE 255.0f
#endif

static float gather_pixel(global const IMAGE_T *image, int i)
{
        return (float)image[i] / IMAGE_SCALE;
}

static float gather_resized(global const IMAGE_T *image, int y, int x, int h, int w, int source_h, int source_w)
{
        const float fy = fmax(((float)y + 0.5f) * ((float)source_h / (float)h) - 0.5f, 0.0f);
        const float fx = fmax(((float)x + 0.5f) * ((float)source_w / (float)w) - 0.5f, 0.0f);
        const int y0 = min((int)fy, source_h - 1), x0 = min((int)fx, source_w - 1);
        const int y1 = min(y0 + 1, source_h - 1), x1 = min(x0 + 1, source_w - 1);
        const float ty = fy - (float)y0, tx = fx - (float)x0;
        const float top = gather_pixel(image, y0 * source_w + x0) * (1.0f - tx) +
                          gather_pixel(image, y0 * source_w + x1) * tx;
        const float bottom = gather_pixel(image, y1 * source_w + x0) * (1.0f - tx) +
                             gather_pixel(image, y1 * source_w + x1) * tx;
        return top * (1.0f - ty) + bottom * ty;
}

kernel void gather_images(global const IMAGE_T *images, global const int *order, const int first,
        TENSOR(x), const int n, const int channels, const int h, const int w,
        const int source_h, const int source_w)
{
        const int i = get_global_id(0);
        const int b = get_global_id(1);
        const int c = i / (h * w), y = i / w % h, column = i % w;
        const ulong plane = (ulong)source_h * source_w;
        global float *out = AT(x, b) + (ulong)i * LANES;
        for (int lane = 0; lane < LANES; lane++) {
                const int sample = b * LANES + lane;
                float v = 0.0f;
                if (sample < n) {
                        global const IMAGE_T *image = images + ((ulong)order[first + sample] * channels + c) * plane;
                        v = h == source_h && w == source_w
                                    ? gather_pixel(image, y * w + column)
                                    : gather_resized(image, y, column, h, w, source_h, source_w);
                }
                out[lane] = v;
        }
}

kernel void gather_labels(global const int *labels, global const int *order, const int first,
        global int *out, const ulong out_offset, const int n)
{
        const int i = get_global_id(0);
        if (i < n)
                out[out_offset + i] = labels[order[first + i]];
}
