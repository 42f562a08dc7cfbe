#include "train/transform.h"
#include "device/launch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = AUGMENT_MAX + 1, TABLE = 8, PARTS = 64, OPTIONS = 512 };

/* A step as the kernels know it: the augmentation's, and the normalisation behind them. */
struct step {
        const char *token;
        enum augment_class class;
        bool deviation; /* needs the image's deviation beside its mean */
        int radius;     /* of a blur */
};

/* Steps first to first + count - 1 in one go. */
struct pass {
        enum augment_class class;
        bool mean, deviation;
        int first, count, radius;
};

/* Places in the buffer of numbers, in floats. */
struct layout {
        uint64_t table, channel, draws, stats, sums, total;
};

struct transform {
        struct dev *dev; /* borrowed */
        struct shape s;
        int room; /* samples, in whole blocks of any lanes */
        struct step steps[STEPS];
        struct pass passes[STEPS];
        int num_steps, num_passes, num_drawn; /* the last are the augmentation's */
        bool scratches;
        struct layout at;
        struct buf *numbers, *scratch; /* owned */
};

static void list_steps(const struct transform_spec *spec, struct transform *t)
{
        for (int i = 0; spec->augment && i < spec->augment->count; i++) {
                const struct augment_step *from = &spec->augment->steps[i];
                struct step *to = &t->steps[t->num_steps++];
                *to = (struct step){.token = from->kind->token, .class = from->kind->class};
                if (to->class == AUGMENT_BLUR)
                        to->radius = (int)ceil(3 * from->values[0]);
        }
        t->num_drawn = t->num_steps;
        enum normalize_mode mode = spec->normalize ? spec->normalize->mode : NORMALIZE_NONE;
        if (mode == NORMALIZE_CHANNELS)
                t->steps[t->num_steps++] = (struct step){.token = "NORMALIZE", .class = AUGMENT_POINT};
        if (mode == NORMALIZE_IMAGE)
                t->steps[t->num_steps++] =
                        (struct step){.token = "STANDARDIZE", .class = AUGMENT_MEAN_POINT, .deviation = true};
}

/* Runs of steps that go together. */
static void list_passes(const struct transform_spec *spec, struct transform *t)
{
        for (int i = 0; i < t->num_steps; i++) {
                const struct step *s = &t->steps[i];
                struct pass *last = t->num_passes ? &t->passes[t->num_passes - 1] : NULL;
                bool point = s->class == AUGMENT_POINT;
                if (last && ((point && (last->class == AUGMENT_POINT || last->class == AUGMENT_MEAN_POINT)) ||
                                    (s->class == AUGMENT_GEOMETRIC &&
                                            augment_joins(spec->augment, last->first, i)))) {
                        last->count++;
                        continue;
                }
                t->passes[t->num_passes++] = (struct pass){.class = s->class,
                        .mean = s->class == AUGMENT_MEAN_POINT,
                        .deviation = s->deviation,
                        .first = i,
                        .count = 1,
                        .radius = s->radius};
                t->scratches =
                        t->scratches || s->class == AUGMENT_BLUR || (s->class == AUGMENT_GEOMETRIC && i > 0);
        }
}

static void lay_out(struct transform *t)
{
        bool sums = false;
        for (int i = 0; i < t->num_passes; i++)
                sums = sums || t->passes[i].mean;
        uint64_t room = (uint64_t)t->room;
        t->at.channel = TABLE * (uint64_t)t->num_steps;
        t->at.draws = (t->at.channel + 2 * (uint64_t)t->s.c + TENSOR_MAX_LANES - 1) / TENSOR_MAX_LANES *
                      TENSOR_MAX_LANES;
        t->at.stats = t->at.draws + (uint64_t)t->num_drawn * room * GATHER_DRAW;
        t->at.sums = t->at.stats + (sums ? 2 * room : 0);
        t->at.total = t->at.sums + (sums ? PARTS * room : 0);
}

static void describe(const struct transform_spec *spec, struct transform *t)
{
        t->s = spec->s;
        t->room = (spec->n + TENSOR_MAX_LANES - 1) / TENSOR_MAX_LANES * TENSOR_MAX_LANES;
        list_steps(spec, t);
        list_passes(spec, t);
        lay_out(t);
}

static struct transform_bytes bytes_of(const struct transform *t, const struct transform_spec *spec)
{
        if (t->num_steps == 0)
                return (struct transform_bytes){0};
        return (struct transform_bytes){.numbers = t->at.total * sizeof(float),
                .scratch = t->scratches ? tensor_floats(spec->n, spec->s, spec->lanes) * sizeof(float) : 0};
}

struct transform_bytes transform_bytes(const struct transform_spec *spec)
{
        struct transform t = {0};
        describe(spec, &t);
        return bytes_of(&t, spec);
}

