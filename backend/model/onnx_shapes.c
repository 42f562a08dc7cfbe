/* What gives tensors another shape, and the whole numbers that shapes are worked out from. */
#include "model/onnx_reading.h"

#include <stdlib.h>
#include <string.h>

/* --- numbers that are known --- */

int onnx_known_ints(const struct onnx_reading *r, int k, int64_t ret[ONNX_KNOWN])
{
        const int name = onnx_input_name(r, k);
        const struct onnx_tensor *t = onnx_graph_constant(&r->graph, name);
        if (t && t->ndim <= 1 && t->count <= ONNX_KNOWN && onnx_tensor_ints(t, ret, NULL) == 0)
                return (int)t->count;
        if (t || name < 0 || r->known[name].count < 0)
                return -1;
        memcpy(ret, r->known[name].numbers, sizeof r->known[name].numbers);
        return r->known[name].count;
}

static int know(struct onnx_reading *r, const int64_t *numbers, int count)
{
        if (r->op->num_outputs < 1 || r->op->outputs[0] < 0)
                return onnx_refuse(r, "it gives nothing");
        struct onnx_known *k = &r->known[r->op->outputs[0]];
        k->count = count;
        memcpy(k->numbers, numbers, (size_t)count * sizeof *numbers);
        return 0;
}

int onnx_axes(struct onnx_reading *r, int rank, int64_t ret[ONNX_KNOWN])
{
        int n = onnx_op_ints(r->op, "axes", ret, ONNX_KNOWN, r->e);
        if (n == 0 && onnx_input_name(r, 1) >= 0)
                n = onnx_known_ints(r, 1, ret);
        if (n < 0)
                return onnx_refuse(r, "its axes are not known");
        for (int i = 0; i < n; i++) {
                ret[i] += ret[i] < 0 ? rank : 0;
                if (ret[i] < 0 || ret[i] >= rank)
                        return onnx_refuse(r, "its axes are not those of its input");
        }
        return n;
}

int onnx_shape(struct onnx_reading *r)
{
        struct onnx_edge from;
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        const struct onnx_value v = r->values[from.value];
        const int64_t images = r->batch > 0 ? r->batch : ONNX_BATCH;
        int64_t dims[4] = {images, v.c, v.h, v.w};
        if (from.rank == 4 && from.last) {
                dims[1] = v.h;
                dims[2] = v.w;
                dims[3] = v.c;
        }
        int64_t start = onnx_op_int(r->op, "start", 0), end = onnx_op_int(r->op, "end", from.rank);
        start += start < 0 ? from.rank : 0;
        end += end < 0 ? from.rank : 0;
        if (start < 0 || end > from.rank || start > end)
                return onnx_refuse(r, "it does not tell a part of a shape");
        return know(r, dims + start, (int)(end - start));
}

int onnx_gather(struct onnx_reading *r)
{
        int64_t from[ONNX_KNOWN], which[ONNX_KNOWN], got[ONNX_KNOWN];
        const int n = onnx_known_ints(r, 0, from), count = onnx_known_ints(r, 1, which);
        if (n < 0 || count < 0 || onnx_op_int(r->op, "axis", 0) != 0)
                return onnx_refuse(r, "only numbers of a shape can be gathered");
        for (int i = 0; i < count; i++) {
                const int64_t at = which[i] + (which[i] < 0 ? n : 0);
                if (at < 0 || at >= n)
                        return onnx_refuse(r, "it gathers what is not there");
                got[i] = from[at];
        }
        return know(r, got, count);
}

int onnx_slice(struct onnx_reading *r)
{
        int64_t from[ONNX_KNOWN], bounds[4][ONNX_KNOWN] = {{0}, {0}, {0}, {1}};
        static const char *const names[] = {"starts", "ends", "axes"};
        const int n = onnx_known_ints(r, 0, from);
        for (int i = 0; i < 4; i++) {
                int count = i < 3 ? onnx_op_ints(r->op, names[i], bounds[i], 1, r->e) : 0;
                if (count == 0 && onnx_input_name(r, i + 1) >= 0)
                        count = onnx_known_ints(r, i + 1, bounds[i]);
                if (n < 0 || count < 0 || count > 1 || (i < 2 && count != 1))
                        return onnx_refuse(r, "only the numbers of a shape can be cut");
        }
        int64_t start = bounds[0][0], end = bounds[1][0];
        start += start < 0 ? n : 0;
        end = end < 0 ? end + n : end > n ? n : end;
        if (bounds[2][0] != 0 || bounds[3][0] != 1 || start < 0 || start > end || end > n)
                return onnx_refuse(r, "it cuts what is not there");
        return know(r, from + start, (int)(end - start));
}

