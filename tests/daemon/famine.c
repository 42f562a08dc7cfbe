/* Failing allocations: in each flow of flows.c the n-th allocation of the front fails, once or with all
   behind it, for n = 1, 2, 3 … until the flow ends before it comes to that. Nothing may crash, hang, leak or
   answer half of something; what was acknowledged stands in the database, whole; and the next time the flow
   goes well.

   famine [FLOW]. FAMINE=all takes every n, else some of each flow. SCARCE_FRAMES tells who lost a block. */
#include "resident.h"
#include "scarce.h"

#include "daemon/role.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* TIRED_MS: a server without memory may keep a client waiting until there is some again. */
enum { TIRED_MS = 300, ACKED_MAX = 1 << 16, SAMPLES = 5, ROW_BYTES = 4096 };

static struct {
        struct resident front;
        struct store *store;        /* the test's own connection */
        long long acked[ACKED_MAX]; /* jobs */
        int acked_count;
} famine;

/* What a step gave where nothing failed, numbers masked. */
struct want {
        int status;
        char *body;
        char row[ROW_BYTES];
};

/* --- what must hold --- */

/* All of a job's row that its submission decides, and its state where jobs stay in line; numbers masked, ""
   where there is no row. */
static void read_row(long long job, char row[ROW_BYTES])
{
        sqlite3_stmt *st;
        struct err e = {0};
        row[0] = '\0';
        CHECK_OK(store_prepare(famine.store,
                         "SELECT type || ' ' || name || ' ' || user || ' ' || (key IS NOT NULL) || ' ' || "
                         "request || ' ' ||"
                         " dataset || ' ' || ifnull(save_as, '-') || ' ' || ifnull(note, '-') || ' ' || "
                         "priority || ' ' ||"
                         " steps || ' ' || micro_batch || ' ' || (events > 0) ||"
                         " CASE WHEN ?2 THEN ' ' || state || want ELSE '' END FROM jobs WHERE id = ?1",
                         &st, &e),
                &e);
        store_bind_int(st, 1, job);
        store_bind_int(st, 2, famine.front.flow && famine.front.flow->busy);
        if (store_step(famine.store, st, &e) == 1)
                snprintf(row, ROW_BYTES, "%s", (const char *)sqlite3_column_text(st, 0));
        sqlite3_reset(st);
        talk_mask(row);
}

static void check_row(const struct want *w)
{
        char row[ROW_BYTES];
        read_row(famine.front.answer.id, row);
        if (strcmp(row, w->row) != 0)
                RESIDENT_FAIL(&famine.front, "job %lld was acknowledged; its row is \"%s\", not \"%s\"",
                        famine.front.answer.id, row, w->row);
        if (famine.acked_count < ACKED_MAX)
                famine.acked[famine.acked_count++] = famine.front.answer.id;
}

/* An answer says all or that it cannot: a stream alone may break off, and is then not whole, and of a refusal
   the reasons may be missing. False for one that could not be given, or not to its end. */
static bool check_answer(const struct step *s, const struct want *w)
{
        struct answer *a = &famine.front.answer;
        const int status = a->status;
        if (status == 0 || status >= 500)
                return false;
        if (status != w->status)
                RESIDENT_FAIL(&famine.front, "%s %s: %d instead of %d: %s", s->method, s->path, status,
                        w->status, a->body);
        if (a->id && strcmp(s->method, "POST") == 0)
                check_row(w);
        talk_mask(a->body);
        if (strcmp(s->method, "HEAD") == 0 || strncmp(s->path, "/metrics", 8) == 0 ||
                strstr(s->path, "{}/events"))
                return a->whole; /* which reasons and restarts they tell of is not given */
        if (status >= 400 && a->len == 0)
                return true;
        /* A cut may fall into a number, which is masked. */
        const size_t len = strlen(a->body), part = len ? len - 1 : 0;
        if (a->whole ? strcmp(a->body, w->body) != 0 : strncmp(a->body, w->body, part) != 0)
                RESIDENT_FAIL(&famine.front, "%s %s: answers %s\ninstead of %s", s->method, s->path, a->body,
                        w->body);
        return a->whole;
}

