#include "model/onnx_import.h"

#include "base/json.h"
#include "model/onnx_reading.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65536, MAX_CLASSES = 65536 };

static const struct {
        const char *type;
        int (*read)(struct onnx_reading *r);
} operators[] = {
        {"Add", onnx_arithmetic},
        {"AveragePool", onnx_average_pool},
        {"BatchNormalization", onnx_batch_norm},
        {"Cast", onnx_same},
        {"Clip", onnx_clip},
        {"Concat", onnx_concat},
        {"Conv", onnx_conv},
        {"Div", onnx_arithmetic},
        {"Dropout", onnx_same},
        {"Erf", onnx_erf},
        {"Expand", onnx_expand},
        {"Flatten", onnx_flatten},
        {"Gather", onnx_gather},
        {"Gelu", onnx_activation},
        {"Gemm", onnx_gemm},
        {"GlobalAveragePool", onnx_global_pool},
        {"GlobalMaxPool", onnx_global_pool},
        {"Identity", onnx_same},
        {"LayerNormalization", onnx_layer_norm},
        {"LeakyRelu", onnx_activation},
        {"LogSoftmax", onnx_softmax},
        {"MatMul", onnx_matmul},
        {"Max", onnx_image_part},
        {"MaxPool", onnx_max_pool},
        {"Mul", onnx_arithmetic},
        {"Pad", onnx_pad},
        {"ReduceMax", onnx_reduce},
        {"ReduceMean", onnx_reduce},
        {"Relu", onnx_activation},
        {"Reshape", onnx_reshape},
        {"Shape", onnx_shape},
        {"Sigmoid", onnx_activation},
        {"Slice", onnx_slice},
        {"Softmax", onnx_softmax},
        {"Sqrt", onnx_image_part},
        {"Squeeze", onnx_squeeze},
        {"Sub", onnx_arithmetic},
        {"Tanh", onnx_activation},
        {"Transpose", onnx_transpose},
        {"Unsqueeze", onnx_squeeze},
};

static int read_op(struct onnx_reading *r)
{
        for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
                if (protobuf_is(r->op->type, operators[i].type))
                        return operators[i].read(r);
        return onnx_refuse(r, "there is no such layer here");
}

static int allocate(struct onnx_reading *r)
{
        const size_t names = (size_t)r->graph.num_names + 1;
        r->edges = calloc(names, sizeof *r->edges);
        r->known = calloc(names, sizeof *r->known);
        r->uses = calloc(names, sizeof *r->uses);
        r->made = calloc((size_t)r->graph.num_ops + 1, sizeof *r->made);
        r->values = calloc(1, sizeof *r->values);
        if (!r->edges || !r->known || !r->uses || !r->made || !r->values)
                return onnx_no_memory(r);
        r->cap_values = r->num_values = 1;
        for (int i = 0; i < r->graph.num_names; i++) {
                r->edges[i].special = ONNX_UNKNOWN;
                r->known[i].count = -1;
        }
        for (int i = 0; i < r->graph.num_ops; i++)
                for (int k = 0; k < r->graph.ops[i].num_inputs; k++)
                        if (r->graph.ops[i].inputs[k] >= 0)
                                r->uses[r->graph.ops[i].inputs[k]]++;
        for (int i = 0; i < r->graph.num_outputs; i++)
                if (r->graph.outputs[i].name >= 0)
                        r->uses[r->graph.outputs[i].name]++;
        for (int i = 0; i < ONNX_MAX_CHANNELS; i++)
                r->std[i] = 1;
        return 0;
}

/* The one input that is no constant. */
static int find_input(struct onnx_reading *r, const struct onnx_face **ret)
{
        *ret = NULL;
        for (int i = 0; i < r->graph.num_inputs; i++) {
                const struct onnx_face *f = &r->graph.inputs[i];
                if (f->name < 0 || onnx_graph_constant(&r->graph, f->name))
                        continue;
                if (*ret)
                        return onnx_refuse(r, "it has several inputs, where one image is wanted");
                *ret = f;
        }
        return *ret ? 0 : onnx_refuse(r, "it has no input");
}

/* The first node that reads a name; NULL where there is none. */
static const struct onnx_op *reader(const struct onnx_reading *r, int name)
{
        for (int i = 0; i < r->graph.num_ops; i++)
                for (int k = 0; k < r->graph.ops[i].num_inputs; k++)
                        if (r->graph.ops[i].inputs[k] == name)
                                return &r->graph.ops[i];
        return NULL;
}

