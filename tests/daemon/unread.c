/* A start beside folders and files that a disk cannot read: it is refused, or leaves all as it is. And what
   stands there once they can be read. */
#include "fake_device.h"
#include "front.h"

#include "base/json.h"
#include "model/safetensors.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *unlisted; /* the end of a folder's path, of which one listing breaks off; NULL for none */
static int listed;           /* behind so many entries, of all listings together */
static const char *unread;   /* the end of a file's path, of which nothing can be read; NULL for none */
static const char *watched;  /* of one that can be, as often as `reads` tells */
static int reads;
static int ahead_s; /* so far the steady clock goes */

static bool is_at(int fd, const char *end)
{
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = end ? readlink(link, path, sizeof path - 1) : -1;
        const size_t len = end ? strlen(end) : 0;
        return n >= (ssize_t)len && memcmp(path + n - len, end, len) == 0;
}

/* In place of libc's, all three. */
struct dirent64 *readdir64(DIR *dir)
{
        struct dirent64 *(*real)(DIR *) = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
        if (!is_at(dirfd(dir), unlisted) || listed-- != 0)
                return real(dir);
        errno = EIO;
        return NULL;
}

ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
        if (is_at(fd, watched))
                reads++;
        if (!is_at(fd, unread))
                return syscall(SYS_pread64, fd, out, len, at);
        errno = EIO;
        return -1;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
        const int rc = (int)syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += clock == CLOCK_MONOTONIC ? ahead_s : 0;
        return rc;
}

static int start(const char *state, struct err *e)
{
        const struct service_options o = {
                .state_dir = state, .device_spec = "all", .log_level = "error", .watchdog_seconds = 60};
        struct service *s = NULL;
        int rc = service_create(&o, &s, e);
        service_destroy(s);
        return rc;
}

static void path_of(char out[200], const char *state, const char *file)
{
        snprintf(out, 200, "%s/%s", state, file);
}

/* The model "it", anna's. */
static void make_it(const char *state)
{
        struct service *s = front_start(state);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        service_destroy(s);
}

/* What stands in the folder and its rows stay, however far it is told and in whichever of a start's listings;
   beside them, what was kept while a file took another's place. */
static void a_listing_that_breaks_off(void **state)
{
        static const char *const folders[] = {"/models", "/datasets"};
        char path[200], aside[200];
        struct err e;
        make_it(*state);
        path_of(path, *state, "models/it.safetensors");
        path_of(aside, *state, "models/.old-it.safetensors");
        assert_int_equal(link(path, aside), 0);
        for (int i = 0; i < 2; i++)
                for (int n = 0;; n++) {
                        unlisted = folders[i];
                        listed = n;
                        int rc = start(*state, &e);
                        unlisted = NULL;
                        if (rc == 0 && listed >= 0) {
                                assert_true(n > 5); /* of more than one listing */
                                break;
                        }
                        assert_int_equal(rc, ERR_IO);
                        assert_non_null(strstr(e.message, folders[i]));
                        assert_non_null(strstr(e.message, strerror(EIO)));
                }
        assert_int_equal(access(aside, F_OK), -1);
        struct service *s = front_start(*state);
        CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
        CHECK_OK(models_look(s->models, "it", &e), &e);
        CHECK_OK(datasets_see(s->datasets, &front_anna, "tiny", &e), &e);
        service_destroy(s);
}

/* A model of one class: its file is shorter than any of anna's. */
static void write_other(const char *path)
{
        const float weight = 1;
        const struct safetensors_tensor t = {.name = "w",
                .type = SAFETENSORS_F32,
                .ndim = 1,
                .dims = {1},
                .data = &weight,
                .bytes = sizeof weight};
        const char *const metadata[] = {
                "architecture", "\"other\"", "input", "[1,2,2]", "classes", "[\"a\"]", NULL};
        struct err e;
        CHECK_OK(safetensors_write(path, &t, 1, metadata, &e), &e);
}

/* That it is another's is told by its length, though none of it can be read. */
static void anothers_file_that_is_read_later(void **state)
{
        char path[200];
        struct err e;
        int fd;
        uint64_t size;
        make_it(*state);
        path_of(path, *state, "models/it.safetensors");
        write_other(path);
        unread = "/models/it.safetensors";
        struct service *s = front_start(*state);
        unread = NULL;
        CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
        assert_int_equal(models_open(s->models, "it", &fd, &size, &e), ERR_UNAVAILABLE);
        assert_non_null(strstr(e.message, "another one"));
        service_destroy(s);
        s = front_start(*state);
        assert_int_equal(models_see(s->models, &front_anna, "it", &e), ERR_NOT_FOUND);
        service_destroy(s);
}

