#include "talk.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int reach(const char *path)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&sa, sizeof sa) != 0)
                abort();
        return fd;
}

/* What the server closes early is seen by reading. */
static void ask(int fd, const struct request *rq)
{
        char head[2000];
        int n = snprintf(head, sizeof head,
                "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
                rq->method, rq->path, rq->headers, rq->len);
        if (send(fd, head, (size_t)n, MSG_NOSIGNAL) == n && rq->len)
                (void)!send(fd, rq->body, rq->len, MSG_NOSIGNAL);
}

/* All that comes, as a string; how many bytes. */
static size_t hear(int fd, int patience_ms, void (*tired)(void), char *out, size_t size, bool *ret_silent)
{
        size_t have = 0;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        for (;;) {
                if (poll(&p, 1, patience_ms) == 0) {
                        *ret_silent = !tired;
                        if (!tired)
                                break;
                        tired();
                        tired = NULL;
                        patience_ms = TALK_LONG_MS;
                        continue;
                }
                ssize_t n = recv(fd, out + have, size - 1 - have, 0);
                if (n <= 0)
                        break;
                have += (size_t)n;
        }
        out[have] = '\0';
        return have;
}

static const char *header(const char *head, const char *end, const char *name)
{
        const char *at = strcasestr(head, name);
        return at && at < end ? at + strlen(name) : NULL;
}

/* Joins the chunks in `text`; true when the last one is there. */
static bool join(const char *text, const char *end, struct answer *a)
{
        for (;;) {
                char *after;
                const size_t n = strtoul(text, &after, 16);
                if (after == text || after + 2 > end)
                        return false;
                text = after + 2;
                if (n == 0)
                        return true;
                const size_t part = n < (size_t)(end - text) ? n : (size_t)(end - text);
                memcpy(a->body + a->len, text, part);
                a->len += part;
                if (part < n || text + n + 2 > end)
                        return false;
                text += n + 2;
        }
}

static void take_apart(const char *text, size_t len, struct answer *a)
{
        const char *end = strstr(text, "\r\n\r\n"), *value;
        if (sscanf(text, "HTTP/1.1 %d", &a->status) != 1 || !end)
                return;
        const char *body = end + 4;
        if (header(text, end, "\r\nTransfer-Encoding: chunked")) {
                a->whole = join(body, text + len, a);
        } else {
                value = header(text, end, "\r\nContent-Length:");
                a->len = len - (size_t)(body - text);
                memcpy(a->body, body, a->len);
                a->whole = value ? a->len == strtoul(value, NULL, 10) : a->status == 204;
        }
        a->body[a->len] = '\0';
        value = header(text, end, "\r\nLocation: /v1/jobs/");
        if (!value && (value = strstr(a->body, "{\"id\":")))
                value += strlen("{\"id\":");
        a->id = value ? strtoll(value, NULL, 10) : 0;
}

void talk(const char *path, const struct request *rq, int patience_ms, void (*tired)(void), struct answer *a)
{
        static char text[TALK_BYTES];
        const int fd = reach(path);
        *a = (struct answer){0};
        ask(fd, rq);
        const size_t len = hear(fd, patience_ms, tired, text, sizeof text, &a->silent);
        close(fd);
        take_apart(text, len, a);
}

static bool numeric(char c)
{
        return isdigit((unsigned char)c) || c == '.' || c == '-' || c == '+' || c == 'e';
}

void talk_mask(char *text)
{
        static const char queue[] = "\"queue\":", metrics[] = "\"metrics\":";
        const bool running = strstr(text, "\"state\":\"running\"") != NULL;
        char *to = text;
        for (const char *from = text; *from;) {
                if (strncmp(from, queue, sizeof queue - 1) == 0 ||
                        (running && strncmp(from, metrics, sizeof metrics - 1) == 0))
                        from += strcspn(from, "}");
                if (!*from)
                        break;
                if (!isdigit((unsigned char)*from)) {
                        *to++ = *from++;
                        continue;
                }
                while (numeric(*from))
                        from++;
                *to++ = '#';
        }
        *to = '\0';
}
