#include "model/onnx.h"

#include "model/protobuf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian"
#endif

enum { IR_VERSION = 8, OPERATOR_SET = 17 };

/* Numbers of fields, by message. */
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_DOC = 6, MODEL_GRAPH = 7, MODEL_SETS = 8, MODEL_NOTES = 14 };
enum { SET_VERSION = 2 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_WEIGHT = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_TYPE = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_FLOAT = 2, ATTRIBUTE_INT = 3, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TYPE_FLOAT = 1, TYPE_INT = 2, TYPE_INTS = 7 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };
enum { FLOAT_TYPE = 1, INT64_TYPE = 7 };
enum { FACE_NAME = 1, FACE_TYPE = 2, FACE_TENSOR = 1, FACE_ELEMENT = 1, FACE_SHAPE = 2 };
enum { SHAPE_SIDE = 1, SIDE_VALUE = 1, SIDE_NAME = 2 };

void onnx_free(struct onnx *o)
{
        str_free(&o->nodes);
        str_free(&o->faces);
        str_free(&o->metadata);
        str_free(&o->text);
        free(o->pieces);
        *o = (struct onnx){0};
}

struct onnx_node onnx_begin(const char *type, const char *name, const char *inputs, const char *output)
{
        struct onnx_node n = {{0}};
        while (*inputs) {
                const size_t len = strcspn(inputs, " ");
                protobuf_bytes(&n.fields, NODE_INPUT, inputs, len);
                inputs += len + (inputs[len] == ' ');
        }
        protobuf_text(&n.fields, NODE_OUTPUT, output);
        protobuf_text(&n.fields, NODE_NAME, name);
        protobuf_text(&n.fields, NODE_TYPE, type);
        return n;
}

static void add_attribute(struct onnx_node *n, const char *name, int type, struct str *fields)
{
        protobuf_text(fields, ATTRIBUTE_NAME, name);
        protobuf_int(fields, ATTRIBUTE_TYPE, (uint64_t)type);
        protobuf_message(&n->fields, NODE_ATTRIBUTE, fields);
}

void onnx_int(struct onnx_node *n, const char *attribute, int64_t value)
{
        struct str s = {0};
        protobuf_int(&s, ATTRIBUTE_INT, (uint64_t)value);
        add_attribute(n, attribute, TYPE_INT, &s);
}

void onnx_ints(struct onnx_node *n, const char *attribute, const int *values, int count)
{
        struct str s = {0};
        for (int i = 0; i < count; i++)
                protobuf_int(&s, ATTRIBUTE_INTS, (uint64_t)(int64_t)values[i]);
        add_attribute(n, attribute, TYPE_INTS, &s);
}

void onnx_float(struct onnx_node *n, const char *attribute, float value)
{
        struct str s = {0};
        protobuf_float(&s, ATTRIBUTE_FLOAT, value);
        add_attribute(n, attribute, TYPE_FLOAT, &s);
}

void onnx_end(struct onnx *o, struct onnx_node *n)
{
        protobuf_message(&o->nodes, GRAPH_NODE, &n->fields);
}

/* A weight's message but for its `bytes` bytes of numbers, which come next. */
static void begin_tensor(
        struct onnx *o, const char *name, int type, const int *dims, int ndim, uint64_t bytes)
{
        struct str s = {0};
        for (int i = 0; i < ndim; i++)
                protobuf_int(&s, TENSOR_DIMS, (uint64_t)dims[i]);
        protobuf_int(&s, TENSOR_TYPE, (uint64_t)type);
        protobuf_text(&s, TENSOR_NAME, name);
        protobuf_head(&s, TENSOR_RAW, bytes);
        protobuf_head(&o->text, GRAPH_WEIGHT, s.len + bytes);
        str_add_bytes(&o->text, s.data, s.len);
        o->failed = o->failed || s.failed;
        str_free(&s);
}

void onnx_floats(struct onnx *o, const char *name, const int *dims, int ndim, const float *values)
{
        size_t count = 1;
        for (int i = 0; i < ndim; i++)
                count *= (size_t)dims[i];
        begin_tensor(o, name, FLOAT_TYPE, dims, ndim, count * sizeof *values);
        str_add_bytes(&o->text, values, count * sizeof *values);
}

void onnx_longs(struct onnx *o, const char *name, const int *values, int count)
{
        begin_tensor(o, name, INT64_TYPE, &count, 1, (uint64_t)count * sizeof(int64_t));
        for (int i = 0; i < count; i++) {
                const int64_t v = values[i];
                str_add_bytes(&o->text, &v, sizeof v);
        }
}

void onnx_stored(struct onnx *o, const char *name, const int *dims, int ndim, uint64_t offset, uint64_t bytes)
{
        begin_tensor(o, name, FLOAT_TYPE, dims, ndim, bytes);
        if (o->count == o->cap) {
                const int cap = o->cap ? 2 * o->cap : 32;
                struct onnx_piece *grown = realloc(o->pieces, (size_t)cap * sizeof *grown);
                if (!grown) {
                        o->failed = true;
                        return;
                }
                o->pieces = grown;
                o->cap = cap;
        }
        o->pieces[o->count++] =
                (struct onnx_piece){.text_end = o->text.len, .offset = offset, .bytes = bytes};
        o->weights += bytes;
}

