/* Power loss at every sync and after every acknowledged transaction, and disks that fail to sync. */
#include "daemon/store/store.h"
#include "lossy.h"

#include <limits.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { JOBS = 40, ROUNDS = 7, NOTE_BYTES = 9000 };

static const char *const files[] = {"cnnd.db", "cnnd.db-wal", "cnnd.db-shm", "cnnd.db-journal"};

struct world {
        char dir[64], image[64]; /* the living state, and what power loss left of it */
        struct store *store;
        int acked[JOBS]; /* events of each job that were acknowledged */
        int images, lost, broken;
};

static void empty(const char *dir)
{
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                char path[PATH_MAX];
                snprintf(path, sizeof path, "%s/%s", dir, files[i]);
                unlink(path);
        }
}

static int open_in(const char *dir, struct store **ret)
{
        char path[PATH_MAX];
        struct err e = {0};
        snprintf(path, sizeof path, "%s/%s", dir, files[0]);
        int rc = store_open(path, ret, &e);
        if (rc)
                print_message("%s\n", e.message);
        return rc;
}

static void create_world(struct world *w)
{
        *w = (struct world){.dir = "/tmp/cnnd-living-XXXXXX", .image = "/tmp/cnnd-image-XXXXXX"};
        assert_non_null(mkdtemp(w->dir));
        assert_non_null(mkdtemp(w->image));
        lossy_watch(w->dir);
        assert_int_equal(open_in(w->dir, &w->store), 0);
}

static void destroy_world(struct world *w)
{
        lossy_before_sync(NULL, NULL);
        lossy_set_fault(LOSSY_SYNCS);
        store_close(w->store);
        lossy_watch(NULL);
        empty(w->dir);
        empty(w->image);
        rmdir(w->dir);
        rmdir(w->image);
}

static int say(struct store *s, const char *pragma, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s, pragma, &st, e);
        return rc ? rc : store_run(s, st, e);
}

