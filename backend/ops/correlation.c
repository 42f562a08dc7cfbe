#include "ops/correlation.h"
#include "ops/conv.h"

struct correlation correlation_forward(const struct op *op)
{
        const struct conv_args *a = op->args;
        struct correlation c = {.groups = a->groups,
                .ins = op->in[0].c / a->groups,
                .outs = op->out.c / a->groups,
                .in = op->in[0],
                .size = {op->out.h, op->out.w},
                .tap_step = {a->kernel_size[1], 1}};
        for (int i = 0; i < 2; i++) {
                c.taps[i] = a->kernel_size[i];
                c.in_step[i] = a->stride[i];
                c.in_first[i] = -a->padding[i];
                c.in_tap[i] = a->dilation[i];
                c.out_step[i] = 1;
        }
        c.weights_in = c.taps[0] * c.taps[1];
        c.weights_out = c.weights_in * c.ins;
        c.weights_group = c.weights_out * c.outs;
        return c;
}

static int common_divisor(int a, int b)
{
        return b ? common_divisor(b, a % b) : a;
}

/* The first tap that meets the phase; `apart`, which no first one is, where none does. */
static int first_tap(int dilation, int stride, int phase, int apart)
{
        int tap = 0;
        while (tap < apart && tap * dilation % stride != phase)
                tap++;
        return tap;
}

struct correlation correlation_data(const struct op *op, const int phase[2])
{
        const struct conv_args *a = op->args;
        const int side[2] = {op->in[0].h, op->in[0].w}, tap_stride[2] = {a->kernel_size[1], 1};
        struct correlation c = {.groups = a->groups,
                .ins = op->out.c / a->groups,
                .outs = op->in[0].c / a->groups,
                .in = op->out};
        for (int i = 0; i < 2; i++) {
                const int stride = a->stride[i], dilation = a->dilation[i], shift = a->padding[i] - phase[i];
                const int apart = stride / common_divisor(stride, dilation); /* taps that share a phase */
                const int tap = first_tap(dilation, stride, phase[i], apart);
                const int first = shift > 0 ? op_ceil_div(shift, stride) : 0;
                const int last = side[i] - 1 + shift;
                c.taps[i] = tap < apart && tap < a->kernel_size[i]
                                    ? op_ceil_div(a->kernel_size[i] - tap, apart)
                                    : 0;
                c.size[i] = last < 0 ? 0 : last / stride + 1 - first;
                c.in_step[i] = 1;
                c.in_tap[i] = apart * dilation / stride;
                c.in_first[i] = first + (phase[i] - tap * dilation) / stride - (c.taps[i] - 1) * c.in_tap[i];
                c.out_step[i] = stride;
                c.out_first[i] = first * stride - shift;
                c.tap_first[i] = (tap + (c.taps[i] - 1) * apart) * tap_stride[i];
                c.tap_step[i] = -apart * tap_stride[i];
        }
        c.weights_out = a->kernel_size[0] * a->kernel_size[1];
        c.weights_in = c.weights_out * c.outs;
        c.weights_group = c.weights_in * c.ins;
        return c;
}
