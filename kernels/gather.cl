/* A batch out of a data set: x[i] = image order[first + i], scaled to floats, resized where the sizes differ, and moved
   about by the geometric steps that an augmentation begins with.

   Grid: (rows c*h of the network's input times LANES, blocks), lanes fastest. images is (count, C, source_h, source_w),
   IMAGE_T uchar (scaled by 1/255) or float. Padding lanes get zeros. Bilinear with half-pixel centres, as PyTorch's
   interpolate(align_corners=False).

   step, plane, pitch   elements from one of order's numbers to the next, from channel to channel, from row to row: those of
                        whole images, or of windows cut from one large image, where order holds the places of their corners
   STEPS   the geometric steps, comma-separated, COUNT of them; the augmentation's step FIRST is the first one
   MIRRORED  one of them is affine
   draws   what augment_draw drew: DRAW floats for each step, each for `room` samples side by side, see augment.cl */
#ifndef IMAGE_T
#define IMAGE_T uchar
#define IMAGE_SCALE 255.0f
#endif
#ifndef COUNT
#define COUNT 0
#endif

#define DRAW_ARGUMENTS \
        VIEW(draws), const int room, const uint seed_low, const uint seed_high, const uint epoch, const int position

#if MIRRORED
/* From a row and a column of the output to a place in the source: each of y and x is [0] * row + [1] * column + [2]. Beyond its
   sides, which lie half a pixel from the outermost centres, the image is mirrored, as often as that takes: flips and quarter
   turns may come before that or after. */
struct map {
        float y[3], x[3];
};

static inline struct map identity(void)
{
        const struct map m = {{1.0f, 0.0f, 0.0f}, {0.0f, 1.0f, 0.0f}};
        return m;
}

enum { HFLIP, VFLIP, ROT90, AFFINE };
constant int steps[COUNT] = {STEPS};

static void flip(float v[3], const float last)
{
        v[0] = -v[0];
        v[1] = -v[1];
        v[2] = last - v[2];
}

static void quarter_turn(struct map *m, const float last)
{
        for (int i = 0; i < 3; i++) {
                const float y = m->y[i];
                m->y[i] = m->x[i];
                m->x[i] = y;
        }
        flip(m->x, last);
}

/* The inverse of torchvision's RandomAffine, around the middle; `d` as augment_draw has it. */
static void turn_back(struct map *m, global const float *d, const int room, const float h, const float w)
{
        const float c = d[0], s = d[room], shear = d[2 * room];
        m->y[2] -= 0.5f * (h - 1.0f) + d[3 * room];
        m->x[2] -= 0.5f * (w - 1.0f) + d[4 * room];
        for (int i = 0; i < 3; i++) {
                const float y = m->y[i], x = m->x[i];
                m->y[i] = c * y - s * x;
                m->x[i] = (c - s * shear) * x + (c * shear + s) * y;
        }
        m->y[2] += 0.5f * (h - 1.0f);
        m->x[2] += 0.5f * (w - 1.0f);
}

/* The last step first. */
static void compose(struct map *m, global const float *draws, const int room, const int sample, const int row, const uint2 seed,
        const uint epoch, const uint at, const float h, const float w)
{
        for (int i = COUNT - 1; i >= 0; i--) {
                global const float *d = draws + (ulong)(FIRST + i) * DRAW * room + sample;
                if (steps[i] == HFLIP && d[0] > 0.0f)
                        flip(m->x, w - 1.0f);
                if (steps[i] == VFLIP && d[0] > 0.0f)
                        flip(m->y, h - 1.0f);
                for (int k = 0; steps[i] == ROT90 && k < (int)d[0]; k++)
                        quarter_turn(m, w - 1.0f);
                if (steps[i] == AFFINE)
                        turn_back(m, d, room, h, w);
        }
}

