/* Buffers for executions of one plan, for tests and benchmarks; training takes train/buffers.h. */
#ifndef CNND_TEST_EXECMEM_H
#define CNND_TEST_EXECMEM_H

#include "device/buf.h"
#include "net/exec.h"

static inline int execmem_buffer(struct dev *d, uint64_t bytes, struct buf **ret, struct err *e)
{
        const int rc = buf_create(d, bytes, "an execution", ret, e);
        return rc ? rc : buf_zero(*ret, 0, bytes, e);
}

/* All zero; results for one step, gradients where the plan trains. *m is zero before, and due for
   execmem_destroy also after an error. */
static inline int execmem_create(
        struct dev *d, const struct net *net, const struct plan *plan, struct exec_memory *m, struct err *e)
{
        const uint64_t grads = plan->mode == PLAN_TRAIN ? net->trainable_floats : 0;
        const struct {
                uint64_t words;
                struct buf **to;
        } blocks[] = {{net->param_floats, &m->params.buf}, {grads, &m->grads.buf},
                {(uint64_t)plan->n, &m->labels.buf}, {2, &m->results.buf}, {OP_VARS, &m->vars.buf}};
        int rc = 0;
        for (int i = 0; i < plan->num_chunks && rc == 0; i++)
                rc = execmem_buffer(d, plan->chunk_floats[i] * sizeof(float), &m->chunks[i], e);
        for (size_t i = 0; i < sizeof blocks / sizeof blocks[0] && rc == 0; i++)
                if (blocks[i].words)
                        rc = execmem_buffer(d, blocks[i].words * sizeof(float), blocks[i].to, e);
        return rc;
}

static inline void execmem_destroy(struct exec_memory *m)
{
        for (int i = 0; i < PLAN_MAX_CHUNKS; i++)
                buf_destroy(m->chunks[i]);
        buf_destroy(m->params.buf);
        buf_destroy(m->grads.buf);
        buf_destroy(m->labels.buf);
        buf_destroy(m->results.buf);
        buf_destroy(m->vars.buf);
}

#endif
