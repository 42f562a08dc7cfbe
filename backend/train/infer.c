#include "train/infer.h"
#include "base/str.h"
#include "model/safetensors.h"
#include "net/exec.h"
#include "ops/kinds.h"
#include "train/saved.h"
#include "train/transform_trial.h"
#include "train/weights.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Batches run at one of these sizes, the rest of it empty, so that few plans serve every request. */
static const int sizes[] = {1, 16, 64, INFER_MAX_BATCH};
enum { SIZES = sizeof sizes / sizeof sizes[0] };
/* Fewer images than FEW take longer side by side than one by one where an image takes this many operations.
 */
enum { FEW = 8, FLOPS_ALONE = 20000000 };
/* Of activations: what a larger batch is not worth. */
#define ACTIVATIONS_MAX ((uint64_t)512 << 20)

/* One size, made when it is first needed. */
struct lane {
        struct plan *plan;
        struct exec *exec;
        struct buf *chunks[PLAN_MAX_CHUNKS], *images, *order, *places;
        struct transform *transform;
        float *logits; /* host, as they lie on the device */
};

struct infer {
        struct dev *dev;                /* borrowed */
        const struct strategies *known; /* borrowed */
        struct saved saved;             /* owned, as all below */
        struct buf *params;
        struct lane lanes[SIZES];
        int least, most; /* sizes in use */
        bool one_by_one; /* few images, instead of in the least */
        int num_classes;
};

static void lane_finish(struct lane *l)
{
        exec_destroy(l->exec);
        for (int i = 0; i < PLAN_MAX_CHUNKS; i++)
                buf_destroy(l->chunks[i]);
        buf_destroy(l->images);
        buf_destroy(l->order);
        buf_destroy(l->places);
        transform_destroy(l->transform);
        plan_destroy(l->plan);
        free(l->logits);
        *l = (struct lane){0};
}

void infer_destroy(struct infer *m)
{
        if (!m)
                return;
        for (int i = 0; i < SIZES; i++)
                lane_finish(&m->lanes[i]);
        buf_destroy(m->params);
        saved_finish(&m->saved);
        free(m);
}

/* Sizes whose activations are few enough. A small network on a CPU device waits for launches more than it
   computes, so that 16 samples side by side take no longer than one, which then gets the bits that it gets
   among others. */
static int choose_sizes(struct infer *m, struct err *e)
{
        for (int size = 1; size < SIZES; size++) {
                struct plan *p;
                uint64_t bytes = 0;
                int rc = plan_create(m->saved.net, dev_info(m->dev), PLAN_INFER, sizes[size], &p, e);
                if (rc)
                        return rc;
                for (int i = 0; i < p->num_chunks; i++)
                        bytes += p->chunk_floats[i] * sizeof(float);
                plan_destroy(p);
                if (bytes > ACTIVATIONS_MAX)
                        break;
                m->most = size;
        }
        m->least = m->most > 0 && dev_info(m->dev)->type == DEV_CPU;
        m->one_by_one = m->least > 0 && net_flops(m->saved.net) >= FLOPS_ALONE;
        return 0;
}

static int load(struct infer *m, const struct safetensors *file, struct err *e)
{
        size_t bytes = m->saved.net->param_floats * sizeof(float);
        float *block = calloc(1, bytes);
        if (!block)
                return err_set(e, ERR_NO_MEMORY, "no memory for a model of %zu bytes", bytes);
        int rc = weights_load(m->saved.net, file, block, e);
        if (rc == 0)
                rc = buf_create(m->dev, bytes, "the model's parameters", &m->params, e);
        if (rc == 0)
                rc = buf_write(m->params, 0, block, bytes, e);
        free(block);
        return rc;
}

