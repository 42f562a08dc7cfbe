/* Branches that meet: y = a + b, and a copy. Tensors of one shape; y may be a or b.
   `count` is the number of floats in a block, padding lanes included. Grids: elementwise.h. */
#if !TILED
GROUP_KERNEL void join_add(TENSOR(a), TENSOR(b), TENSOR(y), const int count, const int activation)
{
        const size_t i = get_global_id(0), block = get_global_id(1);
        if (i < count)
                AT(y, block)[i] = activate(AT(a, block)[i] + AT(b, block)[i], activation);
}

GROUP_KERNEL void join_copy(TENSOR(source), TENSOR(target), const int count, const int accumulate)
{
        const size_t i = get_global_id(0), block = get_global_id(1);
        if (i < count)
                AT(target, block)[i] = accumulate ? AT(target, block)[i] + AT(source, block)[i] : AT(source, block)[i];
}
#else
VECTORS_KERNEL void join_add_tiled(TENSOR(a), TENSOR(b), TENSOR(y), const int count, const int activation)
{
        global const vector_t *a = VECTORS_OF(a), *b = VECTORS_OF(b);
        global vector_t *y = VECTORS_OF(y);
        RANGE;
        if (activation == NO_ACTIVATION)
                for (int i = from; i < to; i++)
                        y[i] = a[i] + b[i];
        else
                for (int i = from; i < to; i++)
                        y[i] = activate_lanes(a[i] + b[i], activation);
}

VECTORS_KERNEL void join_copy_tiled(TENSOR(source), TENSOR(target), const int count, const int accumulate)
{
        global const vector_t *source = VECTORS_OF(source);
        global vector_t *target = VECTORS_OF(target);
        RANGE;
        if (accumulate)
                for (int i = from; i < to; i++)
                        target[i] += source[i];
        else
                for (int i = from; i < to; i++)
                        target[i] = source[i];
}
#endif