static void add_face(struct onnx *o, int field, const char *name, const int *dims, int ndim)
{
        struct str face = {0}, type = {0}, tensor = {0}, shape = {0};
        for (int i = 0; i < ndim; i++) {
                struct str side = {0};
                if (i == 0)
                        protobuf_text(&side, SIDE_NAME, "N");
                else
                        protobuf_int(&side, SIDE_VALUE, (uint64_t)dims[i]);
                protobuf_message(&shape, SHAPE_SIDE, &side);
        }
        protobuf_int(&tensor, FACE_ELEMENT, FLOAT_TYPE);
        protobuf_message(&tensor, FACE_SHAPE, &shape);
        protobuf_message(&type, FACE_TENSOR, &tensor);
        protobuf_text(&face, FACE_NAME, name);
        protobuf_message(&face, FACE_TYPE, &type);
        protobuf_message(&o->faces, field, &face);
}

void onnx_input(struct onnx *o, const char *name, const int *dims, int ndim)
{
        add_face(o, GRAPH_INPUT, name, dims, ndim);
}

void onnx_output(struct onnx *o, const char *name, const int *dims, int ndim)
{
        add_face(o, GRAPH_OUTPUT, name, dims, ndim);
}

void onnx_note(struct onnx *o, const char *key, const char *value)
{
        struct str s = {0};
        protobuf_text(&s, PAIR_KEY, key);
        protobuf_text(&s, PAIR_VALUE, value);
        protobuf_message(&o->metadata, MODEL_NOTES, &s);
}

/* All before the weights. */
static void write_head(const struct onnx *o, const char *graph, const char *doc, struct str *out)
{
        struct str set = {0}, name = {0};
        protobuf_text(&name, GRAPH_NAME, graph);
        protobuf_int(&set, SET_VERSION, OPERATOR_SET);
        protobuf_int(out, MODEL_IR, IR_VERSION);
        protobuf_text(out, MODEL_PRODUCER, "cnnd");
        protobuf_text(out, MODEL_DOC, doc);
        protobuf_message(out, MODEL_SETS, &set);
        str_add_bytes(out, o->metadata.data, o->metadata.len);
        protobuf_head(out, MODEL_GRAPH, name.len + o->nodes.len + o->faces.len + o->text.len + o->weights);
        str_add_bytes(out, name.data, name.len);
        str_add_bytes(out, o->nodes.data, o->nodes.len);
        str_add_bytes(out, o->faces.data, o->faces.len);
        out->failed = out->failed || name.failed || o->nodes.failed || o->faces.failed || o->metadata.failed;
        str_free(&name);
}

int onnx_finish(struct onnx *o, const char *graph, const char *doc, uint64_t *ret_size, struct err *e)
{
        struct str whole = {0};
        write_head(o, graph, doc, &whole);
        const size_t head = whole.len;
        str_add_bytes(&whole, o->text.data, o->text.len);
        const bool failed = o->failed || o->text.failed || whole.failed;
        const uint64_t size = whole.len + o->weights;
        str_free(&o->text);
        o->text = whole;
        if (failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for an ONNX file");
        if (size > ONNX_MAX_BYTES)
                return err_set(e, ERR_INVALID,
                        "the ONNX file would have %llu bytes, which none of its readers takes: the most is "
                        "%llu",
                        (unsigned long long)size, (unsigned long long)ONNX_MAX_BYTES);
        uint64_t start = 0;
        size_t begin = 0;
        for (int i = 0; i < o->count; i++) {
                struct onnx_piece *p = &o->pieces[i];
                p->text_end += head;
                p->start = start;
                start += p->text_end - begin + p->bytes;
                begin = p->text_end;
        }
        *ret_size = size;
        return 0;
}

static ssize_t copy(const char *from, size_t len, void *out, size_t max)
{
        const size_t n = len < max ? len : max;
        memcpy(out, from, n);
        return (ssize_t)n;
}

/* The piece whose text begins at `at` or before; -1 where there is none at all. */
static int piece_of(const struct onnx *o, uint64_t at)
{
        int low = -1, high = o->count;
        while (high - low > 1) {
                const int middle = (low + high) / 2;
                if (o->pieces[middle].start <= at)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

ssize_t onnx_read(const struct onnx *o, int fd, uint64_t at, void *out, size_t max)
{
        const int i = piece_of(o, at);
        const size_t begin = i > 0 ? o->pieces[i - 1].text_end : 0;
        const struct onnx_piece whole = {.text_end = o->text.len}, *p = i < 0 ? &whole : &o->pieces[i];
        uint64_t past = at - p->start;
        if (past < p->text_end - begin)
                return copy(o->text.data + begin + past, p->text_end - begin - past, out, max);
        past -= p->text_end - begin;
        if (past < p->bytes) {
                const uint64_t left = p->bytes - past;
                const ssize_t n = pread(fd, out, left < max ? left : max, (off_t)(p->offset + past));
                if (n == 0)
                        errno = ENODATA;
                return n == 0 ? -1 : n;
        }
        past -= p->bytes; /* behind the last piece */
        return past < o->text.len - p->text_end
                       ? copy(o->text.data + p->text_end + past, o->text.len - p->text_end - past, out, max)
                       : 0;
}
