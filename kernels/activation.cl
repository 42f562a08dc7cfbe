/* Element-wise activations. x, y, dy, dx are tensors of one shape; y may be x, dx may be dy. `count` is the number of
   floats in a block, padding lanes included. `which` chooses at run time, because each kernel costs a tenth of a second
   to compile. Grids: elementwise.h. */
#if !TILED
GROUP_KERNEL void activation_forward(TENSOR(x), TENSOR(y), const int count, const int which)
{
        const size_t i = get_global_id(0), b = get_global_id(1);
        if (i >= count)
                return;
        const float x = AT(x, b)[i];
        AT(y, b)[i] = which == RELU ? act_relu(x) : which == SIGMOID ? act_sigmoid(x) : act_tanh(x);
}

GROUP_KERNEL void activation_backward(TENSOR(y), TENSOR(dy), TENSOR(dx), const int count, const int which,
        const int accumulate)
{
        const size_t i = get_global_id(0), b = get_global_id(1);
        if (i >= count)
                return;
        const float y = AT(y, b)[i], dy = AT(dy, b)[i];
        const float v = which == RELU ? grad_relu(y, dy) : which == SIGMOID ? grad_sigmoid(y, dy) : grad_tanh(y, dy);
        AT(dx, b)[i] = accumulate ? AT(dx, b)[i] + v : v;
}
#else
VECTORS_KERNEL void activation_forward_tiled(TENSOR(x), TENSOR(y), const int count, const int which)
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
        else
                for (int i = from; i < to; i++)
                        y[i] = act_tanh_lanes(x[i]);
}

VECTORS_KERNEL void activation_backward_tiled(TENSOR(y), TENSOR(dy), TENSOR(dx), const int count, const int which,
        const int accumulate)
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
        else
                for (int i = from; i < to; i++)
                        dx[i] = (accumulate ? dx[i] : (vector_t)0) + grad_tanh_lanes(y[i], dy[i]);
}
#endif