/* Columns at a time, whose places are worked out together; what stands there is read one by one. */
#if LANES == 32
#define WIDE 1
typedef float F;
typedef int I;
#define TO_F convert_float
#define TO_I convert_int
#define RAMP 0.0f
#define UNPACK(i, v) ((i)[0] = (v))
#define PACK(v) ((v)[0])
#else
#define WIDE 16
typedef float16 F;
typedef int16 I;
#define TO_F convert_float16
#define TO_I convert_int16
#define RAMP ((float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define UNPACK(i, v) vstore16(v, 0, i)
#define PACK(v) vload16(0, v)
#endif

/* A place of the output, mirrored between its sides, which are `size` apart, in pixels of the source, `step` of them one of the
   output; not before the source's first centre. */
static inline F mirrored(const F v, const float size, const float step)
{
        const F from = fabs(v + 0.5f), u = from - 2.0f * size * floor(from * (0.5f / size));
        const F at = (size - fabs(size - u)) * step - 0.5f;
        return at > 0.0f ? at : (F)0.0f;
}

/* One row of one image, LANES floats apart in `out`; `image` is a plane whose pixels are `apart` elements apart. */
static void fill_row(const struct map *m, global const IMAGE_T *image, const int apart, global float *out, const int row,
        const int h, const int w, const int source_h, const int source_w, const int pitch)
{
        const float y_step = (float)source_h / (float)h, x_step = (float)source_w / (float)w;
        const float y = m->y[0] * (float)row + m->y[2], x = m->x[0] * (float)row + m->x[2], y1 = m->y[1], x1 = m->x[1];
        for (int i = 0; i < w; i += WIDE) {
                const F column = (float)i + RAMP;
                const F f = mirrored(y + y1 * column, (float)h, y_step), g = mirrored(x + x1 * column, (float)w, x_step);
                const I f0 = min(TO_I(f), source_h - 1), g0 = min(TO_I(g), source_w - 1);
                const I down = min(source_h - 1 - f0, 1) * pitch * apart, along = min(source_w - 1 - g0, 1) * apart;
                const F tf = f - TO_F(f0), tg = g - TO_F(g0);
                int rows[WIDE], columns[WIDE], to_next[WIDE], beside[WIDE];
                float p[WIDE], q[WIDE], r[WIDE], s[WIDE];
                UNPACK(rows, f0);
                UNPACK(columns, g0 * apart);
                UNPACK(to_next, down);
                UNPACK(beside, along);
                for (int k = 0; k < WIDE; k++) {
                        global const IMAGE_T *near = image + (ulong)rows[k] * pitch * apart + columns[k], *far = near + to_next[k];
                        p[k] = (float)near[0];
                        q[k] = (float)near[beside[k]];
                        r[k] = (float)far[0];
                        s[k] = (float)far[beside[k]];
                }
                const F a = PACK(p) * (1.0f - tg) + PACK(q) * tg, b = PACK(r) * (1.0f - tg) + PACK(s) * tg;
                UNPACK(p, (a * (1.0f - tf) + b * tf) / IMAGE_SCALE);
                for (int k = 0; k < min(WIDE, w - i); k++)
                        out[(ulong)(i + k) * LANES] = p[k];
        }
}
#else
/* From a row and a column of the output to a place in the source: each of y and x is scale * t + offset of one of the two, y of
   the column where `turned`. Rows and columns outside the bounds come from outside the image. */
struct map {
        float y_scale, y_offset, x_scale, x_offset;
        float low[2], high[2]; /* of rows and columns */
        int turned;
        float shift; /* of columns, first of all; repeats the edges where `shifted` */
        int shifted;
};

#if COUNT
enum { HFLIP, VFLIP, ROT90, CROP, ZOOM, ROW_JITTER };
constant int steps[COUNT] = {STEPS};

static void bound(struct map *m, const float scale, const float offset, const int of, const float size)
{
        const float a = (-0.5f - offset) / scale, b = (size - 0.5f - offset) / scale;
        m->low[of] = fmax(m->low[of], fmin(a, b));
        m->high[of] = fmin(m->high[of], fmax(a, b));
}

