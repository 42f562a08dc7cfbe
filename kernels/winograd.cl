/* Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016), for the kernels of
   conv2d with stride 1 and TAPS x TAPS taps. A tile of STEP x STEP outputs sees SIDE x SIDE inputs; both are polynomials, whose
   product is formed value by value at SIDE x SIDE points instead of tap by tap:

       out = At [ (G w Gt) . (Bt in B) ] A        36 products instead of (STEP TAPS)^2: 144 for 3 taps, 100 for 5

   The points are 0, P, -P, Q, -Q and infinity with P Q = 1, so that no power of them is large: on random numbers sums of 16 to
   512 channels err up to 2.4 times as much as tap by tap, by at most 4e-6 of the largest. */
#ifndef TAPS
#define TAPS 3
#endif
#define SIDE 6
#define POINTS (SIDE * SIDE)
#define STEP (SIDE - TAPS + 1)

/* What is brought to the points at a time. On CPU devices a vector of samples, in loops that stay loops: unrolled they would
   take a compiler seconds. Elsewhere a sample, whose tile then stays in registers. */
#if LANES == 16
typedef float16 points_t;
#define WOUND _Pragma("unroll 1")
#define FILTER static
#else
typedef float points_t;
#define WOUND _Pragma("unroll")
#define FILTER static inline __attribute__((always_inline))
#endif

#define P2 0.5f
#define Q2 2.0f
#define P 0.70710678f
#define Q 1.41421356f

/* Bt v */
FILTER void input_points(points_t v[SIDE])
{
        const points_t v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3], v4 = v[4], v5 = v[5];
        const points_t p_even = fma(-Q2, v2, v4), p_odd = P * fma(-Q2, v1, v3);
        const points_t q_even = fma(-P2, v2, v4), q_odd = Q * fma(-P2, v1, v3);
        v[0] = fma(-(P2 + Q2), v2, v0 + v4);
        v[1] = p_even + p_odd;
        v[2] = p_even - p_odd;
        v[3] = q_even + q_odd;
        v[4] = q_even - q_odd;
        v[5] = fma(-(P2 + Q2), v3, v1 + v5);
}

/* G w: `taps` values, `step` apart, become SIDE; the divisions of interpolation are done here. */
FILTER void weight_points(points_t *v, const int step, const int taps)
{
        const points_t last = v[(taps - 1) * step];
        points_t p_even = v[0], q_even = v[0], p_odd = P * v[step], q_odd = Q * v[step];
        if (taps > 2) {
                p_even = fma(P2, v[2 * step], p_even);
                q_even = fma(Q2, v[2 * step], q_even);
        }
        if (taps > 3) {
                p_odd = fma(P * P2, v[3 * step], p_odd);
                q_odd = fma(Q * Q2, v[3 * step], q_odd);
        }
        if (taps > 4) {
                p_even = fma(P2 * P2, v[4 * step], p_even);
                q_even = fma(Q2 * Q2, v[4 * step], q_even);
        }
        const float p_share = 1.0f / (2.0f * P2 * (P2 - Q2)), q_share = 1.0f / (2.0f * Q2 * (Q2 - P2));
        v[step] = p_share * (p_even + p_odd);
        v[2 * step] = p_share * (p_even - p_odd);
        v[3 * step] = q_share * (q_even + q_odd);
        v[4 * step] = q_share * (q_even - q_odd);
        v[5 * step] = last;
}

/* At v: SIDE values become `count`. */
FILTER void output_sums(points_t *v, const int step, const int count)
{
        const points_t p_sum = v[step] + v[2 * step], p_difference = v[step] - v[2 * step];
        const points_t q_sum = v[3 * step] + v[4 * step], q_difference = v[3 * step] - v[4 * step], last = v[5 * step];
        v[0] += p_sum + q_sum;
        v[step] = fma(P, p_difference, Q * q_difference);
        if (count > 2)
                v[2 * step] = fma(P2, p_sum, Q2 * q_sum);
        if (count > 3)
                v[3 * step] = fma(P * P2, p_difference, Q * Q2 * q_difference);
        if (count > 4)
                v[4 * step] = fma(P2 * P2, p_sum, Q2 * Q2 * q_sum);
        v[(count - 1) * step] += last;
}

/* A tile's columns, then its rows: weights, or gradients of outputs, to their points; sums at the points to outputs, or to
   gradients of weights, which end up at v[row * SIDE + column]. */
#define TO_POINTS(name, taps) \
        FILTER void name(points_t v[POINTS]) \
        { \
                WOUND for (int s = 0; s < taps; s++) weight_points(v + s, SIDE, taps); \
                WOUND for (int r = 0; r < SIDE; r++) weight_points(v + r * SIDE, 1, taps); \
        }
#define FROM_POINTS(name, count) \
        FILTER void name(points_t v[POINTS]) \
        { \
                WOUND for (int s = 0; s < SIDE; s++) output_sums(v + s, SIDE, count); \
                WOUND for (int r = 0; r < count; r++) output_sums(v + r * SIDE, 1, count); \
        }
TO_POINTS(weights_to_points, TAPS)
TO_POINTS(gradients_to_points, STEP)
FROM_POINTS(points_to_outputs, STEP)
FROM_POINTS(points_to_weights, TAPS)
