/* A graph of steps as layers that hold layers: where ways part and meet again stands a residual, a concat or
   a dense block. */
#include "model/onnx_reading.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One block within the next, of at most four levels of JSON each, which may have 64. */
enum { MAX_NESTING = 14 };

static int chain(struct onnx_reading *r, int start, int end, int nesting, cJSON **ret);

static int not_nested(struct onnx_reading *r)
{
        r->op = NULL;
        return onnx_refuse(r,
                "a tensor is read from several places that are not one block within another, as residual and "
                "concat layers are");
}

/* The last value that all ways to both lead through. */
static int common(const struct onnx_reading *r, int a, int b)
{
        while (a != b) {
                if (r->values[a].depth >= r->values[b].depth)
                        a = r->values[a].dominator;
                else
                        b = r->values[b].dominator;
        }
        return a;
}

static cJSON *new_block(const char *type)
{
        cJSON *block = cJSON_CreateObject();
        json_add(block, "type", cJSON_CreateString(type));
        return block;
}

/* y = layers(x) + shortcut(x): of an addition's two sides the one that does more. */
static int residual(struct onnx_reading *r, const struct onnx_step *s, int start, int nesting, cJSON **ret)
{
        cJSON *block = new_block("residual"), *sides[2] = {NULL, NULL};
        int rc = 0;
        for (int i = 0; i < 2 && rc == 0; i++)
                rc = chain(r, start, s->inputs[i], nesting + 1, &sides[i]);
        const int more = cJSON_GetArraySize(sides[1]) > cJSON_GetArraySize(sides[0]);
        if (rc == 0 && cJSON_GetArraySize(sides[more]) == 0) { /* x + x: something must stand there */
                cJSON *nothing = new_block("dropout");
                json_add(nothing, "p", cJSON_CreateNumber(0));
                json_push(sides[more], nothing);
        }
        json_add(block, "layers", sides[more]);
        if (cJSON_GetArraySize(sides[!more]) > 0)
                json_add(block, "shortcut", sides[!more]);
        else
                cJSON_Delete(sides[!more]);
        *ret = block;
        return rc;
}

/* How many of the values behind the first have layers in common with it, after `start`. */
static int related(const struct onnx_reading *r, const int *values, int count, int start)
{
        int n = 1;
        while (n < count && common(r, values[0], values[n]) != start)
                n++;
        return n;
}

/* The values, joined. Neighbours that part later than the others are a block within the block. */
static int concat(struct onnx_reading *r, const int *values, int count, int start, int nesting, cJSON **ret)
{
        cJSON *block = new_block("concat"), *branches = cJSON_CreateArray();
        int rc = nesting > MAX_NESTING ? not_nested(r) : 0;
        json_add(block, "branches", branches);
        *ret = block;
        for (int i = 0, n = 1; i < count && rc == 0; i += n) {
                cJSON *branch = NULL, *inner = NULL;
                int parting = values[i];
                n = related(r, values + i, count - i, start);
                for (int k = 1; k < n; k++)
                        parting = common(r, parting, values[i + k]);
                if (n == count) /* that all have the same beginning, `start` would be it */
                        rc = not_nested(r);
                if (rc == 0)
                        rc = chain(r, start, parting, nesting + 1, &branch);
                if (rc == 0 && n > 1)
                        rc = concat(r, values + i, n, parting, nesting + 1, &inner);
                if (inner)
                        json_push(branch, inner);
                json_push(branches, branch);
        }
        return rc;
}

/* The layer that makes a value, and the value that it begins with. */
static int last_layer(struct onnx_reading *r, int value, int nesting, cJSON **ret, int *ret_start)
{
        struct onnx_step *s = r->steps[r->values[value].step];
        if (s->placed || nesting > MAX_NESTING)
                return not_nested(r);
        s->placed = true;
        *ret_start = r->values[value].dominator;
        if (s->kind == ONNX_ADD)
                return residual(r, s, *ret_start, nesting, ret);
        if (s->kind == ONNX_CONCAT)
                return concat(r, s->inputs, s->num_inputs, *ret_start, nesting, ret);
        json_add(s->layer, "step", cJSON_CreateNumber(r->values[value].step));
        *ret = s->layer;
        s->layer = NULL;
        return 0;
}

static cJSON *child_of(cJSON *layer, const char *name)
{
        return cJSON_GetObjectItemCaseSensitive(layer, name);
}

/* concat([x, f(x)]): what dense blocks are made of. */
static cJSON *dense_part(const cJSON *layer)
{
        const cJSON *branches = json_field(layer, "branches");
        if (cJSON_GetArraySize(branches) != 2 || cJSON_GetArraySize(branches->child) != 0)
                return NULL;
        return cJSON_GetArraySize(branches->child->next) > 0 ? branches->child->next : NULL;
}

static bool is_type(const cJSON *layer, const char *type)
{
        const cJSON *t = json_field(layer, "type");
        return t && t->valuestring && strcmp(t->valuestring, type) == 0;
}

/* [x, f(x)] as a child of the dense block that *list begins with, or of a new one. */
static void join_dense(cJSON *list, cJSON *layer)
{
        cJSON *part = cJSON_DetachItemViaPointer(child_of(layer, "branches"), dense_part(layer)), *child;
        cJSON *block = cJSON_GetArrayItem(list, 0);
        cJSON_Delete(layer);
        if (cJSON_GetArraySize(part) == 1) {
                child = cJSON_DetachItemFromArray(part, 0);
                cJSON_Delete(part);
        } else {
                child = new_block("sequential");
                json_add(child, "layers", part);
        }
        if (!is_type(block, "dense")) {
                block = new_block("dense");
                json_add(block, "layers", cJSON_CreateArray());
                cJSON_InsertItemInArray(list, 0, block);
        }
        cJSON_InsertItemInArray(child_of(block, "layers"), 0, child);
}