/* The steps' parameters, and mean and one over deviation of each channel. */
static int write_numbers(struct transform *t, const struct transform_spec *spec, struct err *e)
{
        const struct normalize *z = spec->normalize;
        float *numbers = calloc((size_t)t->at.draws, sizeof *numbers);
        if (!numbers)
                return err_set(e, ERR_NO_MEMORY, "no memory for an augmentation");
        for (int i = 0; i < t->num_drawn; i++)
                for (int k = 0; k < AUGMENT_FIELDS; k++)
                        numbers[TABLE * i + k] = (float)spec->augment->steps[i].values[k];
        for (int c = 0; z && z->mode == NORMALIZE_CHANNELS && c < t->s.c; c++) {
                float *channel = numbers + t->at.channel + 2 * c;
                channel[0] = (float)z->mean[z->count == 1 ? 0 : c];
                channel[1] = (float)(1 / z->std[z->count == 1 ? 0 : c]);
        }
        int rc = buf_write(t->numbers, 0, numbers, (size_t)t->at.draws * sizeof *numbers, e);
        free(numbers);
        return rc;
}

int transform_create(struct dev *d, const struct transform_spec *spec, struct transform **ret, struct err *e)
{
        struct transform *t = calloc(1, sizeof *t);
        if (!t)
                return err_set(e, ERR_NO_MEMORY, "no memory for an augmentation");
        t->dev = d;
        describe(spec, t);
        struct transform_bytes bytes = bytes_of(t, spec);
        int rc = bytes.numbers ? buf_create(d, bytes.numbers, "the augmentation's numbers", &t->numbers, e)
                               : 0;
        if (rc == 0 && bytes.scratch)
                rc = buf_create(d, bytes.scratch, "the augmentation's scratch", &t->scratch, e);
        if (rc == 0 && bytes.numbers)
                rc = write_numbers(t, spec, e);
        if (rc) {
                transform_destroy(t);
                return rc;
        }
        *ret = t;
        return 0;
}

void transform_destroy(struct transform *t)
{
        if (!t)
                return;
        buf_destroy(t->numbers);
        buf_destroy(t->scratch);
        free(t);
}

static void name_steps(const struct transform *t, int first, int count, char *out, size_t size)
{
        size_t n = 0;
        out[0] = '\0';
        for (int i = first; i < first + count && n < size; i++)
                n += (size_t)snprintf(out + n, size - n, i > first ? ",%s" : "%s", t->steps[i].token);
}

/* `kernels` chooses a part of augment.cl. */
static void options_of(
        const struct transform *t, const char *kernels, int lanes, int first, int count, char *out)
{
        char names[256];
        name_steps(t, first, count, names, sizeof names);
        int n = snprintf(out, OPTIONS,
                "-DLANES=%d -D%s -DTABLE=%d -DDRAW=%d -DPARTS=%d -DFIRST=%d -DCOUNT=%d", lanes, kernels,
                TABLE, GATHER_DRAW, PARTS, first, count);
        if (count)
                snprintf(out + n, (size_t)(OPTIONS - n), " -DSTEPS=%s", names);
}

static void bind_view(struct launch *l, const struct transform *t, uint64_t offset)
{
        launch_view(l, &(struct view){t->numbers, offset});
}

static void bind_draw(struct launch *l, const struct gather_draw *draw)
{
        launch_ints(l, (int)(uint32_t)draw->seed, (int)(uint32_t)(draw->seed >> 32), (int)draw->epoch,
                draw->position);
}

/* `items` for each lane; where there are 16, one work-item takes them all. */
static int over_lanes(struct launch *l, const struct tensor *x, size_t items, struct err *e)
{
        size_t wide = x->lanes == 16 ? 1 : (size_t)x->lanes;
        return launch_over(l, 2, (size_t[]){items * wide, (size_t)tensor_blocks(x)}, e);
}

static int draw_all(struct transform *t, const struct gather_draw *draw, int n, struct err *e)
{
        char options[OPTIONS];
        options_of(t, "DRAWING", 1, 0, t->num_drawn, options);
        struct launch l = launch_begin(t->dev, "augment", options, "augment_draw");
        bind_view(&l, t, t->at.table);
        bind_view(&l, t, t->at.draws);
        launch_ints(&l, t->room, n, t->s.h, t->s.w);
        bind_draw(&l, draw);
        return launch_over(&l, 1, (size_t[]){(size_t)n}, e);
}

/* In this order; as in kernels/augment.cl. */
enum sums { VALUES, RESTS, SQUARES };

