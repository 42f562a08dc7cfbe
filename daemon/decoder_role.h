/* The decoder role: reads bytes that came from outside, in a process that has nothing to lose: see
   sandbox.h. The only files it can work on are uploads, in STATE/tmp.

   Front to decoder:
     {"op":"images","request":1,"c":1,"h":28,"w":28,"import":{…}|null,"bodies":[[BYTES,"image/png"], [BYTES],
   …]} raw: the bodies; a media type where one is claimed
     {"op":"field","request":3,"media_type":"image/png","c":1,"h":28,"w":28,"import":{…}|null}   raw: the body
     {"op":"model","request":2,"path":PATH,"overrides":{…}|null}
     {"op":"grid","request":3,"count":24,"columns":12,"c":1,"h":28,"w":28}     raw: count*c*h*w floats
   Decoder to front, one answer a request, in order:
     {"request":1,"images":[{"n":1,"h":28,"w":28,"image":{…}}, {"error":{…}}, …]}   raw: n*c*h*w floats of
   each; "image" as classify.h has it; fewer than were sent: the rest is left over
     {"request":3,"n":1,"h":…,"w":…,"image":{…}}          raw: c*h*w floats, h and w the image's own
     {"request":2,"model":{"architecture","input","classes","preprocessing"}}
     {"request":3}                            raw: a PNG
     {"request":2,"error":{…}} */
#ifndef CNND_DECODER_ROLE_H
#define CNND_DECODER_ROLE_H

#include "base/err.h"

/* Runs until the front closes the channel. `uploads` is the folder where they lie. */
int decoder_role_run(const char *uploads, struct err *e);

#endif
