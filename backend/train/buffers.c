#include "train/buffers.h"
#include "device/buf.h"

#include <string.h>

int buffers_init(struct dev *d, const struct setup *s, struct buffers *ret, struct err *e)
{
        const struct {
                uint64_t bytes;
                const char *what;
                struct buf **to;
        } singles[] = {
                {s->param_bytes, "the parameters", &ret->params},
                {s->grad_bytes, "the gradients", &ret->grads},
                {s->labels_bytes, "a batch's labels", &ret->labels},
                {s->results_bytes, "results", &ret->results},
                {s->vars_bytes, "the step's variables", &ret->vars},
        };
        int rc = 0;
        *ret = (struct buffers){0};
        for (int i = 0; i < s->num_chunks && rc == 0; i++)
                rc = buf_create(d, s->chunk_bytes[i], "activations", &ret->chunks[i], e);
        for (size_t i = 0; i < sizeof singles / sizeof singles[0] && rc == 0; i++)
                rc = buf_create(d, singles[i].bytes, singles[i].what, singles[i].to, e);
        if (rc == 0 && s->class_weights)
                rc = buf_create(d, s->class_weights_bytes, "the class weights", &ret->class_weights, e);
        if (rc == 0 && s->class_weights)
                rc = buf_write(ret->class_weights, 0, s->class_weights, s->class_weights_bytes, e);
        return rc;
}

void buffers_finish(struct buffers *b)
{
        for (int i = 0; i < PLAN_MAX_CHUNKS; i++)
                buf_destroy(b->chunks[i]);
        buf_destroy(b->params);
        buf_destroy(b->grads);
        buf_destroy(b->labels);
        buf_destroy(b->results);
        buf_destroy(b->vars);
        buf_destroy(b->class_weights);
}

struct exec_memory buffers_memory(const struct buffers *b)
{
        struct exec_memory m = {.params = {b->params, 0},
                .grads = {b->grads, 0},
                .vars = {b->vars, 0},
                .labels = {b->labels, 0},
                .results = {b->results, 0},
                .class_weights = {b->class_weights, 0}};
        memcpy(m.chunks, b->chunks, sizeof m.chunks);
        return m;
}
