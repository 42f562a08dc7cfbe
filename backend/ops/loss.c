#include "ops/loss.h"
#include "ops/selftest.h"

/* The most work-items that share a batch. */
enum { ITEMS = 1024 };

int loss_launch(const struct loss_call *c, struct err *e)
{
        char options[OP_OPTIONS];
        const struct tensor *x = &c->logits, *dx = c->dlogits.at.buf ? &c->dlogits : x;
        const bool tiled = c->variant == OP_TILED && x->lanes == 16;
        const int group =
                c->variant == OP_TILED && x->lanes == 32 ? op_group_items(dev_info(c->dev), ITEMS) : 0;
        const size_t items = tiled ? 1 : group ? (size_t)group : LAUNCH_GROUP;
        struct launch l;
        if (group)
                op_options(options, x->lanes, "-DITEMS=%d -DWEIGHTED=%d", group, c->weights.buf != NULL);
        else
                op_options(options, x->lanes, "-DTILED=%d -DWEIGHTED=1", tiled);
        if (group || c->weights.buf)
                l = launch_begin(c->dev, "loss", options,
                        tiled   ? "loss_tiled"
                        : group ? "loss_local"
                                : "loss_naive");
        else
                l = op_begin_layer(c->dev, x->lanes, tiled, tiled ? "loss_tiled" : "loss_naive");
        launch_tensor(&l, x);
        launch_tensor(&l, dx);
        launch_view(&l, &c->labels);
        launch_view(&l, c->weights.buf ? &c->weights : &c->results);
        launch_view(&l, &c->results);
        launch_view(&l, &c->vars);
        launch_ints(&l, OP_VAR_SLOT, x->n, x->s.c);
        launch_float(&l, c->scale);
        launch_ints(&l, c->scale_from_vars ? OP_VAR_SCALE : -1, dx != x, c->accumulate);
        return launch_grid(&l, 1, (size_t[]){items}, (size_t[]){items}, e);
}

int loss_run(const struct loss_call *c, struct err *e)
{
        struct loss_call chosen = *c;
        chosen.variant = selftest_allows_loss(c->dev, OP_TILED) ? OP_TILED : OP_NAIVE;
        return loss_launch(&chosen, e);
}
