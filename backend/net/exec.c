#include "net/exec.h"
#include "device/clblast.h"
#include "ops/loss.h"
#include "ops/selftest.h"

#include <stdlib.h>
#include <string.h>

struct exec {
        struct dev *dev;         /* borrowed */
        const struct net *net;   /* borrowed */
        const struct plan *plan; /* borrowed */
        struct exec_memory memory;
        struct launch_list *launches; /* owned */
        struct launch_list
                *layers; /* owned; forward without epilogues, NULL until somebody asks for a layer */
};

static struct view slot_view(const struct exec *x, int slot)
{
        if (slot < 0 || x->plan->slots[slot].chunk < 0)
                return (struct view){NULL, 0};
        const struct plan_slot *s = &x->plan->slots[slot];
        return (struct view){x->memory.chunks[s->chunk], s->offset};
}

/* The tensor of `value` in the memory of `slots` (the plan's data or grad). */
static struct tensor value_tensor(const struct exec *x, const int *slots, int value)
{
        int channel, lanes = x->plan->lanes;
        int root = net_root(x->net, value, &channel);
        const struct shape whole = x->net->values[root].s;
        struct tensor t = tensor_whole(slot_view(x, slots[value]), x->plan->n, whole, lanes);
        t.at.offset += (uint64_t)channel * (uint64_t)whole.h * (uint64_t)whole.w * (uint64_t)lanes;
        t.s = x->net->values[value].s;
        return t;
}

static void bind_params(const struct exec *x, int node, struct op_call *c)
{
        const struct net_node *n = &x->net->nodes[node];
        for (int i = 0; i < n->op->num_params; i++) {
                const struct net_param *p = &x->net->params[n->first_param + i];
                c->params[i] = (struct view){x->memory.params.buf, x->memory.params.offset + p->offset};
                if (p->trained && x->plan->mode == PLAN_TRAIN)
                        c->dparams[i] =
                                (struct view){x->memory.grads.buf, x->memory.grads.offset + p->offset};
        }
}

static void choose_variants(const struct exec *x, const struct op *op, enum op_variant ret[OP_DIRECTIONS])
{
        const int n = x->plan->n, lanes = x->plan->lanes;
        char name[STRATEGY_NAME];
        if (!strategy_name(op, n, lanes, dev_info(x->dev), name) ||
                !strategies_find(x->memory.strategies, name, ret))
                strategy_prefer(op, n, lanes, dev_info(x->dev), ret);
        for (int d = 0; d < OP_DIRECTIONS; d++) /* what a file says of a device without it */
                if (ret[d] == OP_CLBLAST && !clblast_applied(x->dev))
                        ret[d] = OP_TILED;
}

/* What was chosen, as far as the selftest allows it. */
static void bind_variants(const struct exec *x, const struct op *op, enum op_variant ret[OP_DIRECTIONS])
{
        choose_variants(x, op, ret);
        for (int d = 0; d < OP_DIRECTIONS; d++)
                while (ret[d] > OP_NAIVE && !selftest_allows(x->dev, op->kind, ret[d]))
                        ret[d]--;
}

static int test_layers(const struct exec *x, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < x->net->num_nodes && rc == 0; i++) {
                enum op_variant v[OP_DIRECTIONS];
                choose_variants(x, x->net->nodes[i].op, v);
                rc = selftest_layer(x->dev, x->net->nodes[i].op, v, e);
        }
        return rc;
}

static struct op_call bind_node(const struct exec *x, int node)
{
        const struct net_node *n = &x->net->nodes[node];
        const struct plan_node *pn = &x->plan->nodes[node];
        /* What is frozen keeps its running statistics; layers without parameters, dropout say, have nothing
         * to freeze. */
        const bool frozen = n->frozen && n->op->num_params > 0;
        struct op_call c = {.dev = x->dev,
                .precision = x->memory.precision,
                .training = x->plan->mode == PLAN_TRAIN && !frozen,
                .vars = x->memory.vars,
                .layer = node};
        bind_variants(x, n->op, c.variants);
        for (int i = 0; i < n->op->num_inputs; i++)
                c.x[i] = value_tensor(x, x->plan->data, n->inputs[i]);
        c.y = value_tensor(x, x->plan->data, n->output);
        for (int i = 0; i < OP_MAX_SAVED; i++)
                c.saved[i] = slot_view(x, pn->saved[i]);
        bind_params(x, node, &c);
        return c;
}

/* The nodes behind `node` that its forward does too. What it stores is the last one's result. */
static void bind_epilogue(const struct exec *x, int node, struct op_call *c)
{
        for (int i = x->plan->nodes[node].followed; i >= 0; i = x->plan->nodes[i].followed) {
                const struct op *op = x->net->nodes[i].op;
                if (op->kind->activation) {
                        c->epilogue.activation = op->kind->activation;
                } else {
                        struct op_call norm = {0};
                        bind_params(x, i, &norm);
                        c->epilogue.norm = op;
                        memcpy(c->epilogue.norm_params, norm.params, sizeof norm.params);
                }
                c->y = value_tensor(x, x->plan->data, x->net->nodes[i].output);
        }
}

static int record_forward(struct exec *x, struct launch_list *list, bool epilogues, struct err *e)
{
        for (int i = 0; i < x->net->num_nodes; i++) {
                const struct op *op = x->net->nodes[i].op;
                if (op->kind->view || (epilogues && x->plan->nodes[i].done_by != i))
                        continue;
                struct op_call c = bind_node(x, i);
                c.workspace = slot_view(x, x->plan->nodes[i].workspace_forward);
                c.params_stay = x->plan->nodes[i].keeps_workspace;
                if (epilogues)
                        bind_epilogue(x, i, &c);
                launch_list_owner(list, 2 * i);
                int rc = op->kind->forward(op, &c, e);
                if (rc)
                        return err_wrap(e, "%s (%s)", x->net->nodes[i].name, op->kind->type);
        }
        return 0;
}

