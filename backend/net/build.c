/* Layers in JSON to a graph. */
#include "base/json.h"
#include "net/layers.h"
#include "net/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int grow(void **array, int *cap, int count, size_t item, struct err *e)
{
        if (count < *cap)
                return 0;
        int wanted = *cap ? *cap * 2 : 32;
        void *grown = realloc(*array, (size_t)wanted * item);
        if (!grown)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network of %d layers", wanted);
        *array = grown;
        *cap = wanted;
        return 0;
}

int build_value(struct builder *b, struct shape s, int producer, int *ret)
{
        struct net *net = b->net;
        int rc = grow((void **)&net->values, &b->cap_values, net->num_values, sizeof *net->values, b->e);
        if (rc == 0)
                rc = grow((void **)&b->shared, &b->cap_shared, net->num_values, sizeof *b->shared, b->e);
        if (rc)
                return rc;
        b->shared[net->num_values] = false;
        net->values[net->num_values] = (struct net_value){s, producer, -1, 0, NULL};
        *ret = net->num_values++;
        return 0;
}

/* Appends `op` (taken on success) reading `input`. */
static int add_node(
        struct builder *b, struct op *op, const int *inputs, const struct place *at, int *ret_value)
{
        struct net *net = b->net;
        if (net->num_nodes >= NET_MAX_LAYERS)
                return err_at(b->e, ERR_INVALID, at->pointer, "more than %d layers", NET_MAX_LAYERS);
        int rc = grow((void **)&net->nodes, &b->cap_nodes, net->num_nodes, sizeof *net->nodes, b->e);
        int value = 0;
        if (rc == 0)
                rc = build_value(b, op->out, net->num_nodes, &value);
        if (rc)
                return rc;
        struct net_node *node = &net->nodes[net->num_nodes++];
        *node = (struct net_node){.op = op, .output = value};
        memcpy(node->inputs, inputs, (size_t)op->num_inputs * sizeof *inputs);
        memcpy(node->name, at->name, sizeof node->name);
        memcpy(node->pointer, at->pointer, sizeof node->pointer);
        if (op->kind->view) {
                net->values[value].parent = inputs[0];
                net->values[value].channel = 0;
        }
        *ret_value = value;
        return 0;
}

