/* Copies of the database: whole, or an error and no file. */
#include "check.h"
#include "lossy.h"

#include "daemon/store/store.h"

#include <limits.h>
#include <unistd.h>

enum { PATIENCE_MS = 300, FEW = 3 };

struct world {
        char dir[40], path[PATH_MAX], copy[PATH_MAX];
        struct store *store;
};

static int make_world(void **state)
{
        static struct world w;
        struct err e;
        w = (struct world){.dir = "/tmp/cnnd-backup-XXXXXX"};
        if (!mkdtemp(w.dir))
                return -1;
        snprintf(w.path, sizeof w.path, "%s/cnnd.db", w.dir);
        snprintf(w.copy, sizeof w.copy, "%s/copy", w.dir);
        CHECK_OK(store_open(w.path, &w.store, &e), &e);
        store_set_patience(w.store, PATIENCE_MS);
        *state = &w;
        return 0;
}

static int drop_world(void **state)
{
        struct world *w = *state;
        lossy_take_locks(0);
        store_close(w->store);
        unlink(w->path);
        unlink(w->copy);
        return rmdir(w->dir);
}

static void set_generation(struct store *s, int64_t value)
{
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_prepare(s, "UPDATE counters SET value = ? WHERE name = 'model_generation'", &st, &e),
                &e);
        store_bind_int(st, 1, value);
        CHECK_OK(store_run(s, st, &e), &e);
}

static int64_t generation(const char *path)
{
        struct store *s = NULL;
        sqlite3_stmt *st;
        struct err e;
        CHECK_OK(store_open(path, &s, &e), &e);
        CHECK_OK(store_prepare(s, "SELECT value FROM counters WHERE name = 'model_generation'", &st, &e), &e);
        assert_int_equal(store_step(s, st, &e), 1);
        int64_t value = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        store_close(s);
        return value;
}

static void a_lock_is_waited_for(void **state)
{
        struct world *w = *state;
        struct err e;
        set_generation(w->store, 7);
        store_set_patience(w->store, 600000); /* however slow the machine is */
        lossy_take_locks(FEW);
        CHECK_OK(store_backup(w->store, w->copy, &e), &e);
        assert_int_equal(generation(w->copy), 7);
}

static void a_lock_that_stays_leaves_no_file(void **state)
{
        struct world *w = *state;
        struct err e;
        lossy_take_locks(INT_MAX);
        assert_int_equal(store_backup(w->store, w->copy, &e), ERR_UNAVAILABLE);
        assert_non_null(strstr(e.message, "locked"));
        assert_int_not_equal(access(w->copy, F_OK), 0);
}

/* SQLite tells of this one in the step alone. */
static void within_a_transaction_it_fails(void **state)
{
        struct world *w = *state;
        struct err e;
        CHECK_OK(store_begin(w->store, &e), &e);
        set_generation(w->store, 8);
        assert_int_equal(store_backup(w->store, w->copy, &e), ERR_UNAVAILABLE);
        assert_int_not_equal(access(w->copy, F_OK), 0);
        CHECK_OK(store_commit(w->store, &e), &e);
        CHECK_OK(store_backup(w->store, w->copy, &e), &e);
        assert_int_equal(generation(w->copy), 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, drop_world)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_lock_is_waited_for),
                TEST(a_lock_that_stays_leaves_no_file),
                TEST(within_a_transaction_it_fails),
        };
        if (lossy_install() != 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