static int record_loss(struct exec *x, float scale, struct err *e)
{
        struct loss_call c = {.dev = x->dev,
                .logits = exec_logits(x),
                .labels = x->memory.labels,
                .weights = x->memory.class_weights,
                .results = x->memory.results,
                .vars = x->memory.vars,
                .scale = scale,
                .scale_from_vars = x->memory.scale_from_vars,
                .accumulate = x->memory.accumulate};
        if (x->plan->mode == PLAN_TRAIN)
                c.dlogits = value_tensor(x, x->plan->grad, x->net->output);
        launch_list_owner(x->launches, 2 * x->net->num_nodes);
        return loss_run(&c, e);
}

/* Whether the gradient of `value` holds something already. The builder sees to it that whoever reads a join
   comes after all who read a slice of it, so that a gradient is written as a whole first. A view is all of
   what it shows: see mark_written. */
static bool is_written(const struct net *net, const bool *written, int value)
{
        while (value >= 0 && !written[value])
                value = net->values[value].parent;
        return value >= 0;
}

static void mark_written(const struct net *net, bool *written, int value)
{
        written[value] = true;
        while (net->values[value].producer >= 0 && net->nodes[net->values[value].producer].op->kind->view) {
                value = net->values[value].parent;
                written[value] = true;
        }
}

static int record_backward(struct exec *x, bool *written, struct err *e)
{
        mark_written(x->net, written, x->net->output); /* by the loss */
        for (int i = x->net->num_nodes - 1; i >= 0; i--) {
                const struct net_node *n = &x->net->nodes[i];
                if (!x->plan->wants_grad[n->output])
                        continue;
                struct op_call c = bind_node(x, i);
                c.dy = value_tensor(x, x->plan->grad, n->output);
                c.accumulate_dparams = x->memory.accumulate;
                c.workspace = slot_view(x, x->plan->nodes[i].workspace_backward);
                for (int k = 0; k < n->op->num_inputs; k++) {
                        if (!x->plan->wants_grad[n->inputs[k]])
                                continue;
                        c.dx[k] = value_tensor(x, x->plan->grad, n->inputs[k]);
                        c.accumulate_dx[k] = is_written(x->net, written, n->inputs[k]);
                        mark_written(x->net, written, n->inputs[k]);
                }
                launch_list_owner(x->launches, 2 * i + 1);
                int rc = n->op->kind->view ? 0 : n->op->kind->backward(n->op, &c, e);
                if (rc)
                        return err_wrap(e, "%s (%s), backward", n->name, n->op->kind->type);
        }
        return 0;
}

static int record(struct exec *x, float scale, struct err *e)
{
        bool *written = calloc((size_t)x->net->num_values, sizeof *written);
        if (!written)
                return err_set(e, ERR_NO_MEMORY, "no memory to record a network");
        launch_record(x->dev, x->launches);
        int rc = record_forward(x, x->launches, true, e);
        if (rc == 0 && x->plan->mode != PLAN_INFER)
                rc = record_loss(x, scale, e);
        if (rc == 0 && x->plan->mode == PLAN_TRAIN)
                rc = record_backward(x, written, e);
        launch_record_end(x->dev);
        free(written);
        return rc;
}

int exec_create(struct dev *d, const struct net *net, const struct plan *plan,
        const struct exec_memory *memory, float scale, struct exec **ret, struct err *e)
{
        struct exec *x = calloc(1, sizeof *x);
        if (!x)
                return err_set(e, ERR_NO_MEMORY, "no memory to record a network");
        *x = (struct exec){.dev = d, .net = net, .plan = plan, .memory = *memory};
        int rc = selftest_lanes(d, plan->lanes, e);
        if (rc == 0 && memory->precision == OP_TF32)
                rc = selftest_tf32(d, e);
        if (rc == 0)
                rc = test_layers(x, e);
        if (rc == 0)
                rc = launch_list_create(&x->launches, e);
        if (rc == 0)
                rc = record(x, scale, e);
        if (rc) {
                exec_destroy(x);
                return rc;
        }
        *ret = x;
        return 0;
}

void exec_destroy(struct exec *x)
{
        if (!x)
                return;
        launch_list_destroy(x->launches);
        launch_list_destroy(x->layers);
        free(x);
}

int exec_run(struct exec *x, struct err *e)
{
        return launch_list_run(x->dev, x->launches, e);
}

static int record_layers(struct exec *x, struct err *e)
{
        struct launch_list *list = NULL;
        int rc = launch_list_create(&list, e);
        if (rc)
                return rc;
        launch_record(x->dev, list);
        rc = record_forward(x, list, false, e);
        launch_record_end(x->dev);
        if (rc)
                launch_list_destroy(list);
        else
                x->layers = list;
        return rc;
}

int exec_run_to(struct exec *x, int node, int value, struct tensor *ret, struct err *e)
{
        int rc = x->layers ? 0 : record_layers(x, e);
        if (rc == 0)
                rc = launch_list_run_to(x->dev, x->layers, 2 * node, e);
        if (rc == 0)
                *ret = value_tensor(x, x->plan->data, value);
        return rc;
}

struct tensor exec_input(const struct exec *x)
{
        return value_tensor(x, x->plan->data, 0);
}

struct tensor exec_logits(const struct exec *x)
{
        return value_tensor(x, x->plan->data, x->net->output);
}

struct launch_list *exec_launches(struct exec *x)
{
        return x->launches;
}
