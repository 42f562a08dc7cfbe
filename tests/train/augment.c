/* Augmentation and normalisation on the device against a reference in double, and by what it must not depend
 * on. */
#include "batch.h"

#include "base/json.h"
#include "train/transform_trial.h"

#include <math.h>

/* All but `allowed` values agree: a count of electrons, or a place at an edge, may fall to the other side. */
static void check(struct trainer *t, const struct batch *b, int allowed)
{
        float *got = batch_on_device(t, b);
        double *want = batch_by_reference(b);
        int wrong = 0, worst = 0;
        double top = 0;
        for (int i = 0; i < b->n * (int)shape_count(b->s); i++) {
                double off = fabs((double)got[i] - want[i]) / (1 + fabs(want[i]));
                wrong += !(off < 3e-5);
                if (!(off <= top)) {
                        top = off;
                        worst = i;
                }
        }
        if (wrong > allowed)
                fail_msg("%s %s n=%d lanes=%d %dx%dx%d: %d wrong, worst [%d] %.9g, wanted %.9g",
                        b->steps ? b->steps : "", b->normalize ? b->normalize : "", b->n, b->lanes, b->s.c,
                        b->s.h, b->s.w, wrong, worst, (double)got[worst], want[worst]);
        free(got);
        free(want);
}

/* In every layout, on odd sizes, with and without a resize. */
static void check_all(struct trainer *t, const char *steps, const char *normalize, bool square, int allowed)
{
        static const int lanes[] = {1, 16, 32}, n[] = {3, 16, 35};
        for (int i = 0; i < 3; i++) {
                struct batch b = {.steps = steps,
                        .normalize = normalize,
                        .s = {1 + 2 * (i == 1), 7, square ? 7 : 9},
                        .n = n[i],
                        .lanes = lanes[i],
                        .position = 40 * i,
                        .epoch = (uint32_t)i,
                        .bytes = i == 2,
                        .room = n[i] + i};
                b.source_h = i ? 7 : 11;
                b.source_w = i ? b.s.w : 13;
                check(t, &b, allowed);
        }
}

static void plain_batches(void **state)
{
        check_all(*state, NULL, NULL, false, 0);
        check_all(*state, "[]", NULL, false, 0);
}

static void moves_equal_the_reference(void **state)
{
        check_all(*state, "[{\"type\":\"hflip\"}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"vflip\",\"p\":0.7}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"rot90\"}]", NULL, true, 0);
        check_all(*state, "[{\"type\":\"crop\",\"padding\":2}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"crop\",\"padding\":40}]", NULL, false, 0); /* most of it is outside */
        check_all(*state, "[{\"type\":\"crop\",\"padding\":65536},{\"type\":\"hflip\"}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"zoom\",\"min\":0.5,\"max\":1.5}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"row_jitter\",\"max\":2.5}]", NULL, false, 0);
        check_all(*state,
                "[{\"type\":\"zoom\"},{\"type\":\"rot90\"},{\"type\":\"crop\",\"padding\":1},{\"type\":\"row_"
                "jitter\"},"
                "{\"type\":\"hflip\"},{\"type\":\"crop\",\"padding\":1}]",
                NULL, true, 0);
}

#define AFFINE(more) "{\"type\":\"affine\"" more "}"

static void affine_equals_the_reference(void **state)
{
        check_all(*state, "[" AFFINE("") "]", NULL, false, 0);
        check_all(*state, "[" AFFINE(",\"degrees\":15,\"translate\":[0.5,1]") "]", NULL, false, 0);
        check_all(*state, "[" AFFINE(",\"scale\":[0.1,0.3],\"shear\":60") "]", NULL, false,
                0); /* far outside */
        check_all(*state, "[" AFFINE(",\"degrees\":0,\"scale\":[0.5,2]") "]", NULL, false, 0);
        /* Beside steps that are one resampling with it, and beside others. */
        check_all(*state,
                "[{\"type\":\"hflip\"},{\"type\":\"rot90\"}," AFFINE(
                        ",\"translate\":[0.2,0.1]") ",{\"type\":\"vflip\"},{"
                                                    "\"type\":\"rot90\"}]",
                NULL, true, 0);
        check_all(*state,
                "[{\"type\":\"zoom\"},{\"type\":\"hflip\"}," AFFINE("") "," AFFINE(
                        "") ",{\"type\":\"crop\"}]",
                NULL, false, 0);
        check_all(*state, "[" AFFINE("") ",{\"type\":\"row_jitter\"}," AFFINE("") "]", NULL, false, 0);
}

