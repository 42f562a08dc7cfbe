/* Tables of hyperparameters: how a layer or an augmentation is spelt in JSON. */
#ifndef CNND_FIELD_H
#define CNND_FIELD_H

#include <stdbool.h>
#include <stddef.h>

/* A hyperparameter as it is spelt in JSON (PyTorch's spelling) and where it lies in the op's arguments. The
   table drives parsing, checking, defaults and GET /v1/architectures. */
enum op_field_type { OP_INT, OP_PAIR, OP_BOOL, OP_NUMBER, OP_CHOICE, OP_DIMS, OP_PADDING, OP_NUMBERS };
/* What OP_PADDING holds twice for "same", until the op knows what that is. "valid" is 0. */
enum { OP_SAME = -1 };
struct op_dims {
        int count, sizes[3];
};
struct op_field {
        const char *name;
        enum op_field_type type; /* int; int[2], written n or [h,w]; bool; double; int; struct op_dims,
                                    written n or a list; int[2], a pair or a word; double[2] */
        size_t offset;           /* in the arguments struct */
        bool required;
        double fallback; /* where absent and not required; NAN for a pair or an int means "as another field":
                            see the op */
        double min, max;
        const char *choices; /* of OP_CHOICE: words with spaces between; the first is number 0 */
};

/* What stands in the arguments where the field is absent. `field` is its place there. */
void op_field_default(const struct op_field *f, void *field);

#endif
