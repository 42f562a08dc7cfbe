/* Failing allocations: in each flow of flows.c the n-th allocation of the front fails, once or with all
   behind it, for n = 1, 2, 3 … until the flow ends before it comes to that. Nothing may crash, hang, leak or
   answer half of something; what was acknowledged stands in the database, whole; and the next time the flow
   goes well.

   famine [FLOW]. FAMINE=all takes every n, else some of each flow. SCARCE_FRAMES tells who lost a block. */
#include "check.h"
#include "flows.h"
#include "scarce.h"

#include "base/log.h"
#include "daemon/conf.h"
#include "daemon/role.h"
#include "daemon/server.h"
#include "daemon/token.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* TIRED_MS: a server without memory may keep a client waiting until there is some again. */
enum { PATIENCE_MS = TALK_LONG_MS, TIRED_MS = 300, ACKED_MAX = 1 << 16, SAMPLES = 5, ROW_BYTES = 4096 };

/* The front, in a thread of its own. */
struct front {
        struct conf conf;
        struct server *server;
        pthread_t thread;
        sem_t started;
        long blocks; /* left in the end */
};

static struct {
        char state[64], socket[80], token[TOKEN_BYTES];
        struct front front;
        struct store *store; /* the test's own connection */
        long long job, number;
        long long acked[ACKED_MAX]; /* jobs */
        int acked_count;
        const struct flow *flow;
        long n;
        bool ever;
        struct answer answer;
} famine;

/* What a step gave where nothing failed, numbers masked. */
struct want {
        int status;
        char *body;
        char row[ROW_BYTES];
};

#define FAIL(...)                                                                                            \
        do {                                                                                                 \
                print_error("%s, allocation %ld fails%s: ", famine.flow ? famine.flow->name : "world",       \
                        famine.n, famine.ever ? " and all behind it" : "");                                  \
                fail_msg(__VA_ARGS__);                                                                       \
        } while (0)

/* --- the front --- */

static void *front_main(void *ctx)
{
        struct front *f = ctx;
        struct err e = {0};
        scarce_watch();
        if (server_create(&f->conf, &f->server, &e) != 0) {
                fprintf(stderr, "%s\n", e.message);
                abort();
        }
        sem_post(&f->started);
        if (server_run(f->server, &e) != 0)
                abort();
        server_destroy(f->server);
        f->blocks = scarce_blocks();
        return NULL;
}

static void front_begin(void)
{
        struct front *f = &famine.front;
        const char *const argv[] = {"cnnd", "--listen", "none", "--socket", famine.socket, "--state",
                famine.state, "--log-level", getenv("CNND_TEST_LOG") ? "info" : "error",
                "--requests-per-second", "0", "--queued-jobs", "0", "--slice-seconds", "80000", NULL};
        enum conf_action action;
        struct err e = {0};
        CHECK_OK(conf_load(sizeof argv / sizeof argv[0] - 1, (char **)(uintptr_t)argv, &f->conf, &action, &e),
                &e);
        log_init((enum log_level)log_level_parse(f->conf.log_level), "front");
        sem_init(&f->started, 0, 0);
        assert_int_equal(pthread_create(&f->thread, NULL, front_main, f), 0);
        sem_wait(&f->started);
}

/* Two signals: it does not wait for jobs. The first front finds the C library without what that keeps for
 * good. */
static void front_end(void)
{
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGINT);
        pthread_join(famine.front.thread, NULL);
        conf_finish(&famine.front.conf);
        if (famine.flow && famine.front.blocks) {
                scarce_print();
                FAIL("%ld blocks are left of the front", famine.front.blocks);
        }
}

/* --- one step --- */

/* `text` with what stands in braces filled in. */
static void fill(const char *text, char *out, size_t size)
{
        size_t n = 0;
        out[0] = '\0';
        while (*text && n + 1 < size) {
                if (strncmp(text, "{}", 2) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%lld", famine.job);
                        text += 2;
                } else if (strncmp(text, "{n}", 3) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%lld", famine.number);
                        text += 3;
                } else if (strncmp(text, "{token}", 7) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%s", famine.token);
                        text += 7;
                } else {
                        out[n++] = *text++;
                        out[n] = '\0';
                }
        }
}

