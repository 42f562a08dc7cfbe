#include "ops/selftest.h"
#include "base/clock.h"
#include "base/json.h"
#include "ops/kinds.h"
#include "ops/loss_trial.h"
#include "ops/strategy.h"
#include "ops/trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the largest wanted value of an array: float sums of these sizes err by 1e-6, wrong kernels by 1e-2 and
 * more. */
static const double tolerance = 1e-4, tolerance_tf32 = 2e-3;
static const uint64_t seed = 20240607;

/* Marks of the device: one for each variant of an op and of the loss that is wrong; one for each example that
   was tried by Winograd's and by CLBlast's kernels; then one for tf32 and one for each number of lanes that
   was tried. */
enum { WINOGRAD_MARK = 96, CLBLAST_MARK = 112 };
enum { FIRST_LANES_MARK = DEV_MARKS - TENSOR_MAX_LANES - 1, TF32_MARK = FIRST_LANES_MARK - 1 };

struct selftest {
        struct dev *dev;
        int lanes;
        enum op_variant variant;
        enum op_precision precision;
        const char *lie; /* borrowed; NULL for honest readings */
        int passed, naive_failed;
        cJSON *failed;           /* owned by the report */
        char first[192];         /* what the first wrong naive variant did */
        struct trial_result bad; /* of the variant at hand: the first thing found wrong */
        char fault[160];         /* an error instead of a number */
        uint64_t refused;        /* dev_refused, up to what was tried last */
        bool is_bad, is_refused, is_short;
        bool last_first; /* as trials have it */
};

static struct selftest begin(struct dev *d, int lanes)
{
        return (struct selftest){.dev = d, .lanes = lanes, .refused = dev_refused(d)};
}

/* Where there was no room for the tensors, the kernels have not even been tried. */
static int want_of_memory(const struct selftest *s, struct err *e)
{
        return err_set(e, ERR_DEVICE_MEMORY, "%s", s->fault);
}

static int mark_of(const struct op_kind *kind, enum op_variant variant)
{
        int index = op_kinds_count; /* the loss stands behind the ops */
        if (variant == OP_CLBLAST)  /* one product for all */
                kind = &op_linear;
        for (int i = 0; kind && i < op_kinds_count; i++)
                if (op_kinds[i] == kind)
                        index = i;
        return index * OP_VARIANTS + (int)variant;
}

bool selftest_allows(const struct dev *d, const struct op_kind *kind, enum op_variant variant)
{
        return !dev_marked(d, mark_of(kind, variant));
}

bool selftest_allows_loss(const struct dev *d, enum op_variant variant)
{
        return !dev_marked(d, mark_of(NULL, variant));
}

/* A device's errors are findings like wrong numbers; only a lack of memory or of the device ends the test. */
static int note(struct selftest *s, int rc, const struct trial_result *r, struct err *e)
{
        const uint64_t refused = s->refused;
        s->refused = dev_refused(s->dev);
        if (rc == ERR_NO_MEMORY || rc == ERR_INTERNAL || rc == ERR_LOST)
                return rc;
        if (rc == 0 && r->error <= (s->precision == OP_TF32 ? tolerance_tf32 : tolerance)) {
                s->passed++;
                return 0;
        }
        if (!s->is_bad) {
                s->is_bad = true;
                s->is_refused = rc != 0;
                s->is_short = rc == ERR_DEVICE_MEMORY && s->refused != refused;
                s->bad = rc ? (struct trial_result){.error = INFINITY} : *r;
                snprintf(s->fault, sizeof s->fault, "%.159s", rc ? e->message : r->what);
        }
        if (e)
                memset(e, 0, sizeof *e);
        return 0;
}

static bool lies(const struct selftest *s, const char *op)
{
        return s->lie && s->variant != OP_NAIVE && strcmp(s->lie, op) == 0;
}

