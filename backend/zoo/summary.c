#include "zoo/summary.h"
#include "base/json.h"
#include "net/layers.h"
#include "net/net.h"
#include "net/plan.h"
#include "ops/kinds.h"
#include "zoo/zoo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* (N,F) where `flat`, else (N,C,H,W). */
static cJSON *shape_json(int batch, struct shape s, bool flat)
{
        return cJSON_CreateIntArray((int[]){batch, s.c, s.h, s.w}, flat ? 2 : 4);
}

/* Whether PyTorch's tensor would have two dimensions behind each node: no more once pooling or padding has
   made pixels of features again, which here it may. */
static bool *find_flat(const struct net *net, struct err *e)
{
        bool *flat = calloc((size_t)net->num_values, sizeof *flat);
        if (!flat)
                err_set(e, ERR_NO_MEMORY, "no memory for a summary");
        for (int i = 0; flat && i < net->num_nodes; i++) {
                const struct net_node *node = &net->nodes[i];
                const struct op_kind *kind = node->op->kind;
                const int out = node->output;
                flat[out] = (kind == &op_flatten || kind == &op_linear || flat[node->inputs[0]]) &&
                            node->op->out.h == 1 && node->op->out.w == 1;
                /* A join comes after its slices, what a view shows before it. */
                for (int slice = out; net->values[slice].parent > slice; slice = net->values[slice].parent)
                        flat[net->values[slice].parent] = flat[out];
        }
        return flat;
}

static int64_t count_parameters(const struct op *op)
{
        int64_t parameters = 0;
        for (int i = 0; i < op->num_params; i++)
                if (op->params[i].trainable)
                        parameters += op_param_count(&op->params[i]);
        return parameters;
}

static double count_flops(const struct op *op, int batch)
{
        return op->kind->flops ? (double)batch * (double)op->kind->flops(op) : 0;
}

/* The layer's name without its last part: the block it sits in. */
static void block_of(const char *name, char *out, size_t len)
{
        const char *dot = strrchr(name, '.');
        snprintf(out, len, "%.*s", dot ? (int)(dot - name) : 0, name);
}

static cJSON *layer_json(const struct net_node *node, int batch, bool flat)
{
        char block[NET_NAME_MAX];
        cJSON *layer = cJSON_CreateObject();
        block_of(node->name, block, sizeof block);
        cJSON_AddStringToObject(layer, "name", node->name);
        cJSON_AddStringToObject(layer, "type", node->op->kind->type);
        cJSON_AddStringToObject(layer, "block", block);
        json_add(layer, "output_shape", shape_json(batch, node->op->out, flat));
        cJSON_AddNumberToObject(layer, "parameters", (double)count_parameters(node->op));
        cJSON_AddNumberToObject(layer, "flops", count_flops(node->op, batch));
        cJSON_AddNumberToObject(layer, "bytes", (double)batch * 4.0 * (double)shape_count(node->op->out));
        return layer;
}

/* The share of one kind of layer. */
static void add_share(
        cJSON *totals, const char *key, const struct net *net, const struct op_kind *kind, int batch)
{
        cJSON *share = cJSON_AddObjectToObject(totals, key);
        double parameters = 0, flops = 0, bytes = 0;
        for (int i = 0; i < net->num_nodes; i++) {
                const struct op *op = net->nodes[i].op;
                if (op->kind != kind)
                        continue;
                parameters += (double)count_parameters(op);
                flops += count_flops(op, batch);
                bytes += (double)batch * 4.0 * (double)shape_count(op->out);
        }
        cJSON_AddNumberToObject(share, "parameters", parameters);
        cJSON_AddNumberToObject(share, "flops", flops);
        cJSON_AddNumberToObject(share, "bytes", bytes);
}

static void add_totals(cJSON *summary, const struct net *net, int batch)
{
        cJSON *totals = cJSON_AddObjectToObject(summary, "totals");
        double bytes = 0;
        for (int i = 0; i < net->num_nodes; i++)
                bytes += (double)batch * 4.0 * (double)shape_count(net->nodes[i].op->out);
        cJSON_AddNumberToObject(totals, "layers", net->num_nodes);
        cJSON_AddNumberToObject(totals, "parameters", (double)net->parameters);
        cJSON_AddNumberToObject(totals, "flops", (double)batch * (double)net_flops(net));
        cJSON_AddNumberToObject(totals, "bytes", bytes);
        add_share(totals, "convolution", net, &op_conv2d, batch);
        add_share(totals, "fully_connected", net, &op_linear, batch);
}