static void let_write(struct service *s, bool can)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s->store, "SELECT 1", &st, &e), &e);
        assert_int_equal(
                sqlite3_exec(sqlite3_db_handle(st),
                        can ? "PRAGMA query_only = OFF" : "PRAGMA query_only = ON", NULL, NULL, NULL),
                SQLITE_OK);
}

/* How often its file is read for that. */
static int look_at_it(struct service *s)
{
        struct err e;
        reads = 0;
        watched = "/models/it.safetensors";
        CHECK_OK(models_look(s->models, "it", &e), &e);
        watched = NULL;
        return reads;
}

/* Lists are asked for all the time. */
static void a_copy_that_cannot_be_noted(void **state)
{
        static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
        char path[200];
        make_it(*state);
        front_unmount(*state, "models", true);
        struct service *s = front_start(*state);
        front_mount(*state, "models");
        path_of(path, *state, "models/it.safetensors");
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        let_write(s, false);
        assert_true(look_at_it(s) > 0);
        assert_int_equal(look_at_it(s), 0);
        ahead_s += 10;
        assert_true(look_at_it(s) > 0);
        let_write(s, true);
        ahead_s += 10;
        assert_true(look_at_it(s) > 0); /* and now it is */
        ahead_s += 10;
        assert_int_equal(look_at_it(s), 0);
        service_destroy(s);
        ahead_s = 0;
}

/* The state of the data set "machine", and what its error says; good until the next call. */
static const char *machine(struct service *s)
{
        static char text[700];
        struct err e;
        cJSON *set = NULL;
        CHECK_OK(datasets_get(s->datasets, "machine", &set, &e), &e);
        const cJSON *error = json_field(set, "error");
        snprintf(text, sizeof text, "%s %s", json_field(set, "state")->valuestring,
                cJSON_IsString(error) ? error->valuestring : "");
        cJSON_Delete(set);
        return text;
}

static void share_machine(const char *state)
{
        struct store *store = NULL;
        struct err e;
        char path[200];
        path_of(path, state, "datasets/machine.cnnd");
        front_write_set(path, "machine", 90, 90);
        path_of(path, state, "cnnd.db");
        CHECK_OK(store_open(path, &store, &e), &e);
        CHECK_OK(datasets_settle(state, store, "machine", "", &e), &e);
        store_close(store);
}

/* Everybody's, by an operator, of before the machine had one of that name: no import takes its place. */
static void a_shared_set_of_a_known_name(void **state)
{
        const struct dataset *data = NULL;
        struct err e;
        char path[200];
        share_machine(*state);
        path_of(fake_known_dir, *state, "");
        path_of(path, *state, "datasets/machine.cnnd");
        unread = "/datasets/machine.cnnd";
        struct service *s = front_start(*state);
        assert_non_null(strstr(machine(s), "failed"));
        assert_non_null(strstr(machine(s), strerror(EIO)));
        service_destroy(s);
        unread = NULL;
        s = front_start(*state);
        CHECK_OK(datasets_find(s->datasets, "machine", &data, &e), &e);
        assert_int_equal(data->split[DATASET_TRAIN].count, 90);
        service_destroy(s);
        assert_int_equal(truncate(path, 5000), 0); /* damaged: an operator may want what is left of it */
        s = front_start(*state);
        assert_int_equal(strncmp(machine(s), "failed", 6), 0);
        assert_null(strstr(machine(s), "0 classes"));
        service_destroy(s);
        fake_known_dir[0] = '\0';
}

/* Nobody's file of that name is made anew where it is damaged, and is left where it cannot be read. */
static void the_machines_own_set(void **state)
{
        char path[200];
        path_of(path, *state, "datasets/machine.cnnd");
        path_of(fake_known_dir, *state, "");
        front_write_set(path, "machine", 90, 90);
        unread = "/datasets/machine.cnnd";
        struct service *s = front_start(*state);
        assert_non_null(strstr(machine(s), strerror(EIO)));
        service_destroy(s);
        unread = NULL;
        assert_int_equal(truncate(path, 5000), 0);
        s = front_start(*state);
        while (strncmp(machine(s), "importing", 9) == 0)
                front_turn(s);
        assert_non_null(strstr(machine(s), "0 classes")); /* so the fake has it: an import was begun */
        service_destroy(s);
        fake_known_dir[0] = '\0';
}

FRONT_MAIN(FRONT_TEST(a_listing_that_breaks_off), FRONT_TEST(anothers_file_that_is_read_later),
        FRONT_TEST(a_copy_that_cannot_be_noted), FRONT_TEST(a_shared_set_of_a_known_name),
        FRONT_TEST(the_machines_own_set))
