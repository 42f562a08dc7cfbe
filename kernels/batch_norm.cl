/* Batch normalisation over samples and pixels of each channel: y = (x - mean) / sqrt(variance + eps) * weight + bias.

   A tensor (n,channels,h,w) has `pixels` = h*w vectors of LANES samples a channel and block. Samples beyond n are left out of every
   sum, and become zeros: scaled like the others, whose statistics are not theirs, they would grow from layer to layer without an end.
   `saved` holds mean and inverse standard deviation of channel c at [2c]. Sums are made a channel and block at a time and
   joined over the blocks in their order (Chan, Golub, LeVeque 1979), so that the result never depends on timing.

   With ITEMS (LANES 32) there are only the kernels of work-groups of as many work-items.

   `partial` is scratch: two floats a block and channel at [2*(b*channels + c)], then two a channel. */

/* Whether there are weight and bias (else 1 and 0), whether the mean is subtracted, whether the deviation divides. */
#define OPTIONS const int affine, const int centred, const int scaled
#define WEIGHT(c) (affine ? FROM(weight)[c] : 1.0f)
#define BIAS(c) (affine ? FROM(bias)[c] : 0.0f)

/* Of `count` values: mean and sum of squared distances from it. No function returns it: what clang makes of that in a static
   one is unknown to Oclgrind 21.10. */
typedef struct {
        float count, mean, m2;
} moments;

static inline void moments_join(moments *m, const moments b)
{
        const float count = m->count + b.count, part = b.count / count, delta = b.mean - m->mean;
        m->m2 = m->m2 + b.m2 + delta * delta * (m->count * part);
        m->mean = fma(delta, part, m->mean);
        m->count = count;
}

/* What a training forward leaves behind beside y. */
static inline void keep(const moments m, const int c, const float eps, const float momentum, global float *saved,
        global float *running_mean, global float *running_var, global float *batches)
{
        const float unbiased = m.count > 1.0f ? m.m2 / (m.count - 1.0f) : 0.0f;
        saved[2 * c] = m.mean;
        saved[2 * c + 1] = inverse_std(m.m2 / m.count, eps);
        running_mean[c] = fma(momentum, m.mean, (1.0f - momentum) * running_mean[c]);
        running_var[c] = fma(momentum, unbiased, (1.0f - momentum) * running_var[c]);
        if (c == 0)
                batches[0] += 1.0f;
}

/* Samples of block b. */
static inline int samples_in(const int n, const int b)
{
        return min(LANES, n - b * LANES);
}

/* Joins a channel's moments of the blocks behind the first one, from `partial`. */
static inline void join_blocks(moments *m, global const float *partial, const int c, const int channels, const int pixels,
        const int n)
{
        for (int b = 1; b * LANES < n; b++) {
                global const float *at = partial + 2 * (b * channels + c);
                const moments other = {(float)(samples_in(n, b) * pixels), at[0], at[1]};
                moments_join(m, other);
        }
}

#ifndef ITEMS
/* Grid (channels). */
ITEM_KERNEL void batch_norm_finish(VIEW(partial), VIEW(running_mean), VIEW(running_var), VIEW(batches), VIEW(saved),
        const int n, const int channels, const int pixels, const float eps, const float momentum)
{
        const int c = get_global_id(0);
        moments m = {(float)(samples_in(n, 0) * pixels), FROM(partial)[2 * c], FROM(partial)[2 * c + 1]};
        join_blocks(&m, FROM(partial), c, channels, pixels, n);
        keep(m, c, eps, momentum, FROM(saved), FROM(running_mean), FROM(running_var), FROM(batches));
}

#endif

static inline float2 sums_all(global const float *partial, const int c, const int channels, const int n)
{
        float2 s = 0;
        for (int b = 0; b * LANES < n; b++)
                s += vload2(b * channels + c, partial);
        return s;
}

