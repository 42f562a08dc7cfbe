/* A tensor of the Open Inference Protocol as a body that the decoder takes: numbers as an NPY, files as they
   are, or more than one as a tar. oip.c's other half. */
#ifndef CNND_OIPBODY_H
#define CNND_OIPBODY_H

#include "base/err.h"
#include "base/str.h"
#include "daemon/api/numbers.h"

#include <stddef.h>
#include <stdint.h>

struct oip_type {
        const char *name, *npy; /* the protocol's, and NumPy's; no NumPy's for BYTES */
        int size;               /* bytes of an element */
        enum numbers_type number;
};

/* One tensor on its way in. */
struct oip_input {
        const struct oip_type *type;
        int64_t shape[NUMBERS_MAX_DIMS]; /* (N,C,H,W); of files (N) or (N,1). No product of it is beyond 2^62
                                          */
        int dims;
        const struct numbers_span *numbers; /* borrowed; NULL: it is in binary */
        const unsigned char *bytes;         /* borrowed: all that lies behind the JSON */
        size_t len;
};

/* What it becomes, for classify_start. */
struct oip_body {
        const char *data; /* in the request's body or in `made` */
        size_t len;
        const char *media; /* a literal, NULL for no claim */
        struct str made;   /* owned */
};

int64_t oipbody_elements(const struct oip_input *in);
/* ERR_INVALID for numbers that are not those of shape and type, and for files that do not fill the tensor.
   `ret` is zero-initialised; the caller frees ret->made, also on error. */
int oipbody_make(const struct oip_input *in, struct oip_body *ret, struct err *e);

#endif
