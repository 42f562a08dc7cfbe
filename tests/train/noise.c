/* Noise as an augmentation makes it, by its distribution. */
#include "batch.h"

#include <math.h>

/* Noise on flat images: 64 images of 32x32 at this level. */
static float *noise(struct trainer *t, const char *steps, double level)
{
        const struct batch b = {.steps = steps,
                .s = {1, 32, 32},
                .source_h = 32,
                .source_w = 32,
                .n = 64,
                .lanes = 16,
                .level = level};
        return batch_on_device(t, &b);
}

enum { NOISE = 64 * 32 * 32 };

static void gaussian_noise_is_normal(void **state)
{
        float *v = noise(*state, "[{\"type\":\"gaussian_noise\",\"std\":1}]", 0.5);
        double m[5] = {0}, neighbours = 0;
        int beyond = 0;
        for (int i = 0; i < NOISE; i++) {
                double z = (double)v[i] - 0.5, power = 1;
                for (int k = 1; k < 5; k++)
                        m[k] += (power *= z) / NOISE;
                neighbours += i ? z * ((double)v[i - 1] - 0.5) / NOISE : 0;
                beyond += fabs(z) > 1.959964;
        }
        free(v);
        double error = 1 / sqrt(NOISE);
        print_message("moments %.4f %.4f %.4f %.4f, neighbours %.4f, beyond 1.96: %.4f\n", m[1], m[2], m[3],
                m[4], neighbours, (double)beyond / NOISE);
        assert_true(fabs(m[1]) < 4 * error && fabs(m[2] - 1) < 4 * sqrt(2) * error);
        assert_true(fabs(m[3]) < 4 * sqrt(15) * error && fabs(m[4] - 3) < 4 * sqrt(96) * error);
        assert_true(fabs(neighbours) < 4 * error && fabs((double)beyond / NOISE - 0.05) < 4 * 0.218 * error);
}

/* Mean and variance of counts, and their histogram against the exact probabilities. */
static void check_poisson(struct trainer *t, double mean)
{
        enum { MOST = 1200 };
        static int seen[MOST];
        char steps[80];
        memset(seen, 0, sizeof seen);
        snprintf(steps, sizeof steps, "[{\"type\":\"poisson_noise\",\"dose\":%.17g}]", mean * 2);
        float *v = noise(t, steps, 0.5);
        double sum = 0, squares = 0, chi = 0, expected = 0, p = exp(-mean);
        int cells = 0, got = 0;
        for (int i = 0; i < NOISE; i++) {
                double k = (double)v[i] * mean * 2;
                assert_true(fabs(k - round(k)) < 1e-3 && k > -0.5 && k < MOST);
                seen[lround(k)]++;
                sum += k;
                squares += k * k;
        }
        free(v);
        for (int k = 0; k < MOST; k++) {
                expected += p * NOISE;
                got += seen[k];
                p = mean < 300 ? p * mean / (k + 1) : exp((k + 1) * log(mean) - mean - lgamma(k + 2));
                if (expected >= 20) {
                        chi += (got - expected) * (got - expected) / expected;
                        cells++;
                        expected = got = 0;
                }
        }
        double m = sum / NOISE, var = squares / NOISE - m * m;
        print_message(
                "poisson %g: mean %.4f, variance %.4f, chi-square %.1f of %d\n", mean, m, var, chi, cells);
        assert_true(fabs(m - mean) < 4.5 * sqrt(mean / NOISE));
        assert_true(fabs(var - mean) < 4.5 * sqrt((2 * mean * mean + mean) / NOISE));
        assert_true(chi < cells + 5 * sqrt(2.0 * cells));
}

static void poisson_noise_counts(void **state)
{
        static const double means[] = {0.3, 2, 8, 11.9, 12.1, 20, 75, 400};
        for (size_t i = 0; i < sizeof means / sizeof means[0]; i++)
                check_poisson(*state, means[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gaussian_noise_is_normal),
                cmocka_unit_test(poisson_noise_counts),
        };
        return cmocka_run_group_tests_name("noise", tests, trainer_set_up, trainer_tear_down);
}