/* From products with x - mean to those with what is scaled. */
static inline float2 about_centre(const float2 sums, const float mean, const int centred)
{
        return (float2)(sums.x, centred ? sums.y : fma(mean, sums.x, sums.y));
}

/* Gradients of weight and bias where they are wanted; `accumulate` adds. */
#define GRADIENTS VIEW(dweight), VIEW(dbias), const int want_dweight, const int want_dbias, const int accumulate_dparams
#define PUT_GRADIENTS(c, sums, inverse) \
        if (want_dweight) \
                FROM(dweight)[c] = (accumulate_dparams ? FROM(dweight)[c] : 0.0f) + sums.y * (inverse); \
        if (want_dbias) \
                FROM(dbias)[c] = (accumulate_dparams ? FROM(dbias)[c] : 0.0f) + sums.x;

#ifndef ITEMS
/* Grid (channels). Leaves both sums of a channel behind the blocks' in `partial`. */
ITEM_KERNEL void batch_norm_finish_backward(VIEW(partial), VIEW(saved), OPTIONS, GRADIENTS, const int n, const int channels)
{
        const int c = get_global_id(0), blocks = (n + LANES - 1) / LANES;
        const float2 sums = about_centre(sums_all(FROM(partial), c, channels, n), FROM(saved)[2 * c], centred);
        PUT_GRADIENTS(c, sums, scaled ? FROM(saved)[2 * c + 1] : 1.0f)
        vstore2(sums, blocks * channels + c, FROM(partial));
}

/* dx = weight / sqrt(running_var + eps) * dy, where the layer is frozen; without scaling the root is 1. Padding lanes have dy = 0.
   Grid (pixels * LANES, channels, blocks) or more. */
GROUP_KERNEL void batch_norm_dx_frozen(TENSOR(dy), TENSOR(dx), VIEW(weight), OPTIONS, VIEW(running_var),
        const float eps, const int accumulate, const int pixels)
{
        const int c = get_global_id(1), b = get_global_id(2);
        const ulong at = (ulong)c * pixels * LANES + get_global_id(0);
        if (get_global_id(0) >= pixels * LANES)
                return;
        const float v = AT(dy, b)[at] * (WEIGHT(c) * (scaled ? inverse_std(FROM(running_var)[c], eps) : 1.0f));
        AT(dx, b)[at] = accumulate ? AT(dx, b)[at] + v : v;
}

#endif

#if !defined(ITEMS) && (!TILED || LANES == 32)
#define PLANE(name) ((global item_t *)AT(name, b) + (ulong)c * pixels * ITEMS_OF_PIXEL)
#define BEYOND (get_global_id(0) >= pixels * ITEMS_OF_PIXEL)
/* Which of a work-item's floats are samples'. */
#if ITEM_WIDTH == 1
#define INSIDE (at % LANES < samples_in(n, b))
#else
#define INSIDE (at % ITEMS_OF_PIXEL * ITEM_WIDTH + (int4)(0, 1, 2, 3) < samples_in(n, b))
#endif

/* Grid (pixels * ITEMS_OF_PIXEL, channels, blocks) or more. `mean` and `spread` are taken every `step` floats; spread
   is a variance where `from_variance`, else an inverse standard deviation. */
GROUP_KERNEL void batch_norm_apply(TENSOR(x), TENSOR(y), VIEW(weight), VIEW(bias), OPTIONS, VIEW(mean), VIEW(spread),
        const int step, const int from_variance, const float eps, const int activation, const int n, const int pixels)
{
        const int at = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
        if (BEYOND)
                return;
        const float spread = FROM(spread)[c * step], inverse = from_variance ? inverse_std(spread, eps) : spread;
        const float centre = centred ? FROM(mean)[c * step] : 0.0f, scale = (scaled ? inverse : 1.0f) * WEIGHT(c);
        const item_t v = ITEM_ACTIVATE(fma(PLANE(x)[at] - centre, (item_t)scale, (item_t)BIAS(c)), activation);
        PLANE(y)[at] = INSIDE ? v : (item_t)0.0f;
}

