#include "ops/trial_epilogue.h"
#include "ops/kinds.h"
#include "ops/trial.h"
#include "ref/ref.h"

#include <stdlib.h>
#include <string.h>

int trial_epilogue_create(const struct op *op, bool norm, const struct op_kind *activation, uint64_t seed,
        struct trial_epilogue **ret, struct err *e)
{
        struct trial_epilogue *x = calloc(1, sizeof *x);
        if (!x)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        int rc = norm ? op_create(&op_batch_norm, NULL, &op->out, 1, &x->norm, e) : 0;
        if (rc == 0 && activation)
                rc = op_create(activation, NULL, &op->out, 1, &x->activation, e);
        for (int i = 0; rc == 0 && norm && i < x->norm->num_params; i++) {
                const struct op_param *p = &x->norm->params[i];
                const size_t count = (size_t)op_param_count(p);
                x->params[i] = malloc(count * sizeof *x->params[i]);
                if (!x->params[i])
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for a trial");
                for (size_t k = 0; rc == 0 && k < count; k++)
                        x->params[i][k] =
                                (float)(trial_uniform(&seed) + (p->init == OP_INIT_ONE ? 0.5 : -0.5));
        }
        if (rc) {
                trial_epilogue_destroy(x);
                return rc;
        }
        *ret = x;
        return 0;
}

void trial_epilogue_destroy(struct trial_epilogue *x)
{
        if (!x)
                return;
        for (int i = 0; i < OP_MAX_PARAMS; i++)
                free(x->params[i]);
        op_destroy(x->norm);
        op_destroy(x->activation);
        free(x);
}

static void follow(const struct op *op, int n, double *y, double *params, const struct trial_epilogue *x)
{
        const size_t count = (size_t)n * (size_t)shape_count(op->out);
        struct ref_call r = {.n = n, .x = {y}, .y = y + count};
        for (int i = 0; i < op->num_params; i++) {
                const size_t some = (size_t)op_param_count(&op->params[i]);
                r.params[i] = params;
                for (size_t k = 0; k < some; k++)
                        *params++ = (double)x->params[i][k];
        }
        op->kind->ref->forward(op, &r);
        memcpy(y, r.y, count * sizeof *y);
}

int trial_epilogue_reference(const struct trial_epilogue *x, int n, double *y, struct err *e)
{
        const struct op *some = x->norm ? x->norm : x->activation;
        if (!some)
                return 0;
        const size_t count = (size_t)n * (size_t)shape_count(some->out);
        const size_t params = OP_MAX_PARAMS * (size_t)some->out.c;
        double *both = malloc((2 * count + params) * sizeof *both);
        if (!both)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        memcpy(both, y, count * sizeof *y);
        if (x->norm)
                follow(x->norm, n, both, both + 2 * count, x);
        if (x->activation)
                follow(x->activation, n, both, both + 2 * count, x);
        memcpy(y, both, count * sizeof *y);
        free(both);
        return 0;
}