/* With what the op's forward can do for the layers behind it. */
static int try_epilogue(struct selftest *s, const struct trial *base, int index, struct err *e)
{
        static const struct op_kind *const activations[] = {&op_relu, &op_sigmoid, &op_tanh};
        struct trial t = *base;
        struct trial_epilogue *x;
        struct trial_result r;
        int rc = trial_epilogue_create(
                t.op, t.op->kind->epilogues & OP_TAKES_NORM, activations[index % 3], seed, &x, e);
        if (rc)
                return rc;
        t.epilogue = x;
        rc = note(s, trial_seeded(&t, seed, &r, e), &r, e);
        trial_epilogue_destroy(x);
        return rc;
}

static int try_example(struct selftest *s, const struct op *op, int index, int n, struct err *e)
{
        struct trial_result r;
        struct trial t = {.dev = s->dev,
                .op = op,
                .n = n,
                .lanes = s->lanes,
                .variant = s->variant,
                .precision = s->precision,
                .training = true,
                .backward = true,
                .slices = index % 2 == 0,
                .accumulate_dx = index % 2 == 1,
                .accumulate_dparams = index % 2 == 1,
                .last_first = s->last_first,
                .lie = lies(s, op->kind->type)};
        bool running = false;
        int rc = note(s, trial_seeded(&t, seed + (uint64_t)index, &r, e), &r, e);
        for (int i = 0; i < op->num_params; i++)
                running = running || !op->params[i].trainable;
        t.training = t.backward = t.slices = false;
        if (rc == 0 && (running || s->lanes == 1)) /* single images have kernels that keep nothing */
                rc = note(s, trial_seeded(&t, seed, &r, e), &r, e);
        return rc || !op->kind->epilogues ? rc : try_epilogue(s, &t, index, e);
}

/* Samples for blocks of `lanes`: examples are written for 16; one by one a few do. */
static int batch_for(int n, int lanes)
{
        return lanes == 1 && n > 3 ? 3 : n;
}

static int try_examples(
        struct selftest *s, const struct op_kind *kind, const struct op_example *x, struct err *e)
{
        int rc = 0, index = 0;
        for (; x && x->n && rc == 0; x++) {
                struct op *op;
                struct shape in[OP_MAX_INPUTS];
                for (int i = 0; i < OP_MAX_INPUTS; i++)
                        in[i] = x->in;
                rc = op_create(kind, x->args, in, kind->num_inputs, &op, e);
                if (rc)
                        return rc;
                rc = try_example(s, op, index++, batch_for(x->n, s->lanes), e);
                op_destroy(op);
        }
        return rc;
}

static int try_kind(struct selftest *s, const struct op_kind *kind, struct err *e)
{
        const int rc = try_examples(s, kind, kind->examples, e);
        return rc || s->lanes != 1 ? rc : try_examples(s, kind, kind->single_examples, e);
}

static int try_loss(struct selftest *s, struct err *e)
{
        static const struct {
                int n, classes;
                bool training;
        } examples[] = {{19, 5, true}, {1, 10, true}, {33, 3, false}};
        int rc = 0;
        for (int i = 0; i < 3 && rc == 0; i++) {
                struct trial_result r;
                const struct loss_trial t = {.dev = s->dev,
                        .n = examples[i].n,
                        .classes = examples[i].classes,
                        .lanes = s->lanes,
                        .variant = s->variant,
                        .training = examples[i].training,
                        .slices = i == 0,
                        .weighted = i == 0,
                        .accumulate = i == 1,
                        .lie = lies(s, "loss")};
                rc = note(s, loss_trial_run(&t, seed, &r, e), &r, e);
        }
        return rc;
}

static void report_failure(struct selftest *s, const char *op)
{
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "op", op);
        cJSON_AddStringToObject(item, "variant", op_variant_name(s->variant));
        cJSON_AddStringToObject(item, "what", s->fault);
        if (isfinite(s->bad.error))
                cJSON_AddNumberToObject(item, "max_error", s->bad.error);
        else
                cJSON_AddNullToObject(item, "max_error");
        json_push(s->failed, item);
        if (s->variant == OP_NAIVE && s->naive_failed++ == 0)
                snprintf(s->first, sizeof s->first, "%s %s: %s",
                        s->is_refused ? "cannot compute" : "computes wrong", op, s->fault);
}

