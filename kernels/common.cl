/* What all kernels share. Layout of tensors: backend/device/tensor.h.

   LANES   samples that stand side by side in a block: 1, 16 or 32
   TENSOR  declares a tensor argument (buffer, offset, stride between blocks), AT its block b */
#pragma OPENCL FP_CONTRACT OFF

#if DEVICE_NO_FMA /* OpenCL's own would be some hundred operations on integers */
#define fma(a, b, c) ((a) * (b) + (c))
#endif

#ifndef LANES
#define LANES 1
#endif

/* Kernels for launch_over, in work-groups of LAUNCH_GROUP, and kernels whose work-items are work-groups by themselves. */
#define GROUP 64
#define GROUP_KERNEL kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
#define ITEM_KERNEL kernel __attribute__((reqd_work_group_size(1, 1, 1)))

#define VIEW(name) global float *name##_buffer, const ulong name##_offset
#define TENSOR(name) VIEW(name), const ulong name##_stride
#define FROM(name) (name##_buffer + name##_offset)
#define AT(name, b) (name##_buffer + name##_offset + (ulong)(b) * name##_stride)

/* What tiled kernels take at a time: the samples of one element on CPU devices, four of them on GPUs; and how many of
   these vectors a work-item takes where it takes some that follow one another (VECTORS_KERNEL). */
#if LANES == 16
typedef float16 vector_t;
#define VECTOR_WIDTH 16
#define PER_ITEM 256
#define VECTORS_KERNEL ITEM_KERNEL
#elif LANES == 32
typedef float4 vector_t;
#define VECTOR_WIDTH 4
#define PER_ITEM 1
#define VECTORS_KERNEL GROUP_KERNEL
#elif LANES == 1
typedef float vector_t;
#define VECTOR_WIDTH 1
#define PER_ITEM 1
#define VECTORS_KERNEL GROUP_KERNEL
#else
#error "LANES is 1, 16 or 32"
#endif

/* What a work-item takes of kernels that are written once for floats and for GPUs' vectors. */
#if LANES == 32 && TILED
typedef vector_t item_t;
typedef int4 item_int;
#define ITEM_WIDTH VECTOR_WIDTH
#define ITEM_ACTIVATE activate_lanes
#else
typedef float item_t;
typedef int item_int;
#define ITEM_WIDTH 1
#define ITEM_ACTIVATE activate
#endif
/* Of these, those of a pixel. */
#define ITEMS_OF_PIXEL (LANES / ITEM_WIDTH)

/* Functions for float, and for a vector of lanes under the name with _lanes. None depends on the driver's library,
   so that devices agree as far as their divisions do.

   f_exp: reduction by n ln 2 in two parts, then a minimax polynomial; arguments beyond -87.3 and 88 count as these, NaN stays.
   act_NAME(x) are activations, grad_NAME(y, dy) their gradients from the result y. relu lets NaN through, as
   PyTorch's does. T and I are a float and an int type of one width. */
