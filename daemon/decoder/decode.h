/* The front's side of the decoder process: bytes from outside go there, and floats or checked facts come
   back. The process is started ahead of the first request, and again when it died or left. One thread.

   Small images go to it several in a message, and the next messages before the first is answered. A request
   that kills the decoder twice, the second time by itself, is answered ERR_INVALID "the decoder could not
   read it"; the others go to the next one. Large bodies, images that prove to be large, archives, whole
   micrographs and models have a second process, which is started for the first of them; the user who has had
   least of it is next there. Where decoders cannot open their sandbox every request is
   answered ERR_UNAVAILABLE; the next one is tried again. */
#ifndef CNND_DECODE_H
#define CNND_DECODE_H

#include "base/chan.h"
#include "base/err.h"
#include "daemon/common/children.h"
#include "data/recipe.h"
#include "data/sheet.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DECODE_TIMEOUT_MS = 60000 };

struct decode;
/* Borrows `kids` and `state_dir`. NULL when memory is out. */
struct decode *decode_create(const char *state_dir, struct children *kids);
void decode_destroy(struct decode *dc);

/* Called once from service_run; `e` is NULL on success. The callee may take m->raw (and zero it). */
typedef void (*decode_done)(void *ctx, struct chan_message *m, const struct err *e);

/* Who is told of it; borrowed for the call. */
struct decode_caller {
        const char *user; /* whose turn it counts as where the decoder is slow */
        decode_done done;
        void *ctx; /* this one request's alone, by which decode_drop knows it */
};

/* What a body is to become; borrowed for the call. */
struct decode_target {
        int c, h, w; /* of the model's input */
        const struct recipe *recipe;
};
/* Decodes an image body, prepares it by the recipe and fits it to (c,h,w): the answer's raw bytes are n*c*h*w
   floats and behind them a struct image_facts, unchecked; of an archive the head is what album_read says, and
   the facts of each of its files are there. `body` is copied. */
int decode_image(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e);
/* The same for one image in full, fitted to c channels alone: the facts tell its sides.
   ERR_INVALID for a stack, ERR_TOO_LARGE above DECODE_FIELD_BYTES of floats or DECODE_FIELD_SIDE pixels a
   side. */
enum { DECODE_FIELD_SIDE = 32768, DECODE_FIELD_BYTES = 256 << 20 };
int decode_field(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e);
/* Checks a safetensors file against what it claims to be: the answer's head has "model": {"architecture",
   "input","classes","preprocessing"}. `overrides` as in models_put. */
int decode_model(struct decode *dc, const char *path, const cJSON *overrides,
        const struct decode_caller *caller, struct err *e);

/* Draws a contact sheet: the answer's raw bytes are a PNG. The maps are copied. */
int decode_sheet(
        struct decode *dc, const struct sheet *sheet, const struct decode_caller *caller, struct err *e);

/* Takes back a request that the decoder has not begun: true, and its `done` is not called. `ctx` as it
   came with the caller. */
bool decode_drop(struct decode *dc, const void *ctx);

/* Decoders that could not open their sandbox, since the start. */
uint64_t decode_refused(const struct decode *dc);

void decode_tick(struct decode *dc, int64_t now_ms);
int decode_timeout_ms(const struct decode *dc, int64_t now_ms);

#endif
