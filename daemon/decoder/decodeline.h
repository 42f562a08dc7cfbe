/* One decoder process and the requests that wait for it: decode.c's other half, included by it alone. The
   process is started for the first of them, or ahead, and again when it died. One thread. */
#ifndef CNND_DECODELINE_H
#define CNND_DECODELINE_H

#include "daemon/decoder/decode.h"
#include "daemon/decoder/decoder_health.h"

/* Values of an image, as it is and as the model takes it, that the quick one decodes. */
enum { DECODE_QUICK_VALUES = 4 << 20 };

struct decodeline;
/* Borrows `kids`, `state_dir`, `health` and `slow`. With a slow one, which takes over what proves to be
   large, a process is started ahead of the first request. NULL when memory is out. */
struct decodeline *decodeline_create(
        const char *state_dir, struct children *kids, struct decoder_health *health, struct decodeline *slow);
/* NULL accepted. */
void decodeline_destroy(struct decodeline *l);

/* A command (decoder_role.h), whose "request" is added; `head` is taken, `raw` copied. ERR_NO_MEMORY. */
int decodeline_command(struct decodeline *l, cJSON *head, const void *raw, size_t raw_len,
        const struct decode_caller *caller, struct err *e);
/* An image or an archive: as decode_image. */
int decodeline_image(struct decodeline *l, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e);

/* As decode_drop and decode_tick. */
bool decodeline_drop(struct decodeline *l, const void *ctx);
void decodeline_tick(struct decodeline *l, int64_t now_ms);
/* When the next tick is due, INT64_MAX for never. */
int64_t decodeline_due_ms(const struct decodeline *l, int64_t now_ms);

#endif
