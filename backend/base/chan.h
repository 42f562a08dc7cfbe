/* Framed messages over a stream socket: a JSON head and raw bytes behind it.

   Frame, little-endian: u32 magic "cnd1", u32 length of the head, u64 length of the raw bytes, head, raw.
   CHAN_VERSION is the last character of the magic: raise it when a head's meaning changes, so that a worker
   of another build is refused instead of misread. */
#ifndef CNND_CHAN_H
#define CNND_CHAN_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAN_VERSION = 1 };
/* Bounds that a frame may not pass; a larger one is ERR_TOO_LARGE and the channel is of no more use. */
enum { CHAN_MAX_HEAD = 8 << 20 };
#define CHAN_MAX_RAW ((uint64_t)1 << 31)

struct chan_message {
        cJSON *head; /* owned */
        void *raw;   /* owned; NULL where raw_len is 0 */
        size_t raw_len;
};
/* Frees what the message owns and zeroes it. */
void chan_message_finish(struct chan_message *m);

/* Writes one message whole; blocks. ERR_CLOSED when the peer is gone. `head` and `raw` are borrowed.
   Not thread-safe on one descriptor: the caller holds its own lock. */
int chan_send(int fd, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
/* Reads one message whole; blocks. ERR_CLOSED at a clean end of stream. */
int chan_receive(int fd, struct chan_message *ret, struct err *e);

/* A non-blocking end for an event loop; one thread. */
struct chan;
/* Takes `fd`, makes it non-blocking. NULL when memory is out. */
struct chan *chan_create(int fd);
/* Closes the descriptor. NULL accepted. */
void chan_destroy(struct chan *c);
int chan_fd(const struct chan *c);
/* True while bytes wait to be written: poll for POLLOUT. */
bool chan_wants_write(const struct chan *c);
/* Queues one message (copied) and tries to write. */
int chan_post(struct chan *c, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
/* Writes what it can without blocking, of a large message a part, so that others have their turn. ERR_CLOSED
   when the peer is gone. */
int chan_flush(struct chan *c, struct err *e);
/* Reads what is there. 1 with *ret filled, 0 when no whole message is there yet, negative on error
   (ERR_CLOSED at the end of the stream). Call until it returns 0, and again while the descriptor is readable:
   a large message is read in parts. */
int chan_next(struct chan *c, struct chan_message *ret, struct err *e);

#endif
