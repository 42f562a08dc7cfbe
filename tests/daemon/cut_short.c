/* A front that is killed at each sync of a change of models and data sets: the next one finds them as before
   or as after it, with their owners, and every stored byte counted once; also where a start between could not
   read them. */
#include "check.h"
#include "fake_device.h"
#include "front.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/store/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

enum { MOST_FOLDERS = 16 };
static ino_t synced[MOST_FOLDERS]; /* what was, of late */
static int synced_count;

static bool was_synced(const char *path)
{
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        for (int i = 0; i < MOST_FOLDERS; i++)
                if (synced[i] == st.st_ino)
                        return true;
        return false;
}

/* In place of libc's, for SQLite too. */
int fsync(int fd)
{
        struct stat st;
        die_at_last();
        if (fstat(fd, &st) == 0)
                synced[synced_count++ % MOST_FOLDERS] = st.st_ino;
        return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
        die_at_last();
        return (int)syscall(SYS_fdatasync, fd);
}

/* --- the disk --- */

static int unread;     /* with which models and data sets cannot be read; 0: they can */
static int reads = -1; /* so often, and of models alone; -1: ever */

static bool fails(const char *path)
{
        if (!unread || reads == 0 || (!strstr(path, "/models/") && !strstr(path, "/datasets/")))
                return false;
        if (reads > 0 && !strstr(path, "/models/"))
                return false;
        if (reads > 0)
                reads--;
        errno = unread;
        return true;
}

/* In place of libc's. */
ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = unread ? readlink(link, path, sizeof path - 1) : -1;
        path[n < 0 ? 0 : n] = '\0';
        return fails(path) ? -1 : syscall(SYS_pread64, fd, out, len, at);
}

/* Of a file whose inode cannot be read, beside names that can be. */
int access(const char *path, int mode)
{
        const char *slash = strrchr(path, '/');
        if (unread == EIO && slash && slash[1] != '.' && fails(path))
                return -1;
        return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
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

/* Dies, if it is to, behind its last epoch. */
static void diverge(struct service *s, const char *state)
{
        const int n = syncs_left;
        (void)state;
        syncs_left = 0;
        front_submit(s, FRONT_JOB("ruin 70", "\"epochs\":4,\"save_as\":\"it\",\"save_best\":\"val_loss\""));
        front_wait_step(s, 1, 60);
        syncs_left = n;
        front_wait_state(s, 1, JOB_FAILED);
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
        snprintf(path, sizeof path, "%s/larger.cnnd", state);
        front_write_set(path, "larger", 90, 90);
}

/* A start that the fault befalls; it does not wait for devices. */
static void start_beside(int fault, const char *state)
{
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                unread = fault;
                service_destroy(front_open(state, 60));
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void cut(const change *before, change it, bool beside, void (*check_more)(const char *state))
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
                if (beside) {
                        start_beside(EIO, state);
                        start_beside(ENFILE, state);
                }
                check(state);
                if (check_more)
                        check_more(state);
                front_drop_state(&state);
        }
        assert_true(n > 3);
}

