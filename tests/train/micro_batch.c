/* Gradients added up over micro-batches are the whole batch's; what does not fit is cut, or refused with its
 * numbers. */
#include "ops/strategy.h"
#include "trainer.h"

#include <errno.h>
#include <math.h>
#include <sys/syscall.h>
#include <unistd.h>

/* AlexNet's parts: nothing that mixes samples, and dropout, whose masks must not depend on the micro-batch.
 * 55 images in batches of 24: 24, 24, 7. */
#define NET                                                                                                  \
        "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":6,\"kernel_size\":5,\"stride\":2,\"padding\":1}" \
        ","                                                                                                  \
        "{\"type\":\"relu\"},{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2},"                      \
        "{\"type\":\"conv2d\",\"out_channels\":9,\"kernel_size\":3,\"padding\":1},{\"type\":\"relu\"},"      \
        "{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":20},{\"type\":\"relu\"},"              \
        "{\"type\":\"dropout\",\"p\":0.4},"                                                                  \
        "{\"type\":\"linear\",\"out_features\":5}]}"
#define JOB(net, more)                                                                                       \
        "{\"type\":\"train\",\"architecture\":" net ",\"dataset\":\"noise\",\"epochs\":2,\"batch_size\":24," \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.05},\"seed\":5,\"report_every\":1" more "}"

/* The whole of it, at the smallest size that it takes. */
#define ALEXNET(more)                                                                                        \
        "{\"type\":\"train\",\"architecture\":\"alexnet\",\"dataset\":{\"name\":\"noise\",\"resize\":[65,"   \
        "65]},"                                                                                              \
        "\"epochs\":2,\"batch_size\":24,\"optimizer\":{\"name\":\"sgd\",\"lr\":0.005},\"seed\":5,"           \
        "\"report_every\":1" more "}"

static int set_up(void **state)
{
        struct trainer *t = trainer_open(0);
        trainer_data(t, 2, 17, 5, 55, 9, true);
        *state = t;
        return 0;
}

static double worst(const float *got, const float *want, size_t count)
{
        double top = 0;
        for (size_t i = 0; i < count; i++)
                top = fmax(top, fabs((double)got[i] - (double)want[i]));
        return top;
}

static void agree(struct trainer *t, const char *whole_job, const char *job, const char *name)
{
        static struct trainer_log whole, parts;
        size_t want_count, got_count;
        memset(&whole, 0, sizeof whole);
        memset(&parts, 0, sizeof parts);
        char whole_name[40];
        snprintf(whole_name, sizeof whole_name, "whole-%s", name);
        trainer_run(t, whole_job, whole_name, 0, &whole);
        trainer_run(t, job, name, 0, &parts);
        float *want = trainer_weights(t, whole_name, &want_count),
              *got = trainer_weights(t, name, &got_count);
        assert_int_equal(want_count, got_count);
        double off = worst(got, want, want_count);
        print_message("%s: weights off by at most %.2g\n", name, off);
        assert_true(off < 1e-5);
        assert_int_equal(parts.steps, 6);
        for (int i = 1; i <= 6; i++)
                assert_true(fabs(parts.losses[i] - whole.losses[i]) < 1e-5);
        assert_true(fabs(parts.val_loss - whole.val_loss) < 1e-5);
        free(want);
        free(got);
}

static void gradients_add_up(void **state)
{
        agree(*state, JOB(NET, ""), JOB(NET, ",\"micro_batch\":12"), "two");
        agree(*state, JOB(NET, ""), JOB(NET, ",\"micro_batch\":10"), "rest");
        agree(*state, JOB(NET, ""), JOB(NET, ",\"micro_batch\":5"), "both-rests");
        agree(*state, JOB(NET, ""), JOB(NET, ",\"micro_batch\":1"), "ones");
        agree(*state, ALEXNET(""), ALEXNET(",\"micro_batch\":8"), "alexnet");
}

