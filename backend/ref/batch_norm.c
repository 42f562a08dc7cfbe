#include "ops/batch_norm.h"
#include "ref/ref.h"

#include <math.h>

/* The channel c of all samples, one value after the other. */
struct channel {
        int n, channels, pixels, c;
};

static int64_t at(const struct channel *k, int i)
{
        return ((int64_t)(i / k->pixels) * k->channels + k->c) * k->pixels + i % k->pixels;
}

static struct channel channel_of(const struct op *op, const struct ref_call *call, int c)
{
        return (struct channel){call->n, op->out.c, op->out.h * op->out.w, c};
}

static double mean_of(const struct channel *k, const double *x)
{
        double sum = 0;
        for (int i = 0; i < k->n * k->pixels; i++)
                sum += x[at(k, i)];
        return sum / (k->n * k->pixels);
}

static double squares_of(const struct channel *k, const double *x, double mean)
{
        double sum = 0;
        for (int i = 0; i < k->n * k->pixels; i++)
                sum += (x[at(k, i)] - mean) * (x[at(k, i)] - mean);
        return sum;
}

/* The place of running_mean in the parameters. */
static int first_statistic(const struct batch_norm_args *a)
{
        return a->affine ? BATCH_NORM_MEAN : 0;
}

static double weight_of(const struct batch_norm_args *a, const struct ref_call *call, int c)
{
        return a->affine ? call->params[BATCH_NORM_WEIGHT][c] : 1;
}

static void batch_norm_forward(const struct op *op, const struct ref_call *call)
{
        const struct batch_norm_args *a = op->args;
        double *const *p =
                call->params + first_statistic(a); /* running_mean, running_var, num_batches_tracked */
        for (int c = 0; c < op->out.c; c++) {
                const struct channel k = channel_of(op, call, c);
                const int count = k.n * k.pixels;
                double mean = p[0][c], var = p[1][c];
                if (call->training) {
                        mean = mean_of(&k, call->x[0]);
                        const double squares = squares_of(&k, call->x[0], mean);
                        const double unbiased = count > 1 ? squares / (count - 1) : 0;
                        var = squares / count;
                        p[0][c] += a->momentum * (mean - p[0][c]);
                        p[1][c] += a->momentum * (unbiased - p[1][c]);
                }
                const double centre = a->normalize == BATCH_NORM_VARIANCE_ONLY ? 0 : mean;
                const double deviation = a->normalize == BATCH_NORM_MEAN_ONLY ? 1 : sqrt(var + a->eps);
                const double bias = a->affine ? call->params[BATCH_NORM_BIAS][c] : 0;
                for (int i = 0; i < count; i++)
                        call->y[at(&k, i)] =
                                (call->x[0][at(&k, i)] - centre) / deviation * weight_of(a, call, c) + bias;
        }
        if (call->training)
                p[2][0] += 1;
}

/* y = w * (x - centre) * inverse + b. By the chain rule dx gets w * dy * inverse, less its mean where the
   mean is subtracted, less what goes through the deviation where that divides: d inverse / dx = -(x - mean) *
   inverse^3 / count. In evaluation the statistics are numbers that do not move with x. */
static void batch_norm_backward(const struct op *op, const struct ref_call *call)
{
        const struct batch_norm_args *a = op->args;
        const bool centred = a->normalize != BATCH_NORM_VARIANCE_ONLY,
                   scaled = a->normalize != BATCH_NORM_MEAN_ONLY, moves = call->training;
        double *const *p = call->params + first_statistic(a);
        for (int c = 0; c < op->out.c; c++) {
                const struct channel k = channel_of(op, call, c);
                const int count = k.n * k.pixels;
                const double mean = moves ? mean_of(&k, call->x[0]) : p[0][c], centre = centred ? mean : 0;
                const double var = moves ? squares_of(&k, call->x[0], mean) / count : p[1][c];
                const double inverse = scaled ? 1 / sqrt(var + a->eps) : 1;
                double dbias = 0, product = 0;
                for (int i = 0; i < count; i++) {
                        dbias += call->dy[at(&k, i)];
                        product += call->dy[at(&k, i)] * (call->x[0][at(&k, i)] - centre);
                }
                for (int i = 0; i < count; i++) {
                        double g = call->dy[at(&k, i)] * inverse;
                        if (centred && moves)
                                g -= dbias * inverse / count;
                        if (scaled && moves)
                                g -= product * (call->x[0][at(&k, i)] - mean) * inverse * inverse * inverse /
                                     count;
                        call->dx[0][at(&k, i)] = weight_of(a, call, c) * g;
                }
                if (a->affine && call->dparams[BATCH_NORM_WEIGHT])
                        call->dparams[BATCH_NORM_WEIGHT][c] = product * inverse;
                if (a->affine && call->dparams[BATCH_NORM_BIAS])
                        call->dparams[BATCH_NORM_BIAS][c] = dbias;
        }
}

const struct ref_op ref_batch_norm = {batch_norm_forward, batch_norm_backward};
