#include "check.h"

#include "base/json.h"
#include "train/stopping.h"

static int parse(const char *text, struct stopping_spec *ret, struct err *e)
{
        cJSON *json = json_parse(text, strlen(text), e);
        if (!json)
                fail_msg("%s: %s", text, e->message);
        int rc = stopping_parse(json, ret, e);
        cJSON_Delete(json);
        return rc;
}

/* After which epoch a run with these values ends; 0 for none. */
static int ends_after(const struct stopping_spec *s, const double *values, int count)
{
        struct stopping seen = {0};
        for (int i = 0; i < count; i++) {
                double metrics[METRICS] = {0.5, 0.5, 0.5, 0.5};
                metrics[s->metric - 1] = values[i];
                stopping_note(s, metrics, &seen);
                if (stopping_due(s, &seen))
                        return i + 1;
        }
        return 0;
}

static void a_loss_must_fall(void **state)
{
        static const double values[] = {2, 1.5, 1.6, 1.4, 1.4, 1.5, 1.3, 1.35, 1.34, 1.33};
        struct stopping_spec s = {METRIC_VAL_LOSS, 3, 0};
        (void)state;
        assert_int_equal(ends_after(&s, values, 10), 10);
        assert_int_equal(ends_after(&s, values, 9), 0);
        s.patience = 2;
        assert_int_equal(ends_after(&s, values, 10), 6);
        s.metric = METRIC_TRAIN_LOSS;
        assert_int_equal(ends_after(&s, values, 10), 6);
        s.min_delta = 0.25; /* 1.4 is no improvement on 1.5 any more */
        assert_int_equal(ends_after(&s, values, 10), 4);
        s.patience = 1;
        assert_int_equal(ends_after(&s, values, 10), 3);
}

static void an_accuracy_must_rise(void **state)
{
        static const double values[] = {0.1, 0.3, 0.3, 0.31, 0.2};
        struct stopping_spec s = {METRIC_VAL_ACC, 1, 0};
        (void)state;
        assert_int_equal(ends_after(&s, values, 5), 3);
        s.patience = 2;
        assert_int_equal(ends_after(&s, values, 5), 0);
        s.metric = METRIC_TRAIN_ACC;
        s.min_delta = 0.02;
        assert_int_equal(ends_after(&s, values, 5), 4);
}

static void never_is_the_default(void **state)
{
        struct err e = {0};
        struct stopping_spec s = {METRIC_NONE, 0, 0};
        struct stopping seen = {0};
        const double metrics[METRICS] = {1, 1, 1, 1};
        (void)state;
        CHECK_OK(stopping_parse(NULL, &s, &e), &e);
        for (int i = 0; i < 5; i++) {
                stopping_note(&s, metrics, &seen);
                assert_false(stopping_due(&s, &seen));
        }
        assert_int_equal(seen.epochs, 0);
}

static void fields(void **state)
{
        static const struct {
                const char *text, *pointer;
        } wrong[] = {
                {"\"val_loss\"", "/stop_when"},
                {"{}", "/stop_when/metric"},
                {"{\"metric\":\"loss\",\"patience\":1}", "/stop_when/metric"},
                {"{\"metric\":1,\"patience\":1}", "/stop_when/metric"},
                {"{\"metric\":\"val_acc\"}", "/stop_when/patience"},
                {"{\"metric\":\"val_acc\",\"patience\":0}", "/stop_when/patience"},
                {"{\"metric\":\"val_acc\",\"patience\":1.5}", "/stop_when/patience"},
                {"{\"metric\":\"val_acc\",\"patience\":1,\"min_delta\":-1}", "/stop_when/min_delta"},
                {"{\"metric\":\"val_acc\",\"patience\":1,\"min_delta\":\"NaN\"}", "/stop_when/min_delta"},
                {"{\"metric\":\"val_acc\",\"patience\":1,\"mode\":\"max\"}", "/stop_when/mode"},
        };
        struct err e = {0};
        struct stopping_spec s = {.patience = -7};
        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                int rc = parse(wrong[i].text, &s, &e);
                if (rc != ERR_INVALID || strcmp(e.pointer, wrong[i].pointer) != 0)
                        fail_msg("%s: %d at \"%s\": %s", wrong[i].text, rc, e.pointer, e.message);
                assert_int_equal(s.patience, -7);
        }
        CHECK_OK(parse("{\"metric\":\"train_acc\",\"patience\":4,\"min_delta\":0.01}", &s, &e), &e);
        assert_true(s.metric == METRIC_TRAIN_ACC && s.patience == 4 && s.min_delta == 0.01);
        assert_false(metric_validates(s.metric));
        CHECK_OK(parse("{\"metric\":\"val_loss\",\"patience\":1}", &s, &e), &e);
        assert_true(metric_validates(s.metric) && s.min_delta == 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_loss_must_fall),
                cmocka_unit_test(an_accuracy_must_rise),
                cmocka_unit_test(never_is_the_default),
                cmocka_unit_test(fields),
        };
        return cmocka_run_group_tests_name("stopping", tests, NULL, NULL);
}
