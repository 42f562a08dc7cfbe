/* Sums and products, of tensors and with constants, normalisation, and what changes nothing. */
#include "model/onnx_reading.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SCALED = 1 << 20 }; /* channels */

static bool is(const struct onnx_reading *r, const char *type)
{
        return protobuf_is(r->op->type, type);
}

/* --- two tensors --- */

/* x times its sigmoid. */
static int gate(struct onnx_reading *r, const struct onnx_edge sides[2])
{
        struct onnx_step *s;
        for (int i = 0; i < 2; i++) {
                const struct onnx_value v = r->values[sides[i].value];
                if (onnx_made_by(r, sides[i].value, "sigmoid") &&
                        r->steps[v.step]->inputs[0] == sides[!i].value)
                        return onnx_layer(r, "silu", &sides[!i], (const int[3]){v.c, v.h, v.w}, &s);
        }
        return onnx_refuse(r, "a product of two tensors is not a layer here, but for x*sigmoid(x)");
}

static int tensors(struct onnx_reading *r)
{
        struct onnx_edge sides[2];
        struct onnx_step *s;
        for (int k = 0; k < 2; k++) {
                int rc = onnx_take(r, k, false, &sides[k]);
                if (rc)
                        return rc;
        }
        const struct onnx_value a = r->values[sides[0].value], b = r->values[sides[1].value];
        const bool flat = sides[0].rank == 2 && sides[0].last; /* then what was flattened counts */
        if (flat && (sides[0].c != sides[1].c || sides[0].h != sides[1].h || sides[0].w != sides[1].w))
                return onnx_refuse(r, "its inputs were flattened from different shapes");
        if (a.c != b.c || a.h != b.h || a.w != b.w || sides[0].rank != sides[1].rank ||
                sides[0].last != sides[1].last)
                return onnx_refuse(r, "its inputs are of different shapes, %dx%dx%d and %dx%dx%d", a.c, a.h,
                        a.w, b.c, b.h, b.w);
        if (is(r, "Mul"))
                return gate(r, sides);
        if (!is(r, "Add"))
                return onnx_refuse(r, "between two tensors that is not a layer here");
        int rc = onnx_step(r, ONNX_ADD, (const int[2]){sides[0].value, sides[1].value}, 2,
                (const int[3]){a.c, a.h, a.w}, &s);
        if (rc)
                return rc;
        sides[0].value = s->output;
        return onnx_give(r, sides[0]);
}

/* --- a tensor and a constant --- */

/* A constant as one number for each channel of an edge. */
static int by_channels(struct onnx_reading *r, int k, const struct onnx_edge *edge, float **ret)
{
        const struct onnx_tensor *t;
        const int c = r->values[edge->value].c;
        float *theirs;
        int rc = onnx_take_floats(r, k, &t, &theirs);
        if (rc)
                return rc;
        const int behind = edge->rank == 4 && !edge->last ? 2 : 0; /* dimensions behind the channels */
        const bool each = t->count == (size_t)c && t->ndim > behind && t->dims[t->ndim - 1 - behind] == c &&
                          t->ndim <= edge->rank && !(edge->rank == 2 && edge->last);
        float *ours = each || t->count == 1 ? malloc((size_t)c * sizeof *ours) : NULL;
        const bool fits = each || t->count == 1;
        for (int i = 0; ours && i < c; i++)
                ours[i] = theirs[each ? i : 0];
        free(theirs);
        if (!fits)
                return onnx_refuse(r, "its constant is not one number, or one for each of %d channels", c);
        *ret = ours;
        return ours ? 0 : onnx_no_memory(r);
}

/* What goes in, before any layer: (x - mean)/std. */
static int normalize(struct onnx_reading *r, struct onnx_edge edge, const float *v)
{
        const int c = r->values[0].c;
        if (c > ONNX_MAX_CHANNELS)
                return onnx_refuse(r, "more than %d channels are normalised", ONNX_MAX_CHANNELS);
        for (int i = 0; i < c; i++) {
                const double x = (double)v[i];
                if (is(r, "Sub"))
                        r->mean[i] += x * r->std[i];
                else if (is(r, "Add"))
                        r->mean[i] -= x * r->std[i];
                else
                        r->std[i] *= is(r, "Div") ? x : 1 / x;
        }
        edge.stage = ++r->stage;
        return onnx_give(r, edge);
}

