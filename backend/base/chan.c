#include "base/chan.h"
#include "base/json.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PREFIX = 16, READ_STEP = 1 << 16 };

static const unsigned char magic[4] = {'c', 'n', 'd', '0' + CHAN_VERSION};

void chan_message_finish(struct chan_message *m)
{
        cJSON_Delete(m->head);
        free(m->raw);
        *m = (struct chan_message){0};
}

static void put_prefix(unsigned char *p, uint32_t head_len, uint64_t raw_len)
{
        memcpy(p, magic, 4);
        for (int i = 0; i < 4; i++)
                p[4 + i] = (unsigned char)(head_len >> (8 * i));
        for (int i = 0; i < 8; i++)
                p[8 + i] = (unsigned char)(raw_len >> (8 * i));
}

static int get_prefix(const unsigned char *p, size_t *head_len, size_t *raw_len, struct err *e)
{
        uint32_t head = 0;
        uint64_t raw = 0;
        if (memcmp(p, magic, 4) != 0)
                return err_set(e, ERR_SYNTAX, "the peer does not speak channel version %d", CHAN_VERSION);
        for (int i = 0; i < 4; i++)
                head |= (uint32_t)p[4 + i] << (8 * i);
        for (int i = 0; i < 8; i++)
                raw |= (uint64_t)p[8 + i] << (8 * i);
        if (head > CHAN_MAX_HEAD || raw > CHAN_MAX_RAW)
                return err_set(
                        e, ERR_TOO_LARGE, "a message of %u + %llu bytes", head, (unsigned long long)raw);
        *head_len = head;
        *raw_len = (size_t)raw;
        return 0;
}

static int check_size(size_t head_len, size_t raw_len, struct err *e)
{
        if (head_len > CHAN_MAX_HEAD || raw_len > CHAN_MAX_RAW)
                return err_set(e, ERR_TOO_LARGE, "a message of %zu + %zu bytes", head_len, raw_len);
        return 0;
}

/* All of `parts`, in order; changes them. */
static int write_all(int fd, struct iovec *parts, size_t count, struct err *e)
{
        while (count) {
                struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
                ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "channel write");
                for (size_t left = (size_t)n; count; parts++, count--) {
                        size_t step = left < parts->iov_len ? left : parts->iov_len;
                        if (step) /* a part without bytes may have no address */
                                parts->iov_base = (char *)parts->iov_base + step;
                        parts->iov_len -= step;
                        left -= step;
                        if (parts->iov_len)
                                break;
                }
        }
        return 0;
}