int infer_create(
        struct dev *d, const struct strategies *known, const char *path, struct infer **ret, struct err *e)
{
        struct safetensors *file;
        struct infer *m = calloc(1, sizeof *m);
        if (!m)
                return err_set(e, ERR_NO_MEMORY, "no memory for a model");
        m->dev = d;
        m->known = known;
        int rc = safetensors_open(path, &file, e);
        if (rc == 0) {
                rc = saved_read(file, &m->saved, e);
                if (rc == 0) {
                        m->num_classes = m->saved.net->values[m->saved.net->output].s.c;
                        rc = choose_sizes(m, e);
                }
                if (rc == 0)
                        rc = load(m, file, e);
                safetensors_close(file);
        }
        if (rc) {
                infer_destroy(m);
                return rc;
        }
        *ret = m;
        return 0;
}

void infer_shape(const struct infer *m, int *c, int *h, int *w, int *num_classes)
{
        struct shape in = m->saved.net->values[0].s;
        *c = in.c;
        *h = in.h;
        *w = in.w;
        *num_classes = m->num_classes;
}

const char *infer_class(const struct infer *m, int k)
{
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(m->saved.classes, k));
        return name ? name : "";
}

const struct recipe *infer_recipe(const struct infer *m)
{
        return &m->saved.recipe;
}

static int lane_create(struct infer *m, struct lane *l, int n, struct err *e)
{
        struct exec_memory memory = {.params = {m->params, 0}, .strategies = m->known};
        size_t image = (size_t)shape_count(m->saved.net->values[0].s) * sizeof(float);
        int32_t order[INFER_MAX_BATCH];
        for (int i = 0; i < n; i++)
                order[i] = i;
        int rc = plan_create(m->saved.net, dev_info(m->dev), PLAN_INFER, n, &l->plan, e);
        for (int i = 0; rc == 0 && i < l->plan->num_chunks; i++) {
                rc = buf_create(
                        m->dev, l->plan->chunk_floats[i] * sizeof(float), "activations", &l->chunks[i], e);
                memory.chunks[i] = l->chunks[i];
        }
        if (rc == 0)
                rc = buf_create(m->dev, image * (size_t)n, "images", &l->images, e);
        if (rc == 0)
                rc = buf_create(m->dev, (size_t)n * sizeof order[0], "their order", &l->order, e);
        if (rc == 0)
                rc = buf_write(l->order, 0, order, (size_t)n * sizeof order[0], e);
        if (rc == 0)
                rc = buf_create(m->dev, (size_t)n * sizeof order[0], "places of windows", &l->places, e);
        if (rc == 0)
                rc = exec_create(m->dev, m->saved.net, l->plan, &memory, 1.0f, &l->exec, e);
        const struct transform_spec spec = {.normalize = &m->saved.normalize,
                .s = m->saved.net->values[0].s,
                .n = n,
                .lanes = rc == 0 ? l->plan->lanes : 1};
        if (rc == 0)
                rc = transform_trial(m->dev, &spec, false, false, e);
        if (rc == 0)
                rc = transform_create(m->dev, &spec, &l->transform, e);
        size_t floats =
                tensor_floats(n, m->saved.net->values[m->saved.net->output].s, rc == 0 ? l->plan->lanes : 1);
        if (rc == 0 && !(l->logits = malloc(floats * sizeof(float))))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for logits");
        if (rc)
                lane_finish(l);
        return rc;
}

/* Brings n samples, at most the lane's size, to where the network takes them. */
static int put_samples(struct infer *m, struct lane *l, const struct gather *g, int n, struct err *e)
{
        struct tensor some = exec_input(l->exec);
        /* Blocks beyond the images keep what they had: nobody reads their logits, and no op mixes samples
         * here. */
        some.n = n;
        return transform_run(l->transform, g, &(struct gather_draw){0}, &some, NULL, m->dev, e);
}

static int put_images(struct infer *m, struct lane *l, const float *images, int n, struct err *e)
{
        struct shape in = m->saved.net->values[0].s;
        struct gather g = {.images = l->images, .order = l->order, .channels = in.c, .h = in.h, .w = in.w};
        int rc =
                buf_write_later(l->images, 0, images, (size_t)n * (size_t)shape_count(in) * sizeof(float), e);
        return rc ? rc : put_samples(m, l, &g, n, e);
}

