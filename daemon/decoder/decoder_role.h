/* The decoder role: reads bytes that came from outside, in a process that has nothing to lose: see
   sandbox.h. The only files it can work on are uploads, in STATE/tmp.

   Front to decoder:
     {"op":"images","request":1,"most":4194304,"c":1,"h":28,"w":28,"import":{…}|null}   raw: bodies, each
   behind its decoder_body; one that decodes to more values than "most" is ERR_TOO_LARGE
     {"op":"field","request":3,"media_type":"image/png","c":1,"h":28,"w":28,"import":{…}|null}   raw: the body
     {"op":"model","request":2,"path":PATH,"overrides":{…}|null}
     {"op":"grid","request":3,"count":24,"columns":12,"c":1,"h":28,"w":28}     raw: count*c*h*w floats
   Decoder to front, one answer a request, in order:
     {"request":1,"images":[1, {"error":{…}}, {"files":[…]}, …]}   the frames of each body, an archive's files
   (album.h); raw: of each without an error
   n*c*h*w floats and its struct image_facts; fewer than were sent: the rest is left over
     {"request":3}                            raw: c*h*w floats, h and w the image's own, and the facts
     {"request":2,"model":{"architecture","input","classes","preprocessing"}}
     {"request":3}                            raw: a PNG
     {"request":2,"error":{…}}
     {"op":"failed","error":{…}}              it ends; ERR_UNAVAILABLE: before it took anything (sandbox.h) */
#ifndef CNND_DECODER_ROLE_H
#define CNND_DECODER_ROLE_H

#include "base/err.h"
#include "daemon/common/media.h"

#include <assert.h>
#include <stdint.h>

struct decoder_body {
        uint64_t len;
        char media_type[MEDIA_MAX + 4]; /* "" for no claim */
};
static_assert(sizeof(struct decoder_body) % 8 == 0, "no bytes between or behind the fields");

/* Runs until the front closes the channel. `uploads` is the folder where they lie. */
int decoder_role_run(const char *uploads, struct err *e);

#endif
