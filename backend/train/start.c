#include "train/start.h"
#include "train/update.h"
#include "train/weights.h"

static int load_model(
        const struct train_job *job, const struct checkpoint *c, struct str *note, struct err *e)
{
        const struct init_spec *init = &job->request->init;
        struct safetensors *file;
        int rc = safetensors_open(job->init_weights, &file, e);
        if (rc == 0) {
                rc = init->strict ? weights_load(c->net, file, c->block, e)
                                  : weights_fit(c->net, file, c->block, note, e);
                safetensors_close(file);
        }
        return rc ? err_wrap(e, "init.from \"%s\"", init->from) : 0;
}

int start_numbers(const struct train_job *job, const struct checkpoint *c, struct progress *ret,
        struct str *note, struct err *e)
{
        bool found;
        weights_init(c->net, &job->request->init, job->request->seed, c->block);
        update_first_state(c->optimizer, c->net->trainable_floats, c->state);
        *ret = (struct progress){0};
        if (checkpoint_read(job->dir, c, ret, &found, NULL) == 0 && found)
                return 0;
        /* A checkpoint that does not fit is as good as none: the same request gives the same run. */
        weights_init(c->net, &job->request->init, job->request->seed, c->block);
        update_first_state(c->optimizer, c->net->trainable_floats, c->state);
        return job->init_weights ? load_model(job, c, note, e) : 0;
}