static void quarter_turns(struct map *m, const int turns, const float last)
{
        for (int i = 0; i < turns; i++) {
                const float scale = m->y_scale, offset = m->y_offset;
                m->y_scale = m->x_scale;
                m->y_offset = m->x_offset;
                m->x_scale = -scale;
                m->x_offset = last - offset;
                m->turned = !m->turned;
        }
}

/* The last step first. A row jitter is the last one of its run. */
static void compose(struct map *m, global const float *draws, const int room, const int sample, const int row, const uint2 seed,
        const uint epoch, const uint at, const float h, const float w)
{
        for (int i = COUNT - 1; i >= 0; i--) {
                global const float *d = draws + (ulong)(FIRST + i) * DRAW * room + sample;
                const float a = d[0], b = d[room], c = d[2 * room];
                switch (steps[i]) {
                case HFLIP:
                        m->x_scale = a > 0.0f ? -m->x_scale : m->x_scale;
                        m->x_offset = a > 0.0f ? w - 1.0f - m->x_offset : m->x_offset;
                        break;
                case VFLIP:
                        m->y_scale = a > 0.0f ? -m->y_scale : m->y_scale;
                        m->y_offset = a > 0.0f ? h - 1.0f - m->y_offset : m->y_offset;
                        break;
                case ROT90: /* anticlockwise, of a square */
                        quarter_turns(m, (int)a, w - 1.0f);
                        break;
                case CROP:
                        m->y_offset += a;
                        m->x_offset += b;
                        break;
                case ZOOM: /* a window of `a` of the image, which begins at (b, c) */
                        m->y_scale *= a;
                        m->y_offset = (m->y_offset + 0.5f) * a + b - 0.5f;
                        m->x_scale *= a;
                        m->x_offset = (m->x_offset + 0.5f) * a + c - 0.5f;
                        break;
                case ROW_JITTER: {
                        const uint4 r = philox(seed, (uint4)(at, (uint)row, epoch, 4u | (uint)(FIRST + i + 1) << 8));
                        m->shift = (2.0f * philox_uniform(r.x) - 1.0f) * a;
                        m->shifted = 1;
                        break;
                }
                }
                bound(m, m->y_scale, m->y_offset, m->turned, h);
                bound(m, m->x_scale, m->x_offset, !m->turned, w);
        }
}
#endif

/* One row of one image, `stride` floats apart in `out`; `image` is a plane whose pixels are `apart` elements apart. */
static void fill_row(const struct map *m, global const IMAGE_T *image, const int apart, global float *out, const int row,
        const int h, const int w, const int source_h, const int source_w, const int pitch)
{
        /* Along the row one place in the source moves, the other is fixed. */
        const int fixed_size = m->turned ? source_w : source_h, moving_size = m->turned ? source_h : source_w;
        const float y_step = (float)source_h / (float)h, x_step = (float)source_w / (float)w;
        const float at = m->turned ? (m->x_scale * (float)row + m->x_offset + 0.5f) * x_step - 0.5f
                                   : (m->y_scale * (float)row + m->y_offset + 0.5f) * y_step - 0.5f;
        const float scale = m->turned ? m->y_scale : m->x_scale, offset = m->turned ? m->y_offset : m->x_offset;
        const float step = m->turned ? y_step : x_step;
        const float f = fmax(at, 0.0f);
        const int f0 = min((int)f, fixed_size - 1), f1 = min(f0 + 1, fixed_size - 1);
        const float tf = f - (float)f0;
        const int fixed_stride = apart * (m->turned ? 1 : pitch), stride = apart * (m->turned ? pitch : 1);
        global const IMAGE_T *near = image + (ulong)f0 * fixed_stride, *far = image + (ulong)f1 * fixed_stride;
        const int inside = (float)row > m->low[0] && (float)row < m->high[0];
        const int whole = tf == 0.0f && step == 1.0f && fabs(scale) == 1.0f && offset == floor(offset) && !m->shifted;
        const int from = inside ? clamp((int)ceil(fmax(m->low[1], -1.0f)), 0, w) : w;
        const int to = inside ? clamp((int)floor(fmin(m->high[1], (float)w)) + 1, from, w) : w;
        if (inside && whole) {
                for (int i = 0; i < from; i++)
                        out[(ulong)i * LANES] = 0.0f;
                for (int i = from; i < to; i++)
                        out[(ulong)i * LANES] = (float)near[((int)offset + (int)scale * i) * stride] / IMAGE_SCALE;
                for (int i = to; i < w; i++)
                        out[(ulong)i * LANES] = 0.0f;
                return;
        }
        for (int i = 0; i < w; i++) {
                const float t = m->shifted ? fmin(fmax((float)i + m->shift, 0.0f), (float)(w - 1)) : (float)i;
                const float g = fmax((scale * t + offset + 0.5f) * step - 0.5f, 0.0f);
                const int g0 = min((int)g, moving_size - 1), g1 = min(g0 + 1, moving_size - 1);
                const float tg = g - (float)g0;
                const float a = (float)near[g0 * stride] * (1.0f - tg) + (float)near[g1 * stride] * tg;
                const float b = (float)far[g0 * stride] * (1.0f - tg) + (float)far[g1 * stride] * tg;
                const float v = (a * (1.0f - tf) + b * tf) / IMAGE_SCALE;
                out[(ulong)i * LANES] = inside && t > m->low[1] && t < m->high[1] ? v : 0.0f;
        }
}

