#include "model/onnx_tensor.h"

#include "base/half.h"

#include <string.h>

/* Fields of onnx.proto. */
enum {
        TENSOR_DIMS = 1,
        TENSOR_TYPE = 2,
        TENSOR_FLOATS = 4,
        TENSOR_INT32S = 5,
        TENSOR_INT64S = 7,
        TENSOR_RAW = 9,
        TENSOR_DOUBLES = 10,
        TENSOR_PLACE = 14
};

static size_t bytes_of(int type)
{
        switch (type) {
        case ONNX_F16:
        case ONNX_BF16:
                return 2;
        case ONNX_F32:
        case ONNX_I32:
                return 4;
        case ONNX_I64:
        case ONNX_F64:
                return 8;
        default:
                return 0;
        }
}

static int too_few(const struct onnx_tensor *t, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "it has not the %zu numbers of its shape", t->count);
}

/* Number i of the raw ones, as bits. */
static uint64_t raw_bits(const struct onnx_tensor *t, size_t size, size_t i)
{
        const unsigned char *p = (const unsigned char *)t->raw.at + i * size;
        uint64_t bits = 0;
        for (size_t k = 0; k < size; k++)
                bits |= (uint64_t)p[k] << 8 * k;
        return bits;
}

/* And of those that are packed: floats and doubles at their width, all others as numbers. */
static int packed_bits(struct protobuf *m, int type, uint64_t *ret, struct err *e)
{
        const size_t size = type == ONNX_F32 ? 4 : type == ONNX_F64 ? 8 : 0;
        if (size == 0)
                return protobuf_packed(m, ret, e);
        if (m->len < size)
                return 0;
        *ret = 0;
        for (size_t k = 0; k < size; k++)
                *ret |= (uint64_t)(unsigned char)m->at[k] << 8 * k;
        m->at += size;
        m->len -= size;
        return 1;
}

static float to_float(int type, uint64_t bits)
{
        double wide;
        switch (type) {
        case ONNX_F16:
                return half_from_f16((uint16_t)bits);
        case ONNX_BF16:
                return half_from_bf16((uint16_t)bits);
        case ONNX_F64:
                memcpy(&wide, &bits, sizeof wide);
                return (float)wide;
        default:
                return protobuf_as_float(bits);
        }
}

/* Calls for each number's bits in turn. */
static int each_number(const struct onnx_tensor *t,
        void (*take)(void *out, size_t i, int type, uint64_t bits), void *out, struct err *e)
{
        const size_t size = bytes_of(t->type);
        struct protobuf m = t->packed;
        uint64_t bits = 0;
        if (t->raw.at && t->raw.len != t->count * size)
                return too_few(t, e);
        for (size_t i = 0; i < t->count; i++) {
                if (t->raw.at)
                        bits = raw_bits(t, size, i);
                else if (packed_bits(&m, t->type, &bits, NULL) != 1)
                        return too_few(t, e);
                take(out, i, t->type, bits);
        }
        return 0;
}

static void take_float(void *out, size_t i, int type, uint64_t bits)
{
        ((float *)out)[i] = to_float(type, bits);
}

static void take_int(void *out, size_t i, int type, uint64_t bits)
{
        ((int64_t *)out)[i] = type == ONNX_I32 ? (int32_t)(uint32_t)bits : (int64_t)bits;
}

bool onnx_type_is_float(int type)
{
        return type == ONNX_F32 || type == ONNX_F16 || type == ONNX_BF16 || type == ONNX_F64;
}

int onnx_tensor_floats(const struct onnx_tensor *t, float *out, struct err *e)
{
        if (!onnx_type_is_float(t->type))
                return err_set(e, ERR_INVALID, "it has no floats, but data of type %d", t->type);
        return each_number(t, take_float, out, e);
}

int onnx_tensor_ints(const struct onnx_tensor *t, int64_t *out, struct err *e)
{
        if (t->type != ONNX_I64 && t->type != ONNX_I32)
                return err_set(e, ERR_INVALID, "it has no whole numbers, but data of type %d", t->type);
        return each_number(t, take_int, out, e);
}

static int add_dim(struct onnx_tensor *t, uint64_t dim, struct err *e)
{
        if (t->ndim == ONNX_MAX_DIMS)
                return err_set(e, ERR_INVALID, "a tensor of more than %d dimensions", ONNX_MAX_DIMS);
        if (dim > INT32_MAX || (dim && t->count > (size_t)INT32_MAX / dim))
                return err_set(e, ERR_INVALID, "a tensor of more than %d numbers", INT32_MAX);
        t->dims[t->ndim++] = (int64_t)dim;
        t->count *= (size_t)dim;
        return 0;
}

int onnx_tensor_parse(struct protobuf m, struct onnx_tensor *ret, struct err *e)
{
        struct onnx_tensor t = {.count = 1};
        struct protobuf_field f;
        uint64_t dim;
        int rc;
        while ((rc = protobuf_next(&m, &f, e)) == 1) {
                switch (f.number) {
                case TENSOR_DIMS:
                        if (f.kind != PROTOBUF_BYTES)
                                rc = add_dim(&t, f.value, e);
                        else
                                while ((rc = protobuf_packed(&f.bytes, &dim, e)) == 1)
                                        if ((rc = add_dim(&t, dim, e)) != 0)
                                                break;
                        break;
                case TENSOR_TYPE:
                        t.type = (int)f.value;
                        break;
                case TENSOR_RAW:
                        t.raw = f.bytes;
                        break;
                case TENSOR_FLOATS:
                case TENSOR_INT32S:
                case TENSOR_INT64S:
                case TENSOR_DOUBLES:
                        t.packed = f.bytes;
                        break;
                case TENSOR_PLACE:
                        if (f.value)
                                return err_set(e, ERR_INVALID,
                                        "its weights lie in another file (\"external data\"): write it as "
                                        "one "
                                        "file, in PyTorch by torch.onnx.export(…, external_data=False)");
                        break;
                default:
                        break;
                }
                if (rc < 0)
                        return rc;
        }
        *ret = t;
        return rc;
}
