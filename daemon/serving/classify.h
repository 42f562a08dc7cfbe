/* Synchronous classification: body -> decoder process -> a device's worker, between two training steps ->
   probabilities. Asynchronous towards the caller. One thread (the front's). */
#ifndef CNND_CLASSIFY_H
#define CNND_CLASSIFY_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/serving/batches.h"
#include "daemon/decoder/decode.h"
#include "daemon/models/models.h"
#include "daemon/people/identity.h"
#include "daemon/devices/supervisor.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct classify;
/* Requests that may wait at once, and one user's, unless an operator's; one more is ERR_QUOTA. */
enum {
        CLASSIFY_MAX_PENDING = 256,
        CLASSIFY_SHARE = 128,
        CLASSIFY_TIMEOUT_MS = 60000,
        CLASSIFY_LOOK_MS = 200
};

/* All borrowed but `o`, which is copied. */
struct classify *classify_create(
        const struct batch_options *o, struct models *ms, struct decode *dc, struct supervisor *sv);
/* Calls no callback of requests still open. */
void classify_destroy(struct classify *cl);

/* `body` is what classify_start and the others say; the callee may take its text. NULL on error; `e` is NULL
   on success. */
typedef void (*classify_done)(void *ctx, struct str *body, const struct err *e);

struct classify_caller {
        struct identity who;
        void *ctx;
        classify_done done;
        /* True when nobody waits for the answer any more: asked until the device has begun, some times a
           second and before each stage. What is true then ends with ERR_CANCELLED. NULL: the caller stays. */
        bool (*gone)(void *ctx);
        /* Appends the answer in place of classify_start's JSON; NULL: that. `logits` (n,num_classes) of the
           images in order; `files` of an archive (album.h), else NULL. What it returns ends the request. */
        int (*write)(void *ctx, struct str *out, const struct model_facts *model, const cJSON *files,
                const float *logits, int n, struct err *e);
};

/* Classifies the image or batch in `body` (copied): JSON
   {"model":…,"results":[{"predictions":[{"label","index","probability","logit"}, …best first]}]},
   one result an image, with "image":{"format","frames","channels","height","width","databar_height" (rows
   cropped), "pixel_size":[height,width]|null,"pixel_unit":"m"|"1/m"|null} of the body as it came, and in it
   "prepared": what the model's recipe made of that before it was cut or fitted, {"rescaled":true,"height",
   "width","pixel_size","pixel_unit","normalize":"percentiles"|"per_image"|"none"}, null for a model without.
   Of a zip or a tar (album.h) each file has its own "image" and "results", or an "error" (a problem
   document):
   {"model":…,"files":[{"file","image","results"}, {"file","error"}, …]}.
   `media_type` is the request's, NULL for no claim; `top` is the number of predictions an image, 0 for all;
   with a caller's own `write` how many classes of an image that tells as text.
   Returns 0 when `done` will be called from a later service_run, once; else the error (ERR_NOT_FOUND,
   ERR_UNAVAILABLE, ERR_QUOTA) and `done` is never called. Errors that `done` may see: ERR_MEDIA, ERR_SYNTAX,
   ERR_INVALID, ERR_TOO_LARGE from the decoder (4xx), ERR_UNAVAILABLE (no device in time), ERR_DEVICE_MEMORY,
   ERR_DEVICE, ERR_CANCELLED. More images than a batch may have take as long as a map may, and end as one does
   when their caller leaves. */
int classify_start(struct classify *cl, const char *model, const void *body, size_t len,
        const char *media_type, int top, const struct classify_caller *caller, struct err *e);

/* A picture (PNG) of a model's inside: what `layer` ("net.3") makes of the image in `body`, or with `body`
   NULL the filters of the conv2d `layer`; see infer.h and grid.h. Otherwise as classify_start. */
int classify_look(struct classify *cl, const char *model, const char *layer, const void *body, size_t len,
        const char *media_type, const struct classify_caller *caller, struct err *e);

/* A class map of one large image, see train/windows.h: JSON
   {"model","image":{…},"width","height","window","stride",
   "threshold","classes":[…],"grid":{"rows","columns"},"windows":{"rows","columns"},"counts":[cells of each
   class], "uncertain":cells below the threshold,"labels":[[index of the best class, …]],"probabilities":[[of
   that class, …]]}, or the picture of overlay.h. An image is held in full from its decoding on, so that at
   most CLASSIFY_MAX_MAPS wait, CLASSIFY_MAPS_SHARE of one user (ERR_QUOTA). Otherwise as classify_start; once
   on the device it ends with ERR_CANCELLED all the same when its caller leaves. */
struct classify_map {
        int window, stride; /* pixels */
        double threshold;
        bool picture;
};
enum { CLASSIFY_MAX_MAPS = 2, CLASSIFY_MAPS_SHARE = 1, CLASSIFY_MAP_TIMEOUT_MS = 1800000 };
int classify_map(struct classify *cl, const char *model, const struct classify_map *how, const void *body,
        size_t len, const char *media_type, const struct classify_caller *caller, struct err *e);

/* Images answered since the start, and batches sent to devices. */
uint64_t classify_images(const struct classify *cl);
uint64_t classify_batches(const struct classify *cl);

/* --- what service.c calls --- */

/* A worker's answer or the loss of a worker; see worker.h. */
void classify_answer(struct classify *cl, int device, struct chan_message *m);
void classify_lost(struct classify *cl, int device);
/* Sends what waits to ready devices, ends what waited too long. */
void classify_tick(struct classify *cl, int64_t now_ms);
/* Microseconds until the next tick is due, -1 for never. */
int64_t classify_timeout_us(const struct classify *cl, int64_t now_us);

#endif
