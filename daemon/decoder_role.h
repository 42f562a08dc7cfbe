/* The decoder role: reads bytes that came from outside, in a process that has nothing to lose: see
   sandbox.h. The only files it can work on are uploads, in STATE/tmp.

   Front to decoder:
     {"op":"image","request":1,"media_type":"image/png"|null,"c":1,"h":28,"w":28,"import":{…}|null}
     {"op":"field","request":3, …the same}                                           raw: the body, of both
     {"op":"model","request":2,"path":PATH,"overrides":{…}|null}
     {"op":"grid","request":3,"count":24,"columns":12,"c":1,"h":28,"w":28}     raw: count*c*h*w floats
   Decoder to front, one answer a request, in order:
     {"op":"decoded","request":1,"n":1,"h":28,"w":28,"image":{…}}  raw: n*c*h*w floats; "image" as classify.h
                                                          has it; of a field n is 1, h and w are its own
     {"op":"checked","request":2,"model":{"architecture","input","classes","preprocessing"}}
     {"op":"drawn","request":3}                           raw: a PNG
     {"op":"refused","request":2,"error":{…}} */
#ifndef CNND_DECODER_ROLE_H
#define CNND_DECODER_ROLE_H

#include "base/err.h"

/* Runs until the front closes the channel, or a file was answered that image_distrusted names: what it may
   have done to this process ends with it, and the front starts another. `uploads` is
   the folder where they lie. */
int decoder_role_run(const char *uploads, struct err *e);

#endif
