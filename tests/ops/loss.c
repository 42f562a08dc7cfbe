#include "ops.h"
#include "ops/loss_trial.h"
#include "ref/ref.h"

#include <math.h>

static void check(const struct loss_trial *t, uint64_t seed)
{
        struct trial_result r;
        struct err e = {0};
        if (loss_trial_run(t, seed, &r, &e) != 0)
                fail_msg("n=%d classes=%d lanes=%d variant=%d weighted=%d seed=%llu: %s %s", t->n, t->classes,
                        t->lanes, (int)t->variant, t->weighted, (unsigned long long)seed, e.message, e.log);
        if (!(r.error <= 1e-6))
                fail_msg("n=%d classes=%d lanes=%d variant=%d seed=%llu: %s[%lld] is %.9g, wanted %.9g", t->n,
                        t->classes, t->lanes, (int)t->variant, (unsigned long long)seed, r.what,
                        (long long)r.index, r.got, r.want);
}

static void agrees_with_reference(void **state)
{
        static const int lanes[] = {1, 16, 32}, batches[] = {1, 2, 15, 16, 17, 33, 150},
                         classes[] = {1, 2, 10, 37};
        struct ops_fixture *f = *state;
        for (int i = 0; i < 3 * 7 * 4 * OP_VARIANTS; i++) {
                struct loss_trial t = {.dev = f->dev,
                        .lanes = lanes[i % 3],
                        .n = batches[i / 3 % 7],
                        .classes = classes[i / 21 % 4],
                        .variant = (enum op_variant)(i / 84)};
                check(&t, f->seed);
                t.training = true;
                check(&t, f->seed + 1);
                t.slices = true;
                t.accumulate = true;
                check(&t, f->seed + 2);
                t.weighted = true;
                check(&t, f->seed + 3);
                t.training = false;
                check(&t, f->seed + 4);
        }
}

/* On GPUs several blocks go at once where there are few classes: more of them than go, and classes that are
 * not few. */
static void many_agree(void **state)
{
        static const struct {
                int n, classes;
        } sizes[] = {{300, 10}, {257, 64}, {70, 65}, {40, 200}};
        struct ops_fixture *f = *state;
        for (int i = 0; i < 4; i++) {
                struct loss_trial t = {.dev = f->dev,
                        .lanes = 32,
                        .n = sizes[i].n,
                        .classes = sizes[i].classes,
                        .variant = OP_TILED,
                        .training = true,
                        .slices = i % 2,
                        .weighted = i > 1};
                check(&t, f->seed);
        }
}

static void lies_are_seen(void **state)
{
        struct ops_fixture *f = *state;
        struct loss_trial t = {.dev = f->dev, .lanes = 16, .n = 3, .classes = 4, .lie = true};
        struct trial_result r;
        struct err e = {0};
        CHECK_OK(loss_trial_run(&t, f->seed, &r, &e), &e);
        assert_true(r.error > 1e-2);
        assert_string_equal(r.what, "loss");
}

static void reference_has_right_gradient(void **state)
{
        enum { N = 3, CLASSES = 4 };
        const int labels[N] = {0, 3, 1};
        const double weights[CLASSES] = {0.5, 2, 0, 1.25};
        double x[N * CLASSES], dx[N * CLASSES], scratch[N * CLASSES], above, below, loss;
        int correct;
        uint64_t seed = ((struct ops_fixture *)*state)->seed;
        for (int i = 0; i < N * CLASSES; i++)
                x[i] = 4 * trial_uniform(&seed) - 2;
        ref_loss(N, CLASSES, x, labels, weights, 0.5, dx, &loss, &correct);
        for (int i = 0; i < N * CLASSES; i++) {
                const double middle = x[i], step = 1e-5;
                x[i] = middle + step;
                ref_loss(N, CLASSES, x, labels, weights, 0.5, scratch, &above, &correct);
                x[i] = middle - step;
                ref_loss(N, CLASSES, x, labels, weights, 0.5, scratch, &below, &correct);
                x[i] = middle;
                if (fabs(dx[i] - 0.5 * (above - below) / (2 * step)) > 1e-8)
                        fail_msg("gradient of logit %d is %.12g", i, dx[i]);
        }
}

/* By hand: two equal logits count for the first; log 2 of loss. */
static void known_values(void **state)
{
        (void)state;
        const double x[] = {1, 1, 5, 5};
        const int labels[] = {0, 1};
        double dx[4], loss;
        int correct;
        ref_loss(2, 2, x, labels, NULL, 1, dx, &loss, &correct);
        assert_int_equal(correct, 1);
        assert_true(fabs(loss - 2 * log(2)) < 1e-15);
        assert_true(fabs(dx[0] + 0.5) < 1e-15 && fabs(dx[1] - 0.5) < 1e-15);
        assert_true(fabs(dx[2] - 0.5) < 1e-15 && fabs(dx[3] + 0.5) < 1e-15);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_reference),
                cmocka_unit_test(many_agree),
                cmocka_unit_test(lies_are_seen),
                cmocka_unit_test(reference_has_right_gradient),
                cmocka_unit_test(known_values),
        };
        return OPS_RUN(tests);
}
