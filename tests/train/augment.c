/* Augmentation and normalisation on the device against a reference in double, by distribution, and by what it
 * must not depend on. */
#include "trainer.h"

#include "base/json.h"
#include "ops/area.h"
#include "base/philox.h"
#include "train/transform_ref.h"
#include "train/transform_trial.h"

#include <math.h>

enum { IMAGES = 127 }; /* in the data set, a prime */

/* A batch of `n` images of `s` from images of another size, beginning at `position`. */
struct batch {
        const char *steps, *normalize; /* JSON; NULL for none */
        struct shape s;
        int source_h, source_w, n, lanes, position, room; /* room 0: n */
        uint32_t epoch;
        bool bytes;
        double level; /* of the images; 0: a pattern */
};

static int set_up(void **state)
{
        *state = trainer_open(0);
        return 0;
}

static int tear_down(void **state)
{
        trainer_close(*state);
        return 0;
}

static cJSON *json_of(const char *text)
{
        struct err e = {0};
        cJSON *json = text ? json_parse(text, strlen(text), &e) : NULL;
        if (text && !json)
                fail_msg("%s: %s", text, e.message);
        return json;
}

static void parse(const struct batch *b, struct augment *augment, struct normalize *normalize)
{
        struct err e = {0};
        cJSON *steps = json_of(b->steps), *norm = json_of(b->normalize);
        *augment = (struct augment){0};
        *normalize = (struct normalize){0};
        CHECK_OK(augment_parse(steps, augment, &e), &e);
        CHECK_OK(normalize_parse(norm, "/dataset/normalize", normalize, &e), &e);
        cJSON_Delete(steps);
        cJSON_Delete(norm);
}

/* Image `index` of the data set. */
static double pixel(const struct batch *b, int index, int k)
{
        uint32_t words[4];
        philox(11, PHILOX_INIT, (uint32_t)index, (uint64_t)k, words);
        if (b->level > 0)
                return b->level;
        return b->bytes ? (double)(words[0] % 256) / 255 : (double)philox_uniform(words[0]) * 1.5 - 0.25;
}

static int at_position(int position)
{
        return (position * 7 + 5) % IMAGES;
}

struct device_side {
        struct buf *images, *order;
        struct area x;
};

static void upload(struct trainer *t, const struct batch *b, struct device_side *d)
{
        struct err e = {0};
        int count = IMAGES, values = b->s.c * b->source_h * b->source_w;
        size_t size = b->bytes ? 1 : sizeof(float);
        char *images = malloc((size_t)count * (size_t)values * size);
        int32_t *order = malloc((size_t)count * sizeof *order);
        assert_true(images && order);
        for (int i = 0; i < count; i++) {
                order[i] = at_position(i);
                for (int k = 0; k < values; k++) {
                        size_t at = (size_t)i * (size_t)values + (size_t)k;
                        if (b->bytes)
                                ((unsigned char *)images)[at] = (unsigned char)lround(pixel(b, i, k) * 255);
                        else
                                memcpy(images + at * size, &(float){(float)pixel(b, i, k)}, size);
                }
        }
        *d = (struct device_side){0};
        CHECK_OK(buf_create(t->dev, (size_t)count * (size_t)values * size, "images", &d->images, &e), &e);
        CHECK_OK(buf_create(t->dev, (size_t)count * sizeof *order, "order", &d->order, &e), &e);
        CHECK_OK(buf_write(d->images, 0, images, (size_t)count * (size_t)values * size, &e), &e);
        CHECK_OK(buf_write(d->order, 0, order, (size_t)count * sizeof *order, &e), &e);
        CHECK_OK(area_tensor(&d->x, "x", b->n, b->s, b->lanes, false, &e), &e);
        CHECK_OK(area_upload(&d->x, t->dev, &e), &e);
        free(images);
        free(order);
}

/* What the device makes of it, (n,c,h,w); canaries and padding are checked on the way. The caller frees it.
 */
static float *on_device(struct trainer *t, const struct batch *b)
{
        struct err e = {0};
        struct augment augment;
        struct normalize normalize;
        struct device_side d;
        struct transform *transform = NULL;
        parse(b, &augment, &normalize);
        upload(t, b, &d);
        uint64_t before = dev_bytes(t->dev);
        struct transform_spec spec = {.augment = &augment,
                .normalize = &normalize,
                .s = b->s,
                .n = b->room ? b->room : b->n,
                .lanes = b->lanes};
        struct transform_bytes bytes = transform_bytes(&spec);
        CHECK_OK(transform_create(t->dev, &spec, &transform, &e), &e);
        assert_int_equal(
                dev_bytes(t->dev) - before, (bytes.numbers ? buf_rounded(bytes.numbers) : 0) +
                                                    (bytes.scratch ? buf_rounded(bytes.scratch) : 0));
        const struct gather g = {.images = d.images,
                .order = d.order,
                .first = b->position,
                .bytes = b->bytes,
                .channels = b->s.c,
                .h = b->source_h,
                .w = b->source_w};
        const struct gather_draw draw = {
                .seed = 0x123456789abcdefu, .epoch = b->epoch, .position = b->position};
        CHECK_OK(transform_run(transform, &g, &draw, &d.x.tensor, NULL, t->dev, &e), &e);
        CHECK_OK(dev_finish(t->dev, &e), &e);
        float *out = malloc((size_t)b->n * (size_t)shape_count(b->s) * sizeof *out);
        assert_non_null(out);
        CHECK_OK(area_download(&d.x, &e), &e);
        CHECK_OK(area_take(&d.x, out, AREA_PADDING_ZERO, &e), &e);
        area_finish(&d.x);
        buf_destroy(d.images);
        buf_destroy(d.order);
        transform_destroy(transform);
        normalize_finish(&normalize);
        return out;
}

