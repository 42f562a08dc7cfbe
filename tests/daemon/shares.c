/* Device seconds of users: how they fade, and that they survive. */
#include "check.h"

#include "base/clock.h"
#include "daemon/jobs/shares.h"

#include <stdlib.h>
#include <unistd.h>

enum { HOUR_MS = 3600000 };

static void seconds_fade_by_halves(void **state)
{
        (void)state;
        assert_float_equal(shares_faded(80, 3600, 0), 80, 0);
        assert_float_equal(shares_faded(80, 3600, HOUR_MS), 40, 1e-9);
        assert_float_equal(shares_faded(80, 3600, 3 * HOUR_MS), 10, 1e-9);
        assert_float_equal(shares_faded(80, 3600, -HOUR_MS), 80, 0);
}

static struct store *open_store(const char *path)
{
        struct store *s = NULL;
        struct err e;
        CHECK_OK(store_open(path, &s, &e), &e);
        return s;
}

static struct shares *open_shares(struct store *store)
{
        struct shares *sh = NULL;
        struct err e;
        CHECK_OK(shares_create(store, 3600, &sh, &e), &e);
        return sh;
}

static void use(struct shares *sh, int device, const char *user, double seconds, int64_t wall)
{
        struct err e;
        shares_begin(sh, device, user, 0);
        CHECK_OK(shares_store(sh, device, seconds, wall, &e), &e);
        shares_settle(sh, device, seconds, wall);
        shares_end(sh, device);
}

static void they_survive_and_add_up(void **state)
{
        char path[] = "/tmp/cnnd-shares-XXXXXX";
        (void)state;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        int64_t wall = clock_wall_ms();
        struct store *store = open_store(path);
        struct shares *sh = open_shares(store);
        assert_float_equal(shares_of(sh, "anna", 0, wall), 0, 0);
        use(sh, 0, "anna", 100, wall - 2 * HOUR_MS);
        use(sh, 1, "anna", 30, wall - HOUR_MS);
        use(sh, 0, "bert", 7, wall);
        assert_float_equal(shares_of(sh, "anna", 0, wall), 40, 1e-6);
        shares_destroy(sh);
        store_close(store);
        store = open_store(path);
        sh = open_shares(store);
        assert_float_equal(shares_of(sh, "anna", 0, wall), 40, 1e-6);
        assert_float_equal(shares_of(sh, "bert", 0, wall), 7, 1e-6);
        assert_float_equal(shares_of(sh, "carl", 0, wall), 0, 0);
        shares_destroy(sh);
        store_close(store);
        unlink(path);
}

static void a_running_job_counts(void **state)
{
        struct store *store = open_store(":memory:");
        struct shares *sh = open_shares(store);
        struct err e;
        (void)state;
        shares_begin(sh, 0, "anna", 1000);
        shares_begin(sh, 3, "anna", 5000);
        assert_float_equal(shares_due(sh, 0, 9000), 8, 1e-9);
        assert_float_equal(shares_of(sh, "anna", 9000, 0), 8 + 4 + 2, 1e-9);
        assert_float_equal(shares_of(sh, "bert", 9000, 0), 0, 0);
        CHECK_OK(shares_store(sh, 0, 8, 0, &e), &e);
        shares_settle(sh, 0, 8, 0);
        assert_float_equal(shares_due(sh, 0, 9000), 0, 1e-9);
        assert_float_equal(shares_of(sh, "anna", 9000, 0), 8 + 4 + 2, 1e-9);
        shares_end(sh, 0);
        shares_end(sh, 3);
        assert_float_equal(shares_of(sh, "anna", 9000, 0), 8, 1e-9);
        shares_destroy(sh);
        store_close(store);
}

/* The clock was a year ahead when they were stored. */
static void they_fade_once_the_clock_is_right(void **state)
{
        char path[] = "/tmp/cnnd-shares-XXXXXX";
        const int64_t wall = clock_wall_ms(), ahead = wall + (int64_t)365 * 24 * HOUR_MS;
        (void)state;
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        struct store *store = open_store(path);
        struct shares *sh = open_shares(store);
        use(sh, 0, "anna", 80, ahead);
        assert_float_equal(shares_of(sh, "anna", 0, wall), 80, 1e-6);
        assert_float_equal(shares_of(sh, "anna", 0, wall + HOUR_MS), 40, 1e-6);
        shares_destroy(sh);
        sh = open_shares(store);
        assert_float_equal(shares_of(sh, "anna", 0, clock_wall_ms() + HOUR_MS), 40, 0.1);
        shares_destroy(sh);
        store_close(store);
        unlink(path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(seconds_fade_by_halves),
                cmocka_unit_test(they_survive_and_add_up),
                cmocka_unit_test(a_running_job_counts),
                cmocka_unit_test(they_fade_once_the_clock_is_right),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
