#include "train/early.h"
#include "device/buf.h"
#include "ops/op.h"
#include "train/gather.h"
#include "train/optimizer.h"
#include "train/update.h"

/* Images whose labels are gathered in the work-groups of any batch that is a multiple of it. Images and what
   else there is lie in one buffer, the other has what is written. */
enum { IMAGES = 64, BUFFER_BYTES = 4096 };

static int gather(struct dev *d, const struct buf *zeros, struct buf *to, struct err *e)
{
        const struct gather g = {.images = zeros,
                .labels = zeros,
                .order = zeros,
                .bytes = true,
                .channels = 1,
                .h = 1,
                .w = 1};
        const struct tensor x =
                tensor_whole((struct view){to, 0}, IMAGES, (struct shape){1, 1, 1}, dev_info(d)->lanes);
        const struct view labels = {to, IMAGES};
        return gather_run(d, &g, &x, &labels, e);
}

static int update(struct dev *d, enum optimizer_kind kind, struct buf *zeros, struct buf *to, struct err *e)
{
        const struct optimizer_spec spec = {.kind = kind, .eps = 1};
        const struct update_memory memory = {
                .params = {to, 0}, .grads = {to, IMAGES}, .vars = {zeros, 0}, .floats = IMAGES};
        struct update *u = NULL;
        int rc = update_create(d, &spec, &memory, &u, e);
        if (rc == 0)
                rc = update_run(u, e);
        if (rc == 0)
                rc = dev_finish(d, e);
        update_destroy(u);
        return rc;
}

int early_compile(struct dev *d, struct err *e)
{
        struct buf *zeros = NULL, *to = NULL;
        int rc = buf_create(d, BUFFER_BYTES, "zeros", &zeros, e);
        if (rc == 0)
                rc = buf_create(d, BUFFER_BYTES, "what is written", &to, e);
        if (rc == 0)
                rc = buf_zero(zeros, 0, BUFFER_BYTES, e);
        if (rc == 0)
                rc = buf_zero(to, 0, BUFFER_BYTES, e);
        if (rc == 0)
                rc = gather(d, zeros, to, e);
        if (rc == 0)
                rc = update(d, OPTIMIZER_SGD, zeros, to, e);
        if (rc == 0)
                rc = update(d, OPTIMIZER_ADAM, zeros, to, e);
        buf_destroy(to);
        buf_destroy(zeros);
        return rc;
}
