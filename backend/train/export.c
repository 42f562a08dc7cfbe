#include "train/export.h"

#include "train/exporting.h"
#include "train/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- normalisation --- */

static void operate(struct exporting *x, const char *type, const char *inputs, char ret[EXPORTING_NAME])
{
        exporting_invent(x, ret);
        struct onnx_node n = onnx_begin(type, ret, inputs, ret);
        if (strcmp(type, "ReduceMean") == 0)
                onnx_ints(&n, "axes", (int[]){1, 2, 3}, 3);
        onnx_end(x->o, &n);
}

static void with(const char *a, const char *b, char ret[2 * EXPORTING_NAME])
{
        enum { MOST = EXPORTING_NAME - 1 };
        snprintf(ret, (size_t)2 * EXPORTING_NAME, "%.*s %.*s", MOST, a, MOST, b);
}

/* (1,count,1,1) */
static void add_numbers(struct exporting *x, const double *values, int count, char ret[EXPORTING_NAME])
{
        float floats[NORMALIZE_MAX_CHANNELS];
        for (int i = 0; i < count; i++)
                floats[i] = (float)values[i];
        exporting_floats(x, (int[]){1, count, 1, 1}, 4, floats, ret);
}

static void by_channels(struct exporting *x, const struct normalize *z)
{
        char mean[EXPORTING_NAME], std[EXPORTING_NAME], centred[EXPORTING_NAME], inputs[2 * EXPORTING_NAME];
        add_numbers(x, z->mean, z->count, mean);
        add_numbers(x, z->std, z->count, std);
        with(x->edges[0].name, mean, inputs);
        operate(x, "Sub", inputs, centred);
        with(centred, std, inputs);
        operate(x, "Div", inputs, x->edges[0].name);
}

static void by_image(struct exporting *x)
{
        char a[EXPORTING_NAME], b[EXPORTING_NAME], centred[EXPORTING_NAME], least[EXPORTING_NAME],
                inputs[2 * EXPORTING_NAME];
        exporting_floats(x, (int[]){1, 1, 1, 1}, 4, (float[]){NORMALIZE_LEAST}, least);
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
}

static void begin(struct exporting *x, const struct normalize *z)
{
        const struct shape s = x->net->values[0].s;
        x->edges[0] = (struct exporting_edge){"input", 4};
        onnx_input(x->o, "input", (int[]){0, s.c, s.h, s.w}, 4);
        if (z->mode == NORMALIZE_CHANNELS)
                by_channels(x, z);
        else if (z->mode == NORMALIZE_IMAGE)
                by_image(x);
}

/* --- network --- */

/* Joins are no nodes of ours: they are written before who reads them first. They nest, one in the next. */
static void need(struct exporting *x, int value)
{
        const struct net *net = x->net;
        if (x->edges[value].name[0] || x->rc)
                return;
        for (int v = 0; v < net->num_values; v++)
                if (net->values[v].parent == value && net->values[v].block)
                        need(x, v);
        if (x->rc == 0)
                exporting_join(x, value);
}

static void write_layers(struct exporting *x)
{
        const struct net *net = x->net;
        for (int i = 0; i < net->num_nodes && x->rc == 0; i++) {
                const struct net_node *node = &net->nodes[i];
                for (int k = 0; k < node->op->num_inputs; k++)
                        need(x, node->inputs[k]);
                if (x->rc == 0)
                        exporting_layer(x, node);
        }
        need(x, net->output);
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
                onnx_stored(x->o, p->name, p->spec->dims, p->spec->ndim, t->at, t->bytes);
        }
        return 0;
}

static void end(struct exporting *x)
{
        const int classes = x->net->values[x->net->output].s.c;
        exporting_set_rank(x, x->net->output, 2);
        struct onnx_node n = onnx_begin("Identity", "logits", x->edges[x->net->output].name, "logits");
        onnx_end(x->o, &n);
        n = onnx_begin("Softmax", "probabilities", "logits", "probabilities");
        onnx_int(&n, "axis", 1);
        onnx_end(x->o, &n);
        onnx_output(x->o, "logits", (int[]){0, classes}, 2);
        onnx_output(x->o, "probabilities", (int[]){0, classes}, 2);
}