static void end_famine(void)
{
        scarce_end(NULL);
}

/* The flow with the n-th allocation failing; true when it came so far. */
static bool disturbed(const struct want *want)
{
        const struct flow *f = famine.front.flow;
        famine.front.number++;
        famine.front.job = 0;
        resident_take_all(&famine.front, f->before);
        scarce_fail(famine.front.n, famine.front.ever);
        for (int i = 0; f->during[i].method; i++) {
                if (strstr(f->during[i].path, "{}") && !famine.front.job)
                        break;
                resident_ask(&famine.front, &f->during[i],
                        famine.front.ever ? TIRED_MS : RESIDENT_PATIENCE_MS,
                        famine.front.ever ? end_famine : NULL);
                resident_take_id(&famine.front, &f->during[i]);
                if (!check_answer(&f->during[i], &want[i]))
                        break;
        }
        const bool met = scarce_end(NULL) > 0;
        for (const struct step *s = f->after; s->method; s++)
                if (strcmp(s->method, FLOW_WAIT) == 0)
                        resident_take(&famine.front, s);
                else if (!strstr(s->path, "{}") || famine.front.job) {
                        resident_ask(&famine.front, s, RESIDENT_PATIENCE_MS, NULL);
                        resident_take_id(&famine.front, s);
                }
        return met;
}

/* The flow as it should go, and how many allocations it takes. The first time it tells what is wanted. */
static long calm(struct want *want, bool first)
{
        const struct flow *f = famine.front.flow;
        long count = 0;
        famine.front.number++;
        famine.front.job = 0;
        resident_take_all(&famine.front, f->before);
        scarce_fail(0, false);
        for (int i = 0; f->during[i].method; i++) {
                resident_take(&famine.front, &f->during[i]);
                if (first) {
                        read_row(famine.front.answer.id, want[i].row);
                        talk_mask(famine.front.answer.body);
                        want[i].status = famine.front.answer.status;
                        want[i].body = strdup(famine.front.answer.body);
                } else {
                        check_answer(&f->during[i], &want[i]);
                }
        }
        scarce_end(&count);
        for (const struct step *s = f->after; s->method; s++)
                resident_take(&famine.front, s);
        return count;
}

static void check_kept(void)
{
        char row[ROW_BYTES];
        sqlite3_stmt *st;
        struct err e = {0};
        for (int i = 0; i < famine.acked_count; i++) {
                read_row(famine.acked[i], row);
                if (!row[0])
                        RESIDENT_FAIL(
                                &famine.front, "job %lld was acknowledged and is lost", famine.acked[i]);
        }
        famine.acked_count = 0;
        CHECK_OK(store_prepare(famine.store, "PRAGMA integrity_check", &st, &e), &e);
        assert_int_equal(store_step(famine.store, st, &e), 1);
        assert_string_equal((const char *)sqlite3_column_text(st, 0), "ok");
        sqlite3_reset(st);
}

static void check_pair(const char *name, int64_t bytes, int64_t inode, int64_t mtime_ns)
{
        struct stat st;
        char path[200];
        snprintf(path, sizeof path, "%s/models/%s.safetensors", famine.front.state, name);
        if (stat(path, &st) != 0)
                RESIDENT_FAIL(&famine.front, "model %s has a row and no file", name);
        if (st.st_size != bytes || (int64_t)st.st_ino != inode ||
                st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != mtime_ns)
                RESIDENT_FAIL(&famine.front, "the row of model %s is of another file", name);
}

/* Whatever failed, a model's row is of the file that stands there. */
static void check_pairs(void)
{
        sqlite3_stmt *st;
        struct err e = {0};
        CHECK_OK(store_prepare(famine.store, "SELECT name, bytes, inode, mtime_ns FROM models", &st, &e), &e);
        while (store_step(famine.store, st, &e) == 1)
                check_pair((const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1),
                        sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3));
        sqlite3_reset(st);
}