static bool is_name(const char *name)
{
        return *name &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

int build_place(const struct place *parent, const char *list, const char *prefix, int index,
        const cJSON *layer, struct place *ret, struct err *e)
{
        char number[64];
        const char *name = number;
        snprintf(number, sizeof number, "%s%d", prefix, index);
        int n = snprintf(ret->pointer, sizeof ret->pointer, "%s/%s/%d", parent->pointer, list, index);
        if (n < 0 || (size_t)n >= sizeof ret->pointer)
                return err_at(e, ERR_INVALID, parent->pointer, "nested too deep");
        int rc = json_is_object(layer, ret->pointer, e);
        if (rc == 0)
                rc = json_get_string(layer, "name", 40, ret->pointer, &name, e);
        if (rc)
                return rc;
        if (name != number && !is_name(name))
                return err_at(
                        e, ERR_INVALID, ret->pointer, "a layer's name is made of letters, digits and _");
        n = snprintf(ret->name, sizeof ret->name, "%s.%s", parent->name, name);
        if (n < 0 || (size_t)n >= sizeof ret->name)
                return err_at(e, ERR_INVALID, ret->pointer, "the layer's full name is too long");
        return 0;
}

int build_internal(struct builder *b, const struct op_kind *kind, const char *name, const struct place *at,
        const int *inputs, int num_inputs, int *ret)
{
        struct op *op = NULL;
        struct shape in[OP_MAX_INPUTS];
        struct place place = *at;
        for (int i = 0; i < num_inputs; i++)
                in[i] = b->net->values[inputs[i]].s;
        const int n = snprintf(place.name, sizeof place.name, "%s.%s", at->name, name);
        if (n < 0 || (size_t)n >= sizeof place.name)
                return err_at(b->e, ERR_INVALID, at->pointer, "the layer's full name is too long");
        int rc = op_create(kind, NULL, in, num_inputs, &op, b->e);
        if (rc == 0)
                rc = add_node(b, op, inputs, &place, ret);
        if (rc)
                op_destroy(op);
        return rc;
}

int build_check_list(const cJSON *layers, const char *list, const struct place *at, struct err *e)
{
        char pointer[NET_POINTER_MAX + 32];
        if (cJSON_IsArray(layers) && layers->child)
                return 0;
        snprintf(pointer, sizeof pointer, "%s/%s", at->pointer, list);
        return err_at(e, ERR_INVALID, pointer, "a list of at least one layer is expected here");
}

static int build_op(struct builder *b, const struct op_kind *kind, const cJSON *layer, const struct place *at,
        int input, int *ret)
{
        struct op *op = NULL;
        void *args = calloc(1, kind->args_bytes ? kind->args_bytes : 1);
        if (!args)
                return err_set(b->e, ERR_NO_MEMORY, "no memory for a layer");
        int rc = layers_parse_args(kind, layer, at->pointer, args, b->e);
        if (rc == 0) {
                rc = op_create(kind, args, &b->net->values[input].s, 1, &op, b->e);
                if (rc)
                        err_prefix(b->e, at->pointer);
        }
        if (rc == 0)
                rc = add_node(b, op, &input, at, ret);
        if (rc)
                op_destroy(op);
        free(args);
        return rc;
}

static int refuse_type(const char *type, const char *pointer, struct err *e)
{
        struct str known = {0};
        for (int i = 0; i < op_kinds_count; i++)
                if (!op_kinds[i]->internal)
                        str_addf(&known, " %s", op_kinds[i]->type);
        composite_list(&known);
        if (strstr(type, "softmax") || strstr(type, "Softmax")) {
                str_free(&known);
                return err_at(e, ERR_INVALID, pointer,
                        "a network ends with the layer before: the loss and the answers take the softmax");
        }
        int rc = err_at(e, ERR_INVALID, pointer, "there is no layer type \"%.40s\"; known are:%s", type,
                known.failed ? "" : known.data);
        str_free(&known);
        return rc;
}

int build_layer(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret)
{
        const char *type = "";
        char pointer[NET_POINTER_MAX + 8];
        int rc = json_need(layer, "type", at->pointer, b->e);
        if (rc == 0)
                rc = json_get_string(layer, "type", 40, at->pointer, &type, b->e);
        if (rc)
                return rc;
        const struct composite *composite = composite_find(type);
        if (composite)
                return composite->build(b, layer, at, input, ret);
        const struct op_kind *kind = op_kind_find(type);
        if (kind && !kind->internal)
                return build_op(b, kind, layer, at, input, ret);
        snprintf(pointer, sizeof pointer, "%s/type", at->pointer);
        return refuse_type(type, pointer, b->e);
}

int build_list(struct builder *b, const cJSON *layers, const char *list, const char *prefix,
        const struct place *at, int input, int *ret)
{
        const cJSON *layer;
        struct place place;
        int index = 0;
        int rc = build_check_list(layers, list, at, b->e);
        if (rc)
                return rc;
        cJSON_ArrayForEach(layer, layers)
        {
                rc = build_place(at, list, prefix, index++, layer, &place, b->e);
                if (rc == 0)
                        rc = build_layer(b, layer, &place, input, &input);
                if (rc)
                        return rc;
        }
        *ret = input;
        return 0;
}

static int collect_params(struct net *net, struct err *e)
{
        int count = 0;
        for (int i = 0; i < net->num_nodes; i++)
                count += net->nodes[i].op->num_params;
        net->params = calloc((size_t)count + 1, sizeof *net->params);
        if (!net->params)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d parameters", count);
        for (int i = 0; i < net->num_nodes; i++) {
                struct net_node *node = &net->nodes[i];
                node->first_param = net->num_params;
                for (int k = 0; k < node->op->num_params; k++) {
                        struct net_param *p = &net->params[net->num_params++];
                        p->node = i;
                        p->spec = &node->op->params[k];
                        p->count = (uint64_t)op_param_count(p->spec);
                        snprintf(p->name, sizeof p->name, "%s.%s", node->name, p->spec->name);
                        if (p->spec->trainable)
                                net->parameters += p->count;
                }
        }
        net_place_params(net);
        return 0;
}

static int by_name(const void *a, const void *b)
{
        const struct net_node *x = *(const struct net_node *const *)a,
                              *y = *(const struct net_node *const *)b;
        const int order = strcmp(x->name, y->name);
        return order ? order : (x > y) - (x < y);
}

/* Names the first layer whose name one before it has. What the net makes itself, an addition say, may be
   called as a user's layer is: it has no parameters. */
static int names_differ(const struct net *net, struct err *e)
{
        const struct net_node *second = NULL;
        const struct net_node **order = calloc((size_t)net->num_nodes + 1, sizeof *order);
        int count = 0;
        if (!order)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network of %d layers", net->num_nodes);
        for (int i = 0; i < net->num_nodes; i++)
                if (!net->nodes[i].op->kind->internal)
                        order[count++] = &net->nodes[i];
        qsort(order, (size_t)count, sizeof *order, by_name);
        for (int i = 1; i < count; i++)
                if (strcmp(order[i - 1]->name, order[i]->name) == 0 && (!second || order[i] < second))
                        second = order[i];
        free(order);
        return second ? err_at(e, ERR_INVALID, second->pointer, "two layers are called \"%s\"", second->name)
                      : 0;
}

int net_create(const cJSON *architecture, struct shape input, struct net **ret, struct err *e)
{
        struct place root = {"", "net"};
        struct net *net = calloc(1, sizeof *net);
        struct builder b = {.net = net, .e = e};
        int value;
        if (!net)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network");
        int rc = build_value(&b, input, -1, &value);
        if (rc == 0)
                rc = build_list(
                        &b, json_field(architecture, "layers"), "layers", "", &root, value, &net->output);
        if (rc == 0)
                rc = names_differ(net, e);
        free(b.shared);
        if (rc == 0)
                rc = net_find_twins(net, e);
        if (rc == 0)
                rc = collect_params(net, e);
        if (rc == 0 && net->trainable_floats == 0)
                rc = err_at(e, ERR_INVALID, "/layers", "the network has nothing to train");
        struct shape out = rc == 0 ? net->values[net->output].s : input;
        if (rc == 0 && (out.h != 1 || out.w != 1))
                rc = err_at(e, ERR_INVALID, net->nodes[net->num_nodes - 1].pointer,
                        "the last layer gives %dx%dx%d; a classifier ends in one number a class (add a "
                        "flatten layer)",
                        out.c, out.h, out.w);
        if (rc) {
                net_destroy(net);
                return rc;
        }
        *ret = net;
        return 0;
}