/* `at_start`: an end of stream before the first byte is a clean one. */
static int read_all(int fd, void *bytes, size_t len, bool at_start, struct err *e)
{
        char *p = bytes;
        while (len) {
                ssize_t n = recv(fd, p, len, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return err_errno(e, errno, "channel read");
                if (n == 0)
                        return err_set(e, ERR_CLOSED,
                                at_start ? "the peer closed the channel" : "the peer died within a message");
                at_start = false;
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int chan_send(int fd, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        unsigned char prefix[PREFIX];
        char *text = json_text(head);
        if (!text)
                return err_set(e, ERR_NO_MEMORY, "no memory for a channel message");
        size_t head_len = strlen(text);
        int rc = check_size(head_len, raw_len, e);
        put_prefix(prefix, (uint32_t)head_len, raw_len);
        struct iovec parts[] = {{prefix, sizeof prefix}, {text, head_len}, {(void *)(uintptr_t)raw, raw_len}};
        if (rc == 0)
                rc = write_all(fd, parts, 3, e);
        free(text);
        return rc;
}

/* Parses a head and copies the raw bytes behind it. */
static int unpack(const char *head, size_t head_len, struct chan_message *ret, struct err *e)
{
        ret->head = json_parse(head, head_len, e);
        if (!ret->head)
                return err_wrap(e, "channel message");
        return 0;
}

int chan_receive(int fd, struct chan_message *ret, struct err *e)
{
        unsigned char prefix[PREFIX];
        struct chan_message m = {0};
        char *head = NULL;
        size_t head_len;
        int rc = read_all(fd, prefix, sizeof prefix, true, e);
        if (rc == 0)
                rc = get_prefix(prefix, &head_len, &m.raw_len, e);
        if (rc)
                return rc;
        head = malloc(head_len + 1);
        m.raw = m.raw_len ? malloc(m.raw_len) : NULL;
        if (!head || (m.raw_len && !m.raw)) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a message of %zu bytes", head_len + m.raw_len);
                goto out;
        }
        rc = read_all(fd, head, head_len, false, e);
        if (rc == 0)
                rc = read_all(fd, m.raw, m.raw_len, false, e);
        if (rc == 0)
                rc = unpack(head, head_len, &m, e);
        if (rc == 0) {
                *ret = m;
                m = (struct chan_message){0};
        }
out:
        free(head);
        chan_message_finish(&m);
        return rc;
}

/* Most bytes in one call of chan_flush or chan_next, and memory that a buffer keeps while it is empty. */
enum { TURN = 2 << 20, KEEP = 1 << 20 };

struct chan {
        int fd;        /* owned */
        struct str in; /* bytes read, messages cut from `in_pos` on */
        size_t in_pos;
        struct str out; /* bytes to write, from `out_pos` on */
        size_t out_pos;
        bool ended; /* the peer closed its side */
};

struct chan *chan_create(int fd)
{
        struct chan *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        c->fd = fd;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        return c;
}

void chan_destroy(struct chan *c)
{
        if (!c)
                return;
        close(c->fd);
        str_free(&c->in);
        str_free(&c->out);
        free(c);
}

int chan_fd(const struct chan *c)
{
        return c->fd;
}

bool chan_wants_write(const struct chan *c)
{
        return c->out.len > c->out_pos;
}

int chan_post(struct chan *c, const cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        unsigned char prefix[PREFIX];
        char *text = json_text(head);
        if (!text)
                return err_set(e, ERR_NO_MEMORY, "no memory for a channel message");
        size_t head_len = strlen(text);
        int rc = check_size(head_len, raw_len, e);
        if (rc == 0 && !str_reserve(&c->out, sizeof prefix + head_len + raw_len)) {
                c->out.failed = false;
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a channel message");
        }
        if (rc == 0) {
                put_prefix(prefix, (uint32_t)head_len, raw_len);
                str_add_bytes(&c->out, prefix, sizeof prefix);
                str_add_bytes(&c->out, text, head_len);
                str_add_bytes(&c->out, raw, raw_len);
                rc = chan_flush(c, e);
        }
        free(text);
        return rc;
}

/* Large messages are rare: their memory goes back. */
static void empty(struct str *s)
{
        if (s->cap > KEEP)
                str_free(s);
        str_clear(s);
}

int chan_flush(struct chan *c, struct err *e)
{
        for (size_t sent = 0; c->out_pos < c->out.len;) {
                size_t left = c->out.len - c->out_pos;
                if (sent >= TURN)
                        return 0;
                ssize_t n = send(c->fd, c->out.data + c->out_pos, left < TURN ? left : TURN, MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return 0;
                if (n < 0)
                        return err_errno(e, errno, "channel write");
                c->out_pos += (size_t)n;
                sent += (size_t)n;
        }
        empty(&c->out);
        c->out_pos = 0;
        return 0;
}

/* Drops consumed bytes, once they are worth a move. */
static void compact(struct chan *c)
{
        if (c->in_pos == c->in.len) {
                empty(&c->in);
                c->in_pos = 0;
        } else if (c->in_pos > READ_STEP) {
                memmove(c->in.data, c->in.data + c->in_pos, c->in.len - c->in_pos);
                c->in.len -= c->in_pos;
                c->in_pos = 0;
        }
}

static int cut_message(struct chan *c, struct chan_message *ret, struct err *e)
{
        size_t have = c->in.len - c->in_pos, head_len, raw_len;
        struct chan_message m = {0};
        if (have < PREFIX)
                return 0;
        const char *p = c->in.data + c->in_pos;
        int rc = get_prefix((const unsigned char *)p, &head_len, &raw_len, e);
        if (rc)
                return rc;
        if (have - PREFIX < head_len + raw_len)
                return 0;
        rc = unpack(p + PREFIX, head_len, &m, e);
        if (rc)
                return rc;
        if (raw_len) {
                m.raw = malloc(raw_len);
                if (!m.raw) {
                        chan_message_finish(&m);
                        return err_set(e, ERR_NO_MEMORY, "no memory for a message of %zu bytes", raw_len);
                }
                memcpy(m.raw, p + PREFIX + head_len, raw_len);
                m.raw_len = raw_len;
        }
        c->in_pos += PREFIX + head_len + raw_len;
        compact(c);
        *ret = m;
        return 1;
}

int chan_next(struct chan *c, struct chan_message *ret, struct err *e)
{
        for (size_t got = 0;;) {
                int rc = cut_message(c, ret, e);
                if (rc || got >= TURN)
                        return rc;
                if (c->ended)
                        return err_set(e, ERR_CLOSED, "the peer closed the channel");
                if (!str_reserve(&c->in, READ_STEP)) {
                        c->in.failed = false;
                        return err_set(e, ERR_NO_MEMORY, "no memory to read a message");
                }
                ssize_t n = recv(c->fd, c->in.data + c->in.len, READ_STEP, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return 0;
                if (n < 0)
                        return err_errno(e, errno, "channel read");
                if (n == 0)
                        c->ended = true;
                c->in.len += (size_t)n;
                got += (size_t)n;
        }
}
