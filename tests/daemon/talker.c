/* A child that never stops talking does not keep the front from everything else. */
#include "check.h"

#include "base/json.h"
#include "daemon/common/children.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { BLOCK = 1 << 16, ENOUGH = 2000000 };

/* Whole messages, more in one write than anybody reads in the same time. */
static int talk(void)
{
        static const char head[] = "{\"op\":\"nothing\"}";
        char frame[16 + sizeof head - 1] = {'c', 'n', 'd', '0' + CHAN_VERSION, sizeof head - 1};
        char block[BLOCK];
        size_t len = 0;
        memcpy(frame + 16, head, sizeof head - 1);
        for (; len + sizeof frame <= sizeof block; len += sizeof frame)
                memcpy(block + len, frame, sizeof frame);
        for (size_t at = 0;;) {
                ssize_t n = write(CHILD_FD, block + at, len - at);
                if (n <= 0)
                        return 1;
                at = (at + (size_t)n) % len;
        }
}

static int hear(void *ctx, struct child *c, struct chan_message *m)
{
        long *heard = ctx;
        assert_string_equal(json_field(m->head, "op")->valuestring, "nothing");
        if (++*heard == ENOUGH)
                child_kill(c); /* or the test would never end */
        return 0;
}

static void gone(void *ctx, struct child *c, int status, const char *why)
{
        (void)ctx;
        (void)c;
        (void)status;
        (void)why;
}

static void it_is_heard_a_part_at_a_time(void **state)
{
        const char *const args[] = {"--role", "talker", NULL};
        struct children *cs = NULL;
        struct child *c = NULL;
        struct err e;
        long heard = 0;
        const struct child_hooks hooks = {.ctx = &heard, .message = hear, .gone = gone};
        int lock = open("/dev/null", O_RDONLY | O_CLOEXEC);
        (void)state;
        CHECK_OK(children_create(lock, &cs, &e), &e);
        CHECK_OK(child_start(cs, args, &hooks, &c, &e), &e);
        while (heard == 0)
                children_run(cs);
        for (int turn = 0; turn < 3; turn++) {
                const long before = heard;
                children_run(cs);
                assert_true(heard < ENOUGH);
                assert_true(heard > before || children_timeout_ms(cs) != 0);
        }
        children_destroy(cs);
        close(lock);
}

int main(int argc, char **argv)
{
        if (argc > 2 && strcmp(argv[1], "--role") == 0)
                return talk();
        const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_heard_a_part_at_a_time)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