static void cut_at_each_sync(const change *before, change it)
{
        cut(before, it, false, NULL);
        cut(before, it, true, NULL);
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

static void check_diverged(const char *state)
{
        struct service *s = front_start(state);
        front_wait_state(s, 1, JOB_FAILED);
        assert_int_equal(counted(s, "SELECT count(*) FROM jobs JOIN models ON jobs.model = models.name"), 1);
        assert_int_equal(counted(s, "SELECT count(*) FROM events WHERE event = 'end'"), 1);
        while (jobs_sweeping(s->jobs))
                front_turn(s);
        service_destroy(s);
        assert_int_equal(bytes_of(state, "jobs/1"), 0);
}

/* Of a job that fails and saves its best epoch: it has done both in the end, once. */
static void a_model_of_what_diverges(void **state)
{
        (void)state;
        cut((const change[]){NULL}, diverge, false, check_diverged);
}

/* --- nothing is cut --- */

/* Files of a folder that was copied are read to be known again: one that cannot be is nobody else's. */
static void a_copied_model_that_cannot_be_read(void **state)
{
        static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
        char path[200];
        struct err e;
        make(train, *state, 0);
        snprintf(path, sizeof path, "%s/models/it.safetensors", (char *)*state);
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        reads = 1;
        start_beside(ENFILE, *state);
        reads = -1;
        struct service *s = front_start(*state);
        CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
        service_destroy(s);
}

static void import_machine(struct service *s, const char *state)
{
        struct err e;
        char from[200], to[200];
        bool created;
        snprintf(from, sizeof from, "%s/larger.cnnd", state);
        snprintf(to, sizeof to, "%s/tmp/set", state);
        copy(from, to, SIZE_MAX);
        CHECK_OK(datasets_adopt(s->datasets, "machine", to, &front_anna, &created, &e), &e);
}

static void check_not_imported(struct service *s, const char *state)
{
        cJSON *set = NULL;
        struct err e;
        (void)state;
        CHECK_OK(datasets_see(s->datasets, &front_anna, "machine", &e), &e);
        CHECK_OK(datasets_get(s->datasets, "machine", &set, &e), &e);
        assert_string_equal(json_field(set, "state")->valuestring, "failed");
        assert_non_null(strstr(json_field(set, "error")->valuestring, strerror(EIO)));
        cJSON_Delete(set);
}

/* Hers, of before the machine had one of that name. */
static void a_known_name_that_cannot_be_read(void **state)
{
        const struct dataset *data = NULL;
        struct err e;
        write_larger(*state);
        make(import_machine, *state, 0);
        snprintf(fake_known_dir, sizeof fake_known_dir, "%s", (char *)*state);
        unread = EIO;
        make(check_not_imported, *state, 0);
        unread = 0;
        struct service *s = front_start(*state);
        CHECK_OK(datasets_see(s->datasets, &front_anna, "machine", &e), &e);
        CHECK_OK(datasets_find(s->datasets, "machine", &data, &e), &e);
        assert_int_equal(data->split[DATASET_TRAIN].count, 90);
        service_destroy(s);
        fake_known_dir[0] = '\0';
}

/* Power loss leaves no job without the weights that it was accepted with. */
static void weights_are_there_before_their_job(void **state)
{
        static const char *const uses[] = {FRONT_JOB("tuned", "\"epochs\":1,\"init\":{\"from\":\"it\"}"),
                "{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}"};
        char dir[240], jobs[200];
        make(train, *state, 0);
        snprintf(jobs, sizeof jobs, "%s/jobs", (char *)*state);
        struct service *s = front_start(*state);
        for (int i = 0; i < 2; i++) {
                memset(synced, 0, sizeof synced);
                int64_t id = front_submit(s, uses[i]);
                snprintf(dir, sizeof dir, "%s/%lld", jobs, (long long)id);
                assert_true(was_synced(dir) && was_synced(jobs));
                front_wait_state(s, id, JOB_SUCCEEDED);
        }
        service_destroy(s);
}

static void write_text(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

/* What was refused is as before, also after power loss; and where even that fails both files stay. */
static void what_is_taken_back(void **state)
{
        const char *dir = *state;
        char it[200], old[200], fresh[200], text[8] = "";
        struct err e;
        snprintf(it, sizeof it, "%s/it", dir);
        snprintf(old, sizeof old, "%s/.old-it", dir);
        snprintf(fresh, sizeof fresh, "%s/fresh", dir);
        write_text(it, "before");
        write_text(fresh, "after");
        CHECK_OK(swap_begin(dir, "it", fresh, &e), &e);
        memset(synced, 0, sizeof synced);
        swap_end(dir, "it", false);
        assert_true(was_synced(dir));
        FILE *f = fopen(it, "r");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof text, f));
        fclose(f);
        assert_string_equal(text, "before");
        CHECK_OK(swap_begin(dir, "it", fresh, &e), &e);
        assert_int_equal(unlink(it), 0);
        assert_int_equal(mkdir(it, 0700), 0); /* over which no file is renamed */
        swap_end(dir, "it", false);
        assert_int_equal(access(old, F_OK), 0);
        assert_true(swap_came(dir, "it"));
}

FRONT_MAIN(cmocka_unit_test(a_data_set_that_comes), cmocka_unit_test(a_data_set_that_is_replaced),
        cmocka_unit_test(a_data_set_that_goes), cmocka_unit_test(a_model_that_comes),
        cmocka_unit_test(a_model_that_is_replaced), cmocka_unit_test(a_model_that_goes),
        cmocka_unit_test(a_model_of_what_diverges), FRONT_TEST(a_copied_model_that_cannot_be_read),
        FRONT_TEST(a_known_name_that_cannot_be_read), FRONT_TEST(weights_are_there_before_their_job),
        FRONT_TEST(what_is_taken_back))
