#include "net/net.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void net_destroy(struct net *net)
{
        if (!net)
                return;
        for (int i = 0; i < net->num_nodes; i++)
                op_destroy(net->nodes[i].op);
        for (int i = 0; i < net->num_values; i++)
                free(net->values[i].block);
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

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
        for (size_t i = 0; i < len; i++)
                hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001B3U;
        return hash;
}

static uint64_t hash_of(const struct op *op)
{
        uint64_t hash = mix(0xCBF29CE484222325U, &op->kind, sizeof op->kind);
        hash = mix(hash, op->args, op->kind->args_bytes);
        return mix(hash, op->in, (size_t)op->num_inputs * sizeof *op->in);
}

static bool alike(const struct op *a, const struct op *b)
{
        return a->kind == b->kind && a->num_inputs == b->num_inputs &&
               memcmp(a->in, b->in, (size_t)a->num_inputs * sizeof *a->in) == 0 &&
               memcmp(&a->out, &b->out, sizeof a->out) == 0 &&
               memcmp(a->args, b->args, a->kind->args_bytes) == 0;
}

int net_find_twins(struct net *net, struct err *e)
{
        size_t size = 64;
        while (size < 2 * (size_t)net->num_nodes)
                size *= 2;
        int *places = malloc(size * sizeof *places); /* nodes by the hash of their ops */
        if (!places)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network of %d layers", net->num_nodes);
        for (size_t i = 0; i < size; i++)
                places[i] = -1;
        for (int i = 0; i < net->num_nodes; i++) {
                const struct op *op = net->nodes[i].op;
                size_t at = hash_of(op) % size;
                while (places[at] >= 0 && !alike(net->nodes[places[at]].op, op))
                        at = (at + 1) % size;
                if (places[at] < 0)
                        places[at] = i;
                net->nodes[i].twin = places[at];
        }
        free(places);
        return 0;
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
