/* Frames between front and children: both readers take the same messages from the same bytes, and refuse the
   same. */
#include "fuzz.h"

#include "base/chan.h"
#include "base/json.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Fewer than what a socket holds without a reader. */
enum { MAX_BYTES = 64 << 10, MAX_MESSAGES = 64, PREFIX = 16 };

struct seen {
        struct chan_message m[MAX_MESSAGES];
        int count, rc;
};

static int connect_pair(int pair[2])
{
        return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

/* A claim of more raw bytes than there ever are makes chan_receive ask for that memory before it waits for
   them: gigabytes, which a sanitizer fills. */
static bool claims_too_much(const uint8_t *bytes, size_t len)
{
        for (size_t at = 0; len - at >= PREFIX;) {
                uint64_t head = 0, raw = 0;
                for (int i = 7; i >= 0; i--) {
                        head = i < 4 ? head << 8 | bytes[at + 4 + (size_t)i] : head;
                        raw = raw << 8 | bytes[at + 8 + (size_t)i];
                }
                if (raw > MAX_BYTES)
                        return true;
                if (head + raw > len - at - PREFIX)
                        return false;
                at += PREFIX + (size_t)(head + raw);
        }
        return false;
}

static void receive(const uint8_t *bytes, size_t len, struct seen *s)
{
        int pair[2];
        struct err e;
        FUZZ_CHECK(connect_pair(pair) == 0);
        FUZZ_CHECK(len == 0 || send(pair[0], bytes, len, 0) == (ssize_t)len);
        close(pair[0]);
        while (s->count < MAX_MESSAGES && (s->rc = chan_receive(pair[1], &s->m[s->count], &e)) == 0)
                s->count++;
        FUZZ_CHECK(s->count == MAX_MESSAGES || s->rc == e.code);
        close(pair[1]);
}

/* The bytes come in two pieces, cut where the last one says. */
static void next(const uint8_t *bytes, size_t len, struct seen *s)
{
        int pair[2];
        struct err e;
        size_t cut = len ? bytes[len - 1] % (len + 1) : 0;
        FUZZ_CHECK(connect_pair(pair) == 0);
        struct chan *c = chan_create(pair[1]);
        FUZZ_CHECK(c);
        FUZZ_CHECK(cut == 0 || send(pair[0], bytes, cut, 0) == (ssize_t)cut);
        while (s->count < MAX_MESSAGES && (s->rc = chan_next(c, &s->m[s->count], &e)) == 1)
                s->count++;
        if (s->rc == 0) {
                FUZZ_CHECK(cut == len || send(pair[0], bytes + cut, len - cut, 0) == (ssize_t)(len - cut));
                close(pair[0]);
                pair[0] = -1;
        }
        while (s->count < MAX_MESSAGES && s->rc >= 0 && (s->rc = chan_next(c, &s->m[s->count], &e)) == 1)
                s->count++;
        if (pair[0] >= 0)
                close(pair[0]);
        chan_destroy(c);
}

static void check_same(const struct chan_message *a, const struct chan_message *b)
{
        char *x = json_text(a->head), *y = json_text(b->head);
        FUZZ_CHECK(x && y && strcmp(x, y) == 0);
        FUZZ_CHECK(a->raw_len == b->raw_len && (a->raw_len == 0) == (a->raw == NULL));
        FUZZ_CHECK(a->raw_len == 0 || memcmp(a->raw, b->raw, a->raw_len) == 0);
        free(x);
        free(y);
}

static void finish(struct seen *s)
{
        for (int i = 0; i < s->count; i++)
                chan_message_finish(&s->m[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct seen whole = {0}, pieces = {0};
        if (len > MAX_BYTES)
                return 0;
        next(bytes, len, &pieces);
        if (!claims_too_much(bytes, len)) {
                receive(bytes, len, &whole);
                FUZZ_CHECK(whole.count == pieces.count);
                FUZZ_CHECK(whole.count == MAX_MESSAGES || whole.rc == pieces.rc);
                for (int i = 0; i < whole.count; i++)
                        check_same(&whole.m[i], &pieces.m[i]);
        }
        finish(&whole);
        finish(&pieces);
        return 0;
}