/* Once more where a call failed: that a driver was short of something for a moment is no reason to do without
   a variant from then on. */
static int try_twice(struct selftest *s, const struct op_kind *kind, struct err *e)
{
        const int passed = s->passed;
        int rc, tries = 0;
        do {
                s->passed = passed;
                s->is_bad = s->is_refused = s->is_short = false;
                rc = kind ? try_kind(s, kind, e) : try_loss(s, e);
        } while (rc == 0 && s->is_refused && ++tries < 2);
        return rc;
}

/* One op, NULL for the loss, in one variant. */
static int try_variant(struct selftest *s, const struct op_kind *kind, struct err *e)
{
        int rc = try_twice(s, kind, e);
        if (rc || !s->is_bad)
                return rc;
        if (s->is_short)
                return want_of_memory(s, e);
        report_failure(s, kind ? kind->type : "loss");
        dev_mark(s->dev, mark_of(kind, s->variant));
        return 0;
}

/* Jobs run the tiled variant, so the naive one is compiled and tried only where that is wrong. */
static int try_variants(struct selftest *s, const struct op_kind *kind, struct err *e)
{
        for (int v = OP_TILED; v >= OP_NAIVE; v--) {
                s->variant = (enum op_variant)v;
                if (dev_marked(s->dev, mark_of(kind, s->variant)))
                        continue;
                int rc = try_variant(s, kind, e);
                if (rc || !s->is_bad)
                        return rc;
        }
        return 0;
}

static int run(struct dev *d, int lanes, cJSON **ret_report, struct err *e)
{
        const double start = clock_now_s();
        struct selftest s = begin(d, lanes);
        cJSON *report = cJSON_CreateObject();
        int rc = 0;
        s.lie = getenv("CNND_TEST_LIE");
        s.failed = cJSON_AddArrayToObject(report, "failed");
        if (!s.failed) {
                cJSON_Delete(report);
                return err_set(e, ERR_NO_MEMORY, "no memory for a selftest");
        }
        for (int i = 0; i <= op_kinds_count && rc == 0; i++)
                rc = try_variants(&s, i < op_kinds_count ? op_kinds[i] : NULL, e);
        if (rc) {
                cJSON_Delete(report);
                return err_wrap(e, "selftest of %s", dev_info(d)->name);
        }
        cJSON_AddNumberToObject(report, "passed", s.passed);
        cJSON_AddNumberToObject(report, "seconds", clock_now_s() - start);
        *ret_report = report;
        if (s.naive_failed)
                return err_set(e, ERR_DEVICE, "%s %s", dev_info(d)->name, s.first);
        dev_mark(d, FIRST_LANES_MARK + lanes);
        return 0;
}

int selftest_run(struct dev *d, cJSON **ret_report, struct err *e)
{
        struct err scratch = {0};
        return run(d, dev_info(d)->lanes, ret_report, e ? e : &scratch);
}

/* The examples that Winograd's kernels can do. */
static int try_winograd(struct selftest *s, const struct op_kind *kind, struct err *e)
{
        int rc = 0;
        s->variant = OP_WINOGRAD;
        for (int i = 0; kind->examples[i].n && rc == 0; i++) {
                const struct op_example *x = &kind->examples[i];
                struct op *op;
                rc = op_create(kind, x->args, &x->in, 1, &op, e);
                if (rc)
                        return rc;
                if (kind->same_programs(op, op, OP_WINOGRAD))
                        rc = try_example(s, op, i, x->n, e);
                op_destroy(op);
        }
        return rc;
}