#if LANES == 1
/* The same for CPU devices: a work-item a channel's plane, by vectors of pixels. Grid (channels, images). */
ITEM_KERNEL void batch_norm_apply_single(TENSOR(x), TENSOR(y), VIEW(weight), VIEW(bias), OPTIONS, VIEW(mean), VIEW(spread),
        const int step, const int from_variance, const float eps, const int activation, const int n, const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1);
        const float spread = FROM(spread)[c * step], inverse = from_variance ? inverse_std(spread, eps) : spread;
        const float centre = centred ? FROM(mean)[c * step] : 0.0f, scale = (scaled ? inverse : 1.0f) * WEIGHT(c);
        const float shift = BIAS(c);
        global const float *from = AT(x, b) + (ulong)c * pixels;
        global float *to = AT(y, b) + (ulong)c * pixels;
        int p = 0;
        for (; p + 16 <= pixels; p += 16)
                vstore16(activate_lanes(fma(vload16(0, from + p) - centre, (float16)scale, (float16)shift), activation), 0,
                        to + p);
        for (; p < pixels; p++)
                to[p] = activate(fma(from[p] - centre, scale, shift), activation);
}
#endif

/* dx = weight / std * (dy - sum(dy)/N - (x - mean)/std * sum(dy * (x - mean)/std)/N). Without centring the second term
   is missing and the sum's x stands alone; without scaling the third is missing and std is 1.
   Grid (pixels * ITEMS_OF_PIXEL, channels, blocks) or more. */
GROUP_KERNEL void batch_norm_dx(TENSOR(x), TENSOR(dy), TENSOR(dx), VIEW(weight), OPTIONS, VIEW(saved), VIEW(partial),
        const int n, const int channels, const int accumulate, const int pixels)
{
        const int at = get_global_id(0), c = get_global_id(1), b = get_global_id(2);
        if (BEYOND)
                return;
        const float mean = FROM(saved)[2 * c], inverse = scaled ? FROM(saved)[2 * c + 1] : 1.0f;
        const float part = 1.0f / ((float)n * (float)pixels);
        const float2 sums = vload2((n + LANES - 1) / LANES * channels + c, FROM(partial)) * part;
        const float shift = centred ? sums.x : 0.0f, slope = scaled ? sums.y * inverse * inverse : 0.0f;
        const item_t g = PLANE(dy)[at] - shift - (PLANE(x)[at] - mean) * slope;
        const item_t v = INSIDE ? inverse * WEIGHT(c) * g : (item_t)0.0f;
        PLANE(dx)[at] = accumulate ? PLANE(dx)[at] + v : v;
}
#endif

#if !TILED
/* Grid (channels, blocks): a work-item a channel and block. */
ITEM_KERNEL void batch_norm_stats(TENSOR(x), VIEW(partial), const int n, const int channels, const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1), samples = samples_in(n, b);
        global const float *x = AT(x, b) + (ulong)c * pixels * LANES;
        const float count = (float)(samples * pixels);
        float mean = 0, rest = 0, m2 = 0;
        for (int p = 0; p < pixels; p++) {
                float row = 0;
                for (int i = 0; i < samples; i++)
                        row += x[p * LANES + i];
                mean += row;
        }
        mean /= count;
        for (int p = 0; p < pixels; p++) {
                float row = 0, squares = 0;
                for (int i = 0; i < samples; i++) {
                        const float d = x[p * LANES + i] - mean;
                        row += d;
                        squares = fma(d, d, squares);
                }
                rest += row; /* what rounding left in the mean */
                m2 += squares;
        }
        mean += rest / count;
        m2 -= rest * rest / count;
        FROM(partial)[2 * (b * channels + c)] = mean;
        FROM(partial)[2 * (b * channels + c) + 1] = m2;
}