static void stops_leave_no_trace(void **state)
{
        static struct trainer_log whole, parts;
        size_t count, other_count;
        trainer_run(*state, JOB(NET, ",\"micro_batch\":5"), "undisturbed", 0, &whole);
        do
                trainer_run(*state, JOB(NET, ",\"micro_batch\":5"), "stopped", 7, &parts);
        while (parts.outcome.end == TRAIN_STOPPED);
        float *want = trainer_weights(*state, "undisturbed", &count),
              *got = trainer_weights(*state, "stopped", &other_count);
        assert_true(count == other_count);
        assert_memory_equal(got, want, count * sizeof *want);
        free(want);
        free(got);
}

static void weighted_losses_too(void **state)
{
        agree(*state, JOB(NET, ",\"class_weights\":[0.5,0,2,1,3]"),
                JOB(NET, ",\"class_weights\":[0.5,0,2,1,3],\"micro_batch\":5"), "weighted");
}

/* The mean divides by the sum of the weights, so only their ratios count. */
static void means_are_over_weights(void **state)
{
        static struct trainer_log plain, ones, twos, balanced, list;
        trainer_run(*state, JOB(NET, ""), "plain", 0, &plain);
        trainer_run(*state, JOB(NET, ",\"class_weights\":[1,1,1,1,1]"), "one-each", 0, &ones);
        trainer_run(*state, JOB(NET, ",\"class_weights\":[2,2,2,2,2]"), "two-each", 0, &twos);
        trainer_run(*state, JOB(NET, ",\"class_weights\":\"balanced\""), "balanced", 0, &balanced);
        /* 24, 8, 8, 8 and 7 of the 55 images. */
        trainer_run(*state,
                JOB(NET, ",\"class_weights\":[0.45833333333333331,1.375,1.375,1.375,1.5714285714285714]"),
                "list", 0, &list);
        for (int i = 1; i <= 6; i++) {
                assert_string_equal(plain.events[i], ones.events[i]);
                assert_string_equal(plain.events[i], twos.events[i]);
                assert_string_equal(balanced.events[i], list.events[i]);
        }
        assert_true(plain.val_loss == twos.val_loss && fabs(plain.val_loss - balanced.val_loss) > 1e-4);
}

static void planned_bytes_are_the_allocated_ones(void **state)
{
        struct trainer *t = *state;
        static const char *const jobs[] = {JOB(NET, ",\"micro_batch\":10"), JOB(NET, ",\"micro_batch\":1"),
                JOB(NET, ",\"micro_batch\":17,\"class_weights\":\"balanced\"")};
        for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
                static struct trainer_log log;
                struct train_request r;
                struct train_estimate plan;
                struct err e = {0};
                char name[20];
                snprintf(name, sizeof name, "planned-%zu", i);
                trainer_parse(jobs[i], &r);
                CHECK_OK(train_plan(&r, t->data, dev_info(t->dev), &plan, &e), &e);
                trainer_run(t, jobs[i], name, 0, &log);
                assert_int_equal(plan.device_bytes, log.outcome.device_bytes);
                assert_int_equal(plan.micro_batch, r.micro_batch);
                assert_string_equal(plan.note, "");
                train_request_finish(&r);
        }
}

/* A plan for a device of `bytes`. */
static int plan_within(
        struct trainer *t, const char *job, uint64_t bytes, struct train_estimate *ret, struct err *e)
{
        struct train_request r;
        struct dev_info info = *dev_info(t->dev);
        info.global_bytes = bytes;
        trainer_parse(job, &r);
        int rc = train_plan(&r, t->data, &info, ret, e);
        train_request_finish(&r);
        return rc;
}

static void what_does_not_fit_is_cut(void **state)
{
        static struct trainer_log log, wide;
        struct train_estimate plan, cut;
        struct err e = {0};
        struct trainer *t = *state;
        CHECK_OK(plan_within(t, JOB(NET, ""), dev_info(t->dev)->global_bytes, &plan, &e), &e);
        assert_int_equal(plan.micro_batch, 24);
        CHECK_OK(plan_within(t, JOB(NET, ""), plan.device_bytes * 3 / 4, &cut, &e), &e);
        assert_true(cut.micro_batch < 24 && cut.device_bytes < plan.device_bytes);

        /* The run chooses as the plan did, and its weights are the whole batch's. */
        struct trainer *tight = trainer_open(plan.device_bytes * 3 / 4);
        trainer_data(tight, 2, 17, 5, 55, 9, true);
        trainer_run(tight, JOB(NET, ""), "tight", 0, &log);
        assert_int_equal(log.outcome.device_bytes, cut.device_bytes);
        trainer_run(t, JOB(NET, ""), "wide", 0, &wide);
        size_t got_count, want_count;
        float *got = trainer_weights(tight, "tight", &got_count),
              *want = trainer_weights(t, "wide", &want_count);
        assert_true(got_count == want_count && worst(got, want, got_count) < 1e-5);
        free(got);
        free(want);
        trainer_close(tight);
}