/* PyTorch's grid_sample along torchvision's matrix: tests/golden/affine.json, made by make_affine.py there.
 */
static void affine_agrees_with_pytorch(void **state)
{
        static char text[1 << 17];
        static const int lanes[] = {1, 16, 32};
        FILE *f = fopen(getenv("CNND_TEST_GOLDEN"), "rb");
        struct err e = {0};
        assert_non_null(f);
        cJSON *list = json_parse(text, fread(text, 1, sizeof text, f), &e);
        const cJSON *one;
        fclose(f);
        assert_int_equal(cJSON_GetArraySize(list), 7);
        cJSON_ArrayForEach(one, list)
        {
                const cJSON *shape = json_field(one, "shape"), *source = json_field(one, "source"),
                            *values = json_field(one, "values"), *value;
                char *steps = json_text(json_field(one, "steps"));
                struct batch b = {.steps = steps,
                        .s = {cJSON_GetArrayItem(shape, 0)->valueint, cJSON_GetArrayItem(shape, 1)->valueint,
                                cJSON_GetArrayItem(shape, 2)->valueint},
                        .source_h = cJSON_GetArrayItem(source, 0)->valueint,
                        .source_w = cJSON_GetArrayItem(source, 1)->valueint,
                        .n = json_field(one, "n")->valueint,
                        .position = json_field(one, "position")->valueint,
                        .epoch = (uint32_t)json_field(one, "epoch")->valueint};
                assert_int_equal(cJSON_GetArraySize(values), b.n * (int)shape_count(b.s));
                for (int k = 0; k < 3; k++) {
                        b.lanes = lanes[k];
                        float *got = batch_on_device(*state, &b);
                        int i = 0;
                        cJSON_ArrayForEach(value, values)
                        {
                                if (!(fabs((double)got[i] - value->valuedouble) < 3e-5))
                                        fail_msg("%s lanes=%d: [%d] is %.9g, wanted %.9g", steps, b.lanes, i,
                                                (double)got[i], value->valuedouble);
                                i++;
                        }
                        free(got);
                }
                free(steps);
        }
        cJSON_Delete(list);
}

static void points_equal_the_reference(void **state)
{
        check_all(*state, "[{\"type\":\"brightness\",\"max\":0.5}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"contrast\",\"min\":0.5,\"max\":2}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"gamma\",\"min\":0.5,\"max\":2}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"gaussian_noise\",\"std\":0.3}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"poisson_noise\",\"dose\":5}]", NULL, false, 2);
        check_all(*state, "[{\"type\":\"poisson_noise\",\"dose\":40}]", NULL, false, 2);
        check_all(*state, "[{\"type\":\"background\",\"max\":0.5}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"blur\",\"sigma\":2}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"blur\",\"sigma\":0}]", NULL, false, 0);
}

static void normalisation_equals_the_reference(void **state)
{
        check_all(*state, NULL, "{\"mean\":[0.286],\"std\":[0.353]}", false, 0);
        check_all(*state, NULL, "\"per_image\"", false, 0);
        struct batch rgb = {.normalize = "{\"mean\":[0.1,0.2,-0.3],\"std\":[0.5,2,0.01]}",
                .s = {3, 5, 3},
                .source_h = 5,
                .source_w = 3,
                .n = 17,
                .lanes = 16};
        check(*state, &rgb, 0);
}

/* An image of one value has no deviation, however many sums of it are rounded. */
static void an_image_of_one_value_becomes_zeros(void **state)
{
        static const int levels[] = {37, 77, 200, 251};
        for (int i = 0; i < 12; i++) {
                const struct batch flat = {.normalize = "\"per_image\"",
                        .s = {1, 64, 63},
                        .source_h = 64,
                        .source_w = 63,
                        .n = 3,
                        .lanes = (int[]){1, 16, 32}[i % 3],
                        .level = levels[i / 3] / 255.0};
                float *got = batch_on_device(*state, &flat);
                for (int k = 0; k < 3 * 64 * 63; k++)
                        if (got[k] != 0)
                                fail_msg("%d/255, %d lanes: %g", levels[i / 3], flat.lanes, (double)got[k]);
                free(got);
        }
}

