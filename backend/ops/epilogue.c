#include "ops/epilogue.h"
#include "ops/batch_norm.h"

/* In the order of kernels/common.cl. */
enum { NORM = 1, NORM_AFFINE = 2, NORM_CENTRED = 4, NORM_SCALED = 8 };

void launch_epilogue(struct launch *l, const struct op_call *c)
{
        static const int order[] = {BATCH_NORM_MEAN, BATCH_NORM_VAR, BATCH_NORM_WEIGHT, BATCH_NORM_BIAS};
        const struct op_epilogue *x = &c->epilogue;
        const struct batch_norm_args *a = x->norm ? x->norm->args : NULL;
        const int missing = a && !a->affine ? BATCH_NORM_MEAN : 0;
        int norm = 0;
        if (a)
                norm = NORM | (a->affine ? NORM_AFFINE : 0) |
                       (a->normalize != BATCH_NORM_VARIANCE_ONLY ? NORM_CENTRED : 0) |
                       (a->normalize != BATCH_NORM_MEAN_ONLY ? NORM_SCALED : 0);
        /* An argument must be some buffer, also for what is not there. */
        for (int i = 0; i < 4; i++)
                launch_view(l, !a                   ? &c->params[0]
                               : order[i] < missing ? &x->norm_params[0]
                                                    : &x->norm_params[order[i] - missing]);
        launch_int(l, norm);
        launch_float(l, a ? (float)a->eps : 0.0f);
        launch_int(l, (int)x->activation);
}