static void nothing_is_measured(void *ctx, const struct strategies *s)
{
        (void)ctx;
        fail_msg("%d layers were measured", strategies_count(s));
}

#define CONV "{\"type\":\"conv2d\",\"out_channels\":16,\"kernel_size\":3,\"padding\":1}"
#define CONV_NET                                                                                             \
        "{\"layers\":[" CONV "," CONV ",{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":5}]}"
#define BOUND(channels, batch, how)                                                                          \
        "\"conv2d " channels                                                                                 \
        "x17x17 out_channels=16 kernel_size=3x3 stride=1x1 padding=1x1 groups=1 bias=1 "                     \
        "batch" batch "\":\"" how " " how " " how "\""
/* With 16 lanes, and with 32. */
#define ALL_BOUND(channels, how)                                                                             \
        BOUND(channels, ">16", how) "," BOUND(channels, "<=16", how) "," BOUND(channels, "<=32", how)

/* Where a job goes on, what its layers are bound to is new to the device's process: tested while there is
   room, and not given up for want of it. */
static void layers_are_tested_before_memory_is_taken(void **state)
{
        static struct trainer_log log;
        struct train_estimate plan;
        struct err e = {0};
        size_t count[2];
        float *weights[2];
        cJSON *bound = cJSON_Parse("{" ALL_BOUND("2", "tiled") "," ALL_BOUND("16", "winograd") "}");
        struct strategies *known = strategies_create();
        const struct train_tuning tuning = {.known = known, .bound = bound, .measured = nothing_is_measured};
        CHECK_OK(plan_within(*state, JOB(CONV_NET, ""), UINT64_MAX, &plan, &e), &e);
        /* Less than that by the data set, which then does not stay on the device. */
        CHECK_OK(plan_within(*state, JOB(CONV_NET, ""), plan.device_bytes - 1, &plan, &e), &e);
        for (int tight = 0; tight < 2; tight++) {
                struct trainer *t = trainer_open(tight ? plan.device_bytes : 0);
                trainer_data(t, 2, 17, 5, 55, 9, true);
                t->tuning = &tuning;
                trainer_run(t, JOB(CONV_NET, ""), "it", 0, &log);
                weights[tight] = trainer_weights(t, "it", &count[tight]);
                trainer_close(t);
        }
        assert_int_equal(log.outcome.device_bytes, plan.device_bytes);
        assert_int_equal(count[0], count[1]);
        assert_memory_equal(weights[0], weights[1], count[0] * sizeof *weights[0]);
        free(weights[0]);
        free(weights[1]);
        strategies_destroy(known);
        cJSON_Delete(bound);
}

#define BN_NET                                                                                               \
        "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3},{\"type\":\"batch_norm\"}," \
        "{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":5}]}"

static void batch_statistics_are_noted(void **state)
{
        struct train_estimate plan;
        struct err e = {0};
        CHECK_OK(plan_within(*state, JOB(BN_NET, ""), UINT64_MAX, &plan, &e), &e);
        assert_string_equal(plan.note, "");
        CHECK_OK(plan_within(*state, JOB(BN_NET, ",\"micro_batch\":8"), UINT64_MAX, &plan, &e), &e);
        assert_non_null(strstr(plan.note, "micro-batches of 8"));
        assert_non_null(strstr(plan.note, "batch of 24"));
}