#define FUNCTIONS(T, I, AS_T, AS_I, END) \
        static inline T f_exp##END(const T x) \
        { \
                const T least = x < -87.3f ? (T)-87.3f : x, c = least > 88.0f ? (T)88.0f : least; \
                const T shifted = fma(c, (T)0x1.715476p0f, (T)0x1.8p23f); /* n in its low bits */ \
                const T n = shifted - 0x1.8p23f; \
                const T r = fma(n, (T)-0x1.7f7d1cp-20f, fma(n, (T)-0x1.62e4p-1f, c)); \
                T p = fma((T)0x1.6a23ccp-10f, r, (T)0x1.123a20p-7f); \
                p = fma(p, r, (T)0x1.5558f2p-5f); \
                p = fma(p, r, (T)0x1.555492p-3f); \
                p = fma(p, r, (T)0x1.fffffcp-2f); \
                p = fma(p * r, r, r) + 1.0f; \
                return p * AS_T((AS_I(shifted) + 127) << 23); \
        } \
        static inline T act_relu##END(const T x) \
        { \
                return x < 0.0f ? (T)0.0f : x; \
        } \
        static inline T grad_relu##END(const T y, const T dy) \
        { \
                return y <= 0.0f ? (T)0.0f : dy; \
        } \
        static inline T act_sigmoid##END(const T x) \
        { \
                return 1.0f / (1.0f + f_exp##END(-x)); \
        } \
        static inline T grad_sigmoid##END(const T y, const T dy) \
        { \
                return dy * (y * (1.0f - y)); \
        } \
        static inline T act_tanh##END(const T x) \
        { \
                const T s = x * x, a = fabs(x); \
                T p = fma((T)-0x1.8257cap-8f, s, (T)0x1.54b888p-6f); \
                p = fma(p, s, (T)-0x1.b898dcp-5f); \
                p = fma(p, s, (T)0x1.1109aep-3f); \
                p = fma(p, s, (T)-0x1.55553ep-2f); \
                const T large = 1.0f - 2.0f / (1.0f + f_exp##END(a + a)); \
                return a < 0.6f ? fma(p * s, x, x) : x < 0.0f ? -large : large; \
        } \
        static inline T grad_tanh##END(const T y, const T dy) \
        { \
                return dy * fma(-y, y, (T)1.0f); \
        }

FUNCTIONS(float, int, as_float, as_int, )

/* The host's enum op_activation. */
enum { NO_ACTIVATION, RELU, SIGMOID, TANH };

static inline float inverse_std(const float variance, const float eps)
{
        return 1.0f / sqrt(variance + eps);
}

/* What follows a layer and is done to its result v of channel c before that is stored; host side: ops/epilogue.h. A batch
   norm where `norm`, which then says what it has; then an activation. NORM_OF reads what FINISH takes. */
enum { NORM = 1, NORM_AFFINE = 2, NORM_CENTRED = 4, NORM_SCALED = 8 };
#define EPILOGUE \
        VIEW(norm_mean), VIEW(norm_variance), VIEW(norm_weight), VIEW(norm_bias), const int norm, const float norm_eps, \
                const int activation
typedef struct {
        float mean, scale, bias;
} norm_t;
#define NORM_OF(c) \
        norm_of(FROM(norm_mean), FROM(norm_variance), FROM(norm_weight), FROM(norm_bias), norm, norm_eps, c)
#define FINISH(v, n) finish(v, n, norm, activation)
#define FINISH_LANES(v, n) finish_lanes(v, n, norm, activation)
#define IS_FINISHED (norm || activation != NO_ACTIVATION)

static inline norm_t norm_of(global const float *mean, global const float *variance, global const float *weight,
        global const float *bias, const int norm, const float eps, const int c)
{
        norm_t n = {0.0f, 1.0f, 0.0f};
        if (norm & NORM_CENTRED)
                n.mean = mean[c];
        if (norm)
                n.scale = (norm & NORM_SCALED ? inverse_std(variance[c], eps) : 1.0f) * (norm & NORM_AFFINE ? weight[c] : 1.0f);
        if (norm & NORM_AFFINE)
                n.bias = bias[c];
        return n;
}

#define FINISHES(T, END) \
        static inline T activate##END(const T v, const int activation) \
        { \
                if (activation == RELU) \
                        return act_relu##END(v); \
                if (activation == SIGMOID) \
                        return act_sigmoid##END(v); \
                return activation == TANH ? act_tanh##END(v) : v; \
        } \
        static inline T finish##END(const T v, const norm_t n, const int norm, const int activation) \
        { \
                return activate##END(norm ? fma(v - n.mean, (T)n.scale, (T)n.bias) : v, activation); \
        }

FINISHES(float, )
/* With one lane they are pixels' on CPU devices. */
#if LANES == 16 || LANES == 1
FUNCTIONS(float16, int16, as_float16, as_int16, _lanes)
FINISHES(float16, _lanes)

static inline float sum_lanes(const float16 v)
{
        const float8 a = v.lo + v.hi;
        const float4 b = a.lo + a.hi;
        const float2 c = b.lo + b.hi;
        return c.x + c.y;
}
#else
FUNCTIONS(float4, int4, as_float4, as_int4, _lanes)
FINISHES(float4, _lanes)
#endif

#if LANES == 16
/* Vectors whose mean and squares are found while they lie in the first cache. */
#define MOMENTS_CHUNK 64

static inline float16 sum_vectors(global const float16 *x, const int count)
{
        float16 a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
                a += x[i];
                b += x[i + 1];
                c += x[i + 2];
                d += x[i + 3];
        }
        for (; i < count; i++)
                a += x[i];
        return (a + b) + (c + d);
}

static inline float16 sum_squares(global const float16 *x, const int count, const float16 mean)
{
        float16 a = 0, b = 0, c = 0, d = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
                const float16 s = x[i] - mean, t = x[i + 1] - mean, u = x[i + 2] - mean, v = x[i + 3] - mean;
                a = fma(s, s, a);
                b = fma(t, t, b);
                c = fma(u, u, c);
                d = fma(v, v, d);
        }
        for (; i < count; i++) {
                const float16 s = x[i] - mean;
                a = fma(s, s, a);
        }
        return (a + b) + (c + d);
}

