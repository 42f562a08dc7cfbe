/* Augmentation and normalisation of a batch that lies in its tensor; see backend/train/transform.h.

   STEPS, COUNT, FIRST  steps of this program, comma-separated, and the place of the first in the augmentation
   table   4 floats a step: its parameters as they stand in the job
   draws   DRAW floats for each step and each of `room` samples
   Random words: Philox of the job's seed, counter (position of the image in its epoch, group, epoch, 4 | (step+1) << 8). The
   groups from DRAW_GROUP on are the image's draws, below it one group is 4 elements of noise or a row's shift. */
enum { HFLIP, VFLIP, ROT90, CROP, ZOOM, ROW_JITTER, BRIGHTNESS, CONTRAST, GAMMA, GAUSSIAN_NOISE, POISSON_NOISE, BACKGROUND,
        BLUR, NORMALIZE, STANDARDIZE };
#define DRAW_GROUP 0xFFFFFF00u

inline uint4 step_words(const uint2 seed, const uint epoch, const uint at, const int step, const uint group)
{
        return philox(seed, (uint4)(at, group, epoch, 4u | (uint)(step + 1) << 8));
}

inline float between(const float low, const float high, const uint word)
{
        return low + (high - low) * philox_uniform(word);
}

/* A whole number of -p to p. */
inline float whole(const float p, const uint word)
{
        return (float)(int)(word % (2u * (uint)p + 1u)) - p;
}

#if defined(DRAWING)
constant int steps[COUNT] = {STEPS};

/* Grid: samples. */
kernel void augment_draw(VIEW(table), VIEW(draws), const int room, const int n, const int h,
        const int w, const uint seed_low, const uint seed_high, const uint epoch, const int position)
{
        const int sample = get_global_id(0);
        if (sample >= n)
                return;
        for (int i = 0; i < COUNT; i++) {
                const float a = FROM(table)[4 * i], b = FROM(table)[4 * i + 1];
                const uint2 seed = (uint2)(seed_low, seed_high);
                const uint4 r = step_words(seed, epoch, (uint)(position + sample), i, DRAW_GROUP);
                global float *d = FROM(draws) + ((ulong)i * room + sample) * DRAW;
                switch (steps[i]) {
                case HFLIP:
                case VFLIP:
                        d[0] = philox_uniform(r.x) < a ? 1.0f : 0.0f;
                        break;
                case ROT90:
                        d[0] = (float)(r.x & 3u);
                        break;
                case CROP:
                        d[0] = whole(a, r.x);
                        d[1] = whole(a, r.y);
                        break;
                case ZOOM: {
                        const float part = 1.0f / between(a, b, r.x);
                        d[0] = part;
                        d[1] = philox_uniform(r.y) * ((float)h - (float)h * part);
                        d[2] = philox_uniform(r.z) * ((float)w - (float)w * part);
                        break;
                }
                case BRIGHTNESS:
                        d[0] = between(-a, a, r.x);
                        break;
                case CONTRAST:
                case GAMMA:
                        d[0] = between(a, b, r.x);
                        break;
                case BACKGROUND: {
                        const uint4 more = step_words(seed, epoch, (uint)(position + sample), i, DRAW_GROUP + 1u);
                        const float most = a / 5.0f;
                        d[0] = between(-most, most, r.x);
                        d[1] = between(-most, most, r.y);
                        d[2] = between(-most, most, r.z);
                        d[3] = between(-most, most, r.w);
                        d[4] = between(-most, most, more.x);
                        break;
                }
                case BLUR: { /* weight of the first neighbour, of a Gaussian whose middle is 1 */
                        const float sigma = between(0.0f, a, r.x);
                        d[0] = f_exp(-0.5f / fmax(sigma * sigma, 1e-6f));
                        break;
                }
                default:
                        d[0] = a;
                        break;
                }
        }
}
#endif

#if defined(POINTS)
/* log for positive normal numbers: 2 artanh((m-1)/(m+1)) + n ln 2, m within a factor of sqrt 2 around 1. */
inline float f_log(const float x)
{
        const int bits = as_int(x), n = (bits - 0x3f3504f3) >> 23;
        const float m = as_float(bits - (n << 23)), s = (m - 1.0f) / (m + 1.0f), q = s * s;
        float p = fma(0.22222222f, q, 0.28571429f);
        p = fma(p, q, 0.4f);
        p = fma(p, q, 0.66666667f);
        return fma((float)n, 0x1.62e430p-1f, fma(p * q, s, 2.0f * s));
}