/* Added to a layer that has weights, and that nobody else reads, it is its bias: `v` is taken then. */
static bool becomes_bias(struct onnx_reading *r, const struct onnx_edge *edge, int k, float *v)
{
        const int made_by = r->values[edge->value].step, name = onnx_input_name(r, k);
        struct onnx_step *s = made_by < 0 ? NULL : r->steps[made_by];
        if (!is(r, "Add") ||
                !(onnx_made_by(r, edge->value, "conv2d") || onnx_made_by(r, edge->value, "linear")))
                return false;
        if (s->name != name || r->uses[name] != 1 || !cJSON_IsFalse(json_field(s->layer, "bias")))
                return false;
        cJSON_ReplaceItemInObjectCaseSensitive(s->layer, "bias", cJSON_CreateTrue());
        onnx_param_floats(s, "bias", 1, (const int64_t[1]){r->values[edge->value].c}, v);
        return true;
}

/* A batch norm that only scales and shifts. */
static int scale(struct onnx_reading *r, const struct onnx_edge *edge, float *v)
{
        struct onnx_step *s;
        const struct onnx_value in = r->values[edge->value];
        const int64_t dims[1] = {in.c};
        const bool product = is(r, "Mul") || is(r, "Div");
        float *parts[4] = {NULL};
        if (in.c > MOST_SCALED)
                return onnx_refuse(r, "it is for more than %d channels", MOST_SCALED);
        int rc = onnx_layer(r, "batch_norm", edge, (const int[3]){in.c, in.h, in.w}, &s);
        for (int i = 0; i < 4 && rc == 0; i++)
                if (!(parts[i] = calloc((size_t)in.c, sizeof *parts[i])))
                        rc = onnx_no_memory(r);
        for (int i = 0; i < in.c && rc == 0; i++) {
                parts[0][i] = is(r, "Mul") ? v[i] : is(r, "Div") ? 1 / v[i] : 1;
                parts[1][i] = product ? 0 : is(r, "Sub") ? -v[i] : v[i];
                parts[3][i] = 1;
        }
        if (rc) {
                for (int i = 0; i < 4; i++)
                        free(parts[i]);
                return rc;
        }
        json_add(s->layer, "normalize", cJSON_CreateString("mean_only"));
        static const char *const names[] = {"weight", "bias", "running_mean", "running_var"};
        for (int i = 0; i < 4; i++)
                onnx_param_floats(s, names[i], 1, dims, parts[i]);
        onnx_param_counter(s);
        return 0;
}

int onnx_arithmetic(struct onnx_reading *r)
{
        struct onnx_edge edge;
        float *v = NULL;
        const int part = onnx_gelu_part(r);
        if (part)
                return part < 0 ? part : 0;
        const int k = onnx_is_edge(r, 0) ? 0 : 1;
        if (onnx_is_edge(r, 0) && onnx_is_edge(r, 1)) {
                if (r->edges[onnx_input_name(r, 0)].value == 0 && r->edges[onnx_input_name(r, 1)].value == 0)
                        return onnx_image_part(r);
                return tensors(r);
        }
        int rc = onnx_take(r, k, false, &edge);
        if (rc == 0 && k == 1 && (is(r, "Sub") || is(r, "Div")))
                rc = onnx_refuse(r, "a constant less, or over, a tensor is not a layer here");
        if (rc == 0)
                rc = by_channels(r, !k, &edge, &v);
        if (rc)
                return rc;
        if (edge.value == 0 && r->num_steps == 0 && !r->by_image) /* nobody has read it as it was */
                rc = normalize(r, edge, v);
        else if (becomes_bias(r, &edge, k, v))
                return onnx_give(r, edge);
        else
                rc = scale(r, &edge, v);
        free(v);
        return rc;
}

/* --- an image by itself: (x - mean)/max(deviation, least), as cnnd writes it --- */

/* What a deviation counts as at least, as cnnd has it (NORMALIZE_LEAST). */
static bool is_least(const struct onnx_reading *r, int k)
{
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, k));
        float v;
        return r->op->num_inputs == 2 && t && t->count == 1 && onnx_tensor_floats(t, &v, NULL) == 0 &&
               v > 0.999e-6f && v < 1.001e-6f;
}

int onnx_image_part(struct onnx_reading *r)
{
        const enum onnx_special a = onnx_special_of(r, 0), b = onnx_special_of(r, 1);
        struct onnx_edge edge = {.rank = 4, .stage = r->stage};
        if (is(r, "ReduceMean") && a == ONNX_PLAIN && r->edges[onnx_input_name(r, 0)].value == 0 &&
                r->stage == 0)
                edge.special = ONNX_PIXEL_MEAN;
        else if (is(r, "Sub") && a == ONNX_PLAIN && b == ONNX_PIXEL_MEAN && r->stage == 0 &&
                 r->edges[onnx_input_name(r, 0)].value == 0)
                edge.special = ONNX_PIXEL_CENTRED;
        else if (is(r, "Mul") && a == ONNX_PIXEL_CENTRED && b == ONNX_PIXEL_CENTRED)
                edge.special = ONNX_PIXEL_SQUARES;
        else if (is(r, "ReduceMean") && a == ONNX_PIXEL_SQUARES)
                edge.special = ONNX_PIXEL_VARIANCE;
        else if (is(r, "Sqrt") && a == ONNX_PIXEL_VARIANCE)
                edge.special = ONNX_PIXEL_DEVIATION;
        else if (is(r, "Max") && a == ONNX_PIXEL_DEVIATION && is_least(r, 1))
                edge.special = ONNX_PIXEL_DEVIATION;
        else if (is(r, "Div") && a == ONNX_PIXEL_CENTRED && b == ONNX_PIXEL_DEVIATION && r->num_steps == 0) {
                r->by_image = true;
                edge.stage = ++r->stage;
        } else
                return onnx_refuse(r, "there is no such layer here");
        return onnx_give(r, edge);
}

