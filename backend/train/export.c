#include "train/export.h"

#include "train/export_layers.h"
#include "train/saved.h"
#include "train/weights.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- normalisation --- */

static void operate(struct exporting *x, const char *type, const char *inputs, char ret[EXPORT_NAME])
{
        export_invent(x, ret);
        struct onnx_node n = onnx_begin(type, ret, inputs, ret);
        if (strcmp(type, "ReduceMean") == 0)
                onnx_ints(&n, "axes", (int[]){1, 2, 3}, 3);
        onnx_end(x->o, &n);
}

static void with(const char *a, const char *b, char ret[2 * EXPORT_NAME])
{
        snprintf(ret, (size_t)2 * EXPORT_NAME, "%.31s %.31s", a, b);
}

/* (1,count,1,1) */
static int add_numbers(
        struct exporting *x, const double *values, int count, char ret[EXPORT_NAME], struct err *e)
{
        float *floats = malloc((size_t)count * sizeof *floats);
        if (!floats)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d numbers", count);
        for (int i = 0; i < count; i++)
                floats[i] = (float)values[i];
        export_invent(x, ret);
        onnx_floats(x->o, ret, (int[]){1, count, 1, 1}, 4, floats);
        free(floats);
        return 0;
}

static int by_channels(struct exporting *x, const struct normalize *z, struct err *e)
{
        char mean[EXPORT_NAME], std[EXPORT_NAME], centred[EXPORT_NAME], inputs[2 * EXPORT_NAME];
        int rc = add_numbers(x, z->mean, z->count, mean, e);
        if (rc == 0)
                rc = add_numbers(x, z->std, z->count, std, e);
        if (rc)
                return rc;
        with(x->edges[0].name, mean, inputs);
        operate(x, "Sub", inputs, centred);
        with(centred, std, inputs);
        operate(x, "Div", inputs, x->edges[0].name);
        return 0;
}

static int by_image(struct exporting *x, struct err *e)
{
        char a[EXPORT_NAME], b[EXPORT_NAME], centred[EXPORT_NAME], least[EXPORT_NAME],
                inputs[2 * EXPORT_NAME];
        int rc = add_numbers(x, &(double){NORMALIZE_LEAST}, 1, least, e);
        if (rc)
                return rc;
        operate(x, "ReduceMean", x->edges[0].name, a);
        with(x->edges[0].name, a, inputs);
        operate(x, "Sub", inputs, centred);
        with(centred, centred, inputs);
        operate(x, "Mul", inputs, a);
        operate(x, "ReduceMean", a, b);
        operate(x, "Sqrt", b, a);
        with(a, least, inputs);
        operate(x, "Max", inputs, b);
        with(centred, b, inputs);
        operate(x, "Div", inputs, x->edges[0].name);
        return 0;
}

static int begin(struct exporting *x, const struct normalize *z, struct err *e)
{
        const struct shape s = x->net->values[0].s;
        x->edges[0] = (struct export_edge){"input", 4};
        onnx_input(x->o, "input", (int[]){0, s.c, s.h, s.w}, 4);
        switch (z ? z->mode : NORMALIZE_NONE) {
        case NORMALIZE_CHANNELS:
                return by_channels(x, z, e);
        case NORMALIZE_IMAGE:
                return by_image(x, e);
        case NORMALIZE_NONE:
                break;
        }
        return 0;
}

/* --- network --- */

/* Joins are no nodes of ours: they are written before who reads them first. They nest, one in the next. */
static int need(struct exporting *x, int value, struct err *e)
{
        const struct net *net = x->net;
        int rc = 0;
        if (x->edges[value].name[0])
                return 0;
        for (int v = 0; v < net->num_values && rc == 0; v++)
                if (net->values[v].parent == value && net->values[v].block)
                        rc = need(x, v, e);
        return rc ? rc : export_join(x, value, e);
}

static int write_layers(struct exporting *x, struct err *e)
{
        const struct net *net = x->net;
        int rc = 0;
        for (int i = 0; i < net->num_nodes && rc == 0; i++) {
                const struct net_node *node = &net->nodes[i];
                for (int k = 0; k < node->op->num_inputs && rc == 0; k++)
                        rc = need(x, node->inputs[k], e);
                if (rc == 0)
                        rc = export_layer(x, node, e);
        }
        return rc ? rc : need(x, net->output, e);
}

static int write_weights(struct exporting *x, const struct safetensors *st, struct err *e)
{
        for (int i = 0; i < x->net->num_params; i++) {
                const struct net_param *p = &x->net->params[i];
                const struct safetensors_tensor *t = safetensors_find(st, p->name);
                if (p->spec->counter)
                        continue;
                if (!t || !weights_same_shape(p, t))
                        return err_set(
                                e, ERR_INVALID, "tensor \"%s\" is missing or has another shape", p->name);
                if (t->type != SAFETENSORS_F32)
                        return err_set(e, ERR_INVALID, "tensor \"%s\" is not of 32 bits", p->name);
                onnx_stored(x->o, p->name, p->spec->dims, p->spec->ndim,
                        (uint64_t)((const char *)t->data - (const char *)st->map), t->bytes);
        }
        return 0;
}

static void end(struct exporting *x)
{
        const int classes = x->net->values[x->net->output].s.c;
        export_set_rank(x, x->net->output, 2);
        struct onnx_node n = onnx_begin("Identity", "logits", x->edges[x->net->output].name, "logits");
        onnx_end(x->o, &n);
        n = onnx_begin("Softmax", "probabilities", "logits", "probabilities");
        onnx_int(&n, "axis", 1);
        onnx_end(x->o, &n);
        onnx_output(x->o, "logits", (int[]){0, classes}, 2);
        onnx_output(x->o, "probabilities", (int[]){0, classes}, 2);
}

int export_net(const struct net *net, const struct normalize *normalize, const struct safetensors *st,
        struct onnx *o, struct err *e)
{
        struct exporting x = {.net = net, .o = o};
        x.edges = calloc((size_t)net->num_values, sizeof *x.edges);
        int rc = x.edges ? begin(&x, normalize, e) : err_set(e, ERR_NO_MEMORY, "no memory for a network");
        if (rc == 0)
                rc = write_layers(&x, e);
        if (rc == 0)
                rc = write_weights(&x, st, e);
        if (rc == 0)
                end(&x);
        free(x.edges);
        return rc;
}

int export_model(
        const char *name, const struct safetensors *st, struct onnx *o, uint64_t *ret_size, struct err *e)
{
        static const char *const notes[] = {"classes", "input", "preprocessing"};
        struct saved model = {0};
        int rc = saved_read(st, &model, e);
        if (rc == 0)
                rc = export_net(model.net, &model.normalize, st, o, e);
        saved_finish(&model);
        for (size_t i = 0; rc == 0 && i < sizeof notes / sizeof notes[0]; i++)
                if (safetensors_metadata(st, notes[i]))
                        onnx_note(o, notes[i], safetensors_metadata(st, notes[i]));
        return rc ? rc
                  : onnx_finish(o, name,
                            "input: pixels, 8-bit ones divided by 255, of an image that was prepared as "
                            "\"preprocessing\" in the metadata tells; its \"normalize\" is part of the graph",
                            ret_size, e);
}