static int write_graph(const struct saved *model, const struct safetensors *st, struct onnx *o, struct err *e)
{
        struct exporting x = {.net = model->net, .o = o, .e = e};
        x.edges = calloc((size_t)model->net->num_values, sizeof *x.edges);
        if (!x.edges)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network");
        begin(&x, &model->normalize);
        write_layers(&x);
        int rc = x.rc ? x.rc : write_weights(&x, st, e);
        if (rc == 0)
                end(&x);
        free(x.edges);
        return rc;
}

/* As in docs/api.md, word by word: tests/daemon/test_prepare.py. What the decoder does is data/prepare.h's.
 */
static const char preparation[] =
        "1. Numbers. 8-bit pixels are divided by 255, 16-bit ones by 65535, other unsigned ones "
        "of fewer bits by the largest that these hold; all others are taken as they are: float32, "
        "one plane a channel, row 0 at the top, without alpha and without the caption that some "
        "microscopes write below a picture. Where \"preprocessing\" has no \"import\", go on with "
        "step 7; \"size\", \"fit\", \"pixel_size\" and, up to there, \"normalize\" are the import's.\n"
        "2. The image is 8-bit in what follows if each of its numbers is k/255 with a whole k "
        "from 0 to 255.\n"
        "3. Size of a pixel. Where there is a \"pixel_size\" p and the image's own pixels are known "
        "to be a nm high and b nm wide, its H x W become max(1, round(H*a/p)) x max(1, "
        "round(W*b/p)), halves rounded up. Each axis by itself, the width first. Where pixels "
        "become fewer, number i is the mean of what lies from i*from/to to (i+1)*from/to, parts "
        "of pixels counting as such parts; else it is linear as in step 6. In double precision, "
        "and float32 after each axis.\n"
        "4. Values. Unless \"normalize\" is \"none\" or the image is 8-bit: low and high are the "
        "numbers of rank round(0.005*(n-1)) and round(0.995*(n-1)), halves to even, counted from "
        "0 among all n of the image in rising order; x becomes (min(max(x, low), high) - "
        "low)/(high - low), or 0 where high is low. With \"per_image\", 8-bit or not, x then "
        "becomes (x - mean)/deviation, over all n, the deviation divided by n; or 0 where that is "
        "0.\n"
        "5. Part. With \"fit\": \"crop\" the middle: h x w of \"size\": [h,w] where there is a "
        "\"pixel_size\"; else all rows and floor((2*H*w + h)/(2*h)) columns, or, where these are "
        "more than W, all columns and min(H, floor((2*W*h + w)/(2*w))) rows; at least one of "
        "each. It begins at row floor((H - rows)/2) and column floor((W - columns)/2). Otherwise "
        "all of it.\n"
        "6. Channels and size. Three channels become one by 0.299 R + 0.587 G + 0.114 B. Then to "
        "\"size\", bilinear, without antialiasing, pixel centres at halves (PyTorch's interpolate "
        "with align_corners=False): number i of an axis lies at s = max(from/to*(i + 0.5) - 0.5, "
        "0), between k = floor(s), with weight 1 - (s - k), and k + 1, with weight s - k; where k "
        "is the last, it alone counts. All of it in float32, along the width first. Then one "
        "channel becomes three by copies. Where the image is 8-bit and \"normalize\" is not "
        "\"per_image\", x becomes round(255*min(max(x, 0), 1))/255, halves to even.\n"
        "7. Channels and size once more, without the rounding: to the model's \"input\": [C,H,W].\n"
        "8. \"normalize\" of \"preprocessing\" itself is part of the ONNX graph: nothing is left to "
        "do.\n";

int export_model(const char *name, const struct saved *model, const struct safetensors *st, struct onnx *o,
        uint64_t *ret_size, struct err *e)
{
        static const char *const notes[] = {"classes", "input", "preprocessing"};
        int rc = write_graph(model, st, o, e);
        if (rc)
                return rc;
        for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
                if (safetensors_metadata(st, notes[i]))
                        onnx_note(o, notes[i], safetensors_metadata(st, notes[i]));
        onnx_note(o, "preparation", preparation);
        return onnx_finish(o, name,
                "input: pixels of an image that was prepared by \"preprocessing\" in the metadata; how, "
                "\"preparation\" there tells step by step",
                ret_size, e);
}