static int join_known(struct onnx_reading *r)
{
        int64_t all[ONNX_KNOWN], part[ONNX_KNOWN];
        int count = 0;
        for (int k = 0; k < r->op->num_inputs; k++) {
                const int n = onnx_known_ints(r, k, part);
                if (n < 0 || count + n > ONNX_KNOWN)
                        return onnx_refuse(r, "only the numbers of a shape, or tensors, can be joined");
                memcpy(all + count, part, (size_t)n * sizeof *part);
                count += n;
        }
        return know(r, all, count);
}

/* --- joins --- */

int onnx_concat(struct onnx_reading *r)
{
        enum { MOST = 1024 };
        struct onnx_edge first, from;
        struct onnx_step *s;
        int values[MOST], shape[3] = {0};
        if (!onnx_is_edge(r, 0))
                return join_known(r);
        int rc = onnx_take(r, 0, false, &first);
        if (rc)
                return rc;
        int64_t axis = onnx_op_int(r->op, "axis", 1);
        axis += axis < 0 ? first.rank : 0;
        const bool flat = first.rank == 2;
        if (axis != (first.last && !flat ? 3 : 1) || (flat && first.last) || r->op->num_inputs > MOST)
                return onnx_refuse(r, "it does not join channels");
        for (int k = 0; k < r->op->num_inputs; k++) {
                rc = onnx_take(r, k, false, &from);
                if (rc)
                        return rc;
                const struct onnx_value *v = &r->values[from.value];
                if (from.rank != first.rank || from.last != first.last)
                        return onnx_refuse(r, "its inputs are of different shapes");
                if (k && (v->h != shape[1] || v->w != shape[2]))
                        return onnx_refuse(r, "%dx%dx%d cannot be joined with %dx%dx%d", v->c, v->h, v->w,
                                shape[0], shape[1], shape[2]);
                if (v->c > (1 << 30) - shape[0])
                        return onnx_refuse(r, "it joins too many channels");
                values[k] = from.value;
                shape[0] += v->c;
                shape[1] = v->h;
                shape[2] = v->w;
        }
        if (r->op->num_inputs == 1)
                return onnx_give(r, first);
        rc = onnx_step(r, ONNX_CONCAT, values, r->op->num_inputs, shape, &s);
        if (rc)
                return rc;
        first.value = s->output;
        return onnx_give(r, first);
}

/* --- shapes --- */

static int flatten(struct onnx_reading *r, const struct onnx_edge *from)
{
        struct onnx_edge to = *from;
        struct onnx_step *s;
        const struct onnx_value v = r->values[from->value];
        if (from->rank == 2)
                return onnx_give(r, to);
        if (v.h == 1 && v.w == 1) { /* numbers already: no layer, for others may read them as images */
                to.rank = 2;
                to.last = false;
                return onnx_give(r, to);
        }
        if ((double)v.c * v.h * v.w > INT32_MAX)
                return onnx_refuse(r, "it gives too many numbers");
        int rc = onnx_layer(r, "flatten", from, (const int[3]){v.c * v.h * v.w, 1, 1}, &s);
        if (rc)
                return rc;
        to = r->edges[r->op->outputs[0]];
        to.rank = 2;
        to.last = from->last && v.h * v.w > 1;
        to.c = v.c;
        to.h = v.h;
        to.w = v.w;
        return onnx_give(r, to);
}

int onnx_flatten(struct onnx_reading *r)
{
        struct onnx_edge from;
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        const int64_t axis = onnx_op_int(r->op, "axis", 1);
        if (axis != 1 && axis != 1 - from.rank)
                return onnx_refuse(r, "it flattens other dimensions than those of one image");
        return flatten(r, &from);
}

/* Whether a number of a new shape is that size: so, left as it is (0) or left open (-1). */
static bool fits(int64_t number, int64_t size, bool same_place)
{
        return number == size || number == -1 || (number == 0 && same_place);
}

int onnx_reshape(struct onnx_reading *r)
{
        struct onnx_edge from;
        int64_t to[ONNX_KNOWN];
        int n = onnx_op_ints(r->op, "shape", to, ONNX_KNOWN, r->e);
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        if (n == 0)
                n = onnx_known_ints(r, 1, to);
        if (n < 1)
                return onnx_refuse(r, "the shape is not known before it runs");
        const struct onnx_value v = r->values[from.value];
        const int64_t all = (int64_t)v.c * v.h * v.w;
        const bool images =
                to[0] == ONNX_BATCH || fits(to[0], r->batch, true) || (n == 2 && to[0] == 1 && r->batch < 0);
        if (images && n == 2 && fits(to[1], all, from.rank == 2))
                return flatten(r, &from);
        for (int last = 0; last < 2 && images && n == 4; last++) {
                const int64_t dims[3] = {last ? v.h : v.c, last ? v.w : v.h, last ? v.c : v.w};
                const bool was = from.rank == 4 && from.last == last;
                const bool alike = v.c == 1 || (v.h == 1 && v.w == 1); /* either order */
                if (!fits(to[1], dims[0], was || (from.rank == 2 && !last)) || !fits(to[2], dims[1], was) ||
                        !fits(to[3], dims[2], was) || (from.last != last && !alike) ||
                        (from.rank == 2 && from.last))
                        continue;
                from.rank = 4;
                from.last = last;
                return onnx_give(r, from);
        }
        return onnx_refuse(r, "it gives %dx%dx%d another shape than one flat line of numbers", v.c, v.h, v.w);
}