static double *by_reference(const struct batch *b)
{
        struct err e = {0};
        struct augment augment;
        struct normalize normalize;
        int count = (int)shape_count(b->s), values = b->s.c * b->source_h * b->source_w;
        double *out = malloc((size_t)b->n * (size_t)count * sizeof *out),
               *source = malloc((size_t)values * sizeof *source);
        assert_true(out && source);
        parse(b, &augment, &normalize);
        const struct transform_ref r = {.augment = &augment,
                .normalize = &normalize,
                .source_h = b->source_h,
                .source_w = b->source_w,
                .s = b->s,
                .seed = 0x123456789abcdefu,
                .epoch = b->epoch};
        for (int i = 0; i < b->n; i++) {
                int index = at_position(b->position + i);
                for (int k = 0; k < values; k++)
                        source[k] = b->bytes ? pixel(b, index, k) : (double)(float)pixel(b, index, k);
                CHECK_OK(transform_ref(&r, b->position + i, source, out + (size_t)i * (size_t)count, &e), &e);
        }
        free(source);
        normalize_finish(&normalize);
        return out;
}

/* All but `allowed` values agree: a count of electrons, or a place at an edge, may fall to the other side. */
static void check(struct trainer *t, const struct batch *b, int allowed)
{
        float *got = on_device(t, b);
        double *want = by_reference(b);
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
        check_all(*state, "[{\"type\":\"zoom\",\"min\":0.5,\"max\":1.5}]", NULL, false, 0);
        check_all(*state, "[{\"type\":\"row_jitter\",\"max\":2.5}]", NULL, false, 0);
        check_all(*state,
                "[{\"type\":\"zoom\"},{\"type\":\"rot90\"},{\"type\":\"crop\",\"padding\":1},{\"type\":\"row_"
                "jitter\"},"
                "{\"type\":\"hflip\"},{\"type\":\"crop\",\"padding\":1}]",
                NULL, true, 0);
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
        /* An image of one value has no deviation. */
        struct batch flat = {.normalize = "\"per_image\"",
                .s = {1, 5, 3},
                .source_h = 5,
                .source_w = 3,
                .n = 4,
                .lanes = 1,
                .level = 0.25};
        float *got = on_device(*state, &flat);
        for (int i = 0; i < 4 * 15; i++)
                assert_true(got[i] == 0);
        free(got);
}

static const char everything[] = "[{\"type\":\"hflip\"},{\"type\":\"crop\",\"padding\":2},{\"type\":"
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
        struct batch list = {.steps = "[{\"type\":\"hflip\",\"p\":1},{\"type\":\"vflip\",\"p\":1}]",
                             .s = {2, 6, 5},
                             .source_h = 6,
                             .source_w = 5,
                             .n = 3,
                             .lanes = 1},
                     none = list;
        none.steps = NULL;
        float *got = on_device(*state, &list), *plain = on_device(*state, &none);
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
        float *want = on_device(*state, &whole);
        struct batch one = whole;
        one.lanes = 1;
        float *other = on_device(*state, &one);
        for (int i = 0; i < N * count; i++)
                assert_true(fabsf(other[i] - want[i]) < 2e-5f * (1 + fabsf(want[i])));
        free(other);
        for (int first = 0; first < N; first += PART) {
                struct batch part = whole;
                part.position = first;
                part.n = N - first < PART ? N - first : PART;
                part.room = N;
                other = on_device(*state, &part);
                assert_memory_equal(other, want + first * count, (size_t)(part.n * count) * sizeof *want);
                free(other);
        }
        struct batch later = whole;
        later.epoch = 5;
        other = on_device(*state, &later);
        int same = 0;
        for (int i = 0; i < N * count; i++)
                same += other[i] == want[i];
        assert_true(same < N * count / 20);
        free(other);
        free(want);
}

/* Noise on flat images: 64 images of 32x32 at this level. */
static float *noise(struct trainer *t, const char *steps, double level)
{
        const struct batch b = {.steps = steps,
                .s = {1, 32, 32},
                .source_h = 32,
                .source_w = 32,
                .n = 64,
                .lanes = 16,
                .level = level};
        return on_device(t, &b);
}

