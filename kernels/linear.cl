/* linear, naive: one work-item per element of the result, any lanes. x (N,C), y (N,K), w (K,C), bias (K). Grids:
   forward (floats of a block of y, blocks), data the same of x, weights (elements of w), bias (K).

   CHUNK  terms that are summed by themselves first, so that long sums lose little */
#ifndef CHUNK
#define CHUNK 64
#endif

kernel void linear_forward_naive(
        TENSOR(x), VIEW(w), VIEW(bias), TENSOR(y), const int C, const int K, const int has_bias, EPILOGUE)
{
        const int i = get_global_id(0);
        const int b = get_global_id(1);
        const int k = i / LANES;
        if (k >= K)
                return;
        const global float *weights = FROM(w) + (ulong)k * C;
        const global float *samples = AT(x, b) + i % LANES;
        float sum = 0.0f;
        for (int c0 = 0; c0 < C; c0 += CHUNK) {
                float part = 0.0f;
                for (int c = c0; c < min(C, c0 + CHUNK); c++)
                        part = fma(weights[c], samples[(ulong)c * LANES], part);
                sum += part;
        }
        AT(y, b)[i] = FINISH(has_bias ? sum + FROM(bias)[k] : sum, NORM_OF(k));
}

kernel void linear_data_naive(VIEW(w), TENSOR(dy), TENSOR(dx), const int C, const int K, const int accumulate)
{
        const int i = get_global_id(0);
        const int b = get_global_id(1);
        const int c = i / LANES;
        if (c >= C)
                return;
        const global float *weights = FROM(w) + c;
        const global float *gradients = AT(dy, b) + i % LANES;
        float sum = 0.0f;
        for (int k0 = 0; k0 < K; k0 += CHUNK) {
                float part = 0.0f;
                for (int k = k0; k < min(K, k0 + CHUNK); k++)
                        part = fma(weights[(ulong)k * C], gradients[(ulong)k * LANES], part);
                sum += part;
        }
        AT(dx, b)[i] = accumulate ? AT(dx, b)[i] + sum : sum;
}

kernel void linear_weights_naive(
        TENSOR(x), TENSOR(dy), VIEW(dw), const int C, const int samples, const int accumulate)
{
        const ulong i = get_global_id(0);
        const ulong c = i % C, k = i / C;
        float sum = 0.0f;
        for (int n0 = 0; n0 < samples; n0 += LANES) {
                float part = 0.0f;
                for (int n = n0; n < min(samples, n0 + LANES); n++)
                        part = fma(AT(dy, n0 / LANES)[k * LANES + n % LANES], AT(x, n0 / LANES)[c * LANES + n % LANES],
                                part);
                sum += part;
        }
        FROM(dw)[i] = accumulate ? FROM(dw)[i] + sum : sum;
}

kernel void linear_bias_naive(TENSOR(dy), VIEW(db), const int samples, const int accumulate)
{
        const int k = get_global_id(0);
        float sum = 0.0f;
        for (int n = 0; n < samples; n++)
                sum += AT(dy, n / LANES)[(ulong)k * LANES + n % LANES];
        FROM(db)[k] = accumulate ? FROM(db)[k] + sum : sum;
}
