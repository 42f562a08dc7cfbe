/* What is long in the making is waited for as long as the server takes over it: to hang up calls it off. */
#include "check.h"

#include "client/args.h"
#include "client/command.h"
#include "client/fetch.h"
#include "daemon/serving/classify.h"

#include <unistd.h>

/* In place of a transport: it notes how long a request would wait, and nobody answers. */
struct fetch {
        int stall_s;
};

int fetch_create(const char *url, const char *token, struct fetch **ret, struct err *e)
{
        (void)url;
        (void)token;
        (void)ret;
        return err_set(e, ERR_INTERNAL, "not here");
}

void fetch_destroy(struct fetch *h)
{
        (void)h;
}

const char *fetch_url(const struct fetch *h)
{
        (void)h;
        return "nowhere";
}

int fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e)
{
        (void)ret;
        (void)sent;
        h->stall_s = q->stall_s;
        return err_set(e, ERR_CLOSED, "nobody answers");
}

/* The seconds that a command waits for a word; its words are separated by blanks, FILE is one that there is.
 */
static int patience(const char *line)
{
        char path[] = "/tmp/cnnctl-test-XXXXXX", *words[8], text[100];
        struct fetch http = {0};
        struct ctl c = {.http = &http};
        struct args a;
        struct err e;
        int n = 0, fd = mkstemp(path);
        assert_true(fd >= 0 && write(fd, "x", 1) == 1);
        snprintf(text, sizeof text, "cnnctl %s", line);
        for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
                words[n++] = strcmp(word, "FILE") == 0 ? path : word;
        CHECK_OK(args_parse(n, words, &a, &e), &e);
        c.json = args_has(&a, "json");
        assert_int_equal(a.command->run(&c, &a, &e), ERR_CLOSED);
        args_finish(&a);
        unlink(path);
        close(fd);
        return http.stall_s;
}

static void maps_outlast_the_server(void **state)
{
        (void)state;
        assert_true(patience("map m FILE -o -") * 1000 > CLASSIFY_MAP_TIMEOUT_MS);
}

static void imports_outlast_two_heartbeats(void **state)
{
        enum { RAREST_HEARTBEAT_S = 3600 }; /* conf.c */
        (void)state;
        assert_true(patience("import d FILE") >= 2 * RAREST_HEARTBEAT_S);
        assert_true(patience("import d FILE --json") * 1000 > CLASSIFY_MAP_TIMEOUT_MS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(maps_outlast_the_server),
                cmocka_unit_test(imports_outlast_two_heartbeats),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
