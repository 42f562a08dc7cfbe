/* Layer normalisation: y = (x - mean) / sqrt(variance + eps) * weight + bias over groups of `size` elements of a sample.

   A block has `groups` groups of `size` vectors of LANES samples, one behind the other. `saved` holds the mean of group g of
   block b at [(2 * (b*groups + g) + 0) * LANES + lane] and the inverse standard deviation behind it. Both are 0 for samples
   beyond n: they then give bias to y, and nothing to a sum. weight, bias and their gradients have `size` floats where
   `has_` says so.

   dx = (dy*weight - sum(dy*weight)/size - (x - mean)/std * sum(dy*weight * (x - mean)/std)/size) / std

   Without TILED: grid (groups * LANES or more, blocks), a work-item a group of a sample; gradients of the parameters: grid
   (size or more), a work-item an element.
   With ITEMS (LANES 32): grid (groups * ITEMS, blocks), a work-group a group of all samples of a block; grid (size * ITEMS).
   With TILED (LANES 16): grid (groups, blocks), a work-item a group of all samples of a block; grid (ceil(size / ELEMENTS)). */
#define PARAM(name) VIEW(name), const int has_##name
#define SAVED(b, g) (FROM(saved) + (ulong)(2 * ((b) * groups + (g))) * LANES)

#define FORWARD_ARGUMENTS \
        TENSOR(x), TENSOR(y), PARAM(weight), PARAM(bias), VIEW(saved), const int keep, const float eps, const int n, \
                const int groups, const int size
#define DX_ARGUMENTS \
        TENSOR(x), TENSOR(dy), TENSOR(dx), PARAM(weight), VIEW(saved), const int accumulate, const int n, const int groups, \
                const int size
#define DPARAMS_ARGUMENTS \
        TENSOR(x), TENSOR(dy), PARAM(dweight), PARAM(dbias), VIEW(saved), const int accumulate, const int n, \
                const int groups, const int size

#ifdef ITEMS
ITEMS_KERNEL void layer_norm_forward_local(FORWARD_ARGUMENTS)
{
        local float scratch[ITEMS];
        const int lane = get_local_id(0) % LANES, part = get_local_id(0) / LANES, g = get_group_id(0), b = get_group_id(1);
        global const float *x = AT(x, b) + (ulong)g * size * LANES + lane;
        global float *y = AT(y, b) + (ulong)g * size * LANES + lane;
        float mean = 0, rest = 0, squares = 0;
        for (int i = part; i < size; i += PARTS)
                mean += x[i * LANES];
        mean = sum_parts(scratch, mean) / (float)size;
        for (int i = part; i < size; i += PARTS) {
                const float d = x[i * LANES] - mean;
                rest += d; /* what rounding left in the mean */
                squares = fma(d, d, squares);
        }
        rest = sum_parts(scratch, rest);
        squares = sum_parts(scratch, squares) - rest * rest / (float)size;
        mean += rest / (float)size;
        const int inside = b * LANES + lane < n;
        const float inverse = inside ? 1.0f / sqrt(squares / (float)size + eps) : 0.0f;
        mean = inside ? mean : 0.0f;
        for (int i = part; i < size; i += PARTS)
                y[i * LANES] = fma((x[i * LANES] - mean) * inverse, has_weight ? FROM(weight)[i] : 1.0f,
                        has_bias ? FROM(bias)[i] : 0.0f);
        if (keep && part == 0) {
                SAVED(b, g)[lane] = mean;
                SAVED(b, g)[LANES + lane] = inverse;
        }
}

ITEMS_KERNEL void layer_norm_dx_local(DX_ARGUMENTS)
{
        local float scratch[ITEMS];
        const int lane = get_local_id(0) % LANES, part = get_local_id(0) / LANES, g = get_group_id(0), b = get_group_id(1);
        const ulong at = (ulong)g * size * LANES + lane;
        global const float *x = AT(x, b) + at, *dy = AT(dy, b) + at;
        global float *dx = AT(dx, b) + at;
        const float mean = SAVED(b, g)[lane], inverse = SAVED(b, g)[LANES + lane];
        float sum = 0, product = 0;
        for (int i = part; i < size; i += PARTS) {
                const float v = dy[i * LANES] * (has_weight ? FROM(weight)[i] : 1.0f);
                sum += v;
                product = fma(v, x[i * LANES] - mean, product);
        }
        const float shift = sum_parts(scratch, sum) / (float)size;
        const float slope = sum_parts(scratch, product) * inverse * inverse / (float)size;
        for (int i = part; i < size; i += PARTS) {
                const float v = dy[i * LANES] * (has_weight ? FROM(weight)[i] : 1.0f);
                const float d = inverse * (v - shift - (x[i * LANES] - mean) * slope);
                dx[i * LANES] = accumulate ? dx[i * LANES] + d : d;
        }
}