/* Grid (channels, blocks): sums of dy and of dy * (x - mean). */
ITEM_KERNEL void batch_norm_sums(TENSOR(x), TENSOR(dy), VIEW(saved), VIEW(partial), const int n, const int channels,
        const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1), samples = samples_in(n, b);
        global const float *x = AT(x, b) + (ulong)c * pixels * LANES, *dy = AT(dy, b) + (ulong)c * pixels * LANES;
        const float mean = FROM(saved)[2 * c];
        float sum = 0, product = 0;
        for (int p = 0; p < pixels; p++) {
                float row = 0, row_product = 0;
                for (int i = p * LANES; i < p * LANES + samples; i++) {
                        row += dy[i];
                        row_product = fma(dy[i], x[i] - mean, row_product);
                }
                sum += row;
                product += row_product;
        }
        FROM(partial)[2 * (b * channels + c)] = sum;
        FROM(partial)[2 * (b * channels + c) + 1] = product;
}
#elif ITEMS
/* The same by work-groups: grid (ITEMS, channels, blocks). Of the i-th four floats the samples that are there count. */
#define COUNTED(v, i) (4 * (i) % LANES + (int4)(0, 1, 2, 3) < samples ? (v) : (float4)(0.0f))
#define TOTAL(v) (((v).x + (v).y) + ((v).z + (v).w))
#define FOURS (pixels * LANES / 4)

ITEMS_KERNEL void batch_norm_stats(TENSOR(x), VIEW(partial), const int n, const int channels, const int pixels)
{
        local float scratch[ITEMS];
        const int c = get_global_id(1), b = get_global_id(2), samples = samples_in(n, b);
        global const float4 *x = (global const float4 *)(AT(x, b) + (ulong)c * pixels * LANES);
        float4 sum = 0, m2 = 0;
        for (int i = get_local_id(0); i < FOURS; i += ITEMS)
                sum += COUNTED(x[i], i);
        const float mean = sum_items(scratch, TOTAL(sum), ITEMS) / (float)(samples * pixels);
        for (int i = get_local_id(0); i < FOURS; i += ITEMS) {
                const float4 d = COUNTED(x[i] - mean, i);
                m2 = fma(d, d, m2);
        }
        const float squares = sum_items(scratch, TOTAL(m2), ITEMS);
        if (get_local_id(0) == 0)
                vstore2((float2)(mean, squares), b * channels + c, FROM(partial));
}

ITEMS_KERNEL void batch_norm_sums(TENSOR(x), TENSOR(dy), VIEW(saved), VIEW(partial), const int n, const int channels,
        const int pixels)
{
        local float scratch[ITEMS];
        const int c = get_global_id(1), b = get_global_id(2), samples = samples_in(n, b);
        global const float4 *x = (global const float4 *)(AT(x, b) + (ulong)c * pixels * LANES);
        global const float4 *dy = (global const float4 *)(AT(dy, b) + (ulong)c * pixels * LANES);
        const float mean = FROM(saved)[2 * c];
        float4 sum = 0, product = 0;
        for (int i = get_local_id(0); i < FOURS; i += ITEMS) {
                const float4 d = COUNTED(dy[i], i);
                sum += d;
                product = fma(d, x[i] - mean, product);
        }
        const float all = sum_items(scratch, TOTAL(sum), ITEMS), products = sum_items(scratch, TOTAL(product), ITEMS);
        if (get_local_id(0) == 0)
                vstore2((float2)(all, products), b * channels + c, FROM(partial));
}

/* All of a channel by one work-group, where it is small: a pass in one launch. Grid (ITEMS, channels). EACH has i run through
   the four floats of this work-item in all blocks, of which `inside` are samples'; PLACE is where they stand. */
#define EACH(i) \
        for (int i = get_local_id(0), fours = FOURS, all = (n + LANES - 1) / LANES * FOURS; i < all; i += ITEMS)