/* --- the sweep --- */

static void open_store(void)
{
        char path[100];
        struct err e = {0};
        snprintf(path, sizeof path, "%s/cnnd.db", famine.front.state);
        CHECK_OK(store_open(path, &famine.store, &e), &e);
}

static void close_store(void)
{
        store_close(famine.store);
        famine.store = NULL;
}

/* How many allocations failed. */
static long sweep(struct want *want)
{
        const bool all = getenv("FAMINE") && strcmp(getenv("FAMINE"), "all") == 0;
        const long count = calm(want, true), stride = all ? 1 : count / SAMPLES + 1;
        long failed = 0;
        for (int ever = 0; ever < 2; ever++) {
                bool met = true;
                famine.front.ever = ever;
                for (famine.front.n = 1; met; famine.front.n += stride) {
                        met = disturbed(want);
                        failed += met;
                        resident_healthy(&famine.front);
                        check_pairs();
                        calm(want, false);
                }
        }
        return failed;
}

static void try_flow(const struct flow *f)
{
        struct want want[FLOW_STEPS] = {{0}};
        famine.front.flow = f;
        famine.front.n = 0;
        famine.front.ever = false;
        resident_begin(&famine.front);
        resident_healthy(&famine.front);
        open_store();
        if (f->busy) {
                resident_take(&famine.front, &flow_blocker);
                resident_wait(&famine.front, "running");
        }
        const long failed = sweep(want);
        close_store();
        resident_end(&famine.front);
        open_store();
        check_kept();
        close_store();
        for (int i = 0; i < FLOW_STEPS; i++)
                free(want[i].body);
        print_message("%s: %ld allocations failed\n", f->name, failed);
}

static void make_world(void)
{
        const struct identity anna = {.user = "anna", .operator= true };
        struct err e = {0};
        resident_begin(&famine.front);
        resident_healthy(&famine.front);
        resident_take_all(&famine.front, flow_world);
        resident_end(&famine.front);
        open_store();
        CHECK_OK(token_add(famine.store, &anna, 0, famine.front.token, &e), &e);
        close_store();
}

static void run(const char *command, const char *a, const char *b)
{
        char line[300];
        snprintf(line, sizeof line, "%s %s %s", command, a, b);
        assert_int_equal(system(line), 0);
}

static void where(int number)
{
        char text[200];
        int n = snprintf(text, sizeof text, "signal %d: %s, allocation %ld fails%s\n", number,
                famine.front.flow ? famine.front.flow->name : "world", famine.front.n,
                famine.front.ever ? " and all behind it" : "");
        (void)!write(STDERR_FILENO, text, (size_t)n);
        signal(number, SIG_DFL);
        raise(number);
}

static const char *chosen;

static void every_allocation_may_fail(void **state)
{
        char world[] = "/tmp/cnnd-world-XXXXXX";
        (void)state;
        assert_non_null(mkdtemp(world));
        snprintf(famine.front.state, sizeof famine.front.state, "%s/state", world);
        snprintf(famine.front.socket, sizeof famine.front.socket, "%s/socket", world);
        signal(SIGSEGV, where);
        signal(SIGABRT, where);
        make_world();
        char kept[80];
        snprintf(kept, sizeof kept, "%s/kept", world);
        run("mv", famine.front.state, kept);
        for (const struct flow *f = flows; f->name; f++) {
                if (chosen && strcmp(chosen, f->name) != 0)
                        continue;
                run("cp -a", kept, famine.front.state);
                try_flow(f);
                run("rm -rf", famine.front.state, "");
        }
        run("rm -rf", world, "");
}

int main(int argc, char **argv)
{
        sigset_t set;
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
        if (role_requested(argc, argv))
                return role_main(argc, argv);
        chosen = argc > 1 ? argv[1] : NULL;
        setenv("CNND_FAKE_STEP_MS", "1", 1);
        setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
