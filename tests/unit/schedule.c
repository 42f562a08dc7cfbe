#include "check.h"

#include "train/schedule.h"

#include <math.h>

enum { AN_EPOCH = 4 };

static void close_to(double got, double want)
{
        if (!(fabs(got - want) <= 1e-15 + 1e-12 * fabs(want)))
                fail_msg("%.17g, wanted %.17g", got, want);
}

static void constant_stays(void **state)
{
        const struct schedule_spec s = {.kind = SCHEDULE_CONSTANT};
        (void)state;
        for (int t = 0; t < 40; t++)
                assert_true(schedule_lr(&s, 0.3, t, AN_EPOCH, 40) == 0.3);
}

/* torch.optim.lr_scheduler.StepLR(step_size=2, gamma=0.3) from 0.4, by epochs. */
static void step_is_torchs(void **state)
{
        static const double want[] = {0.4, 0.4, 0.12, 0.12, 0.036, 0.036, 0.010799999999999999};
        const struct schedule_spec s = {.kind = SCHEDULE_STEP, .step_epochs = 2, .gamma = 0.3};
        (void)state;
        for (int t = 0; t < 7 * AN_EPOCH; t++)
                close_to(schedule_lr(&s, 0.4, t, AN_EPOCH, 7 * AN_EPOCH), want[t / AN_EPOCH]);
}

/* CosineAnnealingLR(T_max=12, eta_min=0.05) from 0.4, by steps. */
static void cosine_is_torchs(void **state)
{
        static const double want[] = {0.4, 0.39403701960058696, 0.3765544456622768, 0.3487436867076458,
                0.3125, 0.27029333289294116, 0.22500000000000003, 0.1797066671070589, 0.13750000000000007,
                0.10125631329235421, 0.07344555433772323, 0.05596298039941307};
        const struct schedule_spec s = {.kind = SCHEDULE_COSINE, .min_lr = 0.05};
        (void)state;
        for (int t = 0; t < 12; t++)
                close_to(schedule_lr(&s, 0.4, t, AN_EPOCH, 12), want[t]);
}

static void warmup_is_linear_from_zero(void **state)
{
        const struct schedule_spec constant = {.kind = SCHEDULE_CONSTANT, .warmup_epochs = 2.5};
        const struct schedule_spec step = {
                .kind = SCHEDULE_STEP, .step_epochs = 1, .gamma = 0.5, .warmup_epochs = 2.5};
        const struct schedule_spec cosine = {.kind = SCHEDULE_COSINE, .min_lr = 0.1, .warmup_epochs = 2.5};
        const struct schedule_spec part = {.kind = SCHEDULE_CONSTANT, .warmup_epochs = 0.3};
        const double pi = acos(-1.0);
        (void)state;
        for (int t = 0; t < 10; t++) {
                close_to(schedule_lr(&constant, 0.7, t, AN_EPOCH, 20), 0.7 * t / 10);
                close_to(schedule_lr(&step, 0.7, t, AN_EPOCH, 20), 0.7 * t / 10);
                close_to(schedule_lr(&cosine, 0.7, t, AN_EPOCH, 20), 0.7 * t / 10);
        }
        for (int t = 10; t < 20; t++) {
                close_to(schedule_lr(&constant, 0.7, t, AN_EPOCH, 20), 0.7);
                close_to(schedule_lr(&step, 0.7, t, AN_EPOCH, 20), 0.7 * (t < 14 ? 1 : t < 18 ? 0.5 : 0.25));
                close_to(schedule_lr(&cosine, 0.7, t, AN_EPOCH, 20),
                        0.1 + 0.3 * (1 + cos(pi * (t - 10) / 10)));
        }
        close_to(schedule_lr(&part, 0.6, 1, AN_EPOCH, 20), 0.6 / 1.2);
        close_to(schedule_lr(&part, 0.6, 2, AN_EPOCH, 20), 0.6);
}

/* All of the job may be warm-up. */
static void nothing_left_after_warmup(void **state)
{
        const struct schedule_spec s = {.kind = SCHEDULE_COSINE, .warmup_epochs = 5};
        (void)state;
        for (int t = 0; t < 20; t++)
                close_to(schedule_lr(&s, 1, t, AN_EPOCH, 20), t / 20.0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(constant_stays),
                cmocka_unit_test(step_is_torchs),
                cmocka_unit_test(cosine_is_torchs),
                cmocka_unit_test(warmup_is_linear_from_zero),
                cmocka_unit_test(nothing_left_after_warmup),
        };
        return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