enum { NOISE = 64 * 32 * 32 };

static void gaussian_noise_is_normal(void **state)
{
        float *v = noise(*state, "[{\"type\":\"gaussian_noise\",\"std\":1}]", 0.5);
        double m[5] = {0}, neighbours = 0;
        int beyond = 0;
        for (int i = 0; i < NOISE; i++) {
                double z = (double)v[i] - 0.5, power = 1;
                for (int k = 1; k < 5; k++)
                        m[k] += (power *= z) / NOISE;
                neighbours += i ? z * ((double)v[i - 1] - 0.5) / NOISE : 0;
                beyond += fabs(z) > 1.959964;
        }
        free(v);
        double error = 1 / sqrt(NOISE);
        print_message("moments %.4f %.4f %.4f %.4f, neighbours %.4f, beyond 1.96: %.4f\n", m[1], m[2], m[3],
                m[4], neighbours, (double)beyond / NOISE);
        assert_true(fabs(m[1]) < 4 * error && fabs(m[2] - 1) < 4 * sqrt(2) * error);
        assert_true(fabs(m[3]) < 4 * sqrt(15) * error && fabs(m[4] - 3) < 4 * sqrt(96) * error);
        assert_true(fabs(neighbours) < 4 * error && fabs((double)beyond / NOISE - 0.05) < 4 * 0.218 * error);
}

/* Mean and variance of counts, and their histogram against the exact probabilities. */
static void check_poisson(struct trainer *t, double mean)
{
        enum { MOST = 1200 };
        static int seen[MOST];
        char steps[80];
        memset(seen, 0, sizeof seen);
        snprintf(steps, sizeof steps, "[{\"type\":\"poisson_noise\",\"dose\":%.17g}]", mean * 2);
        float *v = noise(t, steps, 0.5);
        double sum = 0, squares = 0, chi = 0, expected = 0, p = exp(-mean);
        int cells = 0, got = 0;
        for (int i = 0; i < NOISE; i++) {
                double k = (double)v[i] * mean * 2;
                assert_true(fabs(k - round(k)) < 1e-3 && k > -0.5 && k < MOST);
                seen[lround(k)]++;
                sum += k;
                squares += k * k;
        }
        free(v);
        for (int k = 0; k < MOST; k++) {
                expected += p * NOISE;
                got += seen[k];
                p = mean < 300 ? p * mean / (k + 1) : exp((k + 1) * log(mean) - mean - lgamma(k + 2));
                if (expected >= 20) {
                        chi += (got - expected) * (got - expected) / expected;
                        cells++;
                        expected = got = 0;
                }
        }
        double m = sum / NOISE, var = squares / NOISE - m * m;
        print_message(
                "poisson %g: mean %.4f, variance %.4f, chi-square %.1f of %d\n", mean, m, var, chi, cells);
        assert_true(fabs(m - mean) < 4.5 * sqrt(mean / NOISE));
        assert_true(fabs(var - mean) < 4.5 * sqrt((2 * mean * mean + mean) / NOISE));
        assert_true(chi < cells + 5 * sqrt(2.0 * cells));
}

static void poisson_noise_counts(void **state)
{
        static const double means[] = {0.3, 2, 8, 11.9, 12.1, 20, 75, 400};
        for (size_t i = 0; i < sizeof means / sizeof means[0]; i++)
                check_poisson(*state, means[i]);
}

#define JOB(more)                                                                                            \
        "{\"type\":\"train\",\"architecture\":{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":8,"         \
        "\"kernel_size\":3},"                                                                                \
        "{\"type\":\"relu\"},{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":5}]},"             \
        "\"dataset\":{\"name\":\"noise\",\"normalize\":\"per_image\",\"resize\":[13,13]},\"epochs\":3,"      \
        "\"batch_size\":24,"                                                                                 \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.05},\"seed\":5,\"report_every\":1" more "}"
#define STEPS                                                                                                \
        ",\"augment\":[{\"type\":\"rot90\"},{\"type\":\"crop\",\"padding\":2},{\"type\":\"contrast\"},{"     \
        "\"type\":\"blur\"},"                                                                                \
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
        parse(&b, &augment, &normalize);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_batches),
                cmocka_unit_test(moves_equal_the_reference),
                cmocka_unit_test(points_equal_the_reference),
                cmocka_unit_test(normalisation_equals_the_reference),
                cmocka_unit_test(lists_run_in_their_order),
                cmocka_unit_test(whole_moves_are_exact),
                cmocka_unit_test(batches_do_not_matter),
                cmocka_unit_test(gaussian_noise_is_normal),
                cmocka_unit_test(poisson_noise_counts),
                cmocka_unit_test(jobs_are_repeatable),
                cmocka_unit_test(lies_are_seen),
        };
        return cmocka_run_group_tests_name("augment", tests, set_up, tear_down);
}