/* Whether somebody turns (N,H,W,C) into (N,C,H,W), behind numbers that are scaled perhaps: then that is the
   input's shape. */
static bool channels_last(const struct onnx_reading *r, const struct onnx_face *face)
{
        static const char *const scaling[] = {"Mul", "Add", "Sub", "Div", "Cast", "Identity"};
        static const int64_t first[4] = {0, 3, 1, 2};
        const struct onnx_op *op = reader(r, face->name);
        int64_t dims[4];
        for (size_t i = 0, hops = 0; op && i < sizeof scaling / sizeof scaling[0] && hops < 16; i++)
                if (protobuf_is(op->type, scaling[i]) && op->num_outputs == 1) {
                        op = reader(r, op->outputs[0]);
                        i = (size_t)-1;
                        hops++;
                }
        if (!op || op->num_inputs < 1)
                return false;
        if (protobuf_is(op->type, "Transpose"))
                return onnx_op_ints(op, "perm", dims, 4, NULL) == 4 && memcmp(dims, first, sizeof dims) == 0;
        const struct onnx_tensor *to =
                op->num_inputs > 1 ? onnx_graph_constant(&r->graph, op->inputs[1]) : NULL;
        return protobuf_is(op->type, "Reshape") && face->ndim == 4 && face->dims[3] == 1 &&
               face->dims[1] > 1 && to && to->count == 4 && onnx_tensor_ints(to, dims, NULL) == 0 &&
               dims[1] == 1 && dims[2] == face->dims[1] && dims[3] == face->dims[2];
}

static int begin(struct onnx_reading *r, const int given[3])
{
        const struct onnx_face *face;
        static const int order[4] = {0, 3, 1, 2};
        int64_t dims[4] = {-1, -1, -1, -1}; /* N, C, H, W */
        int rc = find_input(r, &face);
        if (rc)
                return rc;
        const bool last = channels_last(r, face);
        if (face->type && !onnx_type_is_float(face->type))
                return onnx_refuse(r,
                        "its input is of whole numbers (data of type %d), images come as floats here",
                        face->type);
        if (face->ndim >= 0 && face->ndim != 4)
                return onnx_refuse(
                        r, "its input has %d dimensions, an image has four: (N,C,H,W)", face->ndim);
        for (int i = 0; i < 4 && face->ndim == 4; i++)
                dims[i] = face->dims[last ? order[i] : i];
        for (int i = 0; i < 3; i++) {
                if (given && dims[i + 1] >= 0 && dims[i + 1] != given[i])
                        return err_at(r->e, ERR_INVALID, "/input",
                                "the ONNX file's input is of %lld channels, %lld x %lld pixels (-1: any), "
                                "not "
                                "of %d, %d x %d",
                                (long long)dims[1], (long long)dims[2], (long long)dims[3], given[0],
                                given[1], given[2]);
                if (given)
                        dims[i + 1] = given[i];
                if (dims[i + 1] > MAX_SIDE)
                        return err_at(r->e, ERR_INVALID, "/input",
                                "an image of %lld channels, %lld x %lld pixels is too large",
                                (long long)dims[1], (long long)dims[2], (long long)dims[3]);
                if (dims[i + 1] < 1)
                        return err_at(r->e, ERR_INVALID, "/input",
                                "the ONNX file leaves its input's size open: add it to the query as "
                                "input=[channels,height,width]");
        }
        r->batch = dims[0];
        r->values[0] = (struct onnx_value){
                .step = -1, .dominator = 0, .c = (int)dims[1], .h = (int)dims[2], .w = (int)dims[3]};
        r->edges[face->name] = (struct onnx_edge){.rank = 4, .last = last};
        return 0;
}

static bool is_padded(const struct onnx_edge *edge)
{
        return edge->pad[0] || edge->pad[1] || edge->pad[2] || edge->pad[3];
}