static int put_windows(struct infer *m, struct lane *l, const struct infer_field *from, const int32_t *places,
        int n, struct err *e)
{
        struct gather g = {.images = from->field,
                .order = l->places,
                .channels = m->saved.net->values[0].s.c,
                .h = from->window,
                .w = from->window,
                .field_h = from->h,
                .field_w = from->w};
        int rc = buf_write(l->places, 0, places, (size_t)n * sizeof places[0], e);
        return rc ? rc : put_samples(m, l, &g, n, e);
}

/* What the network makes of the n samples that were put. */
static int run_lane(struct infer *m, struct lane *l, int n, float *logits, struct err *e)
{
        struct tensor y = exec_logits(l->exec);
        int rc = exec_run(l->exec, e);
        size_t floats = tensor_floats(y.n, y.s, y.lanes);
        if (rc == 0)
                rc = buf_read(y.at.buf, y.at.offset * sizeof(float), l->logits, floats * sizeof(float), e);
        if (rc)
                return rc;
        for (int i = 0; i < n; i++)
                for (int k = 0; k < m->num_classes; k++)
                        logits[i * m->num_classes + k] = l->logits[(uint64_t)(i / y.lanes) * y.stride +
                                                                   (uint64_t)(k * y.lanes + i % y.lanes)];
        return 0;
}

/* The smallest lane for n samples. A fresh one is saved after its first run. */
static int lane_for(struct infer *m, int n, struct lane **ret, bool *ret_fresh, struct err *e)
{
        int size = m->one_by_one && n == 1 ? 0 : m->least;
        while (sizes[size] < n)
                size++;
        *ret = &m->lanes[size];
        *ret_fresh = !(*ret)->exec;
        return *ret_fresh ? lane_create(m, *ret, sizes[size], e) : 0;
}

int infer_part(const struct infer *m)
{
        return sizes[m->most];
}

int infer_run(struct infer *m, const float *images, int n, float *logits, struct err *e)
{
        size_t image = (size_t)shape_count(m->saved.net->values[0].s);
        for (int done = 0; done < n;) {
                int part = n - done < sizes[m->most] ? n - done : sizes[m->most];
                if (m->one_by_one && part < FEW)
                        part = 1;
                struct lane *l;
                bool fresh;
                int rc = lane_for(m, part, &l, &fresh, e);
                if (rc == 0)
                        rc = put_images(m, l, images + (size_t)done * image, part, e);
                if (rc == 0)
                        rc = run_lane(m, l, part, logits + done * m->num_classes, e);
                if (rc)
                        return rc;
                if (fresh)
                        prog_save(m->dev, NULL); /* the next start compiles again where this fails: no harm */
                done += part;
        }
        return 0;
}

int infer_windows(struct infer *m, const struct infer_field *from, const int32_t *places, int n,
        float *logits, struct err *e)
{
        struct lane *l;
        bool fresh;
        int rc = lane_for(m, n, &l, &fresh, e);
        if (rc == 0)
                rc = put_windows(m, l, from, places, n, e);
        if (rc == 0)
                rc = run_lane(m, l, n, logits, e);
        if (rc == 0 && fresh)
                prog_save(m->dev, NULL); /* as above */
        return rc;
}

static int no_layer(const struct infer *m, const char *layer, const struct op_kind *kind, struct err *e)
{
        struct str known = {0};
        for (int i = 0; i < m->saved.net->num_nodes; i++)
                if (!kind || m->saved.net->nodes[i].op->kind == kind)
                        str_addf(&known, " %s", m->saved.net->nodes[i].name);
        int rc = err_set(e, ERR_INVALID, "the model has no %s \"%.100s\"; it has:%.300s",
                kind ? kind->type : "layer", layer, known.data ? known.data : "");
        str_free(&known);
        return rc;
}

