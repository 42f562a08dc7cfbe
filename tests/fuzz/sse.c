/* A server's event stream in the client: the same events wherever the network cuts it. */
#include "fuzz.h"

#include "client/sse.h"

#include <string.h>

struct seen {
        struct str text;
};

static int take(void *data, const struct event *ev)
{
        struct seen *s = data;
        FUZZ_CHECK(ev->id >= -1 && ev->kind && ev->kind[0] && ev->data);
        FUZZ_CHECK(!strpbrk(ev->kind, "\r\n"));
        str_addf(&s->text, "%lld %s ", (long long)ev->id, ev->kind);
        str_add(&s->text, ev->data);
        str_add_bytes(&s->text, "|", 1);
        return 0;
}

static void feed(const uint8_t *bytes, size_t len, size_t step, struct seen *s)
{
        struct sse parser = {0};
        struct err e = {0};
        for (size_t at = 0; at < len; at += step) {
                size_t n = len - at < step ? len - at : step;
                FUZZ_CHECK(sse_feed(&parser, bytes + at, n, take, s, &e) == 0);
        }
        FUZZ_CHECK(parser.retry_ms >= 0 && parser.id >= 0);
        sse_finish(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct seen whole = {0}, cut = {0};
        feed(bytes, len, len ? len : 1, &whole);
        feed(bytes, len, len ? 1 + bytes[0] % 7 : 1, &cut);
        FUZZ_CHECK(whole.text.len == cut.text.len);
        FUZZ_CHECK(whole.text.len == 0 || memcmp(whole.text.data, cut.text.data, whole.text.len) == 0);
        str_free(&whole.text);
        str_free(&cut.text);
        return 0;
}
