/* A start beside folders and files that a disk cannot read: it is refused, or leaves all as it is. */
#include "fake_device.h"
#include "front.h"

#include "base/json.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *unlisted; /* the end of a folder's path, whose listing breaks off; NULL for none */
static int listed;           /* behind so many of its entries */
static const char *unread;   /* the end of a file's path, of which nothing can be read; NULL for none */

static bool is_at(int fd, const char *end)
{
        char link[64], path[PATH_MAX];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t n = end ? readlink(link, path, sizeof path - 1) : -1;
        const size_t len = end ? strlen(end) : 0;
        return n >= (ssize_t)len && memcmp(path + n - len, end, len) == 0;
}

/* In place of libc's, both. */
struct dirent64 *readdir64(DIR *dir)
{
        struct dirent64 *(*real)(DIR *) = (struct dirent64 * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir64");
        if (!is_at(dirfd(dir), unlisted) || listed-- > 0)
                return real(dir);
        errno = EIO;
        return NULL;
}

ssize_t pread64(int fd, void *out, size_t len, off64_t at)
{
        if (!is_at(fd, unread))
                return syscall(SYS_pread64, fd, out, len, at);
        errno = EIO;
        return -1;
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

/* What stands in the folder, however far it is told, and its rows stay; also what a deletion has put aside.
 */
static void a_listing_that_breaks_off(void **state)
{
        static const char *const folders[] = {"/models", "/datasets"};
        char path[200], aside[200];
        struct err e;
        struct service *s = front_start(*state);
        front_wait_state(
                s, front_submit(s, FRONT_JOB("it", "\"epochs\":1,\"save_as\":\"it\"")), JOB_SUCCEEDED);
        service_destroy(s);
        path_of(path, *state, "models/it.safetensors");
        path_of(aside, *state, "models/.old-it.safetensors");
        assert_int_equal(link(path, aside), 0);
        for (int i = 0; i < 2; i++)
                for (int n = 0; n < 5; n++) {
                        unlisted = folders[i];
                        listed = n;
                        int rc = start(*state, &e);
                        unlisted = NULL;
                        if (rc == 0 && listed >= 0)
                                break; /* it came to the end */
                        assert_int_equal(rc, ERR_IO);
                        assert_non_null(strstr(e.message, folders[i]));
                        assert_non_null(strstr(e.message, strerror(EIO)));
                }
        s = front_start(*state);
        CHECK_OK(models_see(s->models, &front_anna, "it", &e), &e);
        CHECK_OK(models_look(s->models, "it", &e), &e);
        CHECK_OK(datasets_see(s->datasets, &front_anna, "tiny", &e), &e);
        service_destroy(s);
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

FRONT_MAIN(FRONT_TEST(a_listing_that_breaks_off), FRONT_TEST(a_shared_set_of_a_known_name),
        FRONT_TEST(the_machines_own_set))
