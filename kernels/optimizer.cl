/* One step of an optimizer over the flat block of trained parameters; see backend/train/update.h.

   w are the parameters, dw their gradients, the rest the optimizer's own state, all `count` floats, a multiple of 32.
   What changes from step to step stands in `vars` from word `first` on: rate, gain, keep and spread (enum update_var).
   clip[0] scales the gradients where `clipped`. Updates are written once for T, the vectors of kernels/common.cl. */
#define T vector_t
/* Floats that one partial sum of squares takes. */
#define SQUARES 4096

#define STEP_ARGUMENTS \
        VIEW(w), VIEW(dw), const ulong count, global const float *vars_buffer, const ulong vars_offset, const int first, \
                VIEW(clip), const int clipped, const float weight_decay
#define VARS(k) (vars_buffer + vars_offset)[first + k]
#define RATE VARS(0)
#define GAIN VARS(1)
#define KEEP VARS(2)
#define SPREAD VARS(3)
#define ALL(name) ((global T *)FROM(name))
#define EACH(i) \
        for (ulong i = get_global_id(0) * (ulong)PER_ITEM, end = min(i + PER_ITEM, count / VECTOR_WIDTH); i < end; i++)

/* With the L2 penalty that PyTorch calls weight_decay. */
static inline T gradient(const T dw, const T w, const float scale, const float weight_decay)
{
        const T g = dw * scale;
        return weight_decay != 0.0f ? fma((T)weight_decay, w, g) : g;
}

VECTORS_KERNEL void sgd_step(STEP_ARGUMENTS)
{
        const float scale = clipped ? FROM(clip)[0] : 1.0f;
        EACH(i)
        {
                const T w = ALL(w)[i];
                ALL(w)[i] = fma((T)-RATE, gradient(ALL(dw)[i], w, scale, weight_decay), w);
        }
}

VECTORS_KERNEL void sgd_momentum_step(STEP_ARGUMENTS, VIEW(momentum_buffer), const float momentum, const int nesterov)
{
        const float scale = clipped ? FROM(clip)[0] : 1.0f;
        EACH(i)
        {
                const T w = ALL(w)[i], g = gradient(ALL(dw)[i], w, scale, weight_decay);
                const T b = fma((T)momentum, ALL(momentum_buffer)[i], GAIN * g);
                ALL(momentum_buffer)[i] = b;
                ALL(w)[i] = fma((T)-RATE, nesterov ? fma((T)momentum, b, g) : b, w);
        }
}

/* Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization, 2011. */
VECTORS_KERNEL void adagrad_step(STEP_ARGUMENTS, VIEW(sum), const float eps)
{
        const float scale = clipped ? FROM(clip)[0] : 1.0f;
        EACH(i)
        {
                const T w = ALL(w)[i], g = gradient(ALL(dw)[i], w, scale, weight_decay);
                const T s = fma(g, g, ALL(sum)[i]);
                ALL(sum)[i] = s;
                ALL(w)[i] = fma((T)-RATE, g / (sqrt(s) + eps), w);
        }
}

/* Adam: Kingma, Ba, 2015. AdamW: Loshchilov, Hutter: Decoupled weight decay regularization, 2019, with KEEP = 1 - lr * decay.
   Yogi: Zaheer et al.: Adaptive methods for nonconvex optimization, 2018. beta_rest are 1 - beta. */
VECTORS_KERNEL void adam_step(STEP_ARGUMENTS, VIEW(exp_avg), VIEW(exp_avg_sq), const float beta1, const float beta1_rest,
        const float beta2, const float beta2_rest, const float eps, const int yogi)
{
        const float scale = clipped ? FROM(clip)[0] : 1.0f;
        EACH(i)
        {
                const T w = ALL(w)[i], g = gradient(ALL(dw)[i], w, scale, weight_decay), square = g * g;
                const T m = fma((T)beta1, ALL(exp_avg)[i], beta1_rest * g);
                T v = ALL(exp_avg_sq)[i];
                v = yogi ? fma(beta2_rest * sign(square - v), square, v) : fma((T)beta2, v, beta2_rest * square);
                ALL(exp_avg)[i] = m;
                ALL(exp_avg_sq)[i] = v;
                ALL(w)[i] = fma((T)-RATE, m / (sqrt(v) / SPREAD + eps), w * KEEP);
        }
}

/* The global norm of the gradients, as torch.nn.utils.clip_grad_norm_ takes it: partial sums of squares from clip[GROUP] on,
   SQUARES floats each, then their sum and with it clip[0]. The order is fixed. */
#if LANES == 16
/* Grid (partials). */
ITEM_KERNEL void clip_squares(VIEW(dw), const ulong count, VIEW(clip))
{
        const ulong from = get_global_id(0) * (ulong)(SQUARES / VECTOR_WIDTH), end = min(from + SQUARES / VECTOR_WIDTH, count / VECTOR_WIDTH);
        T even = 0, odd = 0;
        for (ulong i = from; i < end; i += 2) {
                const T a = ALL(dw)[i], b = ALL(dw)[i + 1];
                even = fma(a, a, even);
                odd = fma(b, b, odd);
        }
        FROM(clip)[GROUP + get_global_id(0)] = sum_lanes(even + odd);
}

static inline float sum_partials(global const float *partials, const int count)
{
        T sum = 0;
        for (int i = 0; i < (count + VECTOR_WIDTH - 1) / VECTOR_WIDTH; i++) /* zeros stand behind the last */
                sum += ((global const T *)partials)[i];
        return sum_lanes(sum);
}

#define SCALE_KERNEL ITEM_KERNEL
#define PARTIALS sum_partials(FROM(clip) + GROUP, partials)
#else
/* Grid (GROUP * partials). */
GROUP_KERNEL void clip_squares(VIEW(dw), const ulong count, VIEW(clip))
{
        local float scratch[GROUP];
        const ulong from = get_group_id(0) * (ulong)SQUARES, end = min(from + SQUARES, count);
        float sum = 0;
        for (ulong i = from + get_local_id(0); i < end; i += GROUP)
                sum = fma(FROM(dw)[i], FROM(dw)[i], sum);
        sum = sum_items(scratch, sum, GROUP);
        if (get_local_id(0) == 0)
                FROM(clip)[GROUP + get_group_id(0)] = sum;
}

static inline float sum_partials(global const float *partials, const int count, local float *scratch)
{
        float sum = 0;
        for (int i = get_local_id(0); i < count; i += GROUP)
                sum += partials[i];
        return sum_items(scratch, sum, GROUP);
}

#define SCALE_KERNEL GROUP_KERNEL
#define PARTIALS sum_partials(FROM(clip) + GROUP, partials, scratch)
#endif

/* One work-group. A gradient that is NaN makes the scale NaN, as PyTorch's does. */
SCALE_KERNEL void clip_scale(VIEW(clip), const int partials, const float max_norm)
{
#if LANES != 16
        local float scratch[GROUP];
#endif
        const float scale = max_norm / (sqrt(PARTIALS) + 1e-6f);
        if (get_local_id(0) == 0)
                FROM(clip)[0] = scale > 1.0f ? 1.0f : scale;
}