/* cos and sin of a turn's part u in [0,1): Taylor's series within an eighth of a turn around 0, 1/4, 1/2 and 3/4. */
inline float2 turn(const float u)
{
        const int quarter = (int)(4.0f * u + 0.5f);
        const float r = (u - 0.25f * (float)quarter) * 6.28318531f, q = r * r;
        const float s = r * fma(q, fma(q, fma(q, fma(q, 2.7557319e-6f, -1.9841270e-4f), 8.3333333e-3f), -0.16666667f), 1.0f);
        const float c = fma(q, fma(q, fma(q, fma(q, 2.4801587e-5f, -1.3888889e-3f), 4.1666667e-2f), -0.5f), 1.0f);
        const float a = quarter & 1 ? s : c, b = quarter & 1 ? c : s;
        const int k = quarter & 3;
        return (float2)(k == 1 || k == 2 ? -a : a, k == 2 || k == 3 ? -b : b);
}

/* Four normal numbers (Box, Muller 1958); log of nothing is avoided by half a step. */
inline float4 normal(const uint4 r)
{
        const float first = sqrt(-2.0f * f_log(philox_uniform(r.x) + 0x1p-25f));
        const float second = sqrt(-2.0f * f_log(philox_uniform(r.z) + 0x1p-25f));
        const float2 a = turn(philox_uniform(r.y)), b = turn(philox_uniform(r.w));
        return (float4)(first * a.x, first * a.y, second * b.x, second * b.y);
}

/* A Poisson number of this mean. Few: inversion, term by term. Many: the asymptotic quantile at a normal number z (Giles:
   Algorithm 955, ACM TOMS 2016), off the true one by less than one in some thousand draws. */
inline float poisson(const float mean, const uint word, const float z)
{
        if (mean < 12.0f) {
                float term = f_exp(-mean), k = 0.0f, u = philox_uniform(word) + 0x1p-25f - term;
                while (u > 0.0f && k < 60.0f) {
                        k += 1.0f;
                        term *= mean / k;
                        u -= term;
                }
                return k;
        }
        const float root = sqrt(mean), q = z * z;
        const float x = mean + root * z + (1.0f / 3.0f + q * (1.0f / 6.0f)) - z * (1.0f / 36.0f + q * (1.0f / 72.0f)) / root +
                        (q * (7.0f / 810.0f) + q * q * (1.0f / 270.0f) - 8.0f / 405.0f) / mean;
        return fmax(floor(x), 0.0f);
}

/* Second-order polynomial over the image, each term within [-1,1]. */
inline float background(global const float *d, const int i, const int h, const int w)
{
        const float y = (2.0f * (float)(i / w % h) + 1.0f) / (float)h - 1.0f, x = (2.0f * (float)(i % w) + 1.0f) / (float)w - 1.0f;
        return d[0] * y + d[1] * x + d[2] * x * y + d[3] * (2.0f * y * y - 1.0f) + d[4] * (2.0f * x * x - 1.0f);
}

#if COUNT
constant int steps[COUNT] = {STEPS};
#endif

/* y = steps of x, which may be y. Grid: (groups of 4 elements times LANES, blocks), lanes fastest. stats: mean and reciprocal
   deviation of each of `room` samples; channel: mean and reciprocal deviation of each channel. */
kernel void augment_points(TENSOR(x), TENSOR(y), VIEW(draws), VIEW(stats), VIEW(channel), const int room, const int n,
        const int count, const int h, const int w, const uint seed_low, const uint seed_high, const uint epoch, const int position)
{
        const int lane = get_global_id(0) % LANES, group = get_global_id(0) / LANES, at = 4 * group;
        const int sample = get_global_id(1) * LANES + lane;
        if (at >= count)
                return;
        float v[4];
        for (int k = 0; k < 4; k++)
                v[k] = at + k < count ? (AT(x, get_global_id(1)) + (ulong)at * LANES + lane)[k * LANES] : 0.0f;
#if COUNT
        global const float *stats = FROM(stats), *channel = FROM(channel);
        const int known = min(sample, n - 1); /* draws of samples that are not there may be anything */
        for (int i = 0; i < COUNT; i++) {
                global const float *d = FROM(draws) + ((ulong)(FIRST + i) * room + known) * DRAW;
                const float a = d[0];
                switch (steps[i]) {
                case BRIGHTNESS:
                        for (int k = 0; k < 4; k++)
                                v[k] += a;
                        break;
                case CONTRAST:
                        for (int k = 0; k < 4; k++)
                                v[k] = stats[2 * known] + a * (v[k] - stats[2 * known]);
                        break;
                case GAMMA: /* nothing below zero has a power */
                        for (int k = 0; k < 4; k++)
                                v[k] = v[k] > 1e-30f ? f_exp(a * f_log(v[k])) : 0.0f;
                        break;
                case GAUSSIAN_NOISE: {
                        const float4 z = normal(step_words((uint2)(seed_low, seed_high), epoch, (uint)(position + sample),
                                FIRST + i, (uint)group));
                        v[0] += a * z.x;
                        v[1] += a * z.y;
                        v[2] += a * z.z;
                        v[3] += a * z.w;
                        break;
                }
                case POISSON_NOISE: {
                        const uint4 r = step_words((uint2)(seed_low, seed_high), epoch, (uint)(position + sample), FIRST + i,
                                (uint)group);
                        const float4 z = normal(r);
                        v[0] = poisson(fmax(v[0], 0.0f) * a, r.x, z.x) / a;
                        v[1] = poisson(fmax(v[1], 0.0f) * a, r.y, z.y) / a;
                        v[2] = poisson(fmax(v[2], 0.0f) * a, r.z, z.z) / a;
                        v[3] = poisson(fmax(v[3], 0.0f) * a, r.w, z.w) / a;
                        break;
                }
                case BACKGROUND:
                        for (int k = 0; k < 4; k++)
                                v[k] += background(d, at + k, h, w);
                        break;
                case NORMALIZE:
                        for (int k = 0; k < 4; k++) {
                                const int c = min(at + k, count - 1) / (h * w);
                                v[k] = (v[k] - channel[2 * c]) * channel[2 * c + 1];
                        }
                        break;
                case STANDARDIZE:
                        for (int k = 0; k < 4; k++)
                                v[k] = (v[k] - stats[2 * known]) * stats[2 * known + 1];
                        break;
                }
        }
#endif
        for (int k = 0; k < 4; k++)
                if (at + k < count)
                        (AT(y, get_global_id(1)) + (ulong)at * LANES + lane)[k * LANES] = sample < n ? v[k] : 0.0f;
}
#endif

