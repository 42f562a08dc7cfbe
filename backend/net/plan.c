#include "net/plan.h"
#include "net/packing.h"
#include "ops/kinds.h"

#include <stdlib.h>

/* Floats of packed parameters that are worth their memory: packing takes as long for one sample as for many.
 */
enum { MOST_KEPT = 16 << 20 };

/* Half a block takes about as long as its images one by one. On CPU devices only forward passes have kernels
   for these, which a training job would have to compile for its last, smaller batches. */
int plan_lanes(const struct dev_info *info, enum plan_mode mode, int n)
{
        const bool blocks = info->lanes == 16 && mode != PLAN_INFER;
        return blocks || n >= info->lanes / 2 ? info->lanes : 1;
}

/* Moments; see plan.h. */
static int time_forward(int node)
{
        return 1 + node;
}

static int time_loss(const struct net *net)
{
        return 1 + net->num_nodes;
}

static int time_backward(const struct net *net, int node)
{
        return 2 + net->num_nodes + (net->num_nodes - 1 - node);
}

/* A slot with an empty life. Room for all of them is there from the start. */
static int new_slot(struct plan *p, uint64_t floats)
{
        p->slots[p->num_slots] =
                (struct plan_slot){-1, 0, (floats + PLAN_ALIGN - 1) / PLAN_ALIGN * PLAN_ALIGN, INT32_MAX, -1};
        return p->num_slots++;
}

static void touch(struct plan *p, int slot, int time)
{
        if (slot < 0)
                return;
        if (time < p->slots[slot].first)
                p->slots[slot].first = time;
        if (time > p->slots[slot].last)
                p->slots[slot].last = time;
}

static void find_trained(const struct net *net, struct plan *p)
{
        for (int i = 0; i < net->num_nodes; i++) {
                const struct net_node *node = &net->nodes[i];
                bool wants = false;
                for (int k = 0; k < node->op->num_params; k++)
                        wants = wants || net->params[node->first_param + k].trained;
                for (int k = 0; k < node->op->num_inputs; k++)
                        wants = wants || p->wants_grad[node->inputs[k]];
                p->wants_grad[node->output] = wants;
                /* A join wants what any of its slices wants. */
                for (int v = net->values[node->output].parent; v >= 0 && wants; v = net->values[v].parent)
                        p->wants_grad[v] = true;
        }
}

static void count_readers(const struct net *net, int *readers)
{
        for (int i = 0; i < net->num_nodes; i++)
                for (int k = 0; k < net->nodes[i].op->num_inputs; k++)
                        readers[net->nodes[i].inputs[k]]++;
}

/* May `node` write its result over its input? Only if nobody else reads that input, now or in backward. */
static bool can_overwrite(
        const struct net *net, const struct plan *p, const int *readers, const struct net_node *node)
{
        int x = node->inputs[0];
        const struct net_value *value = &net->values[x];
        const bool may =
                node->op->kind->in_place || (node->op->kind->forward_in_place && p->mode != PLAN_TRAIN);
        if (!may || value->producer < 0 || value->parent >= 0 || net->values[node->output].parent >= 0 ||
                readers[x] != 1)
                return false;
        const struct op_kind *producer = net->nodes[value->producer].op->kind;
        return p->mode != PLAN_TRAIN || !(producer->backward_reads & OP_READS_Y);
}

/* What writes its result over that of a layer which can do it before storing it becomes that layer's
   epilogue: a batch norm with running statistics comes first in one, an activation last. */
static void find_epilogues(const struct net *net, const int *readers, struct plan *p)
{
        for (int i = 0; i < net->num_nodes; i++) {
                const struct net_node *node = &net->nodes[i];
                p->nodes[i].done_by = i;
                p->nodes[i].followed = -1;
                if (node->op->kind->view || !can_overwrite(net, p, readers, node))
                        continue;
                const int before = net->values[node->inputs[0]].producer, first = p->nodes[before].done_by;
                const unsigned takes = net->nodes[first].op->kind->epilogues;
                const bool ended = net->nodes[before].op->kind->activation != OP_NO_ACTIVATION;
                const bool is_norm = node->op->kind == &op_batch_norm,
                           is_activation = node->op->kind->activation;
                if ((is_activation && takes & OP_TAKES_ACTIVATION && !ended) ||
                        (is_norm && takes & OP_TAKES_NORM && before == first)) {
                        p->nodes[i].done_by = first;
                        p->nodes[before].followed = i;
                }
        }
}

/* Slots of values and gradients. A value that overwrites its input shares the input's, a slice its root's. */
static void give_values(const struct net *net, const int *readers, struct plan *p)
{
        for (int v = 0; v < net->num_values; v++) {
                const struct net_value *value = &net->values[v];
                const struct net_node *producer = value->producer >= 0 ? &net->nodes[value->producer] : NULL;
                if (value->parent >= 0)
                        continue;
                p->grad[v] = -1;
                if (producer && can_overwrite(net, p, readers, producer)) {
                        p->data[v] = p->data[producer->inputs[0]];
                        p->grad[v] = p->grad[producer->inputs[0]];
                } else {
                        p->data[v] = new_slot(p, tensor_floats(p->n, value->s, p->lanes));
                }
                if (p->grad[v] < 0 && p->mode == PLAN_TRAIN && p->wants_grad[v])
                        p->grad[v] = new_slot(p, tensor_floats(p->n, value->s, p->lanes));
        }
        for (int v = 0; v < net->num_values; v++) {
                int channel;
                const int root = net_root(net, v, &channel);
                p->data[v] = p->data[root];
                p->grad[v] = p->grad[root];
        }
}

