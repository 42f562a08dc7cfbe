#include "net/net.h"

#include <stdlib.h>

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