static int add_memory(cJSON *summary, const struct net *net, int batch, struct err *e)
{
        /* No device is asked: the figures are those of a CPU device without a limit on one allocation. */
        static const struct dev_info info = {
                .type = DEV_CPU, .max_alloc_bytes = (uint64_t)1 << 46, .compute_units = 1, .lanes = 16};
        static const struct {
                const char *name;
                enum plan_mode mode;
        } modes[] = {{"training", PLAN_TRAIN}, {"inference", PLAN_INFER}};
        cJSON *memory = cJSON_AddObjectToObject(summary, "memory");
        for (int i = 0; i < 2; i++) {
                struct plan *plan;
                int rc = plan_create(net, &info, modes[i].mode, batch, &plan, e);
                if (rc)
                        return rc;
                cJSON_AddNumberToObject(memory, modes[i].name,
                        (double)(plan_bytes(plan) + plan_param_bytes(net, modes[i].mode)));
                plan_destroy(plan);
        }
        return 0;
}

int summary_build(
        const cJSON *architecture, const int input[3], int batch, int num_classes, cJSON **ret, struct err *e)
{
        cJSON *summary = NULL;
        struct net *net = NULL;
        bool *flat = NULL;
        int rc = zoo_net(architecture, num_classes, (struct shape){input[0], input[1], input[2]}, &net, e);
        if (rc == 0 && !(flat = find_flat(net, e)))
                rc = ERR_NO_MEMORY;
        if (rc)
                goto out;
        summary = cJSON_CreateObject();
        json_add(summary, "input", cJSON_CreateIntArray((int[]){batch, input[0], input[1], input[2]}, 4));
        cJSON *list = cJSON_AddArrayToObject(summary, "layers");
        for (int i = 0; i < net->num_nodes; i++)
                json_push(list, layer_json(&net->nodes[i], batch, flat[net->nodes[i].output]));
        add_totals(summary, net, batch);
        rc = add_memory(summary, net, batch, e);
        if (rc == 0) {
                *ret = summary;
                summary = NULL;
        }
out:
        free(flat);
        cJSON_Delete(summary);
        net_destroy(net);
        return rc;
}

static cJSON *preset_json(const struct zoo_preset *preset)
{
        cJSON *item = cJSON_CreateObject(), *parameters = NULL;
        cJSON_AddStringToObject(item, "name", preset->name);
        cJSON_AddStringToObject(item, "description", preset->doc);
        parameters = cJSON_AddArrayToObject(item, "parameters");
        cJSON *classes = cJSON_CreateObject();
        cJSON_AddStringToObject(classes, "name", "num_classes");
        cJSON_AddStringToObject(classes, "type", "integer");
        cJSON_AddNumberToObject(classes, "default", 10);
        json_push(parameters, classes);
        for (const struct zoo_param *p = preset->params; p && p->name; p++) {
                cJSON *param = cJSON_CreateObject();
                cJSON_AddStringToObject(param, "name", p->name);
                cJSON_AddStringToObject(param, "type", p->type);
                json_add(param, "default", cJSON_Parse(p->fallback));
                json_push(parameters, param);
        }
        return item;
}

cJSON *architectures_json(void)
{
        cJSON *all = cJSON_CreateObject();
        cJSON *presets = cJSON_AddArrayToObject(all, "presets");
        for (int i = 0; i < zoo_presets_count; i++)
                json_push(presets, preset_json(zoo_presets[i]));
        cJSON *layers = cJSON_AddArrayToObject(all, "layers");
        for (int i = 0; i < op_kinds_count; i++) {
                if (op_kinds[i]->internal)
                        continue;
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "type", op_kinds[i]->type);
                cJSON_AddStringToObject(item, "description", op_kinds[i]->doc);
                json_add(item, "parameters", layers_fields_json(op_kinds[i]->fields));
                json_push(layers, item);
        }
        return all;
}
