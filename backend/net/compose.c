/* Layers that hold layers: sequential, residual, dense, concat. */
#include "base/json.h"
#include "net/build.h"
#include "ops/kinds.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BRANCHES = 64 };

static int build_sequential(
        struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret)
{
        int rc = json_only(layer, "type name layers", at->pointer, b->e);
        if (rc == 0)
                rc = json_need(layer, "layers", at->pointer, b->e);
        if (rc == 0)
                rc = build_list(b, json_field(layer, "layers"), "layers", "", at, input, ret);
        return rc;
}

static int same_shape(const struct builder *b, int value, int other, const struct place *at)
{
        const struct shape s = b->net->values[value].s, t = b->net->values[other].s;
        if (s.c == t.c && s.h == t.h && s.w == t.w)
                return 0;
        return err_at(b->e, ERR_INVALID, at->pointer,
                "the layers give %dx%dx%d, the shortcut %dx%dx%d: they cannot be added", s.c, s.h, s.w, t.c,
                t.h, t.w);
}

/* y = layers(x) + shortcut(x), the shortcut being x itself where it is left out. */
static int build_residual(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret)
{
        int sides[2] = {0, input};
        int rc = json_only(layer, "type name layers shortcut", at->pointer, b->e);
        if (rc == 0)
                rc = json_need(layer, "layers", at->pointer, b->e);
        if (rc)
                return rc;
        b->shared[input] = true;
        rc = build_list(b, json_field(layer, "layers"), "layers", "", at, input, &sides[0]);
        if (rc == 0 && json_field(layer, "shortcut"))
                rc = build_list(
                        b, json_field(layer, "shortcut"), "shortcut", "shortcut.", at, input, &sides[1]);
        if (rc == 0)
                rc = same_shape(b, sides[0], sides[1], at);
        if (rc == 0)
                rc = build_internal(b, &op_add, "add", at, sides, 2, ret);
        return rc;
}

/* A value that may become a slice of a join: `value` itself if nobody else has a claim on its memory, else a
 * copy. */
static int claim(struct builder *b, const struct place *at, int value, int part, int *ret)
{
        char name[24];
        *ret = value;
        if (b->net->values[value].parent < 0 && !b->shared[value])
                return 0;
        snprintf(name, sizeof name, "copy%d", part);
        return build_internal(b, &op_copy, name, at, &value, 1, ret);
}

/* Joins values along their channels: they become slices of a new value, into which their producers write.
   `first` is the number of values[0] among all that the layer `at` joins. */
static int join(struct builder *b, const struct place *at, int first, int *values, int count, int *ret)
{
        struct shape whole = b->net->values[values[0]].s;
        int channel = 0, rc = 0;
        for (int i = 1; i < count; i++) {
                const struct shape s = b->net->values[values[i]].s;
                if (s.h != whole.h || s.w != whole.w)
                        return err_at(b->e, ERR_INVALID, at->pointer,
                                "%dx%dx%d cannot be joined with %dx%dx%d: heights and widths differ", s.c,
                                s.h, s.w, whole.c, whole.h, whole.w);
                whole.c += s.c;
                if (shape_count(whole) > INT_MAX / TENSOR_MAX_LANES)
                        return err_at(b->e, ERR_TOO_LARGE, at->pointer,
                                "a joined tensor of %dx%dx%d is more than a layer may have", whole.c, whole.h,
                                whole.w);
        }
        for (int i = 0; i < count && rc == 0; i++)
                rc = claim(b, at, values[i], first + i, &values[i]);
        if (rc == 0)
                rc = build_value(b, whole, -1, ret);
        if (rc == 0 && !(b->net->values[*ret].block = strdup(at->name)))
                rc = err_set(b->e, ERR_NO_MEMORY, "no memory for a layer");
        for (int i = 0; i < count && rc == 0; i++) {
                b->net->values[values[i]].parent = *ret;
                b->net->values[values[i]].channel = channel;
                channel += b->net->values[values[i]].s.c;
        }
        return rc;
}

/* x becomes [x, f(x)] for each f of the list in turn (Huang et al. 2017). */
static int build_dense(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret)
{
        struct place place;
        const cJSON *child, *layers = json_field(layer, "layers");
        int index = 0;
        int rc = json_only(layer, "type name layers", at->pointer, b->e);
        if (rc == 0)
                rc = json_need(layer, "layers", at->pointer, b->e);
        if (rc == 0)
                rc = build_check_list(layers, "layers", at, b->e);
        if (rc)
                return rc;
        cJSON_ArrayForEach(child, layers)
        {
                int parts[2] = {input, 0};
                const bool shared = b->shared[input];
                b->shared[input] = true; /* the join reads it too, after the child */
                rc = build_place(at, "layers", "net.", index, child, &place, b->e);
                if (rc == 0)
                        rc = build_layer(b, child, &place, input, &parts[1]);
                b->shared[input] = shared;
                memcpy(place.name, at->name, sizeof place.name);
                if (rc == 0)
                        rc = join(b, &place, index++, parts, 2, &input);
                if (rc)
                        return rc;
        }
        *ret = input;
        return 0;
}

static int build_branches(struct builder *b, const cJSON *branches, const struct place *at, int input,
        int *ends, int *ret_count)
{
        char list[32], prefix[16];
        const cJSON *branch;
        int count = 0;
        b->shared[input] = true;
        cJSON_ArrayForEach(branch, branches)
        {
                snprintf(list, sizeof list, "branches/%d", count);
                snprintf(prefix, sizeof prefix, "%d.", count);
                ends[count] = input;
                /* An empty branch passes its input on. */
                if (!cJSON_IsArray(branch) || branch->child) {
                        const int rc = build_list(b, branch, list, prefix, at, input, &ends[count]);
                        if (rc)
                                return rc;
                }
                count++;
        }
        *ret_count = count;
        return 0;
}

/* The branches' results, joined along the channels. */
static int build_concat(struct builder *b, const cJSON *layer, const struct place *at, int input, int *ret)
{
        int ends[MAX_BRANCHES] = {0}, count = 0;
        const cJSON *branches = json_field(layer, "branches");
        int rc = json_only(layer, "type name branches", at->pointer, b->e);
        if (rc == 0)
                rc = json_need(layer, "branches", at->pointer, b->e);
        if (rc == 0)
                rc = build_check_list(branches, "branches", at, b->e);
        if (rc == 0 && cJSON_GetArraySize(branches) > MAX_BRANCHES)
                rc = err_at(b->e, ERR_INVALID, at->pointer, "more than %d branches", MAX_BRANCHES);
        if (rc == 0)
                rc = build_branches(b, branches, at, input, ends, &count);
        if (rc == 0)
                rc = join(b, at, 0, ends, count, ret);
        return rc;
}

static const struct composite composites[] = {
        {"sequential", build_sequential},
        {"residual", build_residual},
        {"dense", build_dense},
        {"concat", build_concat},
};

void composite_list(struct str *out)
{
        for (size_t i = 0; i < sizeof composites / sizeof composites[0]; i++)
                str_addf(out, " %s", composites[i].type);
}

const struct composite *composite_find(const char *type)
{
        for (size_t i = 0; i < sizeof composites / sizeof composites[0]; i++)
                if (strcmp(type, composites[i].type) == 0)
                        return &composites[i];
        return NULL;
}