static inline struct map identity(void)
{
        const struct map m = {1.0f, 0.0f, 1.0f, 0.0f, {-1e30f, -1e30f}, {1e30f, 1e30f}, 0, 0.0f, 0};
        return m;
}

#endif

/* The row of `tensor` that a work-item fills. Those of samples that do not exist are done here. */
#define ROW_OF(tensor) \
        const int lane = get_global_id(0) % LANES, line = get_global_id(0) / LANES, c = line / h, row = line % h; \
        const int sample = get_global_id(1) * LANES + lane; \
        global float *out = AT(tensor, get_global_id(1)) + (ulong)line * w * LANES + lane; \
        if (c >= channels) \
                return; \
        for (int i = 0; i < w && sample >= n; i++) \
                out[(ulong)i * LANES] = 0.0f; \
        if (sample >= n) \
                return

kernel void gather_images(global const IMAGE_T *images, global const int *order, const int first,
        TENSOR(x), const int n, const int channels, const int h, const int w,
        const int source_h, const int source_w, const ulong step, const ulong plane, const int pitch, DRAW_ARGUMENTS)
{
        ROW_OF(x);
        struct map m = identity();
#if COUNT
        compose(&m, FROM(draws), room, sample, row, (uint2)(seed_low, seed_high), epoch, (uint)(position + sample), (float)h,
                (float)w);
#endif
        global const IMAGE_T *image = images + (ulong)order[first + sample] * step + (ulong)c * plane;
        fill_row(&m, image, 1, out, row, h, w, source_h, source_w, pitch);
}

#if COUNT && RESAMPLE
/* The same from a tensor (IMAGE_T float): geometric steps that come after others. */
kernel void gather_tensor(TENSOR(x), TENSOR(y), const int n, const int channels, const int h, const int w, DRAW_ARGUMENTS)
{
        ROW_OF(y);
        struct map m = identity();
        compose(&m, FROM(draws), room, sample, row, (uint2)(seed_low, seed_high), epoch, (uint)(position + sample), (float)h,
                (float)w);
        fill_row(&m, AT(x, get_global_id(1)) + (ulong)c * h * w * LANES + lane, LANES, out, row, h, w, h, w, w);
}
#endif

kernel void gather_labels(global const int *labels, global const int *order, const int first,
        global int *out, const ulong out_offset, const int n)
{
        const int i = get_global_id(0);
        if (i < n)
                out[out_offset + i] = labels[order[first + i]];
}