#define DENSE_NORM                                                                                           \
        "{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":7},{\"type\":\"batch_"    \
        "norm\"},{\"type\":\"linear\",\"out_features\":5}]}"

#define DENSE_JOB                                                                                            \
        "{\"type\":\"train\",\"architecture\":" DENSE_NORM                                                   \
        ",\"dataset\":\"noise\",\"epochs\":2,\"batch_size\":%d,\"report_every\":1}"

/* 55 images in batches of 27 leave one, and a batch of 24 in parts of 23 does. */
static void one_image_has_no_variance(void **state)
{
        struct train_estimate plan;
        struct err e = {0};
        CHECK_OK(plan_within(*state, JOB(DENSE_NORM, ""), UINT64_MAX, &plan, &e), &e);
        assert_int_equal(plan_within(*state, JOB(DENSE_NORM, ",\"micro_batch\":23"), UINT64_MAX, &plan, &e),
                ERR_INVALID);
        assert_non_null(strstr(e.message, "net.2"));
        CHECK_OK(plan_within(*state, JOB(BN_NET, ",\"micro_batch\":23"), UINT64_MAX, &plan, &e), &e);
        char job[600];
        snprintf(job, sizeof job, DENSE_JOB, 1);
        assert_int_equal(plan_within(*state, job, UINT64_MAX, &plan, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "55 images in batches of 1"));
        assert_string_equal(e.pointer, "/batch_size");
        /* The one that 27s leave is left out, another in each epoch. */
        static struct trainer_log log;
        snprintf(job, sizeof job, DENSE_JOB, 27);
        CHECK_OK(plan_within(*state, job, UINT64_MAX, &plan, &e), &e);
        assert_int_equal(plan.steps, 4);
        assert_non_null(strstr(plan.note, "leaves out one of its 55 images"));
        trainer_run(*state, job, "leaves-one", 0, &log);
        assert_int_equal(log.steps, 4);
}

/* A batch that the data set cannot fill takes no more than the data set. */
static void larger_batches_than_images(void **state)
{
        static const char job[] =
                "{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":{\"name\":\"noise\","
                "\"resize\":[32,32]},\"epochs\":1,\"batch_size\":%d,\"augment\":[{\"type\":\"blur\"}]}";
        static struct trainer_log log;
        struct train_estimate plan[2];
        struct err e = {0};
        char text[300];
        for (int i = 0; i < 2; i++) {
                snprintf(text, sizeof text, job, i ? 65536 : 55);
                CHECK_OK(plan_within(*state, text, dev_info(((struct trainer *)*state)->dev)->global_bytes,
                                 &plan[i], &e),
                        &e);
        }
        assert_int_equal(plan[0].device_bytes, plan[1].device_bytes);
        trainer_run(*state, text, "large-batch", 0, &log);
        assert_int_equal(log.outcome.device_bytes, plan[1].device_bytes);
}

/* What stops early goes by the loss that is told, whatever the classes weigh. */
static void patience_goes_by_the_mean(void **state)
{
        static struct trainer_log ones, hundredths;
#define STOPPING(WEIGHT)                                                                                     \
        JOB(NET, ",\"stop_when\":{\"metric\":\"val_loss\",\"patience\":1,\"min_delta\":0.0001},\"class_"     \
                 "weights\":[" WEIGHT "," WEIGHT "," WEIGHT "," WEIGHT "," WEIGHT "]")
        trainer_run(*state, STOPPING("1"), "weights-of-one", 0, &ones);
        trainer_run(*state, STOPPING("0.0001"), "small-weights", 0, &hundredths);
        assert_int_equal(ones.steps, hundredths.steps);
        assert_int_equal(ones.outcome.stopped_early, hundredths.outcome.stopped_early);
}

/* A limit that leaves classes without an image is told of. */
static void limits_are_noted(void **state)
{
        static const char job[] =
                "{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":{\"name\":\"noise\","
                "\"resize\":[32,32],\"limit\":%d},\"epochs\":1,\"batch_size\":8}";
        struct train_estimate plan;
        struct err e = {0};
        char text[300];
        snprintf(text, sizeof text, job, 2);
        CHECK_OK(plan_within(*state, text, UINT64_MAX, &plan, &e), &e);
        assert_non_null(strstr(plan.note, "the first 2 of 55 training images hold"));
        snprintf(text, sizeof text, job, 30);
        CHECK_OK(plan_within(*state, text, UINT64_MAX, &plan, &e), &e);
        assert_string_equal(plan.note, "");
}

static int reads, bad_read; /* the one that fails; 0: none */

/* In place of libc's. */
ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
        if (++reads == bad_read) {
                errno = EIO;
                return -1;
        }
        return syscall(SYS_pread64, fd, out, len, at);
}

/* What a disk does not tell is no want of memory; and it is asked once, however many sizes are tried. */
static void labels_that_cannot_be_read(void **state)
{
        static const char job[] =
                "{\"type\":\"train\",\"architecture\":" NET ",\"dataset\":{\"name\":\"noise\",\"limit\":50},"
                "\"epochs\":1,\"batch_size\":24,\"class_weights\":\"balanced\"}";
        struct trainer *t = *state;
        struct dataset *mapped = t->data;
        struct train_estimate whole, plan;
        struct err e = {0};
        char path[128];
        snprintf(path, sizeof path, "%s/noise.cnnd", t->dir);
        CHECK_OK(dataset_look(path, &t->data, &e), &e);
        CHECK_OK(plan_within(t, job, UINT64_MAX, &whole, &e), &e);
        reads = 0;
        CHECK_OK(plan_within(t, job, whole.device_bytes * 3 / 4, &plan, &e), &e);
        assert_true(plan.micro_batch < 24);
        const int all = reads; /* for the weights, and for the note on a limit */
        for (bad_read = 1; bad_read <= all; bad_read++) {
                reads = 0;
                assert_int_equal(plan_within(t, job, whole.device_bytes * 3 / 4, &plan, &e), ERR_UNAVAILABLE);
        }
        bad_read = 0;
        assert_int_equal(all, 2);
        dataset_close(t->data);
        t->data = mapped;
}

static void refusals_have_the_numbers(void **state)
{
        struct train_estimate plan, one;
        struct err e = {0};
        CHECK_OK(plan_within(*state, JOB(NET, ""), UINT64_MAX, &plan, &e), &e);
        /* What was asked for does not fit, less would. */
        assert_int_equal(
                plan_within(*state, JOB(NET, ",\"micro_batch\":24"), plan.device_bytes * 3 / 4, &plan, &e),
                ERR_DEVICE_MEMORY);
        assert_string_equal(e.pointer, "/micro_batch");
        assert_non_null(strstr(e.message, "the largest batch that fits is "));
        /* Not even one image: its bytes, its largest buffer. */
        assert_int_equal(plan_within(*state, JOB(NET, ""), 1000, &plan, &e), ERR_DEVICE_MEMORY);
        assert_string_equal(e.pointer, "/batch_size");
        assert_non_null(strstr(e.message, "not even one image fits"));
        assert_non_null(strstr(e.message, " has 1000 bytes"));
        /* The bytes it names are the truth: with them it fits, with one less not. */
        unsigned long long bytes = 0;
        assert_int_equal(sscanf(strstr(e.message, "takes "), "takes %llu bytes", &bytes), 1);
        CHECK_OK(plan_within(*state, JOB(NET, ""), bytes, &one, &e), &e);
        assert_int_equal(one.micro_batch, 1);
        assert_int_equal(plan_within(*state, JOB(NET, ""), bytes - 1, &one, &e), ERR_DEVICE_MEMORY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gradients_add_up),
                cmocka_unit_test(stops_leave_no_trace),
                cmocka_unit_test(weighted_losses_too),
                cmocka_unit_test(means_are_over_weights),
                cmocka_unit_test(planned_bytes_are_the_allocated_ones),
                cmocka_unit_test(what_does_not_fit_is_cut),
                cmocka_unit_test(layers_are_tested_before_memory_is_taken),
                cmocka_unit_test(batch_statistics_are_noted),
                cmocka_unit_test(one_image_has_no_variance),
                cmocka_unit_test(larger_batches_than_images),
                cmocka_unit_test(patience_goes_by_the_mean),
                cmocka_unit_test(limits_are_noted),
                cmocka_unit_test(labels_that_cannot_be_read),
                cmocka_unit_test(refusals_have_the_numbers),
        };
        return cmocka_run_group_tests_name("micro_batch", tests, set_up, trainer_tear_down);
}
