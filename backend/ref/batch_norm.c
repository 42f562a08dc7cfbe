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

static void batch_norm_forward(const struct op *op, const struct ref_call *call)
{
        const struct batch_norm_args *a = op->args;
        double *const *p = call->params;
        for (int c = 0; c < op->out.c; c++) {
                const struct channel k = channel_of(op, call, c);
                const int count = k.n * k.pixels;
                double mean = p[BATCH_NORM_MEAN][c], var = p[BATCH_NORM_VAR][c];
                if (call->training) {
                        mean = mean_of(&k, call->x[0]);
                        const double squares = squares_of(&k, call->x[0], mean);
                        const double unbiased = count > 1 ? squares / (count - 1) : 0;
                        var = squares / count;
                        p[BATCH_NORM_MEAN][c] += a->momentum * (mean - p[BATCH_NORM_MEAN][c]);
                        p[BATCH_NORM_VAR][c] += a->momentum * (unbiased - p[BATCH_NORM_VAR][c]);
                }
                for (int i = 0; i < count; i++)
                        call->y[at(&k, i)] = (call->x[0][at(&k, i)] - mean) / sqrt(var + a->eps) *
                                                     p[BATCH_NORM_WEIGHT][c] +
                                             p[BATCH_NORM_BIAS][c];
        }
        if (call->training)
                p[BATCH_NORM_BATCHES][0] += 1;
}

static void batch_norm_backward(const struct op *op, const struct ref_call *call)
{
        const struct batch_norm_args *a = op->args;
        double *const *p = call->params;
        for (int c = 0; c < op->out.c; c++) {
                const struct channel k = channel_of(op, call, c);
                const int count = k.n * k.pixels;
                const double mean = call->training ? mean_of(&k, call->x[0]) : p[BATCH_NORM_MEAN][c];
                const double var =
                        call->training ? squares_of(&k, call->x[0], mean) / count : p[BATCH_NORM_VAR][c];
                const double inverse = 1 / sqrt(var + a->eps), moves = call->training ? 1 : 0;
                double dbias = 0, dweight = 0;
                for (int i = 0; i < count; i++) {
                        dbias += call->dy[at(&k, i)];
                        dweight += call->dy[at(&k, i)] * (call->x[0][at(&k, i)] - mean) * inverse;
                }
                for (int i = 0; i < count; i++) {
                        const double normal = (call->x[0][at(&k, i)] - mean) * inverse;
                        const double rest =
                                (dbias + normal * dweight) / count; /* the statistics move with x */
                        call->dx[0][at(&k, i)] =
                                p[BATCH_NORM_WEIGHT][c] * inverse * (call->dy[at(&k, i)] - moves * rest);
                }
                if (call->dparams[BATCH_NORM_WEIGHT])
                        call->dparams[BATCH_NORM_WEIGHT][c] = dweight;
                if (call->dparams[BATCH_NORM_BIAS])
                        call->dparams[BATCH_NORM_BIAS][c] = dbias;
        }
}

const struct ref_op ref_batch_norm = {batch_norm_forward, batch_norm_backward};
