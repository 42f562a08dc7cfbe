#include "net/net.h"

#include <stdlib.h>
#include <string.h>

void net_destroy(struct net *net)
{
        if (!net)
                return;
        for (int i = 0; i < net->num_nodes; i++)
                op_destroy(net->nodes[i].op);
        free(net->nodes);
        free(net->values);
        free(net->params);
        free(net);
}

void net_place_params(struct net *net)
{
        uint64_t offset = 0;
        for (int i = 0; i < net->num_params; i++)
                net->params[i].trained =
                        net->params[i].spec->trainable && !net->nodes[net->params[i].node].frozen;
        for (int pass = 0; pass < 2; pass++) {
                for (int i = 0; i < net->num_params; i++) {
                        struct net_param *p = &net->params[i];
                        if (p->trained != (pass == 0))
                                continue;
                        p->offset = offset;
                        offset += (p->count + NET_PARAM_ALIGN - 1) / NET_PARAM_ALIGN * NET_PARAM_ALIGN;
                }
                if (pass == 0)
                        net->trainable_floats = offset;
        }
        net->param_floats = offset;
}

int net_freeze(struct net *net, const char *prefix)
{
        size_t len = strlen(prefix);
        int layers = 0;
        for (int i = 0; i < net->num_nodes; i++) {
                const char *name = net->nodes[i].name;
                if (strncmp(name, prefix, len) != 0 || (name[len] != '\0' && name[len] != '.'))
                        continue;
                net->nodes[i].frozen = true;
                layers++;
        }
        net_place_params(net);
        return layers;
}

int64_t net_flops(const struct net *net)
{
        int64_t sum = 0;
        for (int i = 0; i < net->num_nodes; i++)
                if (net->nodes[i].op->kind->flops)
                        sum += net->nodes[i].op->kind->flops(net->nodes[i].op);
        return sum;
}

int net_root(const struct net *net, int value, int *ret_channel)
{
        int channel = 0;
        while (net->values[value].parent >= 0) {
                channel += net->values[value].channel;
                value = net->values[value].parent;
        }
        *ret_channel = channel;
        return value;
}
