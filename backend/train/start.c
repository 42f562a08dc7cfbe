#include "train/start.h"
#include "ops/selftest.h"
#include "train/transform_trial.h"
#include "train/update.h"
#include "train/weights.h"

int start_test(struct dev *d, const struct setup *s, const struct train_job *job, struct err *e)
{
        const struct dataset *data = job->data;
        int rc = job->request->precision == OP_TF32 ? selftest_tf32(d, e) : 0;
        for (int i = 0; i < SETUP_PHASES && rc == 0; i++) {
                if (!s->plans[i])
                        continue;
                struct transform_spec spec = s->transform[i < SETUP_EVAL ? DATASET_TRAIN : DATASET_VAL];
                spec.lanes = s->plans[i]->lanes;
                rc = selftest_lanes(d, spec.lanes, e);
                if (rc == 0)
                        rc = transform_trial(d, &spec, data->type == DATASET_U8,
                                spec.s.h != data->h || spec.s.w != data->w, e);
        }
        dev_peak_reset(d);
        return rc;
}

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
        if (rc == ERR_INVALID && init->strict) {
                struct err why = *e;
                return err_set(e, rc,
                        "init.from \"%s\": %.450s; with \"strict\": false in \"init\" what does not fit "
                        "starts "
                        "afresh",
                        init->from, why.message);
        }
        return rc ? err_wrap(e, "init.from \"%s\"", init->from) : 0;
}

static void begin(const struct train_job *job, const struct checkpoint *c)
{
        weights_init(c->net, &job->request->init, job->request->seed, c->block);
        update_first_state(c->optimizer, c->net->trainable_floats, c->state);
}

int start_numbers(const struct train_job *job, const struct checkpoint *c, struct progress *ret,
        struct str *damage, struct str *note, struct err *e)
{
        bool found;
        begin(job, c);
        *ret = (struct progress){0};
        int rc = checkpoint_read(job->dir, c, ret, &found, damage, e);
        if (rc || found)
                return rc;
        /* A checkpoint that does not fit is as good as none: the same request gives the same run. */
        if (damage->len)
                str_add(damage, ": the job begins again");
        else if (job->checkpoint_step > 0)
                str_addf(damage, "the checkpoint of step %lld is gone: the job begins again",
                        (long long)job->checkpoint_step);
        begin(job, c);
        return job->init_weights ? load_model(job, c, note, e) : 0;
}