ITEMS_KERNEL void layer_norm_dparams_local(DPARAMS_ARGUMENTS)
{
        local float scratch[ITEMS];
        const int lane = get_local_id(0) % LANES, part = get_local_id(0) / LANES, i = get_group_id(0);
        const int all = (n + LANES - 1) / LANES * groups;
        float sum = 0, product = 0;
        for (int k = part; k < all; k += PARTS) {
                const int b = k / groups, g = k % groups;
                const ulong at = ((ulong)g * size + i) * LANES + lane;
                const float dy = AT(dy, b)[at];
                sum += dy;
                product = fma(dy, (AT(x, b)[at] - SAVED(b, g)[lane]) * SAVED(b, g)[LANES + lane], product);
        }
        sum = sum_items(scratch, sum, ITEMS);
        product = sum_items(scratch, product, ITEMS);
        if (get_local_id(0) == 0 && has_dweight)
                FROM(dweight)[i] = accumulate ? FROM(dweight)[i] + product : product;
        if (get_local_id(0) == 0 && has_dbias)
                FROM(dbias)[i] = accumulate ? FROM(dbias)[i] + sum : sum;
}
#elif !TILED
GROUP_KERNEL void layer_norm_forward(FORWARD_ARGUMENTS)
{
        const int lane = get_global_id(0) % LANES, g = get_global_id(0) / LANES, b = get_global_id(1);
        if (g >= groups)
                return;
        global const float *x = AT(x, b) + (ulong)g * size * LANES + lane;
        global float *y = AT(y, b) + (ulong)g * size * LANES + lane;
        float mean = 0, rest = 0, squares = 0;
        for (int i = 0; i < size; i++)
                mean += x[i * LANES];
        mean /= (float)size;
        for (int i = 0; i < size; i++) {
                const float d = x[i * LANES] - mean;
                rest += d; /* what rounding left in the mean */
                squares = fma(d, d, squares);
        }
        mean += rest / (float)size;
        squares -= rest * rest / (float)size;
        const int inside = b * LANES + lane < n;
        const float inverse = inside ? 1.0f / sqrt(squares / (float)size + eps) : 0.0f;
        mean = inside ? mean : 0.0f;
        for (int i = 0; i < size; i++)
                y[i * LANES] = fma((x[i * LANES] - mean) * inverse, has_weight ? FROM(weight)[i] : 1.0f,
                        has_bias ? FROM(bias)[i] : 0.0f);
        if (keep) {
                SAVED(b, g)[lane] = mean;
                SAVED(b, g)[LANES + lane] = inverse;
        }
}

GROUP_KERNEL void layer_norm_dx(DX_ARGUMENTS)
{
        const int lane = get_global_id(0) % LANES, g = get_global_id(0) / LANES, b = get_global_id(1);
        if (g >= groups)
                return;
        const ulong at = (ulong)g * size * LANES + lane;
        global const float *x = AT(x, b) + at, *dy = AT(dy, b) + at;
        global float *dx = AT(dx, b) + at;
        const float mean = SAVED(b, g)[lane], inverse = SAVED(b, g)[LANES + lane];
        float sum = 0, product = 0;
        for (int i = 0; i < size; i++) {
                const float v = dy[i * LANES] * (has_weight ? FROM(weight)[i] : 1.0f);
                sum += v;
                product = fma(v, x[i * LANES] - mean, product);
        }
        const float shift = sum / (float)size, slope = product * inverse * inverse / (float)size;
        for (int i = 0; i < size; i++) {
                const float v = dy[i * LANES] * (has_weight ? FROM(weight)[i] : 1.0f);
                const float d = inverse * (v - shift - (x[i * LANES] - mean) * slope);
                dx[i * LANES] = accumulate ? dx[i * LANES] + d : d;
        }
}

