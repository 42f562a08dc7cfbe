#include "train/tuning.h"
#include "base/clock.h"
#include "base/json.h"
#include "ops/selftest.h"
#include "ops/tuner.h"

#include <stdlib.h>

/* What a first job waits at most, but for the layer in hand. */
#define MOST_SECONDS 2.0

struct binding {
        struct dev *dev;
        const struct strategies *known;
        struct strategies *measured, *bound;
        double until;
        int added;
        bool wrong; /* something of what was chosen computes wrong on this device */
        bool moved; /* from a device with CLBlast to one without */
};

static bool takes_clblast(const enum op_variant v[OP_DIRECTIONS])
{
        bool any = false;
        for (int d = 0; d < OP_DIRECTIONS; d++)
                any = any || v[d] == OP_CLBLAST;
        return any;
}

static int find(struct binding *b, const struct op *op, int n, int lanes, const char *name,
        enum op_variant ret[OP_DIRECTIONS], struct err *e)
{
        if (strategies_find(b->measured, name, ret) ||
                (strategies_find(b->known, name, ret) && (clblast_applied(b->dev) || !takes_clblast(ret))))
                return 0;
        strategy_prefer(op, n, lanes, dev_info(b->dev), ret);
        if (clock_now_s() >= b->until || !tuner_can_choose(b->dev, op, lanes))
                return 0;
        int rc = tuner_measure(b->dev, op, n, lanes, ret, NULL, e);
        if (rc == ERR_DEVICE_MEMORY) { /* the job itself may still fit, whose tensors share their memory */
                *e = (struct err){0};
                return 0;
        }
        return rc ? rc : strategies_put(b->measured, name, ret, e);
}

static bool is_allowed(const struct dev *d, const struct op *op, const enum op_variant v[OP_DIRECTIONS])
{
        bool all = true;
        for (int i = 0; i < OP_DIRECTIONS; i++)
                all = all && selftest_allows(d, op->kind, v[i]);
        return all;
}

static int bind_layer(struct binding *b, const struct op *op, int n, int lanes, struct err *e)
{
        char name[STRATEGY_NAME];
        enum op_variant v[OP_DIRECTIONS];
        if (!strategy_name(op, n, lanes, dev_info(b->dev), name))
                return 0;
        if (strategies_find(b->bound, name, v))
                return takes_clblast(v) && dev_info(b->dev)->clblast && !strategies_clblast(b->bound)
                               ? err_set(e, ERR_INVALID,
                                         "the job is bound to CLBlast without its parameters: %s", name)
                               : selftest_layer(b->dev, op, v, e);
        int rc = find(b, op, n, lanes, name, v, e);
        if (rc == 0 && takes_clblast(v))
                strategies_put_clblast(b->bound, clblast_applied(b->dev));
        if (rc == 0)
                rc = selftest_layer(b->dev, op, v, e);
        b->wrong = b->wrong || (rc == 0 && !is_allowed(b->dev, op, v));
        if (rc == 0)
                rc = strategies_put(b->bound, name, v, e);
        b->added += rc == 0;
        return rc ? err_wrap(e, "choosing how to run %s", name) : 0;
}

static int bind_all(struct binding *b, const struct setup *s, struct err *e)
{
        int rc = 0;
        for (int i = 0; i < SETUP_PHASES && rc == 0; i++)
                for (int k = 0; s->plans[i] && k < s->net->num_nodes && rc == 0; k++)
                        rc = bind_layer(b, s->net->nodes[k].op, s->plans[i]->n, s->plans[i]->lanes, e);
        dev_peak_reset(b->dev);
        return rc;
}

/* CLBlast's parameters: the job's, else the device's. Without CLBlast the job's layers would give other
 * numbers. */
static int apply_clblast(struct binding *b, struct err *e)
{
        const struct clblast_params *bound = strategies_clblast(b->bound),
                                    *known = strategies_clblast(b->known);
        const char *began = "the job began with matrix products by CLBlast";
        if (bound && !clblast_version())
                return err_set(e, ERR_STATE,
                        "%s, and this cnnd was built without it: install one that has it, or submit the job "
                        "again",
                        began);
        b->moved = bound && !dev_info(b->dev)->clblast;
        if (!dev_info(b->dev)->clblast || (!bound && !known))
                return 0;
        const int rc = clblast_apply(b->dev, bound ? bound : known, e);
        return rc && bound ? err_wrap(e, "%s", began) : rc;
}

static int tell_moved(const struct train_hooks *hooks, struct err *e)
{
        return hooks->event(hooks->ctx, "note",
                "{\"text\":\"the job began on a device with CLBlast and goes on here without it: its numbers "
                "are "
                "rounded differently from here on\"}",
                e);
}

static int tell_wrong(const struct train_hooks *hooks, struct err *e)
{
        return hooks->event(hooks->ctx, "note",
                "{\"text\":\"the selftest found a fast variant of a layer wrong on this device: it is "
                "switched off there, "
                "which takes longer and is right\"}",
                e);
}

static int tell(const struct strategies *bound, const struct train_hooks *hooks, struct err *e)
{
        cJSON *json = strategies_json(bound);
        char *text = json_text(json);
        cJSON_Delete(json);
        const int rc = text ? hooks->event(hooks->ctx, "strategies", text, e)
                            : err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        free(text);
        return rc;
}

int tuning_bind(struct dev *d, const struct setup *s, const struct train_job *job,
        const struct train_hooks *hooks, struct strategies **ret, struct err *e)
{
        const struct train_tuning *t = job->tuning;
        if (!t)
                return 0;
        struct binding b = {.dev = d,
                .known = t->known,
                .measured = strategies_create(),
                .bound = strategies_create(),
                .until = clock_now_s() + MOST_SECONDS};
        int rc = b.measured && b.bound ? strategies_read_json(b.bound, t->bound, e)
                                       : err_set(e, ERR_NO_MEMORY, "no memory for strategies");
        if (rc == 0)
                rc = apply_clblast(&b, e);
        if (rc == 0)
                rc = bind_all(&b, s, e);
        if (rc == 0 && strategies_count(b.measured))
                t->measured(t->ctx, b.measured);
        if (rc == 0 && b.added)
                rc = tell(b.bound, hooks, e);
        if (rc == 0 && b.moved)
                rc = tell_moved(hooks, e);
        if (rc == 0 && b.wrong)
                rc = tell_wrong(hooks, e);
        strategies_destroy(b.measured);
        if (rc) {
                strategies_destroy(b.bound);
                return rc;
        }
        *ret = b.bound;
        return 0;
}
