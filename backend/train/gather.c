#include "train/gather.h"
#include "device/launch.h"
#include "ops/op.h"

int gather_run(struct dev *d, const struct gather *g, const struct tensor *x, const struct view *labels,
        struct err *e)
{
        char options[OP_OPTIONS];
        op_options(options, x->lanes, g->bytes ? "-DIMAGE_T=uchar -DIMAGE_SCALE=255.0f"
                                               : "-DIMAGE_T=float -DIMAGE_SCALE=1.0f");
        struct launch l = launch_begin(d, "gather", options, "gather_images");
        launch_buf(&l, g->images);
        launch_buf(&l, g->order);
        launch_int(&l, g->first);
        launch_tensor(&l, x);
        launch_int(&l, x->n);
        launch_int(&l, g->channels);
        launch_int(&l, x->s.h);
        launch_int(&l, x->s.w);
        launch_int(&l, g->h);
        launch_int(&l, g->w);
        int rc = launch_grid(
                &l, 2, (size_t[]){(size_t)shape_count(x->s), (size_t)tensor_blocks(x)}, NULL, e);
        if (rc || !g->labels)
                return rc;
        l = launch_begin(d, "gather", options, "gather_labels");
        launch_buf(&l, g->labels);
        launch_buf(&l, g->order);
        launch_int(&l, g->first);
        launch_view(&l, labels);
        launch_int(&l, x->n);
        return launch_grid(&l, 1, (size_t[]){(size_t)x->n}, NULL, e);
}
