#include "train/initfit.h"

#include "train/setup.h"
#include "train/weights.h"

#include <stdio.h>
#include <string.h>

static const char at[] = "/init/from";

static bool is_param(const struct net *net, const char *name)
{
        for (int i = 0; i < net->num_params; i++)
                if (strcmp(net->params[i].name, name) == 0)
                        return true;
        return false;
}

/* The first tensor of the model that the network has not. */
static const struct safetensors_tensor *find_other(const struct net *net, const struct safetensors *model)
{
        for (int i = 0; i < model->count; i++)
                if (!is_param(net, model->tensors[i].name))
                        return &model->tensors[i];
        return NULL;
}

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

/* As weights_load will. */
static int check_all(
        const struct train_request *r, const struct net *net, const struct safetensors *model, struct err *e)
{
        struct err first = {0};
        int misfits = 0, found = 0;
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                int rc = weights_compare(p, model, misfits ? NULL : &first);
                if (rc && rc != ERR_INVALID)
                        return err_set(e, rc, "no memory to compare tensors");
                misfits += rc != 0;
                found += safetensors_find(model, p->name) != NULL;
        }
        const struct safetensors_tensor *other =
                misfits || found == model->count ? NULL : find_other(net, model);
        if (other && weights_other(other, &first) != ERR_INVALID)
                return err_set(e, ERR_NO_MEMORY, "no memory to compare tensors");
        misfits += model->count - found;
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
