/* The parser of event streams gives the same events wherever the network cuts the bytes. */
#include "check.h"
#include "client/sse.h"

struct seen {
        char text[4096]; /* "id kind data|" an event */
        size_t len;
        int stop_after; /* events until the sink says 7; 0 for never */
        int count;
};

static int take(void *data, const struct event *ev)
{
        struct seen *s = data;
        s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%lld %s %s|",
                (long long)ev->id, ev->kind, ev->data);
        return ++s->count == s->stop_after ? 7 : 0;
}

static void feed(struct sse *s, const char *text, size_t len, struct seen *seen)
{
        struct err e = {0};
        /* A copy of its own size, so that a sanitizer sees a read past it. */
        char *bytes = malloc(len ? len : 1);
        memcpy(bytes, text, len);
        CHECK_OK(sse_feed(s, bytes, len, take, seen, &e), &e);
        free(bytes);
}

static void check_every_cut(const char *text, const char *want)
{
        size_t len = strlen(text);
        for (size_t i = 0; i <= len; i++) {
                for (size_t k = i; k <= len; k++) {
                        struct sse s = {0};
                        struct seen seen = {0};
                        feed(&s, text, i, &seen);
                        feed(&s, text + i, k - i, &seen);
                        feed(&s, text + k, len - k, &seen);
                        sse_finish(&s);
                        assert_string_equal(seen.text, want);
                }
        }
}

static void line_ends_of_all_kinds(void **state)
{
        (void)state;
        check_every_cut("id: 1\nevent: train\ndata: {\"a\":1}\n\n", "1 train {\"a\":1}|");
        check_every_cut(
                "id: 1\r\nevent: train\r\ndata: x\r\n\r\nid: 2\r\ndata: y\r\n\r\n", "1 train x|2 message y|");
        check_every_cut("id: 1\revent: train\rdata: x\r\rdata: y\r\r", "1 train x|1 message y|");
        check_every_cut("data: x\n\r\ndata: y\r\n\n", "-1 message x|-1 message y|");
}

static void fields_as_the_standard_has_them(void **state)
{
        (void)state;
        check_every_cut("\xEF\xBB\xBF"
                        "data:x\n\n",
                "-1 message x|");
        check_every_cut(": heartbeat\n\n:\n\ndata: x\n\n", "-1 message x|");
        check_every_cut("data: a\ndata: b\ndata\ndata:  c\n\n", "-1 message a\nb\n\n c|");
        check_every_cut("event: only a kind\n\ndata: x\n\n", "-1 message x|");
        check_every_cut("unknown: y\nid\ndata: x: y\n\n", "-1 message x: y|");
        check_every_cut("id: 12x\ndata: a\n\nid: 99999999999999999999\ndata: b\n\nid: -3\ndata: c\n\n",
                "-1 message a|-1 message b|-1 message c|");
        check_every_cut("data\n\n", "-1 message |");
}

static void an_event_that_is_not_whole_is_dropped(void **state)
{
        (void)state;
        check_every_cut("data: x\n\nid: 2\ndata: y\n", "-1 message x|");
        struct sse s = {0};
        struct seen seen = {0};
        feed(&s, "id: 2\ndata: half", 16, &seen);
        sse_finish(&s);
        feed(&s, "data: whole\n\n", 13, &seen);
        sse_finish(&s);
        assert_string_equal(seen.text, "-1 message whole|");
}

static void the_server_may_set_the_pause(void **state)
{
        (void)state;
        struct sse s = {0};
        struct seen seen = {0};
        feed(&s, "retry: 2500\nretry: soon\nretry: 99999999999\n", 43, &seen);
        assert_int_equal(s.retry_ms, 2500);
        sse_finish(&s);
}

static void the_sink_ends_it(void **state)
{
        (void)state;
        struct sse s = {0};
        struct seen seen = {.stop_after = 1};
        struct err e = {0};
        static const char text[] = "data: x\n\ndata: y\n\n";
        assert_int_equal(sse_feed(&s, text, strlen(text), take, &seen, &e), 7);
        assert_string_equal(seen.text, "-1 message x|");
        sse_finish(&s);
}

static void a_line_without_end_is_refused(void **state)
{
        (void)state;
        struct sse s = {0};
        struct seen seen = {0};
        struct err e = {0};
        static char block[1 << 20];
        int rc = 0;
        memset(block, 'x', sizeof block);
        for (int i = 0; i < 20 && rc == 0; i++)
                rc = sse_feed(&s, block, sizeof block, take, &seen, &e);
        assert_int_equal(rc, ERR_TOO_LARGE);
        sse_finish(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(line_ends_of_all_kinds),
                cmocka_unit_test(fields_as_the_standard_has_them),
                cmocka_unit_test(an_event_that_is_not_whole_is_dropped),
                cmocka_unit_test(the_server_may_set_the_pause), cmocka_unit_test(the_sink_ends_it),
                cmocka_unit_test(a_line_without_end_is_refused)};
        return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