static void ask(const struct step *s, int patience_ms, void (*tired)(void))
{
        char path[400], headers[400];
        struct request rq = {.method = s->method, .path = path, .headers = headers, .body = s->body};
        fill(s->path, path, sizeof path);
        fill(s->headers, headers, sizeof headers);
        if (s->body[0] == '@')
                rq.body = flows_blob(s->body + 1, &rq.len);
        else
                rq.len = strlen(s->body);
        talk(famine.socket, &rq, patience_ms, tired, &famine.answer);
        if (famine.answer.silent)
                FAIL("%s %s: neither an answer nor an end", s->method, path);
}

static bool has_state(const char *state)
{
        char text[40];
        if (strcmp(state, "ended") == 0)
                return has_state("succeeded") || has_state("failed") || has_state("cancelled");
        snprintf(text, sizeof text, "\"state\":\"%s\",\"priority\"", state);
        return strstr(famine.answer.body, text) != NULL;
}

static void wait_state(const char *state)
{
        const struct step show = {"GET", "/v1/jobs/{}", "", "", 200};
        for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
                ask(&show, PATIENCE_MS, NULL);
                if (has_state(state))
                        return;
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        FAIL("waited for %s: %s", state, famine.answer.body);
}

static void take_id(const struct step *s)
{
        if (famine.answer.id && strcmp(s->method, "POST") == 0)
                famine.job = famine.answer.id;
}

/* A step that nothing disturbs. */
static void take_calmly(const struct step *s)
{
        if (strcmp(s->method, FLOW_WAIT) == 0) {
                if (famine.job)
                        wait_state(s->path);
                return;
        }
        if (strstr(s->path, "{}") && !famine.job)
                return; /* there never was one */
        ask(s, PATIENCE_MS, NULL);
        take_id(s);
        if (s->status && famine.answer.status != s->status)
                FAIL("%s %s: %d %s", s->method, s->path, famine.answer.status, famine.answer.body);
}

static void take_all_calmly(const struct step *s)
{
        for (; s->method; s++)
                take_calmly(s);
}

static void healthy(void)
{
        const struct step health = {"GET", "/v1/health", "", "", 0};
        for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
                ask(&health, PATIENCE_MS, NULL);
                if (famine.answer.status == 200)
                        return;
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        FAIL("not healthy: %s", famine.answer.body);
}

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
        store_bind_int(st, 2, famine.flow && famine.flow->busy);
        if (store_step(famine.store, st, &e) == 1)
                snprintf(row, ROW_BYTES, "%s", (const char *)sqlite3_column_text(st, 0));
        sqlite3_reset(st);
        talk_mask(row);
}

static void check_row(const struct want *w)
{
        char row[ROW_BYTES];
        read_row(famine.answer.id, row);
        if (strcmp(row, w->row) != 0)
                FAIL("job %lld was acknowledged; its row is \"%s\", not \"%s\"", famine.answer.id, row,
                        w->row);
        if (famine.acked_count < ACKED_MAX)
                famine.acked[famine.acked_count++] = famine.answer.id;
}

/* An answer says all or that it cannot: a stream alone may break off, and is then not whole, and of a refusal
   the reasons may be missing. False for one that could not be given, or not to its end. */
static bool check_answer(const struct step *s, const struct want *w)
{
        struct answer *a = &famine.answer;
        const int status = a->status;
        if (status == 0 || status >= 500)
                return false;
        if (status != w->status)
                FAIL("%s %s: %d instead of %d: %s", s->method, s->path, status, w->status, a->body);
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
                FAIL("%s %s: answers %s\ninstead of %s", s->method, s->path, a->body, w->body);
        return a->whole;
}

static void end_famine(void)
{
        scarce_end(NULL);
}

