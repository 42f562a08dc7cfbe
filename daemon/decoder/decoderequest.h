/* One request to a decoder process: its message, alone or with others', and its part of the answer.
   decodeline.c's other half, included by it alone. One thread. */
#ifndef CNND_DECODEREQUEST_H
#define CNND_DECODEREQUEST_H

#include "daemon/decoder/decode.h"

#include <sys/queue.h>

struct decode_request {
        TAILQ_ENTRY(decode_request) place;
        int64_t id;
        int64_t message; /* the id of the first request of the message it is in; 0: it waits */
        cJSON *head;     /* owned; of a command */
        void *raw;       /* owned; of an image, with its decoder_body */
        size_t raw_len;
        char *user; /* owned */
        bool tried; /* a decoder has already ended with it in hand: it goes by itself */
        bool image;
        struct decode_target to; /* of an image */
        struct recipe recipe;    /* to.recipe */
        decode_done done;
        void *ctx;
};
TAILQ_HEAD(decode_request_list, decode_request);

/* A command (decoder_role.h), whose "request" is added; `head` is taken, `raw` copied. NULL and
 * ERR_NO_MEMORY. */
struct decode_request *decode_request_command(int64_t id, cJSON *head, const void *raw, size_t raw_len,
        const struct decode_caller *caller, struct err *e);
/* An image or an archive, copied. The same. */
struct decode_request *decode_request_image(int64_t id, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e);
/* NULL accepted. */
void decode_request_free(struct decode_request *r);

/* What a command's head says of its target. */
void decode_add_target(cJSON *head, const struct decode_target *to);

/* Whether it may be in one message with `first`. */
bool decode_request_joins(const struct decode_request *r, const struct decode_request *first);
/* `first` and those behind it that make `count`, in one message; `most`: values that each may decode to, 0
   for IMAGE_MAX_BYTES of them. */
int decode_request_send(
        const struct decode_request *first, int count, uint64_t most, struct child *child, struct err *e);
/* One image's part of the decoder's answer: `entry` is lent to *ret, of m->raw, from *at on, what belongs to
   it is copied. Returns the error that the decoder has found, or ERR_INTERNAL, ERR_NO_MEMORY. */
int decode_request_part(const struct decode_request *r, cJSON *entry, const struct chan_message *m,
        size_t *at, struct chan_message *ret, struct err *e);

#endif
