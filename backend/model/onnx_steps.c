#include "model/onnx_reading.h"

#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAME = 80 };

/* As much of a text as an error has room for. */
static int shown(struct protobuf text)
{
        return (int)(text.len < MOST_NAME ? text.len : MOST_NAME);
}

int onnx_refuse(struct onnx_reading *r, const char *fmt, ...)
{
        char words[400];
        va_list args;
        va_start(args, fmt);
        vsnprintf(words, sizeof words, fmt, args);
        va_end(args);
        if (!r->op)
                return err_set(r->e, ERR_INVALID, "the ONNX file: %s", words);
        return err_set(r->e, ERR_INVALID, "the ONNX file's %.*s \"%.*s\": %s", shown(r->op->type),
                r->op->type.at, shown(r->op->name), r->op->name.at ? r->op->name.at : "", words);
}

int onnx_no_memory(struct onnx_reading *r)
{
        return err_set(r->e, ERR_NO_MEMORY, "no memory for a network");
}

int onnx_input_name(const struct onnx_reading *r, int k)
{
        return k < r->op->num_inputs ? r->op->inputs[k] : -1;
}

bool onnx_is_edge(const struct onnx_reading *r, int k)
{
        const int name = onnx_input_name(r, k);
        return name >= 0 && r->edges[name].special != ONNX_UNKNOWN;
}

enum onnx_special onnx_special_of(const struct onnx_reading *r, int k)
{
        return onnx_is_edge(r, k) ? r->edges[onnx_input_name(r, k)].special : ONNX_UNKNOWN;
}

int onnx_take(struct onnx_reading *r, int k, bool padded, struct onnx_edge *ret)
{
        const int name = onnx_input_name(r, k);
        if (!onnx_is_edge(r, k))
                return onnx_refuse(r,
                        "its input %d is %s, where a tensor that the network computes is wanted", k + 1,
                        onnx_graph_constant(&r->graph, name) ? "a constant" : "not there");
        *ret = r->edges[name];
        if (ret->special == ONNX_PROBABILITIES)
                return onnx_refuse(r, "a softmax before the end is not a layer here");
        if (ret->special > ONNX_PIXEL_DEVIATION)
                return onnx_refuse(r, "its input is a product or a sum that is not a layer here");
        if (ret->special != ONNX_PLAIN || (ret->value == 0 && ret->stage != r->stage))
                return onnx_refuse(r, "what goes in is normalised in a way that is not known here");
        if (!padded && (ret->pad[0] || ret->pad[1] || ret->pad[2] || ret->pad[3]))
                return onnx_refuse(r, "zeros are put around its input, which only a convolution can do here");
        return 0;
}

int onnx_take_image(struct onnx_reading *r, int k, bool padded, struct onnx_edge *ret)
{
        int rc = onnx_take(r, k, padded, ret);
        if (rc == 0 && (ret->rank != 4 || ret->last))
                return onnx_refuse(r, "its input is not of the shape (N,C,H,W)");
        return rc;
}

int onnx_take_floats(struct onnx_reading *r, int k, const struct onnx_tensor **ret_tensor, float **ret)
{
        struct err why = {0};
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, k));
        if (!t)
                return onnx_refuse(r, "its input %d is not a constant", k + 1);
        if (t->count > (t->raw.at ? t->raw.len : t->packed.len))
                return onnx_refuse(r, "its input %d has not the numbers of its shape", k + 1);
        float *floats = malloc((t->count + 1) * sizeof *floats);
        if (!floats)
                return onnx_no_memory(r);
        if (onnx_tensor_floats(t, floats, &why)) {
                free(floats);
                return onnx_refuse(r, "its input %d: %s", k + 1, why.message);
        }
        *ret_tensor = t;
        *ret = floats;
        return 0;
}

int onnx_give(struct onnx_reading *r, struct onnx_edge edge)
{
        if (r->op->num_outputs < 1 || r->op->outputs[0] < 0)
                return onnx_refuse(r, "it gives nothing");
        r->edges[r->op->outputs[0]] = edge;
        return 0;
}

static int room(void **array, int count, int *cap, size_t size)
{
        if (count < *cap)
                return 0;
        const int wanted = *cap ? 2 * *cap : 64;
        void *grown = realloc(*array, (size_t)wanted * size);
        if (!grown)
                return -1;
        *array = grown;
        *cap = wanted;
        return 0;
}

