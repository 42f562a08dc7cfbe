/* Jobs that score a model on a data set: what cannot be is refused before it runs, and how classes are
   matched is told. */
#include "front.h"

#include "base/json.h"
#include "daemon/common/wire.h"
#include "data/dataset.h"

#include <stdlib.h>

enum { IMAGES = 4, CLASSES = 10, MANY = WIRE_MAX_SCORED + 1 };

/* A data set of everybody's, with black images of 2x2. Its classes are called `prefix` and j to a, then
   numbers. */
static void write_set(const char *state, const char *name, int channels, int classes, const char *prefix)
{
        static uint8_t images[IMAGES * 3 * 4];
        static int32_t labels[IMAGES];
        char path[200];
        struct err e;
        struct store *store = NULL;
        struct dataset d = {.c = channels, .h = 2, .w = 2, .num_classes = classes};
        d.classes = calloc((size_t)classes, sizeof *d.classes);
        assert_non_null(d.classes);
        for (int k = 0; k < classes; k++)
                assert_true((k < CLASSES ? asprintf(&d.classes[k], "%s%c", prefix, 'j' - k)
                                         : asprintf(&d.classes[k], "%s%d", prefix, k)) > 0);
        snprintf(d.name, sizeof d.name, "%s", name);
        for (int i = 0; i < DATASET_SPLITS; i++) {
                d.split[i].count = IMAGES;
                d.split[i].images = images;
                d.split[i].labels = labels;
        }
        snprintf(path, sizeof path, "%s/datasets/%s.cnnd", state, name);
        CHECK_OK(dataset_write(&d, path, &e), &e);
        for (int k = 0; k < classes; k++)
                free(d.classes[k]);
        free(d.classes);
        snprintf(path, sizeof path, "%s/cnnd.db", state);
        CHECK_OK(store_open(path, &store, &e), &e);
        CHECK_OK(datasets_settle(state, store, name, "", &e), &e);
        store_close(store);
}

static int submit(struct service *s, const char *dataset, int64_t *ret, struct err *e)
{
        char text[200];
        bool again;
        *e = (struct err){0};
        snprintf(text, sizeof text, "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"%s\"}", dataset);
        cJSON *body = json_parse(text, strlen(text), e);
        int rc = jobs_submit(s->jobs, &front_anna, NULL, body, ret, &again, e);
        cJSON_Delete(body);
        return rc;
}

static void check_refused(struct service *s, const char *dataset, const char *words)
{
        struct err e;
        int64_t id;
        assert_int_equal(submit(s, dataset, &id, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/dataset");
        if (!strstr(e.message, words))
                fail_msg("%s: %s", dataset, e.message);
}

/* A service with the model "it": 1x2x2, classes a to j. */
static struct service *start(const char *state)
{
        struct service *s = front_start(state);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        return s;
}

static void what_cannot_be_scored_is_refused(void **state)
{
        write_set(*state, "twofold", 2, CLASSES, "");
        write_set(*state, "few", 1, CLASSES - 1, "");
        write_set(*state, "many", 1, MANY, "");
        struct service *s = start(*state);
        struct err e;
        check_refused(s, "twofold", "images have 2 channels, the model takes 1; only grey and RGB");
        check_refused(s, "few", "the model has 10 classes, the data set 9");
        check_refused(s, "many", "the model has 10 classes, the data set 2001");
        service_destroy(s);
        struct store *store = NULL;
        char path[200];
        snprintf(path, sizeof path, "%s/cnnd.db", (char *)*state);
        CHECK_OK(store_open(path, &store, &e), &e);
        sqlite3_stmt *st;
        CHECK_OK(
                store_prepare(store,
                        "UPDATE models SET classes = (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                        " FROM n WHERE i < 2001) SELECT '[' || group_concat('\"' || i || '\"') || ']' FROM "
                        "n)",
                        &st, &e),
                &e);
        CHECK_OK(store_run(store, st, &e), &e);
        store_close(store);
        s = front_start(*state);
        check_refused(s, "many", "a confusion matrix of 2001 classes; at most 2000");
        service_destroy(s);
}

/* Notes of the job on that data set, which runs to its end; the caller's. */
static char *notes_of(struct service *s, const char *dataset)
{
        struct err e;
        int64_t id;
        CHECK_OK(submit(s, dataset, &id, &e), &e);
        front_wait_state(s, id, JOB_SUCCEEDED);
        cJSON *job = front_job(s, id);
        char *text = json_text(json_field(job, "notes"));
        cJSON_Delete(job);
        assert_non_null(text);
        return text;
}

static void how_classes_are_matched_is_told(void **state)
{
        static const char by_number[] =
                "[\"classes are matched by number, for the data set has no \\\"a\\\" as the model has\"]";
        write_set(
                *state, "turned", 3, CLASSES, ""); /* the same names, the last one first; RGB becomes grey */
        write_set(*state, "others", 1, CLASSES, "class ");
        struct service *s = start(*state);
        const char *const sets[] = {"tiny", "turned", "others"};
        for (int i = 0; i < 3; i++) {
                char *notes = notes_of(s, sets[i]);
                assert_string_equal(notes, i < 2 ? "[]" : by_number);
                free(notes);
        }
        service_destroy(s);
}

/* The error code. */
static int classify_by(struct service *s, const char *model)
{
        static const char image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D";
        struct front_answer a = {0};
        const struct classify_caller caller = {.ctx = &a, .done = front_classified};
        struct err e;
        CHECK_OK(classify_start(s->classify, model, image, sizeof image - 1, NULL, 1, &caller, &e), &e);
        while (!a.done)
                front_turn(s);
        cJSON_Delete(a.result);
        return a.error.code;
}

/* What a model takes beside its weights shows when it runs; who was asked before is then in the way. */
static void models_make_room(void **state)
{
        setenv("CNND_FAKE_ROOM", "1", 1);
        struct service *s = start(*state);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("b", "\"epochs\":1,\"save_as\":\"other\"")), JOB_SUCCEEDED);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(classify_by(s, "it"), 0);
                assert_int_equal(classify_by(s, "other"), 0);
        }
        char *notes = notes_of(s, "tiny"); /* it has succeeded */
        free(notes);
        service_destroy(s);
}

FRONT_MAIN(FRONT_TEST(what_cannot_be_scored_is_refused), FRONT_TEST(how_classes_are_matched_is_told),
        FRONT_TEST(models_make_room))