#define PLACE(name) (((global float4 *)AT(name, i / fours))[(ulong)c * fours + i % fours])
#define OF_SAMPLES(v) (4 * (i % fours) % LANES + (int4)(0, 1, 2, 3) < samples_in(n, i / fours) ? (v) : (float4)(0.0f))

ITEMS_KERNEL void batch_norm_forward_whole(TENSOR(x), TENSOR(y), VIEW(weight), VIEW(bias), VIEW(running_mean), VIEW(running_var),
        VIEW(batches), OPTIONS, VIEW(saved), const int n, const int pixels, const float eps, const float momentum,
        const int activation)
{
        local float scratch[ITEMS];
        const int c = get_global_id(1);
        moments m = {(float)n * (float)pixels, 0, 0};
        float4 sum = 0, m2 = 0;
        EACH(i)
                sum += OF_SAMPLES(PLACE(x));
        m.mean = sum_items(scratch, TOTAL(sum), ITEMS) / m.count;
        EACH(i)
        {
                const float4 d = OF_SAMPLES(PLACE(x) - m.mean);
                m2 = fma(d, d, m2);
        }
        m.m2 = sum_items(scratch, TOTAL(m2), ITEMS);
        if (get_local_id(0) == 0)
                keep(m, c, eps, momentum, FROM(saved), FROM(running_mean), FROM(running_var), FROM(batches));
        const float centre = centred ? m.mean : 0.0f, shift = BIAS(c);
        const float scale = (scaled ? inverse_std(m.m2 / m.count, eps) : 1.0f) * WEIGHT(c);
        EACH(i)
                PLACE(y) = OF_SAMPLES(activate_lanes(fma(PLACE(x) - centre, (float4)scale, (float4)shift), activation));
}

ITEMS_KERNEL void batch_norm_backward_whole(TENSOR(x), TENSOR(dy), TENSOR(dx), VIEW(weight), OPTIONS, VIEW(saved), GRADIENTS,
        const int n, const int pixels, const int want_dx, const int accumulate)
{
        local float scratch[ITEMS];
        const int c = get_global_id(1);
        const float mean = FROM(saved)[2 * c], inverse = scaled ? FROM(saved)[2 * c + 1] : 1.0f;
        float4 sum = 0, product = 0;
        EACH(i)
        {
                const float4 d = OF_SAMPLES(PLACE(dy));
                sum += d;
                product = fma(d, PLACE(x) - mean, product);
        }
        const float total = sum_items(scratch, TOTAL(sum), ITEMS), products = sum_items(scratch, TOTAL(product), ITEMS);
        const float2 sums = about_centre((float2)(total, products), mean, centred);
        if (get_local_id(0) == 0) {
                PUT_GRADIENTS(c, sums, inverse)
        }
        if (!want_dx)
                return;
        const float2 part = sums / ((float)n * (float)pixels);
        const float shift = centred ? part.x : 0.0f, slope = scaled ? part.y * inverse * inverse : 0.0f;
        EACH(i)
        {
                const float4 v = OF_SAMPLES(inverse * WEIGHT(c) * (PLACE(dy) - shift - (PLACE(x) - mean) * slope));
                PLACE(dx) = accumulate ? PLACE(dx) + v : v;
        }
}
#elif LANES == 16
/* Of the first `samples` lanes. */
static inline void join_lanes(moments *all, const lane_moments *m, const int samples)
{
        const int16 inside = lanes_before(samples);
        const float mean = sum_lanes(inside ? m->mean : (float16)0) / (float)samples;
        const float16 delta = m->mean - mean;
        const float m2 = sum_lanes(inside ? fma(delta * delta, (float16)m->count, m->m2) : (float16)0);
        all->count = m->count * (float)samples;
        all->mean = mean;
        all->m2 = m2;
}

/* Grid (channels, blocks). */
ITEM_KERNEL void batch_norm_stats_tiled(TENSOR(x), VIEW(partial), const int n, const int channels, const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1);
        lane_moments lanes = {0, 0, 0};
        add_plane(&lanes, (global const float16 *)AT(x, b) + (ulong)c * pixels, pixels);
        moments m;
        join_lanes(&m, &lanes, samples_in(n, b));
        FROM(partial)[2 * (b * channels + c)] = m.mean;
        FROM(partial)[2 * (b * channels + c) + 1] = m.m2;
}