/* The value that all outputs tell, as it is or as probabilities. */
static int find_end(struct onnx_reading *r, int *ret)
{
        *ret = -1;
        r->op = NULL;
        for (int i = 0; i < r->graph.num_outputs; i++) {
                const int name = r->graph.outputs[i].name;
                const struct onnx_edge *edge = name >= 0 ? &r->edges[name] : NULL;
                if (!edge || edge->special == ONNX_UNKNOWN)
                        return onnx_refuse(r, "nothing gives its output %d", i + 1);
                if (*ret >= 0 && edge->value != *ret)
                        return onnx_refuse(r, "it has several outputs that tell different things");
                if ((edge->special != ONNX_PROBABILITIES && edge->special != ONNX_PLAIN) || is_padded(edge))
                        return onnx_refuse(r, "its output is not what a layer gives");
                if (edge->rank == 2 && edge->last && edge->c > 1)
                        return onnx_refuse(r, "its output is flattened with the channels last, so that "
                                              "classes have another order");
                *ret = edge->value;
        }
        if (*ret <= 0)
                return onnx_refuse(r, "it has no output that a layer gives");
        const struct onnx_value *v = &r->values[*ret];
        if (v->h != 1 || v->w != 1)
                return onnx_refuse(
                        r, "its output is %dx%dx%d, a classifier's is one number a class", v->c, v->h, v->w);
        if (v->c > MAX_CLASSES)
                return onnx_refuse(r, "it has %d outputs, the most are %d", v->c, MAX_CLASSES);
        int maker = *ret;
        while (onnx_made_by(r, maker, "flatten"))
                maker = r->steps[r->values[maker].step]->inputs[0];
        if (onnx_made_by(r, maker, "sigmoid"))
                return onnx_refuse(r, "it ends in a sigmoid, whose classes do not exclude one another; those "
                                      "of a model here "
                                      "do, by softmax");
        return 0;
}

static cJSON *normalize_json(const struct onnx_reading *r)
{
        bool any = false;
        const int channels = r->values[0].c;
        if (r->by_image)
                return cJSON_CreateString("per_image");
        for (int i = 0; i < channels && i < ONNX_MAX_CHANNELS; i++)
                any = any || r->mean[i] != 0 || r->std[i] != 1;
        if (!any)
                return NULL;
        cJSON *json = cJSON_CreateObject();
        json_add(json, "mean", cJSON_CreateDoubleArray(r->mean, channels));
        json_add(json, "std", cJSON_CreateDoubleArray(r->std, channels));
        return json;
}

static char *note(const struct onnx_reading *r, const char *key)
{
        const struct protobuf text = onnx_graph_note(&r->graph, key);
        return text.at ? strndup(text.at, text.len) : NULL;
}

static int read_graph(struct onnx_reading *r, const int input[3], struct onnx_model *ret)
{
        int end = 0, rc = allocate(r);
        if (rc == 0)
                rc = begin(r, input);
        for (int i = 0; i < r->graph.num_ops && rc == 0; i++) {
                r->op = &r->graph.ops[i];
                rc = read_op(r);
        }
        if (rc == 0)
                rc = find_end(r, &end);
        if (rc == 0)
                rc = onnx_blocks(r, end, &ret->architecture, &ret->tensors, &ret->count);
        if (rc)
                return rc;
        ret->normalize = normalize_json(r);
        ret->input[0] = r->values[0].c;
        ret->input[1] = r->values[0].h;
        ret->input[2] = r->values[0].w;
        ret->outputs = r->values[end].c;
        ret->classes = note(r, "classes");
        ret->preprocessing = note(r, "preprocessing");
        return json_fell_short() ? onnx_no_memory(r) : 0;
}

int onnx_import(const void *bytes, size_t len, const int input[3], struct onnx_model *ret, struct err *e)
{
        struct onnx_reading *r = calloc(1, sizeof *r);
        *ret = (struct onnx_model){.reading = r};
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory for a network");
        r->e = e;
        json_fell_short();
        int rc = onnx_graph_parse(bytes, len, &r->graph, e);
        if (rc == 0)
                rc = read_graph(r, input, ret);
        if (rc)
                onnx_model_finish(ret);
        return rc;
}

static void step_free(struct onnx_step *s)
{
        for (int i = 0; i < s->num_params; i++)
                free(s->params[i].owned);
        cJSON_Delete(s->layer);
        free(s->inputs);
        free(s);
}

void onnx_model_finish(struct onnx_model *m)
{
        struct onnx_reading *r = m->reading;
        cJSON_Delete(m->architecture);
        cJSON_Delete(m->normalize);
        free(m->tensors);
        free(m->classes);
        free(m->preprocessing);
        for (int i = 0; r && i < r->num_steps; i++)
                step_free(r->steps[i]);
        if (r) {
                onnx_graph_finish(&r->graph);
                free(r->edges);
                free(r->known);
                free(r->uses);
                for (int i = 0; i < r->num_made; i++)
                        free(r->made[i]);
                free(r->made);
                free(r->values);
                free(r->steps);
        }
        free(r);
        *m = (struct onnx_model){0};
}