static const char everything[] =
        "[{\"type\":\"hflip\"},{\"type\":\"affine\",\"degrees\":30,\"translate\":[0.1,0.2]},"
        "{\"type\":\"crop\",\"padding\":2},{\"type\":"
        "\"gamma\"},{\"type\":\"brightness\"},"
        "{\"type\":\"contrast\"},{\"type\":\"background\"},{\"type\":\"blur\"},{"
        "\"type\":\"zoom\"},{\"type\":\"vflip\"},"
        "{\"type\":\"gaussian_noise\"},{\"type\":\"contrast\"},{\"type\":\"row_"
        "jitter\"},{\"type\":\"brightness\"}]";

static void lists_run_in_their_order(void **state)
{
        check_all(*state, everything, "\"per_image\"", false, 0);
        check_all(*state, everything, "{\"mean\":[0.5],\"std\":[0.25]}", false, 0);
}

/* Steps that move whole pixels, against arrays moved one step after the other. */
static void whole_moves_are_exact(void **state)
{
        struct batch list = {.steps = "[{\"type\":\"hflip\",\"p\":1}," AFFINE(
                                     ",\"degrees\":0") ",{\"type\":\"vflip\",\"p\":1}]",
                             .s = {2, 6, 5},
                             .source_h = 6,
                             .source_w = 5,
                             .n = 3,
                             .lanes = 1},
                     none = list;
        none.steps = NULL;
        float *got = batch_on_device(*state, &list), *plain = batch_on_device(*state, &none);
        for (int i = 0; i < 3 * 2; i++)
                for (int k = 0; k < 30; k++)
                        assert_true(got[30 * i + k] == plain[30 * i + 29 - k]);
        free(got);
        free(plain);
}

/* The same images in batches of other sizes, with another layout, in another epoch. */
static void batches_do_not_matter(void **state)
{
        enum { N = 37, PART = 5 };
        struct batch whole = {.steps = everything,
                .normalize = "\"per_image\"",
                .s = {1, 7, 9},
                .source_h = 7,
                .source_w = 9,
                .n = N,
                .lanes = 16,
                .epoch = 4};
        int count = (int)shape_count(whole.s);
        float *want = batch_on_device(*state, &whole);
        struct batch one = whole;
        one.lanes = 1;
        float *other = batch_on_device(*state, &one);
        for (int i = 0; i < N * count; i++)
                assert_true(fabsf(other[i] - want[i]) < 2e-5f * (1 + fabsf(want[i])));
        free(other);
        for (int first = 0; first < N; first += PART) {
                struct batch part = whole;
                part.position = first;
                part.n = N - first < PART ? N - first : PART;
                part.room = N;
                other = batch_on_device(*state, &part);
                assert_memory_equal(other, want + first * count, (size_t)(part.n * count) * sizeof *want);
                free(other);
        }
        struct batch later = whole;
        later.epoch = 5;
        other = batch_on_device(*state, &later);
        int same = 0;
        for (int i = 0; i < N * count; i++)
                same += other[i] == want[i];
        assert_true(same < N * count / 20);
        free(other);
        free(want);
}

#define JOB(more)                                                                                            \
        "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":8,"         \
        "\"kernel_size\":3},"                                                                                \
        "{\"type\":\"relu\"},{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":5}]},"             \
        "\"dataset\":{\"name\":\"noise\",\"normalize\":\"per_image\",\"resize\":[13,13]},\"epochs\":3,"      \
        "\"batch_size\":24,"                                                                                 \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.05},\"seed\":5,\"report_every\":1" more "}"
#define STEPS                                                                                                \
        ",\"augment\":[{\"type\":\"rot90\"},{\"type\":\"affine\"},{\"type\":\"crop\",\"padding\":2},{"       \
        "\"type\":\"contrast\"},{\"type\":\"blur\"},"                                                        \
        "{\"type\":\"poisson_noise\",\"dose\":50},{\"type\":\"zoom\"}]"

/* Stopped after every two steps and continued, an augmented run is the undisturbed one to the last bit;
   micro-batches see the same images; what was planned is allocated. */
