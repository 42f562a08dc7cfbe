/* From an image that was sent to what a model takes. Reads untrusted bytes: for the decoder process only. */
#ifndef CNND_POSTED_H
#define CNND_POSTED_H

#include "daemon/decoder/decode.h"
#include "daemon/decoder/imagefacts.h"
#include "data/image.h"

/* Decodes, prepares by the recipe and fits, or with `field` keeps the sides of one image (decode_field).
   `media` is what the sender claims, NULL for nothing. Errors as image_decode, prepare.h and decode_field. */
int posted_read(const void *body, size_t len, const char *media, const struct decode_target *to, bool field,
        struct image *ret, struct image_facts *ret_facts, struct err *e);
size_t posted_bytes(const struct image *im);

#endif
