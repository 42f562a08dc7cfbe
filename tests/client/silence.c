/* What breaks an exchange off is silence, however few the bytes are that come. */
#include "check.h"

#include "client/fetch.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STALL_S = 2, BEATS = 4 };

/* Answers a request with a byte every 1.3 s, or, `mute`, with a header alone. */
static void serve(int listener, int mute)
{
        char request[4096];
        int c = accept(listener, NULL, NULL);
        if (c < 0 || read(c, request, sizeof request) <= 0)
                _exit(1);
        dprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BEATS);
        for (int i = 0; i < BEATS && !mute; i++) {
                usleep(1300000);
                if (write(c, ":", 1) != 1)
                        _exit(1);
        }
        if (mute)
                pause();
        _exit(0);
}

static int exchange(int mute, struct fetch_reply *reply, struct err *e)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof at;
        char url[64];
        struct fetch *h;
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        assert_true(listener >= 0 && bind(listener, (struct sockaddr *)&at, len) == 0 &&
                    listen(listener, 1) == 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
        pid_t server = fork();
        assert_true(server >= 0);
        if (server == 0)
                serve(listener, mute);
        snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(at.sin_port));
        CHECK_OK(fetch_create(url, NULL, &h, e), e);
        struct fetch_request q = {.method = "GET", .path = "/", .stall_s = STALL_S};
        int rc = fetch_send(h, &q, reply, NULL, e);
        fetch_destroy(h);
        close(listener);
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
        return rc;
}

static void few_bytes_are_no_silence(void **state)
{
        (void)state;
        struct fetch_reply reply;
        struct err e;
        CHECK_OK(exchange(0, &reply, &e), &e);
        assert_int_equal(reply.body.len, BEATS);
        fetch_reply_finish(&reply);
}

static void silence_ends_it(void **state)
{
        (void)state;
        struct fetch_reply reply;
        struct err e;
        assert_int_equal(exchange(1, &reply, &e), ERR_CLOSED);
        assert_non_null(strstr(e.message, "no byte for 2 s"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(few_bytes_are_no_silence),
                cmocka_unit_test(silence_ends_it),
        };
        return cmocka_run_group_tests_name("silence", tests, NULL, NULL);
}