/* Steps stand behind those that they read. */
static void find_dominators(struct onnx_reading *r)
{
        for (int i = 0; i < r->num_steps; i++) {
                const struct onnx_step *s = r->steps[i];
                struct onnx_value *v = &r->values[s->output];
                v->dominator = s->inputs[0];
                for (int k = 1; k < s->num_inputs; k++)
                        v->dominator = common(r, v->dominator, s->inputs[k]);
                v->depth = r->values[v->dominator].depth + 1;
        }
}

/* The layers from one value to another, which all ways to it lead through. */
static int chain(struct onnx_reading *r, int start, int end, int nesting, cJSON **ret)
{
        cJSON *list = cJSON_CreateArray(), *layer = NULL;
        int rc = list ? 0 : onnx_no_memory(r);
        while (rc == 0 && end != start) {
                rc = last_layer(r, end, nesting, &layer, &end);
                if (rc == 0 && dense_part(layer))
                        join_dense(list, layer);
                else if (layer)
                        cJSON_InsertItemInArray(list, 0, layer);
                layer = NULL;
        }
        *ret = list;
        return rc;
}

/* The join before step `i` of the most of its first inputs; NULL where there is none. */
static const struct onnx_step *joined_before(const struct onnx_reading *r, int i)
{
        const struct onnx_step *s = r->steps[i], *best = NULL;
        for (int k = 0; k < i; k++) {
                const struct onnx_step *other = r->steps[k];
                const int n = other->num_inputs;
                if (other->kind == ONNX_CONCAT && n < s->num_inputs && n > 1 &&
                        (!best || n > best->num_inputs) &&
                        memcmp(other->inputs, s->inputs, (size_t)n * sizeof *s->inputs) == 0)
                        best = other;
        }
        return best;
}

/* [a,b] of [a,b,c] is a tensor already where somebody has joined these: then it is [[a,b],c], which nests. */
static void nest_joins(struct onnx_reading *r)
{
        for (int i = 0; i < r->num_steps; i++) {
                struct onnx_step *s = r->steps[i];
                const struct onnx_step *first;
                while (s->kind == ONNX_CONCAT && (first = joined_before(r, i)) != NULL) {
                        const int n = first->num_inputs;
                        s->inputs[0] = first->output;
                        memmove(s->inputs + 1, s->inputs + n,
                                (size_t)(s->num_inputs - n) * sizeof *s->inputs);
                        s->num_inputs -= n - 1;
                }
        }
}

/* --- names of tensors --- */

struct naming {
        struct onnx_reading *r;
        struct safetensors_tensor *tensors;
        int count;
};

static int name_list(struct naming *n, const char *parent, const char *prefix, cJSON *list);

static int name_tensors(struct naming *n, const char *place, const struct onnx_step *s)
{
        for (int i = 0; i < s->num_params; i++) {
                const struct onnx_param *p = &s->params[i];
                struct safetensors_tensor *t = &n->tensors[n->count++];
                *t = (struct safetensors_tensor){
                        .type = p->type, .ndim = p->ndim, .data = p->data, .bytes = p->bytes};
                memcpy(t->dims, p->dims, sizeof p->dims);
                const int length = snprintf(t->name, sizeof t->name, "%s.%s", place, p->name);
                if (length >= (int)sizeof t->name)
                        return not_nested(n->r);
        }
        return 0;
}

static int name_layer(struct naming *n, const char *place, cJSON *layer)
{
        char prefix[16];
        cJSON *branch, *step = cJSON_DetachItemFromObjectCaseSensitive(layer, "step");
        int rc = 0, k = 0;
        if (step)
                rc = name_tensors(n, place, n->r->steps[step->valueint]);
        cJSON_Delete(step);
        if (rc == 0)
                rc = name_list(n, place, is_type(layer, "dense") ? "net." : "", child_of(layer, "layers"));
        if (rc == 0)
                rc = name_list(n, place, "shortcut.", child_of(layer, "shortcut"));
        cJSON_ArrayForEach(branch, child_of(layer, "branches"))
        {
                snprintf(prefix, sizeof prefix, "%d.", k++);
                if (rc == 0)
                        rc = name_list(n, place, prefix, branch);
        }
        return rc;
}

static int name_list(struct naming *n, const char *parent, const char *prefix, cJSON *list)
{
        char place[SAFETENSORS_NAME_MAX + 1];
        cJSON *layer;
        int k = 0, rc = 0;
        cJSON_ArrayForEach(layer, list)
        {
                if (rc == 0 &&
                        snprintf(place, sizeof place, "%s.%s%d", parent, prefix, k++) >= (int)sizeof place)
                        rc = not_nested(n->r);
                if (rc == 0)
                        rc = name_layer(n, place, layer);
        }
        return rc;
}

int onnx_blocks(
        struct onnx_reading *r, int end, cJSON **ret, struct safetensors_tensor **ret_tensors, int *ret_count)
{
        struct naming n = {
                .r = r, .tensors = calloc((size_t)r->num_steps * ONNX_MAX_PARAMS + 1, sizeof *n.tensors)};
        cJSON *layers = NULL;
        int rc = n.tensors ? 0 : onnx_no_memory(r);
        nest_joins(r);
        find_dominators(r);
        if (rc == 0)
                rc = chain(r, 0, end, 0, &layers);
        if (rc == 0)
                rc = name_list(&n, "net", "", layers);
        if (rc) {
                cJSON_Delete(layers);
                free(n.tensors);
                return rc;
        }
        *ret = cJSON_CreateObject();
        json_add(*ret, "layers", layers);
        *ret_tensors = n.tensors;
        *ret_count = n.count;
        return 0;
}