static int sum_up(struct transform *t, const struct tensor *x, enum sums what, struct err *e)
{
        char options[OPTIONS];
        options_of(t, "STATS", x->lanes, 0, 0, options);
        struct launch l = launch_begin(t->dev, "augment", options, "augment_sums");
        launch_tensor(&l, x);
        bind_view(&l, t, t->at.stats);
        bind_view(&l, t, t->at.sums);
        launch_ints(&l, t->room, (int)shape_count(x->s), (int)what);
        int rc = over_lanes(&l, x, PARTS, e);
        if (rc)
                return rc;
        l = launch_begin(t->dev, "augment", options, "augment_stats");
        bind_view(&l, t, t->at.sums);
        bind_view(&l, t, t->at.stats);
        launch_ints(&l, t->room, x->n, (int)shape_count(x->s), (int)what);
        launch_float(&l, NORMALIZE_LEAST);
        return launch_over(&l, 1, (size_t[]){(size_t)x->n}, e);
}

/* y = the pass's steps of x, which may be y; without a pass a copy. */
static int change_points(struct transform *t, const struct pass *p, const struct gather_draw *draw,
        const struct tensor *x, const struct tensor *y, struct err *e)
{
        char options[OPTIONS];
        int count = (int)shape_count(x->s);
        int rc = p && p->mean ? sum_up(t, x, VALUES, e) : 0;
        for (int what = RESTS; what <= SQUARES && rc == 0 && p && p->deviation; what++)
                rc = sum_up(t, x, (enum sums)what, e);
        if (rc)
                return rc;
        options_of(t, "POINTS", x->lanes, p ? p->first : 0, p ? p->count : 0, options);
        struct launch l = launch_begin(t->dev, "augment", options, "augment_points");
        launch_tensor(&l, x);
        launch_tensor(&l, y);
        bind_view(&l, t, t->at.draws);
        bind_view(&l, t, t->at.stats);
        bind_view(&l, t, t->at.channel);
        launch_ints(&l, t->room, x->n, count, x->s.h, x->s.w);
        bind_draw(&l, draw);
        return over_lanes(&l, x, ((size_t)count + 3) / 4, e);
}

static int blur(struct transform *t, const struct pass *p, const struct tensor *x, const struct tensor *y,
        bool vertical, struct err *e)
{
        char options[OPTIONS];
        options_of(t, "BLURRING", x->lanes, p->first, 1, options);
        struct launch l = launch_begin(t->dev, "augment", options, "augment_blur");
        launch_tensor(&l, x);
        launch_tensor(&l, y);
        bind_view(&l, t, t->at.draws);
        launch_ints(&l, t->room, x->n, (int)shape_count(x->s), x->s.h, x->s.w, p->radius, vertical);
        return over_lanes(&l, x, (size_t)shape_count(x->s), e);
}

static void describe_moves(const struct transform *t, const struct pass *p, const struct gather_draw *draw,
        struct gather_moves *ret)
{
        *ret = (struct gather_moves){.count = p->count,
                .first = p->first,
                .draws = {t->numbers, t->at.draws},
                .room = t->room,
                .draw = *draw};
        name_steps(t, p->first, p->count, ret->steps, sizeof ret->steps);
        ret->mirrored = strstr(ret->steps, "AFFINE") != NULL;
}

/* One pass from x over `other` back to x. */
static int run_pass(struct transform *t, const struct pass *p, const struct gather_draw *draw,
        const struct tensor *x, const struct tensor *other, struct err *e)
{
        struct gather_moves moves;
        int rc;
        switch (p->class) {
        case AUGMENT_GEOMETRIC:
                describe_moves(t, p, draw, &moves);
                rc = gather_move(t->dev, &moves, x, other, e);
                return rc ? rc : change_points(t, NULL, draw, other, x, e);
        case AUGMENT_BLUR:
                rc = blur(t, p, x, other, false, e);
                return rc ? rc : blur(t, p, other, x, true, e);
        default:
                return change_points(t, p, draw, x, x, e);
        }
}

int transform_run(struct transform *t, const struct gather *g, const struct gather_draw *draw,
        const struct tensor *x, const struct view *labels, struct dev *d, struct err *e)
{
        struct gather all = *g;
        struct gather_moves moves;
        if (!t || t->num_steps == 0)
                return gather_run(d, g, x, labels, e);
        bool moved = t->passes[0].class == AUGMENT_GEOMETRIC;
        int rc = t->num_drawn ? draw_all(t, draw, x->n, e) : 0;
        if (moved) {
                describe_moves(t, &t->passes[0], draw, &moves);
                all.moves = &moves;
        }
        if (rc == 0)
                rc = gather_run(d, &all, x, labels, e);
        struct tensor other = tensor_whole((struct view){t->scratch, 0}, x->n, x->s, x->lanes);
        for (int i = moved; i < t->num_passes && rc == 0; i++)
                rc = run_pass(t, &t->passes[i], draw, x, &other, e);
        return rc;
}
