/* Element-wise activations. x, y, dy, dx are tensors of one shape; y may be x, dx may be dy, but for silu and gelu, whose
   backward pass reads x in the place of y. `count` is the number of floats in a block, padding lanes included. `which` chooses
   at run time, because each kernel costs a tenth of a second to compile; `slope` is leaky_relu's. Grids: elementwise.h. */
enum { LEAKY_RELU = TANH + 1, RELU6, SILU, GELU, GELU_TANH };

/* As in common.cl. silu: below -88 f_exp stands still, and x would count.

   gelu is x * P(x), P the normal distribution's function: P(-a) = f_gauss(a) * f_tail(a) for a >= 0, P(a) = 1 - P(-a), so that
   small results are as exact as large ones. f_gauss(a) = exp(-a*a/2), where `rest` is what rounding took from the square
   (T. J. Dekker's product, which needs no fma); f_tail is a minimax polynomial of t. Beyond -13.2 the result is below the
   smallest normal float, and beyond 14 P is 1.
   gelu_tanh is x * (1 + tanh(v/2)) / 2 = x / (1 + exp(-v)), v = 2 sqrt(2/pi) * (x + 0.044715 x^3); its gradient is 1 from
   x = 11 on, where x^2 could be infinite. */
#define MORE_FUNCTIONS(T, END) \
        static inline T act_leaky_relu##END(const T x, const float slope) \
        { \
                return x > 0.0f ? x : x * slope; \
        } \
        static inline T grad_leaky_relu##END(const T y, const T dy, const float slope) \
        { \
                return y > 0.0f ? dy : dy * slope; \
        } \
        static inline T act_relu6##END(const T x) \
        { \
                return x < 0.0f ? (T)0.0f : x > 6.0f ? (T)6.0f : x; \
        } \
        static inline T grad_relu6##END(const T y, const T dy) \
        { \
                return y <= 0.0f ? (T)0.0f : y >= 6.0f ? (T)0.0f : dy; \
        } \
        static inline T act_silu##END(const T x) \
        { \
                return x < -88.0f ? x * 0.0f : x / (1.0f + f_exp##END(-x)); \
        } \
        static inline T grad_silu##END(const T x, const T dy) \
        { \
                const T s = act_sigmoid##END(x); \
                return x < -88.0f ? dy * 0.0f : dy * (s * fma(x, 1.0f - s, (T)1.0f)); \
        } \
        static inline T f_gauss##END(const T a) \
        { \
                const T c = a * 4097.0f, hi = c - (c - a), lo = a - hi, s = a * a; \
                const T rest = ((hi * hi - s) + (hi + hi) * lo) + lo * lo, e = f_exp##END(s * -0.5f); \
                return fma(e * rest, (T)-0.5f, e); \
        } \
        static inline T f_tail##END(const T a) \
        { \
                const T t = 1.0f / fma(a, (T)0.4f, (T)1.0f); \
                T p = fma((T)0x1.07559cp-5f, t, (T)-0x1.6954c8p-3f); \
                p = fma(p, t, (T)0x1.8688a6p-2f); \
                p = fma(p, t, (T)-0x1.7db350p-2f); \
                p = fma(p, t, (T)0x1.e4e510p-4f); \
                p = fma(p, t, (T)-0x1.ada3e4p-6f); \
                p = fma(p, t, (T)0x1.75349ep-4f); \
                p = fma(p, t, (T)0x1.10c4b8p-3f); \
                p = fma(p, t, (T)0x1.46e7c4p-3f); \
                return fma(p, t, (T)0x1.46cfe0p-3f) * t; \
        } \
        static inline T act_gelu##END(const T x) \
        { \
                const T b = fabs(x), a = b > 14.0f ? (T)14.0f : b, u = a * f_tail##END(a) * f_gauss##END(a); \
                return x < -13.2f ? x * 0.0f : x < 0.0f ? -u : x - u; \
        } \
        static inline T grad_gelu##END(const T x, const T dy) \
        { \
                const T b = fabs(x), a = b > 14.0f ? (T)14.0f : b; \
                const T u = f_gauss##END(a) * fma(a, (T)-0.39894228f, f_tail##END(a)); \
                return x < -13.2f ? dy * 0.0f : dy * (x < 0.0f ? u : 1.0f - u); \
        } \
        static inline T act_gelu_tanh##END(const T x) \
        { \
                const T v = x * fma(x * x, (T)0.071354816f, (T)1.5957691f); \
                return v < -88.0f ? x * 0.0f : x / (1.0f + f_exp##END(-v)); \
        } \
        static inline T grad_gelu_tanh##END(const T x, const T dy) \
        { \
                const T b = x > 11.0f ? (T)11.0f : x, c = b < -11.0f ? (T)-11.0f : b, s = c * c; \
                const T v = c * fma(s, (T)0.071354816f, (T)1.5957691f), e = f_exp##END(-v), y = 1.0f / (1.0f + e); \
                return v < -88.0f ? dy * 0.0f : dy * (y * fma(c * fma(s, (T)0.21406444f, (T)1.5957691f), e * y, (T)1.0f)); \
        }

#if !TILED
MORE_FUNCTIONS(float, )

static inline float activate_by(const int which, const float x, const float slope)
{
        if (which == LEAKY_RELU)
                return act_leaky_relu(x, slope);
        if (which == RELU6)
                return act_relu6(x);
        if (which == SILU)
                return act_silu(x);
        if (which == GELU)
                return act_gelu(x);
        return which == GELU_TANH ? act_gelu_tanh(x) : activate(x, which);
}

static inline float gradient_by(const int which, const float y, const float dy, const float slope)
{
        if (which == LEAKY_RELU)
                return grad_leaky_relu(y, dy, slope);
        if (which == RELU6)
                return grad_relu6(y, dy);
        if (which == SILU)
                return grad_silu(y, dy);
        if (which == GELU)
                return grad_gelu(y, dy);
        if (which == GELU_TANH)
                return grad_gelu_tanh(y, dy);
        return which == RELU ? grad_relu(y, dy) : which == SIGMOID ? grad_sigmoid(y, dy) : grad_tanh(y, dy);
}

GROUP_KERNEL void activation_forward(TENSOR(x), TENSOR(y), const int count, const int which, const float slope)
{
        const size_t i = get_global_id(0), b = get_global_id(1);
        if (i < count)
                AT(y, b)[i] = activate_by(which, AT(x, b)[i], slope);
}

GROUP_KERNEL void activation_backward(TENSOR(y), TENSOR(dy), TENSOR(dx), const int count, const int which,
        const float slope, const int accumulate)
{
        const size_t i = get_global_id(0), b = get_global_id(1);
        if (i >= count)
                return;
        const float v = gradient_by(which, AT(y, b)[i], AT(dy, b)[i], slope);
        AT(dx, b)[i] = accumulate ? AT(dx, b)[i] + v : v;
}
#else
MORE_FUNCTIONS(vector_t, _lanes)

VECTORS_KERNEL void activation_forward_tiled(TENSOR(x), TENSOR(y), const int count, const int which, const float slope)
{
        global const vector_t *x = VECTORS_OF(x);
        global vector_t *y = VECTORS_OF(y);
        RANGE;
        if (which == RELU)
                for (int i = from; i < to; i++)
                        y[i] = act_relu_lanes(x[i]);
        else if (which == SIGMOID)
                for (int i = from; i < to; i++)
                        y[i] = act_sigmoid_lanes(x[i]);
        else if (which == LEAKY_RELU)
                for (int i = from; i < to; i++)
                        y[i] = act_leaky_relu_lanes(x[i], slope);
        else if (which == RELU6)
                for (int i = from; i < to; i++)
                        y[i] = act_relu6_lanes(x[i]);
        else if (which == SILU)
                for (int i = from; i < to; i++)
                        y[i] = act_silu_lanes(x[i]);
        else if (which == GELU)
                for (int i = from; i < to; i++)
                        y[i] = act_gelu_lanes(x[i]);
        else if (which == GELU_TANH)
                for (int i = from; i < to; i++)
                        y[i] = act_gelu_tanh_lanes(x[i]);
        else
                for (int i = from; i < to; i++)
                        y[i] = act_tanh_lanes(x[i]);
}

VECTORS_KERNEL void activation_backward_tiled(TENSOR(y), TENSOR(dy), TENSOR(dx), const int count, const int which,
        const float slope, const int accumulate)
{
        global const vector_t *y = VECTORS_OF(y), *dy = VECTORS_OF(dy);
        global vector_t *dx = VECTORS_OF(dx);
        RANGE;
        if (which == RELU)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_relu_lanes(y[i], dy[i]);
        else if (which == SIGMOID)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_sigmoid_lanes(y[i], dy[i]);
        else if (which == LEAKY_RELU)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_leaky_relu_lanes(y[i], dy[i], slope);
        else if (which == RELU6)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_relu6_lanes(y[i], dy[i]);
        else if (which == SILU)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_silu_lanes(y[i], dy[i]);
        else if (which == GELU)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_gelu_lanes(y[i], dy[i]);
        else if (which == GELU_TANH)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_gelu_tanh_lanes(y[i], dy[i]);
        else
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_tanh_lanes(y[i], dy[i]);
}
#endif
