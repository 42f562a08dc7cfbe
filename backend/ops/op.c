#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct op_kind *op_kind_find(const char *type)
{
        for (int i = 0; i < op_kinds_count; i++)
                if (!op_kinds[i]->internal && strcmp(op_kinds[i]->type, type) == 0)
                        return op_kinds[i];
        return NULL;
}

int op_create(const struct op_kind *kind, const void *args, const struct shape *in, int num_inputs,
        struct op **ret, struct err *e)
{
        struct op *op = calloc(1, sizeof *op);
        if (!op || !(op->args = calloc(1, kind->args_bytes ? kind->args_bytes : 1))) {
                op_destroy(op);
                return err_set(e, ERR_NO_MEMORY, "no memory for a layer");
        }
        op->kind = kind;
        if (args)
                memcpy(op->args, args, kind->args_bytes);
        else
                for (const struct op_field *f = kind->fields; f->name; f++)
                        op_field_default(f, (char *)op->args + f->offset);
        op->num_inputs = num_inputs;
        for (int i = 0; i < num_inputs; i++)
                op->in[i] = in[i];
        int rc = kind->shape(op, e);
        if (rc) {
                op_destroy(op);
                return rc;
        }
        *ret = op;
        return 0;
}

void op_destroy(struct op *op)
{
        if (!op)
                return;
        free(op->args);
        free(op);
}

int64_t op_param_count(const struct op_param *p)
{
        int64_t count = 1;
        for (int i = 0; i < p->ndim; i++)
                count *= p->dims[i];
        return count;
}

int op_group_items(const struct dev_info *info, int most)
{
        int items = TENSOR_MAX_LANES;
        if (info->max_work_group < TENSOR_MAX_LANES)
                return 0;
        while (2 * items <= most && (size_t)(2 * items) <= info->max_work_group)
                items *= 2;
        return items;
}

enum op_variant op_variant_of(const struct op *op, const struct op_call *c, enum op_direction direction)
{
        const int lanes = direction == OP_FORWARD ? c->y.lanes : c->dy.lanes;
        const unsigned set = op->kind->variants(op, direction, lanes, dev_info(c->dev));
        enum op_variant v = c->variants[direction];
        if (v > OP_TILED && c->precision != OP_FP32)
                v = OP_TILED;
        while (v > OP_NAIVE && !(set & 1u << v))
                v--;
        return v;
}

const char *op_options(char *out, int lanes, const char *fmt, ...)
{
        int n = snprintf(out, OP_OPTIONS, "-DLANES=%d", lanes);
        if (fmt) {
                va_list ap;
                out[n++] = ' ';
                va_start(ap, fmt);
                vsnprintf(out + n, (size_t)(OP_OPTIONS - n), fmt, ap);
                va_end(ap);
        }
        return out;
}

struct launch op_begin_layer(struct dev *d, int lanes, bool tiled, const char *kernel)
{
        char options[OP_OPTIONS];
        return launch_begin(d, "layers", op_options(options, lanes, "-DTILED=%d", tiled), kernel);
}
