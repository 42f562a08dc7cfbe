/* Messages from a worker to the front: their heads, and errors. Any thread, as far as `send` is. */
#ifndef CNND_VOICE_H
#define CNND_VOICE_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

struct voice {
        int (*send)(void *ctx, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
        void *ctx;
};

/* {"op":`op`, `id_key`:id}, `id_key` NULL for none; NULL when memory is out. */
cJSON *voice_head(const char *op, const char *id_key, int64_t id);
/* Sends and frees `head`; ERR_NO_MEMORY for NULL. */
int voice_say(const struct voice *v, cJSON *head, const void *raw, size_t raw_len, struct err *e);
/* The head with "error". A front that is gone ends this process by itself. */
void voice_fail(const struct voice *v, const char *op, const char *id_key, int64_t id, const struct err *why);

#endif
