#include "train/initfit.h"

#include "train/setup.h"
#include "train/weights.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char at[] = "/init/from";

static int refuse(const char *name, const struct err *first, int more, struct err *e)
{
        char rest[40] = "";
        if (more)
                snprintf(rest, sizeof rest, "; %d more %s not fit", more, more == 1 ? "does" : "do");
        return err_at(e, ERR_INVALID, at,
                "the model '%s' does not fit: %.380s%s; with \"strict\": false in \"init\" what does not fit "
                "starts afresh",
                name, first->message, rest);
}

/* Counts what of the two does not fit, and tells the first; `known` is set for each tensor of the model that
   the network has. */
static int compare_all(const struct net *net, const struct safetensors *model, bool *known, int *ret_misfits,
        struct err *first)
{
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                const struct safetensors_tensor *t = safetensors_find(model, p->name);
                int rc = weights_compare(p, model, *ret_misfits ? NULL : first);
                if (rc && rc != ERR_INVALID)
                        return rc;
                *ret_misfits += rc != 0;
                if (t)
                        known[t - model->tensors] = true;
        }
        for (int i = 0; i < model->count; i++) {
                if (known[i])
                        continue;
                int rc = *ret_misfits ? ERR_INVALID : weights_other(&model->tensors[i], first);
                if (rc != ERR_INVALID)
                        return rc;
                ++*ret_misfits;
        }
        return 0;
}

/* As weights_load will. */
static int check_all(
        const struct train_request *r, const struct net *net, const struct safetensors *model, struct err *e)
{
        struct err first = {0};
        int misfits = 0;
        bool *known = calloc((size_t)model->count + 1, sizeof *known);
        int rc = known ? compare_all(net, model, known, &misfits, &first) : ERR_NO_MEMORY;
        free(known);
        if (rc)
                return err_set(e, rc, "no memory to compare tensors");
        return misfits ? refuse(r->init.from, &first, misfits - 1, e) : 0;
}

/* As weights_fit will. */
static int check_some(const struct net *net, const struct safetensors *model, struct err *e)
{
        int taken = 0;
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                const struct safetensors_tensor *t = safetensors_find(model, p->name);
                if (t && weights_same_shape(p, t)) {
                        struct err why;
                        if (weights_compare(p, model, &why))
                                return err_at(e, why.code, at, "%s", why.message);
                        taken++;
                } else if (net->nodes[p->node].frozen) {
                        return weights_refuse_frozen(net, p, e);
                }
        }
        return taken ? 0 : err_at(e, ERR_INVALID, at, "the model has no tensor of this network");
}

int initfit_check(const struct train_request *r, const struct dataset *data, const struct safetensors *model,
        struct err *e)
{
        struct net *net = NULL;
        int rc = setup_net(r, data, &net, e);
        if (rc)
                return rc;
        rc = r->init.strict ? check_all(r, net, model, e) : check_some(net, model, e);
        net_destroy(net);
        return rc;
}