#if defined(STATS)
/* Sums of an image in PARTS parts, each over every PARTS-th element: of the values, or with `centred` of the squares of what
   they are off the mean. Grid: (PARTS times LANES, blocks), lanes fastest. */
kernel void augment_sums(TENSOR(x), VIEW(stats), VIEW(sums), const int n, const int count,
        const int centred)
{
        const int lane = get_global_id(0) % LANES, part = get_global_id(0) / LANES;
        const int sample = get_global_id(1) * LANES + lane;
        if (part >= PARTS || sample >= n)
                return;
        global const float *x = AT(x, get_global_id(1)) + lane;
        const float mean = centred ? FROM(stats)[2 * sample] : 0.0f;
        float sum = 0.0f;
        for (int i = part; i < count; i += PARTS) {
                const float v = x[(ulong)i * LANES] - mean;
                sum += centred ? v * v : v;
        }
        FROM(sums)[(ulong)sample * PARTS + part] = sum;
}

/* stats[2*sample]: the mean; with `centred` stats[2*sample+1]: one over the deviation, which counts as `least` at least. */
kernel void augment_stats(VIEW(sums), VIEW(stats), const int n, const int count, const int centred,
        const float least)
{
        const int sample = get_global_id(0);
        float sum = 0.0f;
        if (sample >= n)
                return;
        for (int i = 0; i < PARTS; i++)
                sum += FROM(sums)[(ulong)sample * PARTS + i];
        FROM(stats)[2 * sample + centred] = centred ? 1.0f / fmax(sqrt(sum / (float)count), least) : sum / (float)count;
}
#endif

#if defined(BLURRING)
/* A Gaussian over the neighbours within `radius` of a row, or with `vertical` of a column; the image's edges are repeated. Its
   weights come out of two products a tap (Turkowski: Incremental computation of the Gaussian, GPU Gems 3). */
kernel void augment_blur(TENSOR(x), TENSOR(y), VIEW(draws), const int room, const int n, const int count,
        const int h, const int w, const int radius, const int vertical)
{
        const int lane = get_global_id(0) % LANES, i = get_global_id(0) / LANES;
        const int sample = get_global_id(1) * LANES + lane;
        if (i >= count)
                return;
        global const float *x = AT(x, get_global_id(1)) + lane;
        const int at = vertical ? i / w % h : i % w, last = (vertical ? h : w) - 1, step = vertical ? w : 1;
        float ratio = FROM(draws)[((ulong)FIRST * room + min(sample, n - 1)) * DRAW], weight = 1.0f, total = 1.0f;
        const float squared = ratio * ratio;
        float sum = x[(ulong)i * LANES];
        for (int k = 1; k <= radius; k++) {
                const int low = max(at - k, 0), high = min(at + k, last);
                weight *= ratio;
                ratio *= squared;
                total += 2.0f * weight;
                sum += weight * (x[(ulong)(i + (low - at) * step) * LANES] + x[(ulong)(i + (high - at) * step) * LANES]);
        }
        AT(y, get_global_id(1))[(ulong)i * LANES + lane] = sample < n ? sum / total : 0.0f;
}
#endif