/* The flow with the n-th allocation failing; true when it came so far. */
static bool disturbed(const struct want *want)
{
        const struct flow *f = famine.flow;
        famine.number++;
        famine.job = 0;
        take_all_calmly(f->before);
        scarce_fail(famine.n, famine.ever);
        for (int i = 0; f->during[i].method; i++) {
                if (strstr(f->during[i].path, "{}") && !famine.job)
                        break;
                ask(&f->during[i], famine.ever ? TIRED_MS : PATIENCE_MS, famine.ever ? end_famine : NULL);
                take_id(&f->during[i]);
                if (!check_answer(&f->during[i], &want[i]))
                        break;
        }
        const bool met = scarce_end(NULL) > 0;
        for (const struct step *s = f->after; s->method; s++)
                if (strcmp(s->method, FLOW_WAIT) == 0)
                        take_calmly(s);
                else if (!strstr(s->path, "{}") || famine.job) {
                        ask(s, PATIENCE_MS, NULL);
                        take_id(s);
                }
        return met;
}

/* The flow as it should go, and how many allocations it takes. The first time it tells what is wanted. */
static long calm(struct want *want, bool first)
{
        const struct flow *f = famine.flow;
        long count = 0;
        famine.number++;
        famine.job = 0;
        take_all_calmly(f->before);
        scarce_fail(0, false);
        for (int i = 0; f->during[i].method; i++) {
                take_calmly(&f->during[i]);
                if (first) {
                        read_row(famine.answer.id, want[i].row);
                        talk_mask(famine.answer.body);
                        want[i].status = famine.answer.status;
                        want[i].body = strdup(famine.answer.body);
                } else {
                        check_answer(&f->during[i], &want[i]);
                }
        }
        scarce_end(&count);
        for (const struct step *s = f->after; s->method; s++)
                take_calmly(s);
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
                        FAIL("job %lld was acknowledged and is lost", famine.acked[i]);
        }
        famine.acked_count = 0;
        CHECK_OK(store_prepare(famine.store, "PRAGMA integrity_check", &st, &e), &e);
        assert_int_equal(store_step(famine.store, st, &e), 1);
        assert_string_equal(sqlite3_column_text(st, 0), "ok");
        sqlite3_reset(st);
}

static void check_pair(const char *name, int64_t bytes, int64_t inode, int64_t mtime_ns)
{
        struct stat st;
        char path[200];
        snprintf(path, sizeof path, "%s/models/%s.safetensors", famine.state, name);
        if (stat(path, &st) != 0)
                FAIL("model %s has a row and no file", name);
        if (st.st_size != bytes || (int64_t)st.st_ino != inode ||
                st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec != mtime_ns)
                FAIL("the row of model %s is of another file", name);
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
        snprintf(path, sizeof path, "%s/cnnd.db", famine.state);
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
                famine.ever = ever;
                for (famine.n = 1; met; famine.n += stride) {
                        met = disturbed(want);
                        failed += met;
                        healthy();
                        check_pairs();
                        calm(want, false);
                }
        }
        return failed;
}

static void try_flow(const struct flow *f)
{
        struct want want[FLOW_STEPS] = {{0}};
        famine.flow = f;
        famine.n = 0;
        famine.ever = false;
        front_begin();
        healthy();
        open_store();
        if (f->busy) {
                take_calmly(&flow_blocker);
                wait_state("running");
        }
        const long failed = sweep(want);
        close_store();
        front_end();
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
        front_begin();
        healthy();
        take_all_calmly(flow_world);
        front_end();
        open_store();
        CHECK_OK(token_add(famine.store, &anna, 0, famine.token, &e), &e);
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
                famine.flow ? famine.flow->name : "world", famine.n, famine.ever ? " and all behind it" : "");
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
        snprintf(famine.state, sizeof famine.state, "%s/state", world);
        snprintf(famine.socket, sizeof famine.socket, "%s/socket", world);
        signal(SIGSEGV, where);
        signal(SIGABRT, where);
        make_world();
        char kept[80];
        snprintf(kept, sizeof kept, "%s/kept", world);
        run("mv", famine.state, kept);
        for (const struct flow *f = flows; f->name; f++) {
                if (chosen && strcmp(chosen, f->name) != 0)
                        continue;
                run("cp -a", kept, famine.state);
                try_flow(f);
                run("rm -rf", famine.state, "");
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