int infer_filters(struct infer *m, const char *layer, struct infer_maps *ret, struct err *e)
{
        for (int i = 0; i < m->saved.net->num_nodes; i++) {
                const struct net_node *node = &m->saved.net->nodes[i];
                if (strcmp(node->name, layer) != 0 || node->op->kind != &op_conv2d)
                        continue;
                const struct net_param *weight = &m->saved.net->params[node->first_param];
                const int *dims = weight->spec->dims, channels = dims[1] == 3 ? 3 : 1;
                const size_t bytes = weight->count * sizeof(float);
                float *data = malloc(bytes);
                int rc = data ? buf_read(m->params, weight->offset * sizeof(float), data, bytes, e)
                              : err_set(e, ERR_NO_MEMORY, "no memory for filters");
                if (rc) {
                        free(data);
                        return rc;
                }
                *ret = (struct infer_maps){data, dims[0] * dims[1] / channels, channels, dims[2], dims[3]};
                return 0;
        }
        return no_layer(m, layer, &op_conv2d, e);
}

static bool is_within(const char *name, const char *block)
{
        const size_t len = strlen(block);
        return strncmp(name, block, len) == 0 && (name[len] == '\0' || name[len] == '.');
}

/* The node of this name, a user's before the net's own; or the last one of the block of this name; -1 for
 * none. */
static int find_node(const struct net *net, const char *layer)
{
        int last = -1;
        for (int i = net->num_nodes - 1; i >= 0; i--) {
                const struct net_node *node = &net->nodes[i];
                if (strcmp(node->name, layer) == 0 && !node->op->kind->internal)
                        return i;
                if (last < 0 && is_within(node->name, layer))
                        last = i;
        }
        return last;
}

/* What the block gives whose last node this is: that node's result, or what the block joins it to. */
static int block_value(const struct net *net, const char *block, int node)
{
        int value = net->nodes[node].output;
        if (net->nodes[node].op->kind->view)
                return value;
        for (int whole = net->values[value].parent; whole >= 0; whole = net->values[whole].parent)
                if (net->values[whole].block && is_within(net->values[whole].block, block))
                        value = whole;
        return value;
}

/* Sample 0 of a tensor, as (c,h,w). */
static int read_sample(const struct tensor *t, float *out, struct err *e)
{
        const size_t count = (size_t)shape_count(t->s), lanes = (size_t)t->lanes;
        float *block = malloc(count * lanes * sizeof *block);
        int rc = block ? buf_read(t->at.buf, t->at.offset * sizeof *block, block,
                                 count * lanes * sizeof *block, e)
                       : err_set(e, ERR_NO_MEMORY, "no memory for activations");
        for (size_t i = 0; rc == 0 && i < count; i++)
                out[i] = block[i * lanes];
        free(block);
        return rc;
}

int infer_activations(
        struct infer *m, const float *image, const char *layer, struct infer_maps *ret, struct err *e)
{
        const int node = find_node(m->saved.net, layer);
        if (node < 0)
                return no_layer(m, layer, NULL, e);
        const int value = block_value(m->saved.net, layer, node);
        const struct shape s = m->saved.net->values[value].s;
        struct lane *l;
        bool fresh;
        struct tensor t;
        float *data = malloc((size_t)shape_count(s) * sizeof *data);
        int rc = data ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for activations");
        if (rc == 0)
                rc = lane_for(m, 1, &l, &fresh, e);
        if (rc == 0)
                rc = put_images(m, l, image, 1, e);
        if (rc == 0)
                rc = exec_run_to(l->exec, node, value, &t, e);
        if (rc == 0)
                rc = read_sample(&t, data, e);
        if (rc) {
                free(data);
                return rc;
        }
        *ret = (struct infer_maps){data, s.c, 1, s.h, s.w};
        return 0;
}
