/* Augmentation and normalisation of a batch that lies in its tensor; see backend/train/transform.h.

   STEPS, COUNT, FIRST  steps of this program, comma-separated, and the place of the first in the augmentation
   table   TABLE floats a step: its parameters as they stand in the job
   draws   DRAW floats for each step, each for `room` samples side by side; `room` is a multiple of 32
   Random words: Philox of the job's seed, counter (position of the image in its epoch, group, epoch, 4 | (step+1) << 8). The
   groups from DRAW_GROUP on are the image's draws, below it one group is 4 elements of noise or a row's shift.

   Work-items take one lane, or where LANES is 16 all of them as a vector: F, I and U are of WIDE samples. */
enum { HFLIP, VFLIP, ROT90, AFFINE, CROP, ZOOM, ROW_JITTER, BRIGHTNESS, CONTRAST, GAMMA, GAUSSIAN_NOISE, POISSON_NOISE, BACKGROUND,
        BLUR, NORMALIZE, STANDARDIZE };
#define DRAW_GROUP 0xFFFFFF00u

#if LANES == 16
#define WIDE 16
typedef float16 F;
typedef int16 I;
typedef uint16 U;
#define AS_F as_float16
#define AS_I as_int16
#define AS_U as_uint16
#define TO_F convert_float16
#define TO_I convert_int16
#define EXP f_exp_lanes
#define ANY(i) any(i)
#define NUMBERS ((int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define LOAD(p) (*(global const float16 *)(p))
#define STORE(p, v) (*(global float16 *)(p) = (v))
#else
#define WIDE 1
typedef float F;
typedef int I;
typedef uint U;
#define AS_F as_float
#define AS_I as_int
#define AS_U as_uint
#define TO_F convert_float
#define TO_I convert_int
#define EXP f_exp
#define ANY(i) (i)
#define NUMBERS 0
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#endif
/* Which lane, or the first of them, and which item of the rest. */
#define LANE ((int)get_global_id(0) % (LANES / WIDE) * WIDE)
#define ITEM ((int)get_global_id(0) / (LANES / WIDE))

#if defined(DRAWING) || defined(POINTS)
/* cos and sin of a turn's part u in [0,1): Taylor's series within an eighth of a turn around 0, 1/4, 1/2 and 3/4. */
static inline void turn(const F u, F *ret_cos, F *ret_sin)
{
        const I quarter = TO_I(4.0f * u + 0.5f), k = quarter & 3, odd = (quarter & 1) != 0;
        const F r = (u - 0.25f * TO_F(quarter)) * 6.28318531f, q = r * r;
        F s = fma(q, (F)2.7557319e-6f, (F)-1.9841270e-4f), c = fma(q, (F)2.4801587e-5f, (F)-1.3888889e-3f);
        s = r * fma(q, fma(q, fma(q, s, (F)8.3333333e-3f), (F)-0.16666667f), (F)1.0f);
        c = fma(q, fma(q, fma(q, c, (F)4.1666667e-2f), (F)-0.5f), (F)1.0f);
        const F a = odd ? s : c, b = odd ? c : s;
        *ret_cos = k == 1 || k == 2 ? -a : a;
        *ret_sin = k >= 2 ? -b : b;
}
#endif

#if defined(DRAWING)
static inline float between(const float low, const float high, const uint word)
{
        return low + (high - low) * philox_uniform(word);
}

/* A whole number of -p to p. */
static inline float whole(const float p, const uint word)
{
        return (float)(int)(word % (2u * (uint)p + 1u)) - p;
}

static inline uint4 step_words(const uint2 seed, const uint epoch, const uint at, const int step, const uint group)
{
        return philox(seed, (uint4)(at, group, epoch, 4u | (uint)(step + 1) << 8));
}

/* cos and sin of a random angle within -degrees to degrees. */
static inline void random_turn(const float degrees, const uint word, float *ret_cos, float *ret_sin)
{
        const float part = between(-degrees, degrees, word) / 360.0f;
        turn(part - floor(part), ret_cos, ret_sin);
}

constant int steps[COUNT] = {STEPS};
/* Where an affine step's parameters stand; backend/train/augment.h has the same. */
enum { DEGREES, TRANSLATE, SCALE = 3, SHEAR = 5 };