static inline void apply_plane(global const float16 *x, global float16 *y, const int pixels, const int16 inside, const float mean,
        const float scale, const float bias, const int activation)
{
#define APPLY(f) \
        for (int p = 0; p < pixels; p++) { \
                const float16 v = f(fma(x[p] - mean, (float16)scale, (float16)bias)); \
                y[p] = inside ? v : (float16)0; \
        }
        if (activation == RELU)
                APPLY(act_relu_lanes)
        else if (activation == SIGMOID)
                APPLY(act_sigmoid_lanes)
        else if (activation == TANH)
                APPLY(act_tanh_lanes)
        else
                APPLY()
}

/* Grid (channels, blocks); arguments as in batch_norm_apply. */
ITEM_KERNEL void batch_norm_apply_tiled(TENSOR(x), TENSOR(y), VIEW(weight), VIEW(bias), OPTIONS, VIEW(mean), VIEW(spread),
        const int step, const int from_variance, const float eps, const int activation, const int n, const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1);
        const float spread = FROM(spread)[c * step], inverse = from_variance ? inverse_std(spread, eps) : spread;
        apply_plane((global const float16 *)AT(x, b) + (ulong)c * pixels, (global float16 *)AT(y, b) + (ulong)c * pixels,
                pixels, lanes_before(n - b * LANES), centred ? FROM(mean)[c * step] : 0.0f,
                (scaled ? inverse : 1.0f) * WEIGHT(c), BIAS(c), activation);
}

/* The whole forward pass of training. Grid (channels). */
ITEM_KERNEL void batch_norm_forward_tiled(TENSOR(x), TENSOR(y), VIEW(weight), VIEW(bias), VIEW(running_mean), VIEW(running_var),
        VIEW(batches), OPTIONS, VIEW(saved), const int n, const int pixels, const float eps, const float momentum,
        const int activation)
{
        const int c = get_global_id(0), full = n / LANES;
        lane_moments lanes = {0, 0, 0}, last = {0, 0, 0};
        moments m = {0, 0, 0}, rest;
        for (int b = 0; b < full; b++)
                add_plane(&lanes, (global const float16 *)AT(x, b) + (ulong)c * pixels, pixels);
        if (full)
                join_lanes(&m, &lanes, LANES);
        if (n % LANES) {
                add_plane(&last, (global const float16 *)AT(x, full) + (ulong)c * pixels, pixels);
                join_lanes(&rest, &last, n % LANES);
                moments_join(&m, rest);
        }
        keep(m, c, eps, momentum, FROM(saved), FROM(running_mean), FROM(running_var), FROM(batches));
        const float centre = centred ? m.mean : 0.0f, bias = BIAS(c);
        const float scale = (scaled ? FROM(saved)[2 * c + 1] : 1.0f) * WEIGHT(c);
        for (int b = 0; b * LANES < n; b++)
                apply_plane((global const float16 *)AT(x, b) + (ulong)c * pixels,
                        (global float16 *)AT(y, b) + (ulong)c * pixels, pixels, lanes_before(n - b * LANES), centre, scale, bias,
                        activation);
}

/* Sums over one block; padding lanes have dy = 0. */
static inline void sum_plane(global const float16 *x, global const float16 *dy, const int pixels, const float mean,
        float16 *sum, float16 *product)
{
        float16 s = 0, t = 0, q = 0, r = 0;
        int p = 0;
        for (; p + 2 <= pixels; p += 2) {
                s += dy[p];
                q = fma(dy[p], x[p] - mean, q);
                t += dy[p + 1];
                r = fma(dy[p + 1], x[p + 1] - mean, r);
        }
        for (; p < pixels; p++) {
                s += dy[p];
                q = fma(dy[p], x[p] - mean, q);
        }
        *sum += s + t;
        *product += q + r;
}

