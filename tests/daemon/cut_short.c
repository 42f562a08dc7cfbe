/* A front that is killed at each sync of a change of models and data sets: the next one finds them as before
   or as after it, with their owners, and every stored byte counted once. */
#include "check.h"
#include "front.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_SYNCS = 40 };

/* --- the kill --- */

static int syncs_left; /* 0: nobody dies */

static void die_at_last(void)
{
        if (syncs_left > 0 && --syncs_left == 0)
                raise(SIGKILL);
}

/* In place of libc's, for SQLite too. */
int fsync(int fd)
{
        die_at_last();
        return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
        die_at_last();
        return (int)syscall(SYS_fdatasync, fd);
}

typedef void (*change)(struct service *s, const char *state);

/* Makes the change in a front of its own that dies at its n-th sync (0: never); whether it did. */
static bool make(change it, const char *state, int n)
{
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                struct service *s = front_start(state);
                syncs_left = n;
                it(s, state);
                syncs_left = 0;
                service_destroy(s);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL && n > 0);
        return WIFSIGNALED(status);
}

/* --- the changes --- */

static void copy(const char *from, const char *to, size_t most)
{
        char bytes[65536];
        int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_true(in >= 0 && out >= 0);
        ssize_t n = read(in, bytes, most < sizeof bytes ? most : sizeof bytes);
        assert_true(n > 0 && write(out, bytes, (size_t)n) == n);
        close(in);
        close(out);
}

static void adopt(struct service *s, const char *state, const char *source)
{
        char from[200], to[200];
        struct err e;
        bool created;
        snprintf(from, sizeof from, "%s/%s", state, source);
        snprintf(to, sizeof to, "%s/tmp/set", state);
        copy(from, to, SIZE_MAX);
        CHECK_OK(datasets_adopt(s->datasets, "mine", to, &front_anna, &created, &e), &e);
}

static void import_set(struct service *s, const char *state)
{
        adopt(s, state, "datasets/tiny.cnnd");
}

static void replace_set(struct service *s, const char *state)
{
        adopt(s, state, "larger.cnnd");
}

static void delete_set(struct service *s, const char *state)
{
        struct err e;
        (void)state;
        CHECK_OK(datasets_delete(s->datasets, &front_anna, "mine", &e), &e);
}

static void train(struct service *s, const char *state)
{
        (void)state;
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":2,\"save_as\":\"it\"")), JOB_SUCCEEDED);
}

static void put_done(void *ctx, const cJSON *model, bool created, const struct err *e)
{
        (void)model;
        (void)created;
        assert_null(e);
        *(bool *)ctx = true;
}

static void put(struct service *s, const char *state, const char *name, const struct identity *who)
{
        char from[200], to[200];
        struct err e;
        bool done = false;
        cJSON *overrides = cJSON_CreateObject();
        snprintf(from, sizeof from, "%s/models/it.safetensors", state);
        snprintf(to, sizeof to, "%s/tmp/model", state);
        copy(from, to, SIZE_MAX);
        CHECK_OK(models_put(s->models, name, who, to, overrides, put_done, &done, &e), &e);
        cJSON_Delete(overrides);
        for (int64_t end = clock_now_ms() + FRONT_LONG_MS; !done; front_turn(s))
                assert_true(clock_now_ms() < end);
}

static void put_model(struct service *s, const char *state)
{
        put(s, state, "put", &front_bert);
}

static void put_over_trained(struct service *s, const char *state)
{
        put(s, state, "it", &front_anna);
}

static void delete_model(struct service *s, const char *state)
{
        struct err e;
        (void)state;
        CHECK_OK(models_delete(s->models, "put", &e), &e);
}

/* --- what has to hold --- */

static int64_t counted(struct service *s, const char *sql)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s->store, sql, &st, &e), &e);
        assert_int_equal(store_step(s->store, st, &e), 1);
        int64_t bytes = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return bytes;
}

static int64_t bytes_of(const char *state, const char *file)
{
        struct stat st;
        char path[200];
        snprintf(path, sizeof path, "%s/%s", state, file);
        if (stat(path, &st) == 0)
                return st.st_size;
        assert_int_equal(errno, ENOENT);
        return 0;
}

/* Nobody but its owner sees it, who may make it anew. */
static void check_owner(int seen_by_owner, int seen_by_other, int may_make)
{
        assert_true(seen_by_owner == 0 || seen_by_owner == ERR_NOT_FOUND);
        assert_int_equal(seen_by_other, ERR_NOT_FOUND);
        assert_int_equal(may_make, 0);
}

static void check(const char *state)
{
        struct service *s = front_start(state);
        struct err e;
        assert_int_equal(counted(s, "SELECT coalesce(sum(bytes), 0) FROM datasets WHERE user <> ''"),
                bytes_of(state, "datasets/mine.cnnd"));
        assert_int_equal(counted(s, "SELECT coalesce(sum(bytes), 0) FROM models"),
                bytes_of(state, "models/it.safetensors") + bytes_of(state, "models/put.safetensors"));
        check_owner(datasets_see(s->datasets, &front_anna, "mine", &e),
                datasets_see(s->datasets, &front_bert, "mine", &e),
                datasets_may_replace(s->datasets, &front_anna, "mine", &e));
        check_owner(models_see(s->models, &front_bert, "put", &e),
                models_see(s->models, &front_anna, "put", &e),
                models_may_save(s->models, &front_bert, "put", &e));
        check_owner(models_see(s->models, &front_anna, "it", &e),
                models_see(s->models, &front_bert, "it", &e),
                models_may_save(s->models, &front_anna, "it", &e));
        service_destroy(s);
}

/* A data set of more images than "tiny" has. */
static void write_larger(const char *state)
{
        char path[200];
        static uint8_t images[90 * 4];
        static int32_t labels[90];
        const char *names[] = {"a"};
        struct err e;
        struct dataset d = {.name = "larger", .c = 1, .h = 2, .w = 2, .num_classes = 1};
        d.classes = (char **)(uintptr_t)names;
        d.split[DATASET_TRAIN].count = 90;
        d.split[DATASET_TRAIN].images = images;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL] = d.split[DATASET_TRAIN];
        snprintf(path, sizeof path, "%s/larger.cnnd", state);
        CHECK_OK(dataset_write(&d, path, &e), &e);
}

static void cut_at_each_sync(const change *before, change it)
{
        bool died = true;
        int n = 1;
        for (; died; n++) {
                void *state;
                assert_true(n < MOST_SYNCS);
                assert_int_equal(front_make_state(&state), 0);
                write_larger(state);
                for (const change *b = before; *b; b++)
                        make(*b, state, 0);
                died = make(it, state, n);
                check(state);
                front_drop_state(&state);
        }
        assert_true(n > 3);
}

static void a_data_set_that_comes(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){NULL}, import_set);
}

static void a_data_set_that_is_replaced(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){import_set, NULL}, replace_set);
}

static void a_data_set_that_goes(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){import_set, NULL}, delete_set);
}

static void a_model_that_comes(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){train, NULL}, put_model);
}

static void a_model_that_is_replaced(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){train, NULL}, put_over_trained);
}

static void a_model_that_goes(void **state)
{
        (void)state;
        cut_at_each_sync((const change[]){train, put_model, NULL}, delete_model);
}

FRONT_MAIN(cmocka_unit_test(a_data_set_that_comes), cmocka_unit_test(a_data_set_that_is_replaced),
        cmocka_unit_test(a_data_set_that_goes), cmocka_unit_test(a_model_that_comes),
        cmocka_unit_test(a_model_that_is_replaced), cmocka_unit_test(a_model_that_goes))
