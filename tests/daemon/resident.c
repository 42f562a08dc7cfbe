#include "resident.h"

#include "scarce.h"

#include "base/log.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static void *front_main(void *ctx)
{
        struct resident *r = ctx;
        struct err e = {0};
        scarce_watch();
        if (server_create(&r->conf, &r->server, &e) != 0) {
                fprintf(stderr, "%s\n", e.message);
                abort();
        }
        sem_post(&r->started);
        if (server_run(r->server, &e) != 0)
                abort();
        server_destroy(r->server);
        r->blocks = scarce_blocks();
        return NULL;
}

void resident_begin(struct resident *r)
{
        const char *const argv[] = {"cnnd", "--listen", "none", "--socket", r->socket, "--state", r->state,
                "--log-level", getenv("CNND_TEST_LOG") ? "info" : "error", "--requests-per-second", "0",
                "--queued-jobs", "0", "--slice-seconds", "80000", NULL};
        enum conf_action action;
        struct err e = {0};
        CHECK_OK(conf_load(sizeof argv / sizeof argv[0] - 1, (char **)(uintptr_t)argv, &r->conf, &action, &e),
                &e);
        log_init((enum log_level)log_level_parse(r->conf.log_level), "front");
        sem_init(&r->started, 0, 0);
        assert_int_equal(pthread_create(&r->thread, NULL, front_main, r), 0);
        sem_wait(&r->started);
}

/* Two signals: it does not wait for jobs. The first front finds the C library without what that keeps for
 * good. */
void resident_end(struct resident *r)
{
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGINT);
        pthread_join(r->thread, NULL);
        conf_finish(&r->conf);
        if (r->flow && r->blocks) {
                scarce_print();
                RESIDENT_FAIL(r, "%ld blocks are left of the front", r->blocks);
        }
}

/* `text` with what stands in braces filled in. */
static void fill(const struct resident *r, const char *text, char *out, size_t size)
{
        size_t n = 0;
        out[0] = '\0';
        while (*text && n + 1 < size) {
                if (strncmp(text, "{}", 2) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%lld", r->job);
                        text += 2;
                } else if (strncmp(text, "{n}", 3) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%lld", r->number);
                        text += 3;
                } else if (strncmp(text, "{token}", 7) == 0) {
                        n += (size_t)snprintf(out + n, size - n, "%s", r->token);
                        text += 7;
                } else {
                        out[n++] = *text++;
                        out[n] = '\0';
                }
        }
}

void resident_ask(struct resident *r, const struct step *s, int patience_ms, void (*tired)(void))
{
        char path[400], headers[400];
        struct request rq = {.method = s->method, .path = path, .headers = headers, .body = s->body};
        fill(r, s->path, path, sizeof path);
        fill(r, s->headers, headers, sizeof headers);
        if (s->body[0] == '@')
                rq.body = flows_blob(s->body + 1, &rq.len);
        else
                rq.len = strlen(s->body);
        talk(r->socket, &rq, patience_ms, tired, &r->answer);
        if (r->answer.silent)
                RESIDENT_FAIL(r, "%s %s: neither an answer nor an end", s->method, path);
}

static bool has_state(const struct resident *r, const char *state)
{
        char text[40];
        if (strcmp(state, "ended") == 0)
                return has_state(r, "succeeded") || has_state(r, "failed") || has_state(r, "cancelled");
        snprintf(text, sizeof text, "\"state\":\"%s\",\"priority\"", state);
        return strstr(r->answer.body, text) != NULL;
}

void resident_wait(struct resident *r, const char *state)
{
        const struct step show = {"GET", "/v1/jobs/{}", "", "", 200};
        for (int ms = 0; ms < RESIDENT_PATIENCE_MS; ms += 5) {
                resident_ask(r, &show, RESIDENT_PATIENCE_MS, NULL);
                if (has_state(r, state))
                        return;
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        RESIDENT_FAIL(r, "waited for %s: %s", state, r->answer.body);
}

void resident_take_id(struct resident *r, const struct step *s)
{
        if (r->answer.id && strcmp(s->method, "POST") == 0)
                r->job = r->answer.id;
}

/* A step that nothing disturbs. */
void resident_take(struct resident *r, const struct step *s)
{
        if (strcmp(s->method, FLOW_WAIT) == 0) {
                if (r->job)
                        resident_wait(r, s->path);
                return;
        }
        if (strstr(s->path, "{}") && !r->job)
                return; /* there never was one */
        resident_ask(r, s, RESIDENT_PATIENCE_MS, NULL);
        resident_take_id(r, s);
        if (s->status && r->answer.status != s->status)
                RESIDENT_FAIL(r, "%s %s: %d %s", s->method, s->path, r->answer.status, r->answer.body);
}

void resident_take_all(struct resident *r, const struct step *s)
{
        for (; s->method; s++)
                resident_take(r, s);
}

void resident_healthy(struct resident *r)
{
        const struct step health = {"GET", "/v1/health", "", "", 0};
        for (int ms = 0; ms < RESIDENT_PATIENCE_MS; ms += 5) {
                resident_ask(r, &health, RESIDENT_PATIENCE_MS, NULL);
                if (r->answer.status == 200)
                        return;
                nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        RESIDENT_FAIL(r, "not healthy: %s", r->answer.body);
}
