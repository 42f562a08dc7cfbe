#include "train/gather.h"
#include "device/launch.h"

#include <stdio.h>

enum { OPTIONS = 512 };

static void options_of(char *out, int lanes, bool bytes, const struct gather_moves *m, bool resample)
{
        int n = snprintf(out, OPTIONS, "-DLANES=%d -DIMAGE_T=%s", lanes,
                bytes ? "uchar -DIMAGE_SCALE=255.0f" : "float -DIMAGE_SCALE=1.0f");
        if (m)
                snprintf(out + n, (size_t)(OPTIONS - n),
                        " -DSTEPS=%s -DCOUNT=%d -DFIRST=%d -DDRAW=%d -DRESAMPLE=%d -DMIRRORED=%d", m->steps,
                        m->count, m->first, GATHER_DRAW, resample, m->mirrored);
}

/* `instead` is any buffer, where there are no moves. */
static void bind_moves(struct launch *l, const struct gather_moves *m, const struct buf *instead)
{
        if (m)
                launch_view(l, &m->draws);
        else
                launch_buf(l, instead);
        if (!m)
                launch_ulong(l, 0);
        launch_ints(l, m ? m->room : 0, m ? (int)(uint32_t)m->draw.seed : 0,
                m ? (int)(uint32_t)(m->draw.seed >> 32) : 0, m ? (int)m->draw.epoch : 0,
                m ? m->draw.position : 0);
}

static void bind_steps(struct launch *l, const struct gather *g)
{
        const bool field = g->field_w != 0;
        const uint64_t plane =
                field ? (uint64_t)g->field_h * (uint64_t)g->field_w : (uint64_t)g->h * (uint64_t)g->w;
        launch_ulong(l, field ? 1 : plane * (uint64_t)g->channels);
        launch_ulong(l, plane);
        launch_int(l, field ? g->field_w : g->w);
}

/* A work-item a row. */
static int over_rows(struct launch *l, const struct tensor *x, struct err *e)
{
        size_t rows = (size_t)x->s.c * (size_t)x->s.h;
        return launch_over(l, 2, (size_t[]){rows * (size_t)x->lanes, (size_t)tensor_blocks(x)}, e);
}

static int run_images(
        struct dev *d, const struct gather *g, const char *options, const struct tensor *x, struct err *e)
{
        struct launch l = launch_begin(d, "gather", options, "gather_images");
        launch_buf(&l, g->images);
        launch_buf(&l, g->order);
        launch_int(&l, g->first);
        launch_tensor(&l, x);
        launch_ints(&l, x->n, g->channels, x->s.h, x->s.w, g->h, g->w);
        bind_steps(&l, g);
        bind_moves(&l, g->moves, g->images);
        return over_rows(&l, x, e);
}

int gather_run(struct dev *d, const struct gather *g, const struct tensor *x, const struct view *labels,
        struct err *e)
{
        char options[OPTIONS];
        options_of(options, x->lanes, g->bytes, g->moves, false);
        int rc = run_images(d, g, options, x, e);
        if (rc || !g->labels)
                return rc;
        struct launch l = launch_begin(d, "gather", options, "gather_labels");
        launch_buf(&l, g->labels);
        launch_buf(&l, g->order);
        launch_int(&l, g->first);
        launch_view(&l, labels);
        launch_int(&l, x->n);
        return launch_grid(&l, 1, (size_t[]){(size_t)x->n}, NULL, e);
}

int gather_move(struct dev *d, const struct gather_moves *m, const struct tensor *x, const struct tensor *y,
        struct err *e)
{
        char options[OPTIONS];
        options_of(options, x->lanes, false, m, true);
        struct launch l = launch_begin(d, "gather", options, "gather_tensor");
        launch_tensor(&l, x);
        launch_tensor(&l, y);
        launch_ints(&l, x->n, x->s.c, x->s.h, x->s.w);
        bind_moves(&l, m, NULL);
        return over_rows(&l, x, e);
}