GROUP_KERNEL void layer_norm_dparams(DPARAMS_ARGUMENTS)
{
        const int i = get_global_id(0);
        if (i >= size)
                return;
        float sum = 0, product = 0;
        for (int b = 0; b * LANES < n; b++)
                for (int g = 0; g < groups; g++) {
                        const ulong at = ((ulong)g * size + i) * LANES;
                        global const float *x = AT(x, b) + at, *dy = AT(dy, b) + at, *saved = SAVED(b, g);
                        float part = 0, part_product = 0;
                        for (int lane = 0; lane < LANES; lane++) {
                                part += dy[lane];
                                part_product = fma(dy[lane], (x[lane] - saved[lane]) * saved[LANES + lane], part_product);
                        }
                        sum += part;
                        product += part_product;
                }
        if (has_dweight)
                FROM(dweight)[i] = accumulate ? FROM(dweight)[i] + product : product;
        if (has_dbias)
                FROM(dbias)[i] = accumulate ? FROM(dbias)[i] + sum : sum;
}
#elif LANES == 16
#define GROUP_OF(name) ((global float16 *)AT(name, get_global_id(1)) + (ulong)get_global_id(0) * size)
#define SAVED_LANES(b, g) ((global float16 *)SAVED(b, g))

ITEM_KERNEL void layer_norm_forward_tiled(FORWARD_ARGUMENTS)
{
        const int g = get_global_id(0), b = get_global_id(1);
        global const float16 *x = GROUP_OF(x);
        global float16 *y = GROUP_OF(y);
        lane_moments m = {0, 0, 0};
        add_plane(&m, x, size);
        const int16 inside = lanes_before(n - b * LANES);
        const float16 inverse = inside ? 1.0f / sqrt(m.m2 / (float)size + eps) : (float16)0;
        const float16 mean = inside ? m.mean : (float16)0;
        for (int i = 0; i < size; i++)
                y[i] = fma((x[i] - mean) * inverse, (float16)(has_weight ? FROM(weight)[i] : 1.0f),
                        (float16)(has_bias ? FROM(bias)[i] : 0.0f));
        if (keep) {
                SAVED_LANES(b, g)[0] = mean;
                SAVED_LANES(b, g)[1] = inverse;
        }
}

ITEM_KERNEL void layer_norm_dx_tiled(DX_ARGUMENTS)
{
        const int g = get_global_id(0), b = get_global_id(1);
        global const float16 *x = GROUP_OF(x), *dy = GROUP_OF(dy);
        global float16 *dx = GROUP_OF(dx);
        const float16 mean = SAVED_LANES(b, g)[0], inverse = SAVED_LANES(b, g)[1];
        float16 sum = 0, product = 0;
        for (int i = 0; i < size; i++) {
                const float16 v = dy[i] * (has_weight ? FROM(weight)[i] : 1.0f);
                sum += v;
                product = fma(v, x[i] - mean, product);
        }
        const float16 shift = sum / (float)size, slope = product * inverse * inverse / (float)size;
        for (int i = 0; i < size; i++) {
                const float16 v = dy[i] * (has_weight ? FROM(weight)[i] : 1.0f);
                const float16 d = inverse * (v - shift - (x[i] - mean) * slope);
                dx[i] = accumulate ? dx[i] + d : d;
        }
}

#define ELEMENTS 16

ITEM_KERNEL void layer_norm_dparams_tiled(DPARAMS_ARGUMENTS)
{
        const int from = get_global_id(0) * ELEMENTS, count = min(ELEMENTS, size - from);
        float16 sums[ELEMENTS], products[ELEMENTS];
        for (int i = 0; i < ELEMENTS; i++)
                sums[i] = products[i] = 0;
        for (int b = 0; b * LANES < n; b++)
                for (int g = 0; g < groups; g++) {
                        global const float16 *x = (global float16 *)AT(x, b) + (ulong)g * size + from;
                        global const float16 *dy = (global float16 *)AT(dy, b) + (ulong)g * size + from;
                        const float16 mean = SAVED_LANES(b, g)[0], inverse = SAVED_LANES(b, g)[1];
                        for (int i = 0; i < count; i++) {
                                sums[i] += dy[i];
                                products[i] = fma(dy[i], (x[i] - mean) * inverse, products[i]);
                        }
                }
        for (int i = 0; i < count; i++) {
                if (has_dweight)
                        FROM(dweight)[from + i] = (accumulate ? FROM(dweight)[from + i] : 0.0f) + sum_lanes(products[i]);
                if (has_dbias)
                        FROM(dbias)[from + i] = (accumulate ? FROM(dbias)[from + i] : 0.0f) + sum_lanes(sums[i]);
        }
}
#endif