int onnx_squeeze(struct onnx_reading *r)
{
        struct onnx_edge from;
        int64_t known[ONNX_KNOWN], axes[ONNX_KNOWN];
        const bool adds = protobuf_is(r->op->type, "Unsqueeze");
        const int n = onnx_known_ints(r, 0, known);
        if (n >= 0)
                return know(r, known, n);
        int rc = onnx_take(r, 0, false, &from);
        const int count = rc ? rc : onnx_axes(r, 4, axes);
        if (count < 0)
                return count;
        const struct onnx_value v = r->values[from.value];
        const int64_t first = from.last && from.rank == 4 ? 1 : 2;
        const bool both =
                count == 2 && axes[0] + axes[1] == 2 * first + 1 && (axes[0] == first || axes[1] == first);
        if (v.h != 1 || v.w != 1 || from.rank != (adds ? 2 : 4) ||
                !(both || (count == 0 && !adds && r->batch != 1)))
                return onnx_refuse(r, "it takes away or adds other dimensions than a height and width of 1");
        if (!adds)
                return flatten(r, &from);
        if (from.last)
                return onnx_refuse(r, "its input was flattened with its channels last");
        from.rank = 4;
        return onnx_give(r, from);
}

int onnx_transpose(struct onnx_reading *r)
{
        static const int64_t to_first[4] = {0, 3, 1, 2}, to_last[4] = {0, 2, 3, 1}, none[4] = {0, 1, 2, 3};
        struct onnx_edge from;
        int64_t perm[4];
        int rc = onnx_take(r, 0, false, &from);
        if (rc)
                return rc;
        const int n = onnx_op_ints(r->op, "perm", perm, 4, r->e);
        const struct onnx_value v = r->values[from.value];
        if (from.rank == 4 && n == 4) {
                if (memcmp(perm, none, sizeof perm) == 0)
                        return onnx_give(r, from);
                if (memcmp(perm, from.last ? to_first : to_last, sizeof perm) == 0) {
                        from.last = !from.last;
                        return onnx_give(r, from);
                }
                if (v.h == 1 && v.w == 1 && perm[0] == 0 && !from.last)
                        return onnx_refuse(r, "it mixes up channels with places");
        }
        return onnx_refuse(r, "it does not move the channels of images to their end, or back");
}

/* One number, many times: a constant. */
int onnx_expand(struct onnx_reading *r)
{
        enum { MOST = 1 << 24 };
        struct onnx_tensor made = {.type = ONNX_F32, .count = 1};
        const struct onnx_tensor *t;
        int64_t dims[ONNX_KNOWN];
        float *one;
        const int n = onnx_known_ints(r, 1, dims);
        int rc = onnx_take_floats(r, 0, &t, &one);
        if (rc)
                return rc;
        const float v = one[0];
        const bool single = t->count == 1;
        free(one);
        for (int i = 0; i < n; i++) {
                if (dims[i] < 1 || dims[i] > MOST || (int64_t)made.count * dims[i] > MOST)
                        return onnx_refuse(r, "it gives more than %d numbers", MOST);
                made.dims[made.ndim++] = dims[i];
                made.count *= (size_t)dims[i];
        }
        r->made_numbers += made.count;
        if (r->made_numbers > MOST)
                return onnx_refuse(r, "the file works out more than %d numbers", MOST);
        if (n < 1 || !single || r->op->num_outputs < 1 || r->op->outputs[0] < 0)
                return onnx_refuse(r, "it does not repeat one number");
        float *all = malloc(made.count * sizeof *all);
        if (!all)
                return onnx_no_memory(r);
        r->made[r->num_made++] = all;
        for (size_t i = 0; i < made.count; i++)
                all[i] = v;
        made.raw = (struct protobuf){(const char *)all, made.count * sizeof *all};
        r->graph.constants[r->op->outputs[0]] = r->graph.num_tensors;
        r->graph.tensors[r->graph.num_tensors++] = made;
        return 0;
}
