/* Pooling. x (n,C,H,W), y (n,C,OH,OW); a window of KH x KW every SH x SW pixels over a border of PH x PW.

   GEOMETRY: channels, then h, w of x, oh, ow of y, then window, step and border, all {height, width}.
   A window covers rows max(0, o*step - border) to min(h, o*step - border + window) - 1. Row i of x lies in the windows
   (i + border - window) / step + 1 to (i + border) / step, as far as they are there.
   With ADAPTIVE, step is the number of windows and window the size of x: a window covers rows floor(o*h/oh) to
   ceil((o+1)*h/oh) - 1, and row i lies in the windows floor(i*oh/h) to ceil((i+1)*oh/h) - 1.
   max_pool2d keeps the index i*w + j of what it took (the first of equals) in `taken`, an int for a float of y.

   Without TILED, and on GPUs: grid (height * width * ITEMS_OF_PIXEL or more, C, blocks), a work-item an item_t of what is
   written. With TILED and LANES 16: grid (ceil(height / rows), C, blocks), a work-item `rows` rows of vectors. */
#define GEOMETRY \
        const int channels, const int h, const int w, const int oh, const int ow, const int kh, const int kw, \
                const int sh, const int sw, const int ph, const int pw

#define TAKEN global int *taken_buffer, const ulong taken_offset

#if ADAPTIVE
static inline int2 part_of(const int i, const int count, const int size)
{
        return (int2)((int)((long)i * size / count), (int)(((long)(i + 1) * size + count - 1) / count));
}

static inline int2 covered(const int o, const int step, const int border, const int window, const int size)
{
        return part_of(o, step, size);
}

static inline int2 covering(const int i, const int step, const int border, const int window, const int count)
{
        return part_of(i, window, count);
}
#define SEPARATE_WINDOWS 0
#else
/* First and last + 1 of what a window covers. */
static inline int2 covered(const int o, const int step, const int border, const int window, const int size)
{
        const int from = o * step - border;
        return (int2)(max(from, 0), min(from + window, size));
}

/* First and last + 1 of the windows that cover a pixel. */
static inline int2 covering(const int i, const int step, const int border, const int window, const int count)
{
        const int most = i + border, least = most - window;
        return (int2)(least < 0 ? 0 : least / step + 1, min(most / step + 1, count));
}

#define SEPARATE_WINDOWS (sh >= kh && sw >= kw)
#endif

/* What an average counts of a window: the last ones may reach beyond the border too, where nothing counts. */
static inline int extent(const int o, const int step, const int border, const int window, const int size, const int include_border)
{
        const int2 inside = covered(o, step, border, window, size);
        return include_border ? min(window, size + 2 * border - o * step) : inside.y - inside.x;
}

/* What an average of window (r, s) divides by. */
#define DIVISOR(r, s) \
        ((float)extent(r, sh, ph, kh, h, include_border) * (float)extent(s, sw, pw, kw, w, include_border))

#if !TILED || LANES == 32
/* The pixel of a plane of rows `row` wide that this work-item is at, and its plane of a tensor. */
#define PIXEL(row) \
        const int item = get_global_id(0) % ITEMS_OF_PIXEL, pixel = get_global_id(0) / ITEMS_OF_PIXEL; \
        const int i = pixel / row, j = pixel % row, c = get_global_id(1), b = get_global_id(2)
#define PLANE_OF(name, height, width) ((global item_t *)AT(name, b) + (ulong)c * height * width * ITEMS_OF_PIXEL + item)
#define TAKEN_PLANE \
        ((global item_int *)(taken_buffer + taken_offset) + \
                ((ulong)b * channels + c) * oh * ow * ITEMS_OF_PIXEL + item)

GROUP_KERNEL void max_pool2d_forward(TENSOR(x), TENSOR(y), TAKEN, const int keep, GEOMETRY)
{
        PIXEL(ow);
        if (i >= oh)
                return;
        const int2 rows = covered(i, sh, ph, kh, h), columns = covered(j, sw, pw, kw, w);
        global const item_t *x = PLANE_OF(x, h, w);
        item_int best = rows.x * w + columns.x;
        item_t top = x[(rows.x * w + columns.x) * ITEMS_OF_PIXEL];
        for (int r = rows.x; r < rows.y; r++)
                for (int s = columns.x; s < columns.y; s++) {
                        const item_t v = x[(r * w + s) * ITEMS_OF_PIXEL];
                        const item_int better = v > top || v != v;
                        best = better ? (item_int)(r * w + s) : best;
                        top = better ? v : top;
                }
        PLANE_OF(y, oh, ow)[pixel * ITEMS_OF_PIXEL] = top;
        if (keep)
                TAKEN_PLANE[pixel * ITEMS_OF_PIXEL] = best;
}