int selftest_compile(struct dev *d, struct err *e)
{
        struct selftest s = begin(d, dev_info(d)->lanes);
        struct err scratch = {0};
        int rc = 0;
        e = e ? e : &scratch;
        s.failed = cJSON_CreateArray();
        if (!s.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for a selftest");
        for (int i = op_kinds_count; i >= 0 && rc == 0; i--)
                rc = try_variants(&s, i < op_kinds_count ? op_kinds[i] : NULL, e);
        cJSON_Delete(s.failed);
        s.variant = OP_TILED;
        s.last_first = true; /* the first compiles the same now for its first job, from the other end */
        for (int i = 0; i < op_kinds_count && rc == 0; i++)
                rc = try_examples(&s, op_kinds[i], op_kinds[i]->likely_examples, e);
        for (int i = 0; i < op_kinds_count && rc == 0; i++)
                if (op_kinds[i]->same_programs)
                        rc = try_winograd(&s, op_kinds[i], e);
        return rc ? rc : selftest_lanes(d, 1, e);
}

/* The examples that run the same programs as `op` does in s->variant, once each: for CLBlast linear's. */
static int try_like(struct selftest *s, const struct op *op, struct err *e)
{
        const bool clblast = s->variant == OP_CLBLAST;
        const struct op_kind *kind = clblast ? &op_linear : op->kind;
        int rc = 0, mark = clblast ? CLBLAST_MARK : WINOGRAD_MARK, index = 0;
        for (const struct op_example *x = kind->examples; x && x->n && rc == 0; x++, mark++, index++) {
                struct op *example;
                rc = op_create(kind, x->args, &x->in, 1, &example, e);
                if (rc)
                        return rc;
                if ((clblast || kind->same_programs(op, example, s->variant)) && !dev_marked(s->dev, mark)) {
                        rc = try_example(s, example, index, batch_for(x->n, s->lanes), e);
                        if (rc == 0)
                                dev_mark(s->dev, mark);
                }
                op_destroy(example);
        }
        return rc;
}

int selftest_layer(struct dev *d, const struct op *op, const enum op_variant v[OP_DIRECTIONS], struct err *e)
{
        struct err scratch = {0};
        struct selftest s = begin(d, dev_info(d)->lanes);
        int rc = 0;
        e = e ? e : &scratch;
        s.lie = getenv("CNND_TEST_LIE");
        for (int i = 0; i < OP_DIRECTIONS && rc == 0; i++) {
                s.variant = v[i];
                if (v[i] > OP_TILED && !dev_marked(d, mark_of(op->kind, v[i])))
                        rc = try_like(&s, op, e);
                if (rc == 0 && s.is_bad && s.is_short)
                        rc = want_of_memory(&s, e);
                else if (s.is_bad)
                        dev_mark(d, mark_of(op->kind, v[i]));
                s.is_bad = false;
        }
        return rc;
}

int selftest_check(struct dev *d, struct err *e)
{
        struct err scratch = {0};
        struct selftest s = begin(d, dev_info(d)->lanes);
        s.variant = selftest_allows(d, &op_relu, OP_TILED) ? OP_TILED : OP_NAIVE;
        int rc = try_kind(&s, &op_relu, e ? e : &scratch);
        if (rc == 0 && s.is_bad)
                rc = err_set(e, ERR_LOST, "%s fails: %s", dev_info(d)->name, s.fault);
        return rc;
}

int selftest_lanes(struct dev *d, int lanes, struct err *e)
{
        struct err scratch = {0};
        cJSON *report = NULL;
        if (dev_marked(d, FIRST_LANES_MARK + lanes))
                return 0;
        int rc = run(d, lanes, &report, e ? e : &scratch);
        cJSON_Delete(report);
        return rc;
}

int selftest_tf32(struct dev *d, struct err *e)
{
        static const struct op_kind *const kinds[] = {&op_conv2d, &op_linear};
        struct err scratch = {0};
        struct selftest s = begin(d, dev_info(d)->lanes);
        e = e ? e : &scratch;
        s.variant = OP_TILED;
        s.precision = OP_TF32;
        s.lie = getenv("CNND_TEST_LIE");
        for (int i = 0; i < 2 && !dev_marked(d, TF32_MARK); i++) {
                int rc = try_kind(&s, kinds[i], e);
                if (rc == 0 && s.is_bad && s.is_short)
                        rc = want_of_memory(&s, e);
                else if (rc == 0 && s.is_bad)
                        rc = err_set(e, ERR_DEVICE, "%s computes wrong in tf32: %s: %s", dev_info(d)->name,
                                kinds[i]->type, s.fault);
                if (rc)
                        return rc;
        }
        dev_mark(d, TF32_MARK);
        return 0;
}