static int insert_job(struct store *s, int64_t job, struct err *e)
{
        sqlite3_stmt *st;
        int rc = store_prepare(s,
                "INSERT INTO jobs(id, type, name, user, state, want, request, dataset, created_at, epoch, "
                "step,"
                " steps, train_step, validation_step, checkpoint_step, device_bytes, largest_buffer, "
                "micro_batch,"
                " failures, events) VALUES(?, 'train', '', 'u', 'queued', '', '{}', 'd',"
                " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, job);
        return store_run(s, st, e);
}

static int insert_event(struct store *s, int64_t job, int id, struct err *e)
{
        static char note[NOTE_BYTES + 1];
        sqlite3_stmt *st;
        memset(note, 'a' + id, NOTE_BYTES);
        int rc =
                store_prepare(s, "INSERT INTO events(job, id, event, data) VALUES(?, ?, 'train', ?)", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, job);
        store_bind_int(st, 2, id);
        store_bind_text(st, 3, note);
        rc = store_run(s, st, e);
        if (rc == 0)
                rc = store_prepare(s, "UPDATE jobs SET events = ? WHERE id = ?", &st, e);
        if (rc)
                return rc;
        store_bind_int(st, 1, id);
        store_bind_int(st, 2, job);
        return store_run(s, st, e);
}

/* The next event of a job, the job's own row with the first, in one transaction that is then acknowledged. */
static void advance(struct world *w, int job)
{
        struct err e = {0};
        int rc = store_begin(w->store, &e);
        if (rc == 0 && w->acked[job] == 0)
                rc = insert_job(w->store, job + 1, &e);
        if (rc == 0)
                rc = insert_event(w->store, job + 1, w->acked[job] + 1, &e);
        if (rc == 0)
                rc = store_commit(w->store, &e);
        if (rc)
                fail_msg("%s", e.message);
        w->acked[job]++;
}

static int intact(struct store *s)
{
        struct err e = {0};
        sqlite3_stmt *st;
        int rc = store_prepare(s, "PRAGMA integrity_check", &st, &e);
        if (rc == 0)
                rc = store_step(s, st, &e);
        const int ok = rc == 1 && strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
        if (rc >= 0)
                sqlite3_reset(st);
        return ok;
}

/* What of the acknowledged is not in `s`, and, in *ret_gaps, jobs whose row and events disagree. */
static int missing(const struct world *w, struct store *s, int *ret_gaps)
{
        struct err e = {0};
        sqlite3_stmt *st;
        int found[JOBS] = {0}, lost = 0;
        *ret_gaps = 0;
        assert_int_equal(store_prepare(s,
                                 "SELECT id, events, (SELECT count(*) FROM events WHERE job = jobs.id),"
                                 " (SELECT max(id) FROM events WHERE job = jobs.id) FROM jobs",
                                 &st, &e),
                0);
        while (store_step(s, st, &e) == 1) {
                const int events = sqlite3_column_int(st, 1);
                found[sqlite3_column_int(st, 0) - 1] = events;
                *ret_gaps += events != sqlite3_column_int(st, 2) || events != sqlite3_column_int(st, 3);
        }
        for (int i = 0; i < JOBS; i++)
                lost += found[i] < w->acked[i];
        return lost;
}

static void lose_power(void *ctx)
{
        struct world *w = ctx;
        struct store *s = NULL;
        struct err e = {0};
        int gaps = 0;
        empty(w->image);
        assert_int_equal(lossy_image(w->image, (unsigned)++w->images), 0);
        if (open_in(w->image, &s)) {
                w->broken++;
                return;
        }
        assert_int_equal(say(s, "PRAGMA synchronous=OFF", &e), 0);
        w->lost += missing(w, s, &gaps) > 0;
        w->broken += gaps || !intact(s);
        store_close(s);
}

static void work(struct world *w)
{
        lossy_before_sync(lose_power, w);
        for (int round = 0; round < ROUNDS; round++)
                for (int job = 0; job < JOBS; job++) {
                        advance(w, job);
                        lose_power(w);
                }
        print_message("%d power losses, %d of them with a loss, %d with damage; %d syncs of the database\n",
                w->images, w->lost, w->broken, lossy_database_syncs());
}

static void test_nothing_acknowledged_is_lost(void **state)
{
        (void)state;
        struct world w;
        create_world(&w);
        const int before = lossy_database_syncs();
        work(&w);
        assert_true(w.images > 2 * JOBS * ROUNDS);
        assert_true(lossy_database_syncs() > before);
        assert_int_equal(w.lost, 0);
        assert_int_equal(w.broken, 0);
        destroy_world(&w);
}

static void test_finds_losses_with_fewer_syncs(void **state)
{
        (void)state;
        struct world w;
        struct err e = {0};
        create_world(&w);
        assert_int_equal(say(w.store, "PRAGMA synchronous=NORMAL", &e), 0);
        work(&w);
        assert_true(w.lost > 0);
        assert_int_equal(w.broken, 0);
        destroy_world(&w);
}

/* In a process of its own, which shall end of itself; `to` takes how many transactions it acknowledged. */
static void run_into(enum lossy_fault fault, struct world *w, int to)
{
        int acked = 0;
        for (int round = 0; round < 20 * ROUNDS; round++)
                for (int job = 0; job < JOBS; job++) {
                        if (acked == JOBS)
                                lossy_set_fault(fault);
                        advance(w, job);
                        acked++;
                        if (write(to, &acked, sizeof acked) != sizeof acked)
                                _exit(98);
                }
        _exit(99);
}

static void check_failing(enum lossy_fault fault)
{
        struct world w;
        int ends[2], status, acked = 0, last, gaps;
        assert_int_equal(pipe(ends), 0);
        create_world(&w);
        store_close(w.store); /* SQLite's connections do not outlive a fork */
        w.store = NULL;
        const pid_t child = fork();
        if (child == 0) {
                if (open_in(w.dir, &w.store))
                        _exit(97);
                run_into(fault, &w, ends[1]);
        }
        assert_true(child > 0);
        close(ends[1]);
        while (read(ends[0], &last, sizeof last) == sizeof last)
                acked = last;
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
        assert_true(acked >= JOBS);
        for (int i = 0; i < acked; i++)
                w.acked[i % JOBS]++;
        lossy_watch(w.dir);
        assert_int_equal(open_in(w.dir, &w.store), 0);
        assert_true(intact(w.store));
        assert_int_equal(missing(&w, w.store, &gaps), 0);
        assert_int_equal(gaps, 0);
        destroy_world(&w);
}

static void test_failed_sync_of_the_log_is_fatal(void **state)
{
        (void)state;
        check_failing(LOSSY_LOG_FAILS);
}

static void test_failed_sync_of_a_checkpoint_is_fatal(void **state)
{
        (void)state;
        check_failing(LOSSY_DATABASE_FAILS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_acknowledged_is_lost),
                cmocka_unit_test(test_finds_losses_with_fewer_syncs),
                cmocka_unit_test(test_failed_sync_of_the_log_is_fatal),
                cmocka_unit_test(test_failed_sync_of_a_checkpoint_is_fatal),
        };
        if (lossy_install() != 0)
                return EXIT_FAILURE;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