static inline void dx_plane(global const float16 *x, global const float16 *dy, global float16 *dx, const int pixels,
        const int16 inside, const float mean, const float scale, const float shift, const float slope, const int accumulate)
{
        for (int p = 0; p < pixels; p++) {
                const float16 g = fma(x[p] - mean, (float16)-slope, dy[p] - shift);
                const float16 v = inside ? scale * g : (float16)0;
                dx[p] = accumulate ? dx[p] + v : v;
        }
}

/* Grid (channels, blocks). */
ITEM_KERNEL void batch_norm_sums_tiled(TENSOR(x), TENSOR(dy), VIEW(saved), VIEW(partial), const int n, const int channels,
        const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1);
        float16 sum = 0, product = 0;
        sum_plane((global const float16 *)AT(x, b) + (ulong)c * pixels, (global const float16 *)AT(dy, b) + (ulong)c * pixels,
                pixels, FROM(saved)[2 * c], &sum, &product);
        FROM(partial)[2 * (b * channels + c)] = sum_lanes(sum);
        FROM(partial)[2 * (b * channels + c) + 1] = sum_lanes(product);
}

/* Grid (channels, blocks). */
ITEM_KERNEL void batch_norm_dx_tiled(TENSOR(x), TENSOR(dy), TENSOR(dx), VIEW(weight), OPTIONS, VIEW(saved), VIEW(partial),
        const int n, const int channels, const int accumulate, const int pixels)
{
        const int c = get_global_id(0), b = get_global_id(1);
        const float mean = FROM(saved)[2 * c], inverse = scaled ? FROM(saved)[2 * c + 1] : 1.0f;
        const float2 sums = vload2((n + LANES - 1) / LANES * channels + c, FROM(partial)) * (1.0f / ((float)n * (float)pixels));
        dx_plane((global const float16 *)AT(x, b) + (ulong)c * pixels, (global const float16 *)AT(dy, b) + (ulong)c * pixels,
                (global float16 *)AT(dx, b) + (ulong)c * pixels, pixels, lanes_before(n - b * LANES), mean,
                inverse * WEIGHT(c), centred ? sums.x : 0.0f, scaled ? sums.y * inverse * inverse : 0.0f, accumulate);
}

/* The whole backward pass. Grid (channels). */
ITEM_KERNEL void batch_norm_backward_tiled(TENSOR(x), TENSOR(dy), TENSOR(dx), VIEW(weight), OPTIONS, VIEW(saved), GRADIENTS,
        const int n, const int pixels, const int want_dx, const int accumulate)
{
        const int c = get_global_id(0);
        const float mean = FROM(saved)[2 * c], inverse = scaled ? FROM(saved)[2 * c + 1] : 1.0f;
        const float part = 1.0f / ((float)n * (float)pixels);
        float16 sum = 0, product = 0;
        for (int b = 0; b * LANES < n; b++)
                sum_plane((global const float16 *)AT(x, b) + (ulong)c * pixels,
                        (global const float16 *)AT(dy, b) + (ulong)c * pixels, pixels, mean, &sum, &product);
        const float2 sums = about_centre((float2)(sum_lanes(sum), sum_lanes(product)), mean, centred);
        PUT_GRADIENTS(c, sums, inverse)
        for (int b = 0; want_dx && b * LANES < n; b++)
                dx_plane((global const float16 *)AT(x, b) + (ulong)c * pixels,
                        (global const float16 *)AT(dy, b) + (ulong)c * pixels, (global float16 *)AT(dx, b) + (ulong)c * pixels,
                        pixels, lanes_before(n - b * LANES), mean, inverse * WEIGHT(c), centred ? sums.x * part : 0.0f,
                        scaled ? sums.y * part * inverse * inverse : 0.0f, accumulate);
}
#endif
