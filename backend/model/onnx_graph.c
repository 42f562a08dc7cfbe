#include "model/onnx_graph.h"

#include <stdlib.h>
#include <string.h>

/* Fields of onnx.proto. */
enum { MODEL_VERSION = 1, MODEL_GRAPH = 7, MODEL_SET = 8, MODEL_NOTE = 14, MODEL_FUNCTION = 25 };
enum { GRAPH_NODE = 1, GRAPH_TENSOR = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_TYPE = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum {
        ATTRIBUTE_NAME = 1,
        ATTRIBUTE_FLOAT = 2,
        ATTRIBUTE_INT = 3,
        ATTRIBUTE_TEXT = 4,
        ATTRIBUTE_TENSOR = 5,
        ATTRIBUTE_INTS = 8
};
enum { TENSOR_NAME = 8 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { SET_DOMAIN = 1, SET_VERSION = 2 };

/* From this one on operators broadcast as they do today. */
enum { LEAST_SET = 7 };

/* The field of that number that comes last, as the format wants; number 0 where there is none. What is no
   message is found when it is read in full. */
static struct protobuf_field find(struct protobuf m, int number)
{
        struct protobuf_field f, found = {0};
        while (protobuf_next(&m, &f, NULL) == 1)
                if (f.number == number)
                        found = f;
        return found;
}

/* Whether operators of that domain are ONNX's own. */
static bool is_onnx(struct protobuf domain)
{
        return domain.len == 0 || protobuf_is(domain, "ai.onnx");
}

/* --- what there is of each, in a first pass --- */

struct counts {
        size_t names, lists, ops, tensors, inputs, outputs;
};

static int count_graph(struct protobuf m, struct counts *ret, struct err *e)
{
        struct protobuf_field f, part;
        int rc;
        while ((rc = protobuf_next(&m, &f, e)) == 1) {
                if (f.number == GRAPH_SPARSE)
                        return err_set(e, ERR_INVALID, "it has sparse tensors, which are not read");
                ret->ops += f.number == GRAPH_NODE;
                ret->tensors += f.number == GRAPH_TENSOR;
                ret->inputs += f.number == GRAPH_INPUT;
                ret->outputs += f.number == GRAPH_OUTPUT;
                ret->names += f.number == GRAPH_TENSOR || f.number == GRAPH_INPUT || f.number == GRAPH_OUTPUT;
                if (f.number != GRAPH_NODE)
                        continue;
                while ((rc = protobuf_next(&f.bytes, &part, e)) == 1)
                        ret->lists += part.number == NODE_INPUT || part.number == NODE_OUTPUT;
                if (rc < 0)
                        return rc;
        }
        ret->names += ret->lists;
        ret->tensors += ret->ops; /* nodes may be constants */
        if (rc == 0 && ret->ops > ONNX_MAX_NODES)
                return err_set(e, ERR_INVALID, "it has more than %d nodes", ONNX_MAX_NODES);
        if (rc == 0 && ret->names > ONNX_MAX_NAMES)
                return err_set(e, ERR_INVALID, "it has more than %d names", ONNX_MAX_NAMES);
        return rc;
}

/* --- names --- */

static int by_bytes(const void *a, const void *b)
{
        const struct protobuf *x = a, *y = b;
        const size_t least = x->len < y->len ? x->len : y->len;
        const int order = least ? memcmp(x->at, y->at, least) : 0;
        return order ? order : (x->len > y->len) - (x->len < y->len);
}

static int name_of(const struct onnx_graph *g, struct protobuf text)
{
        const struct protobuf *found =
                text.len ? bsearch(&text, g->names, (size_t)g->num_names, sizeof text, by_bytes) : NULL;
        return found ? (int)(found - g->names) : -1;
}

static void add_name(struct onnx_graph *g, struct protobuf text)
{
        if (text.len)
                g->names[g->num_names++] = text;
}

/* All names that stand somewhere, each once. */
static void collect_names(struct onnx_graph *g, struct protobuf m)
{
        struct protobuf_field f, part;
        int unique = 0;
        while (protobuf_next(&m, &f, NULL) == 1) {
                if (f.number == GRAPH_TENSOR)
                        add_name(g, find(f.bytes, TENSOR_NAME).bytes);
                else if (f.number == GRAPH_INPUT || f.number == GRAPH_OUTPUT)
                        add_name(g, find(f.bytes, 1).bytes);
                else if (f.number == GRAPH_NODE)
                        while (protobuf_next(&f.bytes, &part, NULL) == 1)
                                if (part.number == NODE_INPUT || part.number == NODE_OUTPUT)
                                        add_name(g, part.bytes);
        }
        qsort(g->names, (size_t)g->num_names, sizeof *g->names, by_bytes);
        for (int i = 0; i < g->num_names; i++)
                if (i == 0 || by_bytes(&g->names[i], &g->names[unique - 1]) != 0)
                        g->names[unique++] = g->names[i];
        g->num_names = unique;
}

/* --- nodes, tensors, faces --- */

static int add_tensor(struct onnx_graph *g, struct protobuf m, int name, struct err *e)
{
        struct onnx_tensor *t = &g->tensors[g->num_tensors];
        int rc = onnx_tensor_parse(m, t, e);
        if (rc)
                return rc;
        if (name < 0)
                name = name_of(g, find(m, TENSOR_NAME).bytes);
        if (name >= 0)
                g->constants[name] = g->num_tensors++;
        return 0;
}

/* A node that is a constant tensor becomes one. */
static int take_constant(struct onnx_graph *g, const struct onnx_op *op, struct err *e)
{
        struct protobuf m = op->message;
        struct protobuf_field f;
        while (protobuf_next(&m, &f, NULL) == 1) {
                const struct protobuf_field t = find(f.bytes, ATTRIBUTE_TENSOR);
                if (f.number != NODE_ATTRIBUTE || !protobuf_is(find(f.bytes, ATTRIBUTE_NAME).bytes, "value"))
                        continue;
                if (t.number && op->num_outputs == 1 && op->outputs[0] >= 0)
                        return add_tensor(g, t.bytes, op->outputs[0], e);
        }
        return err_set(e, ERR_INVALID, "a constant that is not a tensor");
}

/* `lists` is where its inputs and outputs go, as many as it has. */
static int add_op(struct onnx_graph *g, struct protobuf m, int *lists, int *ret_used, struct err *e)
{
        struct onnx_op op = {.message = m, .inputs = lists};
        struct protobuf_field f;
        int used = 0;
        for (int side = 0; side < 2; side++) {
                struct protobuf rest = m;
                while (protobuf_next(&rest, &f, NULL) == 1) {
                        if (side == 0 && f.number == NODE_INPUT)
                                op.num_inputs++;
                        else if (side == 1 && f.number == NODE_OUTPUT)
                                op.num_outputs++;
                        else
                                continue;
                        lists[used++] = name_of(g, f.bytes);
                }
                if (side == 0)
                        op.outputs = lists + used;
        }
        op.type = find(m, NODE_TYPE).bytes;
        op.name = find(m, NODE_NAME).bytes;
        *ret_used = used;
        const struct protobuf domain = find(m, NODE_DOMAIN).bytes;
        if (!is_onnx(domain))
                return err_set(e, ERR_INVALID, "operator %.*s is of \"%.*s\", not of ONNX itself",
                        (int)(op.type.len < 60 ? op.type.len : 60), op.type.at,
                        (int)(domain.len < 60 ? domain.len : 60), domain.at);
        if (protobuf_is(op.type, "Constant"))
                return take_constant(g, &op, e);
        g->ops[g->num_ops++] = op;
        return 0;
}

/* A ValueInfoProto: name = 1, type = 2, of which tensor_type = 1, shape = 2, dim = 1: dim_value = 1. */
static int add_face(const struct onnx_graph *g, struct protobuf m, struct onnx_face *ret, struct err *e)
{
        const struct protobuf tensor = find(find(m, 2).bytes, 1).bytes; /* elem_type = 1 */
        const struct protobuf_field shape = find(tensor, 2);
        struct protobuf dims = shape.bytes;
        struct protobuf_field f;
        *ret = (struct onnx_face){.name = name_of(g, find(m, 1).bytes),
                .type = (int)find(tensor, 1).value,
                .ndim = shape.number ? 0 : -1};
        while (protobuf_next(&dims, &f, NULL) == 1) {
                const struct protobuf_field size = find(f.bytes, 1);
                if (ret->ndim == ONNX_MAX_DIMS)
                        return err_set(e, ERR_INVALID, "a tensor of more than %d dimensions", ONNX_MAX_DIMS);
                ret->dims[ret->ndim++] =
                        size.number && size.value && size.value < INT32_MAX ? (int64_t)size.value : -1;
        }
        return 0;
}

static int fill(struct onnx_graph *g, struct protobuf m, struct err *e)
{
        struct protobuf_field f;
        int lists = 0, rc = 0;
        for (struct protobuf rest = m; rc == 0 && protobuf_next(&rest, &f, NULL) == 1;)
                if (f.number == GRAPH_TENSOR)
                        rc = add_tensor(g, f.bytes, -1, e);
        while (rc == 0 && protobuf_next(&m, &f, NULL) == 1) {
                int used = 0;
                if (f.number == GRAPH_NODE)
                        rc = add_op(g, f.bytes, g->lists + lists, &used, e);
                else if (f.number == GRAPH_INPUT)
                        rc = add_face(g, f.bytes, &g->inputs[g->num_inputs++], e);
                else if (f.number == GRAPH_OUTPUT)
                        rc = add_face(g, f.bytes, &g->outputs[g->num_outputs++], e);
                lists += used;
        }
        return rc;
}

static int make(struct onnx_graph *g, struct protobuf m, struct err *e)
{
        struct counts n = {0};
        int rc = count_graph(m, &n, e);
        if (rc)
                return rc;
        g->names = calloc(n.names + 1, sizeof *g->names);
        g->constants = malloc((n.names + 1) * sizeof *g->constants);
        g->lists = calloc(n.lists + 1, sizeof *g->lists);
        g->ops = calloc(n.ops + 1, sizeof *g->ops);
        g->tensors = calloc(n.tensors + 1, sizeof *g->tensors);
        g->inputs = calloc(n.inputs + 1, sizeof *g->inputs);
        g->outputs = calloc(n.outputs + 1, sizeof *g->outputs);
        if (!g->names || !g->constants || !g->lists || !g->ops || !g->tensors || !g->inputs || !g->outputs)
                return err_set(e, ERR_NO_MEMORY, "no memory for a graph of %zu nodes", n.ops);
        collect_names(g, m);
        for (int i = 0; i < g->num_names; i++)
                g->constants[i] = -1;
        return fill(g, m, e);
}

int onnx_graph_parse(const void *bytes, size_t len, struct onnx_graph *ret, struct err *e)
{
        struct protobuf m = {bytes, len}, graph = {0};
        struct protobuf_field f;
        int rc;
        *ret = (struct onnx_graph){.notes = m};
        while ((rc = protobuf_next(&m, &f, e)) == 1) {
                if (f.number == MODEL_GRAPH && f.kind == PROTOBUF_BYTES)
                        graph = f.bytes;
                if (f.number == MODEL_SET && is_onnx(find(f.bytes, SET_DOMAIN).bytes))
                        ret->set = find(f.bytes, SET_VERSION).value;
                if (f.number == MODEL_FUNCTION)
                        rc = err_set(e, ERR_INVALID, "it has functions of its own, which are not read");
                if (rc < 0)
                        break;
        }
        if (rc == 0 && !graph.at)
                rc = err_set(e, ERR_SYNTAX, "it has no graph");
        if (rc == 0 && ret->set < LEAST_SET)
                rc = err_set(e, ret->set ? ERR_INVALID : ERR_SYNTAX,
                        "its operators are of set %llu, the oldest that is read is %d",
                        (unsigned long long)ret->set, LEAST_SET);
        if (rc == 0)
                rc = make(ret, graph, e);
        if (rc) {
                onnx_graph_finish(ret);
                return err_wrap(e, "the ONNX file cannot be taken");
        }
        return 0;
}

void onnx_graph_finish(struct onnx_graph *g)
{
        free(g->names);
        free(g->constants);
        free(g->lists);
        free(g->ops);
        free(g->tensors);
        free(g->inputs);
        free(g->outputs);
        *g = (struct onnx_graph){0};
}

bool onnx_graph_looks(const void *bytes, size_t len)
{
        static const char zeros[4];
        struct protobuf m = {bytes, len};
        struct protobuf_field f;
        if (len >= 8 && memcmp((const char *)bytes + 4, zeros, sizeof zeros) == 0)
                return false; /* safetensors: the length of a head */
        return protobuf_next(&m, &f, NULL) == 1 && f.number == MODEL_VERSION && f.kind == PROTOBUF_INT &&
               f.value > 0 && f.value < 1000;
}

const struct onnx_tensor *onnx_graph_constant(const struct onnx_graph *g, int name)
{
        return name >= 0 && g->constants[name] >= 0 ? &g->tensors[g->constants[name]] : NULL;
}

struct protobuf onnx_graph_note(const struct onnx_graph *g, const char *key)
{
        struct protobuf m = g->notes, found = {0};
        struct protobuf_field f;
        while (protobuf_next(&m, &f, NULL) == 1)
                if (f.number == MODEL_NOTE && protobuf_is(find(f.bytes, ENTRY_KEY).bytes, key))
                        found = find(f.bytes, ENTRY_VALUE).bytes;
        return found;
}

/* --- attributes --- */

static struct protobuf attribute(const struct onnx_op *op, const char *name)
{
        struct protobuf m = op->message;
        struct protobuf_field f;
        while (protobuf_next(&m, &f, NULL) == 1)
                if (f.number == NODE_ATTRIBUTE && protobuf_is(find(f.bytes, ATTRIBUTE_NAME).bytes, name))
                        return f.bytes;
        return (struct protobuf){0};
}

int64_t onnx_op_int(const struct onnx_op *op, const char *name, int64_t fallback)
{
        const struct protobuf_field f = find(attribute(op, name), ATTRIBUTE_INT);
        return f.number ? (int64_t)f.value : fallback;
}

float onnx_op_float(const struct onnx_op *op, const char *name, float fallback)
{
        const struct protobuf_field f = find(attribute(op, name), ATTRIBUTE_FLOAT);
        return f.number ? protobuf_as_float(f.value) : fallback;
}

struct protobuf onnx_op_text(const struct onnx_op *op, const char *name)
{
        return find(attribute(op, name), ATTRIBUTE_TEXT).bytes;
}

int onnx_op_ints(const struct onnx_op *op, const char *name, int64_t *out, int most, struct err *e)
{
        struct protobuf m = attribute(op, name);
        struct protobuf_field f;
        int count = 0, rc = 0;
        while (protobuf_next(&m, &f, NULL) == 1) {
                uint64_t v = f.value;
                if (f.number != ATTRIBUTE_INTS)
                        continue;
                while (f.kind != PROTOBUF_BYTES || (rc = protobuf_packed(&f.bytes, &v, e)) == 1) {
                        if (count == most)
                                return err_set(e, ERR_INVALID, "\"%s\" has more than %d numbers", name, most);
                        out[count++] = (int64_t)v;
                        if (f.kind != PROTOBUF_BYTES)
                                break;
                }
                if (rc < 0)
                        return rc;
        }
        return count;
}