/* Grid: samples. */
kernel void augment_draw(VIEW(table), VIEW(draws), const int room, const int n, const int h,
        const int w, const uint seed_low, const uint seed_high, const uint epoch, const int position)
{
        const int sample = get_global_id(0);
        if (sample >= n)
                return;
        for (int i = 0; i < COUNT; i++) {
                global const float *values = FROM(table) + TABLE * i;
                const float a = values[0], b = values[1];
                const uint2 seed = (uint2)(seed_low, seed_high);
                const uint4 r = step_words(seed, epoch, (uint)(position + sample), i, DRAW_GROUP);
                global float *d = FROM(draws) + (ulong)i * DRAW * room + sample;
                switch (steps[i]) {
                case HFLIP:
                case VFLIP:
                        d[0] = philox_uniform(r.x) < a ? 1.0f : 0.0f;
                        break;
                case ROT90:
                        d[0] = (float)(r.x & 3u);
                        break;
                case AFFINE: { /* cos and sin over the scale, tan of the shear, pixels down and along */
                        const uint4 more = step_words(seed, epoch, (uint)(position + sample), i, DRAW_GROUP + 1u);
                        const float factor = 1.0f / between(values[SCALE], values[SCALE + 1], r.w);
                        float c, s, shear_c, shear_s;
                        random_turn(values[DEGREES], r.x, &c, &s);
                        random_turn(values[SHEAR], more.x, &shear_c, &shear_s);
                        d[0] = c * factor;
                        d[room] = s * factor;
                        d[2 * room] = shear_s / shear_c;
                        d[3 * room] = between(-values[TRANSLATE], values[TRANSLATE], r.y) * (float)h;
                        d[4 * room] = between(-values[TRANSLATE + 1], values[TRANSLATE + 1], r.z) * (float)w;
                        break;
                }
                case CROP:
                        d[0] = whole(a, r.x);
                        d[room] = whole(a, r.y);
                        break;
                case ZOOM: {
                        const float part = 1.0f / between(a, b, r.x);
                        d[0] = part;
                        d[room] = philox_uniform(r.y) * ((float)h - (float)h * part);
                        d[2 * room] = philox_uniform(r.z) * ((float)w - (float)w * part);
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
                        d[room] = between(-most, most, r.y);
                        d[2 * room] = between(-most, most, r.z);
                        d[3 * room] = between(-most, most, r.w);
                        d[4 * room] = between(-most, most, more.x);
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
struct words {
        U x, y, z, w;
};

static inline void mul_wide(const uint a, const U b, U *high, U *low)
{
#if WIDE == 16
        const ulong16 product = convert_ulong16(b) * (ulong)a;
        *high = convert_uint16(product >> 32);
#else
        *high = mul_hi(a, b);
#endif
        *low = b * a;
}

/* As philox in common.cl, for the images at `at`. */
static inline struct words step_words(const uint seed_low, const uint seed_high, const uint epoch, const U at, const int step,
        const uint group)
{
        uint key_low = seed_low, key_high = seed_high;
        struct words c = {at, (U)group, (U)epoch, (U)(4u | (uint)(step + 1) << 8)};
        for (int i = 0; i < 10; i++) {
                U high0, low0, high1, low1;
                mul_wide(0xD2511F53u, c.x, &high0, &low0);
                mul_wide(0xCD9E8D57u, c.z, &high1, &low1);
                c.x = high1 ^ c.y ^ key_low;
                c.y = low1;
                c.z = high0 ^ c.w ^ key_high;
                c.w = low0;
                key_low += 0x9E3779B9u;
                key_high += 0xBB67AE85u;
        }
        return c;
}

static inline F uniform(const U word)
{
        return TO_F(word >> 8) * (1.0f / 16777216.0f);
}

/* log for positive normal numbers: 2 artanh((m-1)/(m+1)) + n ln 2, m within a factor of sqrt 2 around 1. */
static inline F f_log(const F x)
{
        const I bits = AS_I(x), n = (bits - 0x3f3504f3) >> 23;
        const F m = AS_F(bits - (n << 23)), s = (m - 1.0f) / (m + 1.0f), q = s * s;
        F p = fma((F)0.22222222f, q, (F)0.28571429f);
        p = fma(p, q, (F)0.4f);
        p = fma(p, q, (F)0.66666667f);
        return fma(TO_F(n), (F)0x1.62e430p-1f, fma(p * q, s, 2.0f * s));
}

/* Four normal numbers (Box, Muller 1958); the log of nothing is avoided by half a step. */
static inline void normal(const struct words *r, F z[4])
{
        const F first = sqrt(-2.0f * f_log(uniform(r->x) + 0x1p-25f)), second = sqrt(-2.0f * f_log(uniform(r->z) + 0x1p-25f));
        F c, s;
        turn(uniform(r->y), &c, &s);
        z[0] = first * c;
        z[1] = first * s;
        turn(uniform(r->w), &c, &s);
        z[2] = second * c;
        z[3] = second * s;
}

/* A Poisson number of this mean. Few: inversion, term by term. Many: the asymptotic quantile at a normal number z (Giles:
   Algorithm 955, ACM TOMS 2016), off the true one by less than one in some thousand draws. */
static inline F poisson(const F mean, const U word, const F z)
{
        const I few = mean < 12.0f;
        F term = EXP(-mean), k = 0.0f, u = uniform(word) + 0x1p-25f - term;
        I more = few && u > 0.0f;
        while (ANY(more)) {
                k = more ? k + 1.0f : k;
                term = more ? term * (mean / k) : term;
                u = more ? u - term : u;
                more = more && u > 0.0f && k < 60.0f;
        }
        const F large = few ? (F)12.0f : mean, root = sqrt(large), q = z * z;
        const F x = large + root * z + (q * (1.0f / 6.0f) + (1.0f / 3.0f)) - z * (q * (1.0f / 72.0f) + (1.0f / 36.0f)) / root +
                    (q * (7.0f / 810.0f) + q * q * (1.0f / 270.0f) - 8.0f / 405.0f) / large;
        return few ? k : fmax(floor(x), (F)0.0f);
}

#if COUNT
constant int steps[COUNT] = {STEPS};
#endif

/* y = steps of x, which may be y. Grid: (groups of 4 elements times LANES / WIDE, blocks). stats: the means of `room` samples,
   then one over their deviations; channel: mean and one over deviation of each channel. */
kernel void augment_points(TENSOR(x), TENSOR(y), VIEW(draws), VIEW(stats), VIEW(channel), const int room, const int n,
        const int count, const int h, const int w, const uint seed_low, const uint seed_high, const uint epoch,
        const int position)
{
        const int lane = LANE, group = ITEM, at = 4 * group, left = min(count - at, 4);
        const int sample = get_global_id(1) * LANES + lane;
        global const float *in = AT(x, get_global_id(1)) + (ulong)at * LANES + lane;
        global float *out = AT(y, get_global_id(1)) + (ulong)at * LANES + lane;
        const I here = sample + NUMBERS < n;
        F v[4];
        if (left <= 0)
                return;
        for (int k = 0; k < 4; k++)
                v[k] = LOAD(in + min(k, left - 1) * LANES);
#if COUNT
        global const float *stats = FROM(stats) + sample, *channel = FROM(channel);
        const U images = AS_U(position + sample + NUMBERS);
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
                global const float *d = FROM(draws) + (ulong)(FIRST + i) * DRAW * room + sample;
                const int which = steps[i];
                if (which == BRIGHTNESS) {
                        const F a = LOAD(d);
                        for (int k = 0; k < 4; k++)
                                v[k] += a;
                } else if (which == CONTRAST) {
                        const F a = LOAD(d), mean = LOAD(stats);
                        for (int k = 0; k < 4; k++)
                                v[k] = mean + a * (v[k] - mean);
                } else if (which == GAMMA) { /* nothing below zero has a power */
                        const F a = LOAD(d);
                        for (int k = 0; k < 4; k++)
                                v[k] = v[k] > 1e-30f ? EXP(a * f_log(fmax(v[k], (F)1e-30f))) : (F)0.0f;
                } else if (which == GAUSSIAN_NOISE) {
                        const F a = LOAD(d);
                        const struct words r = step_words(seed_low, seed_high, epoch, images, FIRST + i, (uint)group);
                        F z[4];
                        normal(&r, z);
                        for (int k = 0; k < 4; k++)
                                v[k] += a * z[k];
                } else if (which == POISSON_NOISE) {
                        const F a = LOAD(d);
                        const struct words r = step_words(seed_low, seed_high, epoch, images, FIRST + i, (uint)group);
                        F z[4];
                        normal(&r, z);
                        v[0] = poisson(here ? fmax(v[0], (F)0.0f) * a : (F)0.0f, r.x, z[0]) / a;
                        v[1] = poisson(here ? fmax(v[1], (F)0.0f) * a : (F)0.0f, r.y, z[1]) / a;
                        v[2] = poisson(here ? fmax(v[2], (F)0.0f) * a : (F)0.0f, r.z, z[2]) / a;
                        v[3] = poisson(here ? fmax(v[3], (F)0.0f) * a : (F)0.0f, r.w, z[3]) / a;
                } else if (which == BACKGROUND) { /* second order, each term within [-1,1] */
                        for (int k = 0; k < 4; k++) {
                                const float py = (2.0f * (float)((at + k) / w % h) + 1.0f) / (float)h - 1.0f;
                                const float px = (2.0f * (float)((at + k) % w) + 1.0f) / (float)w - 1.0f;
                                v[k] += LOAD(d) * py + LOAD(d + room) * px + LOAD(d + 2 * room) * (px * py) +
                                        LOAD(d + 3 * room) * (2.0f * py * py - 1.0f) + LOAD(d + 4 * room) * (2.0f * px * px - 1.0f);
                        }
                } else if (which == NORMALIZE) {
                        for (int k = 0; k < 4; k++) {
                                const int c = min(at + k, count - 1) / (h * w);
                                v[k] = (v[k] - channel[2 * c]) * channel[2 * c + 1];
                        }
                } else if (which == STANDARDIZE) {
                        const F mean = LOAD(stats), factor = LOAD(stats + room);
                        for (int k = 0; k < 4; k++)
                                v[k] = (v[k] - mean) * factor;
                }
        }
#endif
        for (int k = 0; k < left; k++)
                STORE(out + k * LANES, here ? v[k] : (F)0.0f);
}
#endif

#if defined(STATS)
/* What is summed up: the values; what they are off the mean, for the sum of many left rounding in that; the squares of that. */
enum { VALUES, RESTS, SQUARES };

/* Sums of an image in PARTS parts, each over every PARTS-th element. Grid: (PARTS times LANES / WIDE, blocks). */
kernel void augment_sums(TENSOR(x), VIEW(stats), VIEW(sums), const int room, const int count, const int what)
{
        const int lane = LANE, part = ITEM, sample = get_global_id(1) * LANES + lane;
        if (part >= PARTS)
                return;
        global const float *x = AT(x, get_global_id(1)) + lane;
        const F mean = what != VALUES ? LOAD(FROM(stats) + sample) : (F)0.0f;
        F sum = 0.0f;
        for (int i = part; i < count; i += PARTS) {
                const F v = LOAD(x + (ulong)i * LANES) - mean;
                sum += what == SQUARES ? v * v : v;
        }
        STORE(FROM(sums) + (ulong)part * room + sample, sum);
}

/* The means, what was left in them, or of squares one over the deviations, which count as `least` at least. Grid: samples. */
kernel void augment_stats(VIEW(sums), VIEW(stats), const int room, const int n, const int count, const int what,
        const float least)
{
        const int sample = get_global_id(0);
        float sum = 0.0f;
        if (sample >= n)
                return;
        for (int i = 0; i < PARTS; i++)
                sum += FROM(sums)[(ulong)i * room + sample];
        if (what == SQUARES)
                FROM(stats)[room + sample] = 1.0f / fmax(sqrt(sum / (float)count), least);
        else
                FROM(stats)[sample] = (what == RESTS ? FROM(stats)[sample] : 0.0f) + sum / (float)count;
}
#endif

#if defined(BLURRING)
/* A Gaussian over the neighbours within `radius` of a row, or with `vertical` of a column; the image's edges are repeated. Its
   weights come out of two products a tap (Turkowski: Incremental computation of the Gaussian, GPU Gems 3). Grid: (elements times
   LANES / WIDE, blocks). */
kernel void augment_blur(TENSOR(x), TENSOR(y), VIEW(draws), const int room, const int n, const int count,
        const int h, const int w, const int radius, const int vertical)
{
        const int lane = LANE, i = ITEM, sample = get_global_id(1) * LANES + lane;
        if (i >= count)
                return;
        global const float *x = AT(x, get_global_id(1)) + (ulong)i * LANES + lane;
        const int at = vertical ? i / w % h : i % w, last = (vertical ? h : w) - 1, apart = (vertical ? w : 1) * LANES;
        F ratio = LOAD(FROM(draws) + (ulong)FIRST * DRAW * room + sample), weight = 1.0f, total = 1.0f, sum = LOAD(x);
        const F squared = ratio * ratio;
        for (int k = 1; k <= radius; k++) {
                const int low = max(-k, -at), high = min(k, last - at);
                weight *= ratio;
                ratio *= squared;
                total += 2.0f * weight;
                sum += weight * (LOAD(x + (long)low * apart) + LOAD(x + (long)high * apart));
        }
        STORE(AT(y, get_global_id(1)) + (ulong)i * LANES + lane, sample + NUMBERS < n ? sum / total : (F)0.0f);
}
#endif