static void live_forward(const struct net *net, struct plan *p)
{
        touch(p, p->data[0], 0);
        for (int i = 0; i < net->num_nodes; i++) {
                const struct net_node *node = &net->nodes[i];
                for (int k = 0; k < node->op->num_inputs; k++)
                        touch(p, p->data[node->inputs[k]], time_forward(i));
                touch(p, p->data[node->output], time_forward(i));
                touch(p, p->nodes[i].workspace_forward, time_forward(i));
                if (p->nodes[i].keeps_workspace) {
                        touch(p, p->nodes[i].workspace_forward, 0);
                        touch(p, p->nodes[i].workspace_forward, time_loss(net));
                }
                for (int k = 0; k < OP_MAX_SAVED; k++)
                        touch(p, p->nodes[i].saved[k], time_forward(i));
        }
        touch(p, p->data[net->output], time_loss(net));
        touch(p, p->grad[net->output], time_loss(net));
}

static void live_backward(const struct net *net, struct plan *p)
{
        for (int i = net->num_nodes - 1; i >= 0; i--) {
                const struct net_node *node = &net->nodes[i];
                int now = time_backward(net, i);
                if (!p->wants_grad[node->output])
                        continue;
                touch(p, p->grad[node->output], now);
                if (node->op->kind->backward_reads & OP_READS_Y)
                        touch(p, p->data[node->output], now);
                for (int k = 0; k < node->op->num_inputs; k++) {
                        if (node->op->kind->backward_reads & OP_READS_X)
                                touch(p, p->data[node->inputs[k]], now);
                        touch(p, p->grad[node->inputs[k]], now);
                }
                touch(p, p->nodes[i].workspace_backward, now);
                for (int k = 0; k < OP_MAX_SAVED; k++)
                        touch(p, p->nodes[i].saved[k], now);
        }
}

static void give_nodes(const struct net *net, const struct dev_info *info, struct plan *p)
{
        uint64_t kept = 0;
        for (int i = 0; i < net->num_nodes; i++) {
                const struct op *op = net->nodes[i].op;
                struct plan_node *node = &p->nodes[i];
                bool train = p->mode == PLAN_TRAIN;
                if (net->nodes[i].twin < i)
                        node->needs = p->nodes[net->nodes[i].twin].needs;
                else if (op->kind->needs)
                        op->kind->needs(op, p->n, p->lanes, info, &node->needs);
                for (int k = 0; k < OP_MAX_SAVED; k++) {
                        bool wanted = train && k < node->needs.num_saved && node->needs.saved[k];
                        node->saved[k] = wanted ? new_slot(p, node->needs.saved[k]) : -1;
                }
                node->workspace_forward =
                        node->needs.workspace_forward ? new_slot(p, node->needs.workspace_forward) : -1;
                node->keeps_workspace = p->mode == PLAN_INFER && node->needs.packs_params &&
                                        kept + node->needs.workspace_forward <= MOST_KEPT;
                if (node->keeps_workspace)
                        kept += node->needs.workspace_forward;
                node->workspace_backward = train && node->needs.workspace_backward
                                                   ? new_slot(p, node->needs.workspace_backward)
                                                   : -1;
        }
}

struct order {
        uint64_t key;
        int slot;
};

static int by_size(const void *a, const void *b)
{
        const struct order *x = a, *y = b;
        if (x->key != y->key)
                return x->key < y->key ? 1 : -1;
        return x->slot - y->slot;
}

struct packings {
        struct packing *chunk[PLAN_MAX_CHUNKS]; /* owned; NULL where nothing is yet */
        int moments;
};

/* The first chunk that has room, at the lowest offset that it has. */
static int place_one(
        struct plan *p, struct packings *all, struct plan_slot *s, uint64_t max_floats, struct err *e)
{
        for (int chunk = 0; chunk < PLAN_MAX_CHUNKS; chunk++) {
                struct packing **packing = &all->chunk[chunk];
                int rc = *packing ? 0 : packing_create(all->moments, packing, e);
                if (rc)
                        return rc;
                uint64_t at = packing_lowest(*packing, s->floats, s->first, s->last);
                if (at + s->floats > max_floats)
                        continue;
                s->chunk = chunk;
                s->offset = at;
                if (at + s->floats > p->chunk_floats[chunk])
                        p->chunk_floats[chunk] = at + s->floats;
                if (chunk >= p->num_chunks)
                        p->num_chunks = chunk + 1;
                return packing_put(*packing, &(struct packed){at, s->floats, s->first, s->last}, e);
        }
        return err_set(e, ERR_DEVICE_MEMORY, "the network takes more than %d pieces of %llu bytes",
                PLAN_MAX_CHUNKS, (unsigned long long)max_floats * 4);
}

