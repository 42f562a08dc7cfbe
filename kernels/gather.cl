/* A batch out of a data set: x[i] = image order[first + i], scaled to floats, resized where the sizes differ, and moved
   about by the geometric steps that an augmentation begins with.

   Grid: (elements c*h*w of the network's input times LANES, blocks), lanes fastest. images is (count, C, source_h, source_w),
   IMAGE_T uchar (scaled by 1/255) or float. Padding lanes get zeros. Bilinear with half-pixel centres, as PyTorch's
   interpolate(align_corners=False).

   STEPS   the geometric steps, comma-separated, COUNT of them; the augmentation's step FIRST is the first one
   draws   what augment_draw drew: DRAW floats for each step and each of `room` samples, see augment.cl */
#ifndef IMAGE_T
#define IMAGE_T uchar
#define IMAGE_SCALE 255.0f
#endif
#ifndef COUNT
#define COUNT 0
#define FIRST 0
#endif

static float gather_pixel(global const IMAGE_T *image, const ulong stride, const int i)
{
        return (float)image[(ulong)i * stride] / IMAGE_SCALE;
}

/* At a place within an image of h x w that stands for one of source_h x source_w. */
static float gather_at(global const IMAGE_T *image, const ulong stride, const float y, const float x, const int h,
        const int w, const int source_h, const int source_w)
{
        const float fy = fmax((y + 0.5f) * ((float)source_h / (float)h) - 0.5f, 0.0f);
        const float fx = fmax((x + 0.5f) * ((float)source_w / (float)w) - 0.5f, 0.0f);
        const int y0 = min((int)fy, source_h - 1), x0 = min((int)fx, source_w - 1);
        const int y1 = min(y0 + 1, source_h - 1), x1 = min(x0 + 1, source_w - 1);
        const float ty = fy - (float)y0, tx = fx - (float)x0;
        const float top = gather_pixel(image, stride, y0 * source_w + x0) * (1.0f - tx) +
                          gather_pixel(image, stride, y0 * source_w + x1) * tx;
        const float bottom = gather_pixel(image, stride, y1 * source_w + x0) * (1.0f - tx) +
                             gather_pixel(image, stride, y1 * source_w + x1) * tx;
        return top * (1.0f - ty) + bottom * ty;
}

#define DRAW_ARGUMENTS \
        VIEW(draws), const int room, const uint seed_low, const uint seed_high, const uint epoch, \
                const int position

#if COUNT
enum { HFLIP, VFLIP, ROT90, CROP, ZOOM, ROW_JITTER };
constant int steps[COUNT] = {STEPS};

/* How far a row is moved; rows of an image share their draws over its channels. */
static float row_shift(const float most, const int row, const int step, const uint2 seed, const uint epoch, const uint at)
{
        const uint4 words = philox(seed, (uint4)(at, (uint)row, epoch, 4u | (uint)(step + 1) << 8));
        return (2.0f * philox_uniform(words.x) - 1.0f) * most;
}

/* From a place in the augmented image back to where it comes from; false where that lies outside. The last step first. */
static bool trace(global const float *draws, const int room, const int sample, const uint2 seed, const uint epoch,
        const uint at, const int h, const int w, float *ret_y, float *ret_x)
{
        float y = *ret_y, x = *ret_x;
        for (int i = COUNT - 1; i >= 0; i--) {
                global const float *d = draws + ((ulong)(FIRST + i) * room + sample) * DRAW;
                const float was = y;
                switch (steps[i]) {
                case HFLIP:
                        x = d[0] > 0.0f ? (float)(w - 1) - x : x;
                        break;
                case VFLIP:
                        y = d[0] > 0.0f ? (float)(h - 1) - y : y;
                        break;
                case ROT90: /* d[0] quarter turns, anticlockwise */
                        y = d[0] == 1.0f ? x : d[0] == 2.0f ? (float)(h - 1) - y : d[0] == 3.0f ? (float)(w - 1) - x : y;
                        x = d[0] == 1.0f ? (float)(w - 1) - was : d[0] == 2.0f ? (float)(w - 1) - x : d[0] == 3.0f ? was : x;
                        break;
                case CROP:
                        y += d[0];
                        x += d[1];
                        break;
                case ZOOM: /* a window of 1/factor = d[0] of the image, which begins at (d[1], d[2]) */
                        y = (y + 0.5f) * d[0] + d[1] - 0.5f;
                        x = (x + 0.5f) * d[0] + d[2] - 0.5f;
                        break;
                case ROW_JITTER: /* what is moved out at one end leaves the other end's pixel repeated */
                        x += row_shift(d[0], (int)floor(y + 0.5f), FIRST + i, seed, epoch, at);
                        x = fmin(fmax(x, 0.0f), (float)(w - 1));
                        break;
                }
                if (!(y >= -0.5f && y < (float)h - 0.5f && x >= -0.5f && x < (float)w - 0.5f))
                        return false;
        }
        *ret_y = y;
        *ret_x = x;
        return true;
}
#endif

kernel void gather_images(global const IMAGE_T *images, global const int *order, const int first,
        TENSOR(x), const int n, const int channels, const int h, const int w,
        const int source_h, const int source_w, DRAW_ARGUMENTS)
{
        const int lane = get_global_id(0) % LANES, i = get_global_id(0) / LANES;
        const int sample = get_global_id(1) * LANES + lane;
        const int c = i / (h * w), y = i / w % h, column = i % w;
        const ulong plane = (ulong)source_h * source_w;
        float v = 0.0f;
        if (c >= channels)
                return;
        if (sample < n) {
                global const IMAGE_T *image = images + ((ulong)order[first + sample] * channels + c) * plane;
#if COUNT
                float fy = (float)y, fx = (float)column;
                if (trace(FROM(draws), room, sample, (uint2)(seed_low, seed_high), epoch, (uint)(position + sample), h, w, &fy, &fx))
                        v = gather_at(image, 1, fy, fx, h, w, source_h, source_w);
#else
                v = h == source_h && w == source_w
                            ? gather_pixel(image, 1, y * w + column)
                            : gather_at(image, 1, (float)y, (float)column, h, w, source_h, source_w);
#endif
        }
        AT(x, get_global_id(1))[(ulong)i * LANES + lane] = v;
}

#if COUNT && RESAMPLE
/* The same from a tensor (IMAGE_T float): geometric steps that come after others. */
kernel void gather_tensor(TENSOR(x), TENSOR(y), const int n, const int channels, const int h, const int w, DRAW_ARGUMENTS)
{
        const int lane = get_global_id(0) % LANES, i = get_global_id(0) / LANES;
        const int sample = get_global_id(1) * LANES + lane;
        const int c = i / (h * w);
        float fy = (float)(i / w % h), fx = (float)(i % w), v = 0.0f;
        if (c >= channels)
                return;
        if (sample < n &&
                trace(FROM(draws), room, sample, (uint2)(seed_low, seed_high), epoch, (uint)(position + sample), h, w, &fy, &fx))
                v = gather_at(AT(x, get_global_id(1)) + (ulong)c * h * w * LANES + lane, LANES, fy, fx, h, w, h, w);
        AT(y, get_global_id(1))[(ulong)i * LANES + lane] = v;
}
#endif

kernel void gather_labels(global const int *labels, global const int *order, const int first,
        global int *out, const ulong out_offset, const int n)
{
        const int i = get_global_id(0);
        if (i < n)
                out[out_offset + i] = labels[order[first + i]];
}