/* Of each lane by itself: mean and sum of squared distances from it, of `count` values. */
typedef struct {
        float16 mean, m2;
        float count;
} lane_moments;

static inline void add_plane(lane_moments *m, global const float16 *x, const int pixels)
{
        for (int p = 0; p < pixels; p += MOMENTS_CHUNK) {
                const int count = min(MOMENTS_CHUNK, pixels - p);
                const float16 mean = sum_vectors(x + p, count) * (1.0f / (float)count);
                const float16 m2 = sum_squares(x + p, count, mean), delta = mean - m->mean;
                const float all = m->count + (float)count, part = (float)count / all;
                m->mean = fma(delta, (float16)part, m->mean);
                m->m2 += fma(delta * delta, (float16)(m->count * part), m2);
                m->count = all;
        }
}

static inline int16 lanes_before(const int samples)
{
        return (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) < (int16)samples;
}

#endif

/* Element-wise tiled kernels, grid (vectors / PER_ITEM or more, blocks): RANGE defines the vectors from..to-1 of this
   work-item, VECTORS_OF a tensor's block. `count` is in floats. */
#define RANGE const int from = get_global_id(0) * PER_ITEM, to = min(from + PER_ITEM, count / VECTOR_WIDTH)
#define VECTORS_OF(name) ((global vector_t *)AT(name, get_global_id(1)))

/* The sum of a work-group of `items`, a power of two, in a fixed order, for all of it. */
static inline float sum_items(local float *scratch, const float v, const int items)
{
        const int me = get_local_id(0);
        barrier(CLK_LOCAL_MEM_FENCE);
        scratch[me] = v;
        for (int some = items / 2; some; some /= 2) {
                barrier(CLK_LOCAL_MEM_FENCE);
                if (me < some)
                        scratch[me] += scratch[me + some];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        return scratch[0];
}

#if defined(ITEMS) && LANES == 32
/* Work-groups of ITEMS work-items: PARTS of them share a lane, and ask for its sum, in a fixed order too. */
#define PARTS (ITEMS / LANES)
#define ITEMS_KERNEL kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))

static inline float sum_parts(local float *scratch, const float v)
{
        float sum = 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        scratch[get_local_id(0)] = v;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = get_local_id(0) % LANES; i < ITEMS; i += LANES)
                sum += scratch[i];
        return sum;
}
#endif

/* Sizes of a conv2d, as the host's conv_geometry binds them. */
#define CONV_GEOMETRY \
        const int C, const int H, const int W, const int K, const int OH, const int OW, const int R, const int S, \
                const int stride_h, const int stride_w, const int pad_h, const int pad_w, const int dilation_h, \
                const int dilation_w, const int groups

/* First output position whose tap, r rows behind the first one, falls on or behind row 0, and the end of those that fall
   before row `size`. */
static inline int first_inside(const int r, const int stride, const int pad)
{
        return r >= pad ? 0 : (pad - r + stride - 1) / stride;
}

static inline int end_inside(const int r, const int stride, const int pad, const int size, const int outputs)
{
        const int last = size - 1 + pad - r;
        return last < 0 ? 0 : min(outputs, last / stride + 1);
}

/* Philox4x32-10, the numbers of backend/base/philox.c: counter (index low, index high, stream, purpose). */
static inline uint4 philox(const uint2 seed, const uint4 counter)
{
        uint2 key = seed;
        uint4 c = counter;
        for (int i = 0; i < 10; i++) {
                const uint high0 = mul_hi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
                const uint high1 = mul_hi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
                c = (uint4)(high1 ^ c.y ^ key.x, low1, high0 ^ c.w ^ key.y, low0);
                key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
        }
        return c;
}

/* Uniform in [0,1) from the upper 24 bits. */
static inline float philox_uniform(const uint word)
{
        return (float)(word >> 8) * (1.0f / 16777216.0f);
}
