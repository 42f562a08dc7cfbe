/* A gelu in several operators, as it is written before set 20, which has one for it:
   x*(1 + erf(x/sqrt(2)))/2 of PyTorch and Keras, and x*sigmoid(x*(a*x*x + b)) for the form by tanh, as cnnd
   writes it. */
#include "model/onnx_reading.h"

#include "base/json.h"

static bool near(float v, float want)
{
        return v > want - 1e-5f && v < want + 1e-5f;
}

/* Whether a value is another times a number, by a scale of ours; *ret is that other. */
static bool is_times(const struct onnx_reading *r, int value, float number, int *ret)
{
        if (!onnx_made_by(r, value, "batch_norm"))
                return false;
        const struct onnx_step *s = r->steps[r->values[value].step];
        const float *weight = s->params[0].owned, *bias = s->params[1].owned;
        if (!json_field(s->layer, "normalize")) /* a norm of the file's own, with statistics */
                return false;
        for (int i = 0; i < r->values[value].c; i++)
                if (!near(weight[i], number) || bias[i] != 0)
                        return false;
        *ret = s->inputs[0];
        return true;
}

/* Whether the k-th input is a constant, that number. */
static bool is_number(struct onnx_reading *r, int k, float number)
{
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, k));
        float v;
        return t && t->count == 1 && onnx_tensor_floats(t, &v, NULL) == 0 && near(v, number);
}

enum other { NOBODY, NUMBER, X, HALF_X };
static const struct {
        enum onnx_special part;
        const char *type;
        enum other other; /* the second input */
        float number;
        enum onnx_special becomes; /* ONNX_PLAIN: it is whole */
} table[] = {
        {ONNX_ERF, "Add", NUMBER, 1, ONNX_ERF_AND_ONE},
        {ONNX_ERF_AND_ONE, "Mul", X, 0, ONNX_GELU_TWICE},
        {ONNX_GELU_TWICE, "Mul", NUMBER, 0.5f, ONNX_PLAIN},
        {ONNX_ERF_AND_ONE, "Mul", HALF_X, 0, ONNX_PLAIN},
        {ONNX_SQUARE, "Mul", NUMBER, 0.071354816f, ONNX_SQUARE_PART},
        {ONNX_SQUARE_PART, "Add", NUMBER, 1.5957691f, ONNX_SLOPE},
        {ONNX_SLOPE, "Mul", X, 0, ONNX_CUBIC},
        {ONNX_CUBIC, "Sigmoid", NOBODY, 0, ONNX_GATE},
        {ONNX_GATE, "Mul", X, 0, ONNX_PLAIN},
};

static bool same_view(const struct onnx_edge *a, const struct onnx_edge *b)
{
        return a->value == b->value && a->rank == b->rank && a->last == b->last && a->stage == b->stage;
}

static bool is_other(
        struct onnx_reading *r, int k, enum other other, float number, const struct onnx_edge *of)
{
        const bool plain = onnx_special_of(r, k) == ONNX_PLAIN;
        int half = -1;
        switch (other) {
        case NOBODY:
                return r->op->num_inputs == 1;
        case NUMBER:
                return is_number(r, k, number);
        case X:
                return plain && same_view(&r->edges[onnx_input_name(r, k)], of);
        default:
                return plain && is_times(r, r->edges[onnx_input_name(r, k)].value, 0.5f, &half) &&
                       half == of->value;
        }
}

/* The gelu, of the edge that is left of its parts. */
static int whole(struct onnx_reading *r, struct onnx_edge edge, bool by_tanh)
{
        struct onnx_step *s;
        const struct onnx_value v = r->values[edge.value];
        edge.special = ONNX_PLAIN;
        int rc = onnx_layer(r, "gelu", &edge, (const int[3]){v.c, v.h, v.w}, &s);
        if (rc == 0 && by_tanh)
                json_add(s->layer, "approximate", cJSON_CreateString("tanh"));
        return rc;
}

int onnx_gelu_part(struct onnx_reading *r)
{
        const int k = onnx_special_of(r, 0) >= ONNX_ERF ? 0 : 1; /* the part of it */
        const enum onnx_special part = onnx_special_of(r, k);
        struct onnx_edge edge;
        if (part == ONNX_PLAIN && protobuf_is(r->op->type, "Mul") &&
                onnx_input_name(r, 0) == onnx_input_name(r, 1)) {
                int rc = onnx_take(r, 0, false, &edge);
                edge.special = ONNX_SQUARE;
                if (rc == 0)
                        rc = onnx_give(r, edge);
                return rc ? rc : 1;
        }
        if (part < ONNX_ERF)
                return 0;
        edge = r->edges[onnx_input_name(r, k)];
        if (edge.value == 0 && edge.stage != r->stage)
                return onnx_refuse(r, "what goes in is normalised in a way that is not known here");
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
                if (table[i].part != part || !protobuf_is(r->op->type, table[i].type) ||
                        !is_other(r, !k, table[i].other, table[i].number, &edge))
                        continue;
                edge.special = table[i].becomes;
                const int rc =
                        edge.special == ONNX_PLAIN ? whole(r, edge, part == ONNX_GATE) : onnx_give(r, edge);
                return rc ? rc : 1;
        }
        return onnx_refuse(r, "its input is a product or a sum that is not a layer here");
}

int onnx_erf(struct onnx_reading *r)
{
        struct onnx_edge edge;
        int rc = onnx_take(r, 0, false, &edge);
        if (rc)
                return rc;
        if (!is_times(r, edge.value, 0.70710678f, &edge.value))
                return onnx_refuse(r, "there is no such layer here, but in a gelu");
        edge.special = ONNX_ERF;
        return onnx_give(r, edge);
}