static uint64_t largest_slot(const struct dev_info *info)
{
        return info->max_alloc_bytes / 4 / PLAN_ALIGN * PLAN_ALIGN;
}

/* Greedy by size: the largest first, each as low as it goes. */
static int place_all(const struct net *net, struct plan *p, uint64_t max_floats, struct err *e)
{
        struct order *order = malloc((size_t)p->num_slots * sizeof *order);
        struct packings all = {.moments = time_backward(net, 0) + 1};
        int rc = order ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to plan %d tensors", p->num_slots),
            count = 0;
        for (int i = 0; i < p->num_slots && rc == 0; i++)
                if (p->slots[i].last >= 0)
                        order[count++] = (struct order){p->slots[i].floats, i};
        if (rc == 0)
                qsort(order, (size_t)count, sizeof *order, by_size);
        for (int i = 0; i < count && rc == 0; i++)
                rc = place_one(p, &all, &p->slots[order[i].slot], max_floats, e);
        for (int i = 0; i < PLAN_MAX_CHUNKS; i++)
                packing_destroy(all.chunk[i]);
        free(order);
        return rc;
}

/* What lives at once, at the fullest moment; ERR_DEVICE_MEMORY for a tensor that no chunk can hold. */
static int find_peak(const struct net *net, struct plan *p, uint64_t max_floats, struct err *e)
{
        const int moments = time_backward(net, 0) + 1;
        uint64_t *change = calloc((size_t)moments + 1, sizeof *change), now = 0; /* wraps on the way */
        if (!change)
                return err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        for (int i = 0; i < p->num_slots; i++) {
                const struct plan_slot *s = &p->slots[i];
                if (s->last < 0)
                        continue;
                if (s->floats > max_floats) {
                        free(change);
                        return err_set(e, ERR_DEVICE_MEMORY,
                                "one tensor of the network takes %llu bytes; the device allows %llu in one "
                                "piece",
                                (unsigned long long)s->floats * 4, (unsigned long long)max_floats * 4);
                }
                change[s->first] += s->floats;
                change[s->last + 1] -= s->floats;
        }
        for (int t = 0; t < moments; t++) {
                now += change[t];
                if (now > p->peak_floats)
                        p->peak_floats = now;
        }
        free(change);
        return 0;
}

static int outline(const struct net *net, const struct dev_info *info, struct plan *p, struct err *e)
{
        int *readers = calloc((size_t)net->num_values, sizeof *readers);
        if (!readers)
                return err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        count_readers(net, readers);
        find_trained(net, p);
        give_values(net, readers, p);
        find_epilogues(net, readers, p);
        give_nodes(net, info, p);
        live_forward(net, p);
        if (p->mode == PLAN_TRAIN)
                live_backward(net, p);
        free(readers);
        return find_peak(net, p, largest_slot(info), e);
}

int plan_outline(const struct net *net, const struct dev_info *info, enum plan_mode mode, int n,
        struct plan **ret, struct err *e)
{
        struct plan *p = calloc(1, sizeof *p);
        size_t slots = 2 * (size_t)net->num_values + (2 + OP_MAX_SAVED) * (size_t)net->num_nodes;
        if (!p)
                return err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        p->mode = mode;
        p->n = n;
        p->lanes = plan_lanes(info, mode, n);
        p->slots = calloc(slots, sizeof *p->slots);
        p->data = calloc((size_t)net->num_values, sizeof *p->data);
        p->grad = calloc((size_t)net->num_values, sizeof *p->grad);
        p->wants_grad = calloc((size_t)net->num_values, sizeof *p->wants_grad);
        p->nodes = calloc((size_t)net->num_nodes, sizeof *p->nodes);
        int rc = p->slots && p->data && p->grad && p->wants_grad && p->nodes
                         ? outline(net, info, p, e)
                         : err_set(e, ERR_NO_MEMORY, "no memory for a plan");
        if (rc) {
                plan_destroy(p);
                return rc;
        }
        *ret = p;
        return 0;
}

int plan_create(const struct net *net, const struct dev_info *info, enum plan_mode mode, int n,
        struct plan **ret, struct err *e)
{
        struct plan *p = NULL;
        int rc = plan_outline(net, info, mode, n, &p, e);
        if (rc == 0)
                rc = place_all(net, p, largest_slot(info), e);
        if (rc) {
                plan_destroy(p);
                return rc;
        }
        *ret = p;
        return 0;
}

void plan_destroy(struct plan *p)
{
        if (!p)
                return;
        free(p->slots);
        free(p->data);
        free(p->grad);
        free(p->wants_grad);
        free(p->nodes);
        free(p);
}

uint64_t plan_bytes(const struct plan *p)
{
        uint64_t bytes = 0;
        for (int i = 0; i < p->num_chunks; i++)
                bytes += p->chunk_floats[i] * sizeof(float);
        return bytes;
}

uint64_t plan_param_bytes(const struct net *net, enum plan_mode mode)
{
        return (net->param_floats + (mode == PLAN_TRAIN ? net->trainable_floats : 0)) * sizeof(float);
}
