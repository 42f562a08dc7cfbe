#include "ops/field.h"

#include <math.h>
#include <string.h>

void op_field_default(const struct op_field *f, void *field)
{
        const int number = isnan(f->fallback) ? 0 : (int)f->fallback;
        switch (f->type) {
        case OP_INT:
        case OP_CHOICE:
                memcpy(field, &number, sizeof number);
                break;
        case OP_PAIR:
        case OP_PADDING:
                memcpy(field, (int[2]){number, number}, 2 * sizeof number);
                break;
        case OP_BOOL:
                memcpy(field, &(bool){number != 0}, sizeof(bool));
                break;
        case OP_NUMBER:
                memcpy(field, &f->fallback, sizeof f->fallback);
                break;
        case OP_NUMBERS:
                memcpy(field, (double[2]){f->fallback, f->fallback}, 2 * sizeof f->fallback);
                break;
        case OP_DIMS:
                memset(field, 0, sizeof(struct op_dims));
                break;
        }
}
