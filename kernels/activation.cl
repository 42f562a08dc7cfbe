/* Element-wise activations. x, y, dy, dx are tensors of one shape; y may be x, dx may be dy, but for silu, whose backward
   pass reads x in the place of y. `count` is the number of floats in a block, padding lanes included. `which` chooses at run
   time, because each kernel costs a tenth of a second to compile; `slope` is leaky_relu's. Grids: elementwise.h. */
enum { LEAKY_RELU = TANH + 1, SILU };

/* As in common.cl. silu: below -88 f_exp stands still, and x would count. */
#define MORE_FUNCTIONS(T, END) \
        static inline T act_leaky_relu##END(const T x, const float slope) \
        { \
                return x > 0.0f ? x : x * slope; \
        } \
        static inline T grad_leaky_relu##END(const T y, const T dy, const float slope) \
        { \
                return y > 0.0f ? dy : dy * slope; \
        } \
        static inline T act_silu##END(const T x) \
        { \
                return x < -88.0f ? x * 0.0f : x / (1.0f + f_exp##END(-x)); \
        } \
        static inline T grad_silu##END(const T x, const T dy) \
        { \
                const T s = act_sigmoid##END(x); \
                return x < -88.0f ? dy * 0.0f : dy * (s * fma(x, 1.0f - s, (T)1.0f)); \
        }

#if !TILED
MORE_FUNCTIONS(float, )

static inline float activate_by(const int which, const float x, const float slope)
{
        if (which == LEAKY_RELU)
                return act_leaky_relu(x, slope);
        return which == SILU ? act_silu(x) : activate(x, which);
}

static inline float gradient_by(const int which, const float y, const float dy, const float slope)
{
        if (which == LEAKY_RELU)
                return grad_leaky_relu(y, dy, slope);
        if (which == SILU)
                return grad_silu(y, dy);
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
        else if (which == SILU)
                for (int i = from; i < to; i++)
                        y[i] = act_silu_lanes(x[i]);
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
        else if (which == SILU)
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_silu_lanes(y[i], dy[i]);
        else
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_tanh_lanes(y[i], dy[i]);
}
#endif