static void jobs_are_repeatable(void **state)
{
        static struct trainer_log whole, parts, micro, bare;
        struct trainer *t = *state;
        struct train_request request;
        struct train_estimate plan;
        struct err e = {0};
        size_t count, other_count;
        trainer_data(t, 2, 17, 5, 55, 9, false);
        trainer_run(t, JOB(STEPS), "whole", 0, &whole);
        do
                trainer_run(t, JOB(STEPS), "parts", 2, &parts);
        while (parts.outcome.end == TRAIN_STOPPED);
        trainer_run(t, JOB(STEPS ",\"micro_batch\":7"), "micro", 0, &micro);
        trainer_run(t, JOB(""), "bare", 0, &bare);
        float *want = trainer_weights(t, "whole", &count), *got = trainer_weights(t, "parts", &other_count);
        assert_true(count == other_count);
        assert_memory_equal(got, want, count * sizeof *want);
        for (int i = 1; i <= 9; i++) {
                assert_string_equal(parts.events[i], whole.events[i]);
                assert_true(fabs(micro.losses[i] - whole.losses[i]) < 1e-4);
                assert_true(fabs(bare.losses[i] - whole.losses[i]) > 1e-3);
        }
        free(want);
        free(got);
        /* A device without room for the images gets them batch by batch. */
        static struct trainer_log staged;
        struct trainer *tight = trainer_open(micro.outcome.device_bytes);
        trainer_data(tight, 2, 17, 5, 55, 9, false);
        trainer_run(tight, JOB(STEPS ",\"micro_batch\":7"), "staged", 0, &staged);
        assert_true(staged.outcome.device_bytes < micro.outcome.device_bytes);
        for (int i = 1; i <= 9; i++)
                assert_string_equal(staged.events[i], micro.events[i]);
        trainer_close(tight);
        trainer_parse(JOB(STEPS), &request);
        CHECK_OK(train_plan(&request, t->data, dev_info(t->dev), &plan, &e), &e);
        assert_int_equal(plan.device_bytes, whole.outcome.device_bytes);
        train_request_finish(&request);
}

/* What a driver that computes wrong gives is seen before it trains anything. */
static void lies_are_seen(void **state)
{
        struct trainer *t = *state;
        struct err e = {0};
        static const int lanes[] = {1, 16, 32};
        const struct batch b = {.steps = everything, .normalize = "\"per_image\""};
        struct augment augment;
        struct normalize normalize;
        batch_parse(&b, &augment, &normalize);
        uint64_t before = dev_bytes(t->dev);
        for (int i = 0; i < 3; i++) {
                const struct transform_spec spec = {.augment = &augment,
                        .normalize = &normalize,
                        .s = {1 + i, 28, 28},
                        .n = 100,
                        .lanes = lanes[i]};
                CHECK_OK(transform_trial(t->dev, &spec, i > 0, i > 1, &e), &e);
                setenv("CNND_TEST_LIE", "transform", 1);
                assert_int_equal(transform_trial(t->dev, &spec, i > 0, i > 1, &e), ERR_DEVICE);
                unsetenv("CNND_TEST_LIE");
                assert_non_null(strstr(e.message, "prepares images wrongly"));
        }
        assert_int_equal(dev_bytes(t->dev), before);
}

/* What a mean takes off again leaves its rounding, which is no lie. */
static void large_steps_are_no_lies(void **state)
{
        struct trainer *t = *state;
        static const char *const steps[] = {"[{\"type\":\"brightness\",\"max\":5000}]",
                "[{\"type\":\"brightness\",\"max\":20000},{\"type\":\"contrast\"}]",
                "[{\"type\":\"background\",\"max\":10000}]"};
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                const struct batch b = {.steps = steps[i], .normalize = "\"per_image\""};
                struct augment augment;
                struct normalize normalize;
                struct err e = {0};
                batch_parse(&b, &augment, &normalize);
                const struct transform_spec spec = {
                        .augment = &augment, .normalize = &normalize, .s = {1, 28, 28}, .n = 19, .lanes = 16};
                CHECK_OK(transform_trial(t->dev, &spec, false, false, &e), &e);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_batches),
                cmocka_unit_test(moves_equal_the_reference),
                cmocka_unit_test(affine_equals_the_reference),
                cmocka_unit_test(affine_agrees_with_pytorch),
                cmocka_unit_test(points_equal_the_reference),
                cmocka_unit_test(normalisation_equals_the_reference),
                cmocka_unit_test(an_image_of_one_value_becomes_zeros),
                cmocka_unit_test(lists_run_in_their_order),
                cmocka_unit_test(whole_moves_are_exact),
                cmocka_unit_test(batches_do_not_matter),
                cmocka_unit_test(jobs_are_repeatable),
                cmocka_unit_test(lies_are_seen),
                cmocka_unit_test(large_steps_are_no_lies),
        };
        return cmocka_run_group_tests_name("augment", tests, trainer_set_up, trainer_tear_down);
}
