#include "check.h"

#include "base/chan.h"
#include "base/json.h"

#include <sys/socket.h>
#include <unistd.h>

static void pair(int fds[2])
{
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

static void a_message_arrives_whole(void **state)
{
        int fds[2];
        struct err e = {0};
        struct chan_message m = {0};
        cJSON *head = cJSON_CreateObject();
        (void)state;
        pair(fds);
        cJSON_AddStringToObject(head, "op", "hello");
        CHECK_OK(chan_send(fds[0], head, "raw\0bytes", 9, &e), &e);
        CHECK_OK(chan_receive(fds[1], &m, &e), &e);
        assert_string_equal(json_field(m.head, "op")->valuestring, "hello");
        assert_int_equal(m.raw_len, 9);
        assert_memory_equal(m.raw, "raw\0bytes", 9);
        chan_message_finish(&m);
        close(fds[0]);
        assert_int_equal(chan_receive(fds[1], &m, &e), ERR_CLOSED);
        cJSON_Delete(head);
        close(fds[1]);
}

static void the_loop_end_cuts_messages(void **state)
{
        int fds[2];
        struct err e = {0};
        struct chan_message m = {0};
        cJSON *head = cJSON_CreateObject();
        (void)state;
        pair(fds);
        struct chan *c = chan_create(fds[1]);
        assert_int_equal(chan_next(c, &m, &e), 0);
        for (int i = 0; i < 100; i++) {
                cJSON *number = cJSON_AddNumberToObject(head, "i", i);
                CHECK_OK(chan_send(fds[0], head, &i, sizeof i, &e), &e);
                cJSON_Delete(cJSON_DetachItemViaPointer(head, number));
        }
        for (int i = 0; i < 100; i++) {
                assert_int_equal(chan_next(c, &m, &e), 1);
                assert_int_equal((int)json_field(m.head, "i")->valuedouble, i);
                assert_memory_equal(m.raw, &i, sizeof i);
                chan_message_finish(&m);
        }
        assert_int_equal(chan_next(c, &m, &e), 0);
        close(fds[0]);
        assert_int_equal(chan_next(c, &m, &e), ERR_CLOSED);
        chan_destroy(c);
        cJSON_Delete(head);
}

static void a_large_post_waits_for_the_reader(void **state)
{
        int fds[2];
        struct err e = {0};
        size_t len = 8 << 20, got = 0;
        char *bytes = calloc(1, len);
        char sink[65536];
        cJSON *head = cJSON_CreateObject();
        (void)state;
        pair(fds);
        struct chan *c = chan_create(fds[1]);
        CHECK_OK(chan_post(c, head, bytes, len, &e), &e);
        assert_true(chan_wants_write(c));
        while (got < len + 16 + 2) {
                ssize_t n = recv(fds[0], sink, sizeof sink, 0);
                assert_true(n > 0);
                got += (size_t)n;
                CHECK_OK(chan_flush(c, &e), &e);
        }
        assert_false(chan_wants_write(c));
        chan_destroy(c);
        close(fds[0]);
        cJSON_Delete(head);
        free(bytes);
}

static void foreign_bytes_are_refused(void **state)
{
        int fds[2];
        struct err e = {0};
        struct chan_message m = {0};
        (void)state;
        pair(fds);
        assert_int_equal(send(fds[0], "GET / HTTP/1.1\r\n", 16, 0), 16);
        assert_int_equal(chan_receive(fds[1], &m, &e), ERR_SYNTAX);
        assert_int_equal(send(fds[0], "cnd1\xff\xff\xff\xff\0\0\0\0\0\0\0\0", 16, 0), 16);
        assert_int_equal(chan_receive(fds[1], &m, &e), ERR_TOO_LARGE);
        close(fds[0]);
        close(fds[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_message_arrives_whole),
                cmocka_unit_test(the_loop_end_cuts_messages),
                cmocka_unit_test(a_large_post_waits_for_the_reader),
                cmocka_unit_test(foreign_bytes_are_refused),
        };
        return cmocka_run_group_tests_name("chan", tests, NULL, NULL);
}