/* --- what changes nothing, or is left for the end --- */

int onnx_same(struct onnx_reading *r)
{
        struct onnx_edge from;
        int64_t known[ONNX_KNOWN];
        const int n = onnx_known_ints(r, 0, known), name = onnx_input_name(r, 0);
        if (r->op->num_outputs < 1 || r->op->outputs[0] < 0)
                return onnx_refuse(r, "it gives nothing");
        if (n >= 0) {
                r->known[r->op->outputs[0]].count = n;
                memcpy(r->known[r->op->outputs[0]].numbers, known, sizeof known);
        }
        if (onnx_graph_constant(&r->graph, name)) { /* the same constant under another name */
                r->graph.constants[r->op->outputs[0]] = r->graph.constants[name];
                return 0;
        }
        if (n >= 0)
                return 0;
        if (onnx_is_edge(r, 0) && r->edges[name].special == ONNX_PROBABILITIES)
                return onnx_give(r, r->edges[name]);
        int rc = onnx_take(r, 0, true, &from);
        if (rc == 0 && is(r, "Cast") && !onnx_type_is_float((int)onnx_op_int(r->op, "to", ONNX_F32)))
                rc = onnx_refuse(r, "it makes whole numbers of what the network computes");
        if (rc == 0 && r->op->num_outputs > 1 && r->op->outputs[1] >= 0 && r->uses[r->op->outputs[1]])
                rc = onnx_refuse(r, "its second output is read, which no layer here gives");
        return rc ? rc : onnx_give(r, from);
}

int onnx_softmax(struct onnx_reading *r)
{
        struct onnx_edge from;
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        /* Up to set 12 it is over all from an axis on, after that over one. */
        const bool old = r->graph.set < 13;
        const int64_t place = from.rank == 4 && from.last ? 3 : 1,
                      given = onnx_op_int(r->op, "axis", old ? 1 : -1);
        const int64_t axis = given + (given < 0 ? from.rank : 0);
        const struct onnx_value v = r->values[from.value];
        if (v.h != 1 || v.w != 1 || (old ? axis < 1 || axis > place : axis != place))
                return onnx_refuse(r, "it is not over classes");
        from.special = ONNX_PROBABILITIES;
        return onnx_give(r, from);
}

/* Zeros around images, for the convolution that follows. */
int onnx_pad(struct onnx_reading *r)
{
        struct onnx_edge from;
        const struct onnx_tensor *t;
        float *floats;
        int64_t pads[ONNX_KNOWN];
        const struct protobuf mode = onnx_op_text(r->op, "mode");
        float with = onnx_op_float(r->op, "value", 0);
        int n = onnx_op_ints(r->op, "pads", pads, ONNX_KNOWN, r->e);
        int rc = onnx_take(r, 0, true, &from);
        if (rc == 0 && onnx_input_name(r, 2) >= 0 && (rc = onnx_take_floats(r, 2, &t, &floats)) == 0) {
                with = t->count == 1 ? floats[0] : NAN;
                free(floats);
        }
        if (rc)
                return rc;
        if (n == 0)
                n = onnx_known_ints(r, 1, pads);
        if (n != 8 || from.rank != 4 || onnx_input_name(r, 3) >= 0 || with != 0 ||
                (mode.len && !protobuf_is(mode, "constant")))
                return onnx_refuse(r, "only zeros can be put around images");
        const int row = from.last ? 1 : 2, channel = from.last ? 3 : 1;
        const int64_t sides[4] = {pads[row], pads[row + 1], pads[row + 4], pads[row + 5]};
        for (int i = 0; i < 4; i++) {
                if (sides[i] < 0 || sides[i] > 512 || pads[0] || pads[4] || pads[channel] ||
                        pads[channel + 4])
                        return onnx_refuse(
                                r, "only up to 512 rows and columns of zeros can be put around images");
                from.pad[i] += (int)sides[i];
                if (from.pad[i] > 512)
                        return onnx_refuse(r, "more than 512 rows or columns of zeros are put around images");
        }
        return onnx_give(r, from);
}