int onnx_step(struct onnx_reading *r, enum onnx_step_kind kind, const int *inputs, int count,
        const int shape[3], struct onnx_step **ret)
{
        if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1)
                return onnx_refuse(r, "it would give %dx%dx%d", shape[0], shape[1], shape[2]);
        if (r->num_steps == ONNX_MAX_STEPS)
                return onnx_refuse(r, "the file has more than %d layers", ONNX_MAX_STEPS);
        struct onnx_step *s = calloc(1, sizeof *s);
        if (!s || room((void **)&r->steps, r->num_steps, &r->cap_steps, sizeof *r->steps) ||
                room((void **)&r->values, r->num_values, &r->cap_values, sizeof *r->values)) {
                free(s);
                return onnx_no_memory(r);
        }
        *s = (struct onnx_step){.kind = kind,
                .inputs = malloc((size_t)count * sizeof *inputs),
                .num_inputs = count,
                .output = r->num_values};
        r->steps[r->num_steps] = s;
        r->values[r->num_values++] =
                (struct onnx_value){.step = r->num_steps++, .c = shape[0], .h = shape[1], .w = shape[2]};
        if (!s->inputs)
                return onnx_no_memory(r);
        memcpy(s->inputs, inputs, (size_t)count * sizeof *inputs);
        *ret = s;
        return 0;
}

int onnx_layer(struct onnx_reading *r, const char *type, const struct onnx_edge *from, const int shape[3],
        struct onnx_step **ret)
{
        struct onnx_edge to = *from;
        int rc = onnx_step(r, ONNX_LAYER, &from->value, 1, shape, ret);
        if (rc)
                return rc;
        (*ret)->layer = cJSON_CreateObject();
        json_add((*ret)->layer, "type", cJSON_CreateString(type));
        to.value = (*ret)->output;
        (*ret)->name = r->op->num_outputs > 0 ? r->op->outputs[0] : -1;
        memset(to.pad, 0, sizeof to.pad);
        return onnx_give(r, to);
}

bool onnx_made_by(const struct onnx_reading *r, int value, const char *type)
{
        const struct onnx_step *s = r->values[value].step < 0 ? NULL : r->steps[r->values[value].step];
        const cJSON *t = s && s->kind == ONNX_LAYER && s->layer ? json_field(s->layer, "type") : NULL;
        return t && t->valuestring && strcmp(t->valuestring, type) == 0;
}

void onnx_number(struct onnx_step *s, const char *field, double value)
{
        json_add(s->layer, field, cJSON_CreateNumber(value));
}

void onnx_pair(struct onnx_step *s, const char *field, const int pair[2])
{
        json_add(s->layer, field,
                pair[0] == pair[1] ? cJSON_CreateNumber(pair[0]) : cJSON_CreateIntArray(pair, 2));
}

void onnx_flag(struct onnx_step *s, const char *field, bool value)
{
        json_add(s->layer, field, cJSON_CreateBool(value));
}

void onnx_param_floats(struct onnx_step *s, const char *name, int ndim, const int64_t *dims, float *floats)
{
        struct onnx_param *p = &s->params[s->num_params++];
        *p = (struct onnx_param){.name = name, .ndim = ndim, .data = floats, .owned = floats};
        p->bytes = sizeof *floats;
        for (int i = 0; i < ndim; i++) {
                p->dims[i] = dims[i];
                p->bytes *= (size_t)dims[i];
        }
}

void onnx_param_counter(struct onnx_step *s)
{
        static const int64_t none;
        s->params[s->num_params++] = (struct onnx_param){
                .name = "num_batches_tracked", .type = SAFETENSORS_I64, .data = &none, .bytes = sizeof none};
}

int onnx_param_input(struct onnx_reading *r, struct onnx_step *s, const char *name, int k)
{
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, onnx_input_name(r, k));
        float *floats = NULL;
        if (t && t->ndim > 4)
                return onnx_refuse(r, "its input %d has %d dimensions", k + 1, t->ndim);
        if (t && t->type == ONNX_F32 && t->raw.at && t->raw.len == t->count * sizeof(float) &&
                __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
                onnx_param_floats(s, name, t->ndim, t->dims, NULL);
                s->params[s->num_params - 1].data = t->raw.at;
                return 0;
        }
        int rc = onnx_take_floats(r, k, &t, &floats);
        if (rc == 0)
                onnx_param_floats(s, name, t->ndim, t->dims, floats);
        return rc;
}