GROUP_KERNEL void max_pool2d_backward(TENSOR(dy), TENSOR(dx), TAKEN, const int accumulate, GEOMETRY)
{
        PIXEL(w);
        if (i >= h)
                return;
        const int2 rows = covering(i, sh, ph, kh, oh), columns = covering(j, sw, pw, kw, ow);
        global const item_int *taken = TAKEN_PLANE;
        global const item_t *dy = PLANE_OF(dy, oh, ow);
        global item_t *dx = PLANE_OF(dx, h, w) + pixel * ITEMS_OF_PIXEL;
        item_t sum = 0;
        for (int r = rows.x; r < rows.y; r++)
                for (int s = columns.x; s < columns.y; s++) {
                        const int window = (r * ow + s) * ITEMS_OF_PIXEL;
                        sum += taken[window] == (item_int)pixel ? dy[window] : (item_t)0.0f;
                }
        *dx = accumulate ? *dx + sum : sum;
}

GROUP_KERNEL void avg_pool2d_forward(TENSOR(x), TENSOR(y), const int include_border, GEOMETRY)
{
        PIXEL(ow);
        if (i >= oh)
                return;
        const int2 rows = covered(i, sh, ph, kh, h), columns = covered(j, sw, pw, kw, w);
        global const item_t *x = PLANE_OF(x, h, w);
        item_t sum = 0;
        for (int r = rows.x; r < rows.y; r++)
                for (int s = columns.x; s < columns.y; s++)
                        sum += x[(r * w + s) * ITEMS_OF_PIXEL];
        PLANE_OF(y, oh, ow)[pixel * ITEMS_OF_PIXEL] = sum / DIVISOR(i, j);
}

GROUP_KERNEL void avg_pool2d_backward(TENSOR(dy), TENSOR(dx), const int include_border, const int accumulate, GEOMETRY)
{
        PIXEL(w);
        if (i >= h)
                return;
        const int2 rows = covering(i, sh, ph, kh, oh), columns = covering(j, sw, pw, kw, ow);
        global const item_t *dy = PLANE_OF(dy, oh, ow);
        global item_t *dx = PLANE_OF(dx, h, w) + pixel * ITEMS_OF_PIXEL;
        item_t sum = 0;
        for (int r = rows.x; r < rows.y; r++)
                for (int s = columns.x; s < columns.y; s++)
                        sum += dy[(r * ow + s) * ITEMS_OF_PIXEL] / DIVISOR(r, s);
        *dx = accumulate ? *dx + sum : sum;
}

#else
#define PLANE_OF(name, height, width) ((global float16 *)AT(name, get_global_id(2)) + (ulong)get_global_id(1) * (height) * (width))
#define ROWS(height) const int first = get_global_id(0) * rows, last = min(first + rows, height)
#define SHARE(r, s) (alike ? whole : 1.0f / DIVISOR(r, s))
#define SHARES \
        const int alike = include_border && (oh - 1) * sh + kh <= h + 2 * ph && (ow - 1) * sw + kw <= w + 2 * pw; \
        const float whole = 1.0f / ((float)kh * (float)kw)
#define TAKEN_PLANE \
        ((global int16 *)(taken_buffer + taken_offset) + \
                ((ulong)get_global_id(2) * channels + get_global_id(1)) * oh * ow)

/* The windows that cover column j, from those that cover the column before it; *windows starts as (0, 0). */
static inline int2 covering_next(int2 *windows, const int j, const int step, const int border, const int window, const int count)
{
#if ADAPTIVE
        return covering(j, step, border, window, count);
#else
        while (windows->y < count && windows->y * step - border <= j)
                windows->y++;
        while (windows->x < windows->y && windows->x * step - border + window <= j)
                windows->x++;
        return *windows;
#endif
}

