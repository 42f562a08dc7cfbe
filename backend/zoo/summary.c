#include "zoo/summary.h"
#include "net/layers.h"
#include "net/net.h"
#include "net/plan.h"
#include "zoo/zoo.h"

#include <stdio.h>
#include <string.h>

static cJSON *shape_json(int batch, struct shape s)
{
        return cJSON_CreateIntArray((int[]){batch, s.c, s.h, s.w}, s.h == 1 && s.w == 1 ? 2 : 4);
}

/* The layer's name without its last part: the block it sits in. */
static void block_of(const char *name, char *out, size_t len)
{
        const char *dot = strrchr(name, '.');
        snprintf(out, len, "%.*s", dot ? (int)(dot - name) : 0, name);
}

static cJSON *layer_json(const struct net_node *node, int batch)
{
        char block[NET_NAME_MAX];
        cJSON *layer = cJSON_CreateObject();
        int64_t parameters = 0;
        for (int i = 0; i < node->op->num_params; i++)
                if (node->op->params[i].trainable)
                        parameters += op_param_count(&node->op->params[i]);
        block_of(node->name, block, sizeof block);
        cJSON_AddStringToObject(layer, "name", node->name);
        cJSON_AddStringToObject(layer, "type", node->op->kind->type);
        cJSON_AddStringToObject(layer, "block", block);
        cJSON_AddItemToObject(layer, "output_shape", shape_json(batch, node->op->out));
        cJSON_AddNumberToObject(layer, "parameters", (double)parameters);
        cJSON_AddNumberToObject(
                layer, "flops", node->op->kind->flops ? (double)batch * (double)node->op->kind->flops(node->op) : 0);
        cJSON_AddNumberToObject(layer, "bytes", (double)batch * 4.0 * (double)shape_count(node->op->out));
        return layer;
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
                cJSON_AddNumberToObject(
                        memory, modes[i].name, (double)(plan_bytes(plan) + plan_param_bytes(net, modes[i].mode)));
                plan_destroy(plan);
        }
        return 0;
}

int summary_build(const cJSON *architecture, const int input[3], int batch, int num_classes, cJSON **ret,
        struct err *e)
{
        cJSON *summary = NULL;
        struct net *net = NULL;
        int rc = zoo_net(architecture, num_classes, (struct shape){input[0], input[1], input[2]}, &net, e);
        if (rc)
                goto out;
        summary = cJSON_CreateObject();
        cJSON_AddItemToObject(summary, "input", cJSON_CreateIntArray((int[]){batch, input[0], input[1], input[2]}, 4));
        cJSON *list = cJSON_AddArrayToObject(summary, "layers");
        for (int i = 0; i < net->num_nodes; i++)
                cJSON_AddItemToArray(list, layer_json(&net->nodes[i], batch));
        add_totals(summary, net, batch);
        rc = add_memory(summary, net, batch, e);
        if (rc == 0) {
                *ret = summary;
                summary = NULL;
        }
out:
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
        cJSON_AddItemToArray(parameters, classes);
        return item;
}

cJSON *architectures_json(void)
{
        cJSON *all = cJSON_CreateObject();
        cJSON *presets = cJSON_AddArrayToObject(all, "presets");
        for (int i = 0; i < zoo_presets_count; i++)
                cJSON_AddItemToArray(presets, preset_json(zoo_presets[i]));
        cJSON *layers = cJSON_AddArrayToObject(all, "layers");
        for (int i = 0; i < op_kinds_count; i++) {
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "type", op_kinds[i]->type);
                cJSON_AddStringToObject(item, "description", op_kinds[i]->doc);
                cJSON_AddItemToObject(item, "parameters", layers_fields_json(op_kinds[i]->fields));
                cJSON_AddItemToArray(layers, item);
        }
        if (!all || !presets || !layers) {
                cJSON_Delete(all);
                return NULL;
        }
        return all;
}