ITEM_KERNEL void max_pool2d_forward_tiled(TENSOR(x), TENSOR(y), TAKEN, const int keep, const int rows, GEOMETRY)
{
        global const float16 *x = PLANE_OF(x, h, w);
        global float16 *y = PLANE_OF(y, oh, ow);
        global int16 *taken = TAKEN_PLANE;
        ROWS(oh);
        for (int i = first; i < last; i++) {
                const int2 down = covered(i, sh, ph, kh, h);
                for (int j = 0; j < ow; j++) {
                        const int2 across = covered(j, sw, pw, kw, w);
                        int16 best = down.x * w + across.x;
                        float16 top = x[down.x * w + across.x];
                        for (int r = down.x; r < down.y; r++)
                                for (int s = across.x; s < across.y; s++) {
                                        const float16 v = x[r * w + s];
                                        const int16 better = v > top || v != v;
                                        best = better ? (int16)(r * w + s) : best;
                                        top = better ? v : top;
                                }
                        y[i * ow + j] = top;
                        if (keep)
                                taken[i * ow + j] = best;
                }
        }
}

/* Rows of dx. TAKES is what pixel `at` gets of window `window` = (r, s); both are indices into their planes. Where no windows
   meet, every pixel lies in one window of the row of windows r, or in none. */
#define ROWS_OF_DX(TAKES) \
        ROWS(h); \
        for (int i = first; i < last && SEPARATE_WINDOWS; i++) { \
                ROW_OF_SEPARATE_WINDOWS(TAKES) \
        } \
        for (int i = first; i < last && !SEPARATE_WINDOWS; i++) { \
                ROW_OF_WINDOWS(TAKES) \
        }
#define ROW_OF_WINDOWS(TAKES) \
        const int2 down = covering(i, sh, ph, kh, oh); \
        int2 windows = 0; \
        for (int at = i * w; at < (i + 1) * w; at++) { \
                const int2 across = covering_next(&windows, at - i * w, sw, pw, kw, ow); \
                float16 sum = 0; \
                for (int r = down.x; r < down.y; r++) \
                        for (int s = across.x; s < across.y; s++) { \
                                const int window = r * ow + s; \
                                sum += TAKES; \
                        } \
                dx[at] = accumulate ? dx[at] + sum : sum; \
        }
#define ROW_OF_SEPARATE_WINDOWS(TAKES) \
        const int r = (i + ph) / sh, inside = r < oh && i + ph < r * sh + kh; \
        int at = i * w; \
        for (int s = 0; inside && s < ow; s++) { \
                const int2 across = covered(s, sw, pw, kw, w); \
                const int window = r * ow + s; \
                for (; at < i * w + across.x; at++) \
                        dx[at] = accumulate ? dx[at] : (float16)0; \
                for (; at < i * w + across.y; at++) { \
                        const float16 v = TAKES; \
                        dx[at] = accumulate ? dx[at] + v : v; \
                } \
        } \
        for (; at < (i + 1) * w; at++) \
                dx[at] = accumulate ? dx[at] : (float16)0;

ITEM_KERNEL void max_pool2d_backward_tiled(TENSOR(dy), TENSOR(dx), TAKEN, const int accumulate, const int rows, GEOMETRY)
{
        global const float16 *dy = PLANE_OF(dy, oh, ow);
        global float16 *dx = PLANE_OF(dx, h, w);
        global const int16 *taken = TAKEN_PLANE;
        ROWS_OF_DX(taken[window] == (int16)at ? dy[window] : (float16)0)
}

ITEM_KERNEL void avg_pool2d_forward_tiled(TENSOR(x), TENSOR(y), const int include_border, const int rows, GEOMETRY)
{
        global const float16 *x = PLANE_OF(x, h, w);
        global float16 *y = PLANE_OF(y, oh, ow);
        SHARES;
        ROWS(oh);
        for (int i = first; i < last; i++) {
                const int2 down = covered(i, sh, ph, kh, h);
                for (int j = 0; j < ow; j++) {
                        const int2 across = covered(j, sw, pw, kw, w);
                        float16 sum = 0;
                        for (int r = down.x; r < down.y; r++)
                                for (int s = across.x; s < across.y; s++)
                                        sum += x[r * w + s];
                        y[i * ow + j] = sum * SHARE(i, j);
                }
        }
}

ITEM_KERNEL void avg_pool2d_backward_tiled(TENSOR(dy), TENSOR(dx), const int include_border, const int accumulate,
        const int rows, GEOMETRY)
{
        global const float16 *dy = PLANE_OF(dy, oh, ow);
        global float16 *dx = PLANE_OF(dx, h, w);
        SHARES;
        ROWS_OF_DX(dy[window] * SHARE(r, s))
}
#endif
