/* Device memory between canaries, with its copy on the host: what trials run in. */
#ifndef CNND_AREA_H
#define CNND_AREA_H

#include "base/err.h"
#include "device/dev.h"
#include "device/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct area {
        const char *name;     /* borrowed */
        struct tensor tensor; /* a plain run of floats is (floats,1,1) of one sample */
        size_t floats;        /* the whole buffer, canaries included */
        float *host;          /* owned; as uploaded, then as downloaded */
        float *before;        /* owned; as uploaded */
        unsigned char *owner; /* owned; of each float: AREA_CANARY, AREA_CONTENT, AREA_PADDING */
        bool watched;         /* the contents must not change either */
};
enum { AREA_CANARY, AREA_CONTENT, AREA_PADDING };

/* Lays out host memory full of canaries (NaNs of one bit pattern), contents included. `area` zeroed by the
   caller, who calls area_finish in any case. `slice`: a few channels of a larger tensor. */
int area_tensor(
        struct area *a, const char *name, int n, struct shape s, int lanes, bool slice, struct err *e);
int area_floats(struct area *a, const char *name, uint64_t floats, struct err *e);
void area_finish(struct area *a);

/* Fills contents from an NCHW array. Padding lanes become zero, or finite garbage where `garbage`, a
   generator's state, is given. */
void area_put(struct area *a, const float *from, uint64_t *garbage);
/* From here on a changed content is as wrong as a changed canary. Contents not put before become zeros. */
void area_watch(struct area *a);
/* Makes the buffer (a->tensor.at.buf) and copies everything to it. */
int area_upload(struct area *a, struct dev *d, struct err *e);
/* Copies back. ERR_DEVICE when anything changed that must not. */
int area_download(struct area *a, struct err *e);

enum area_padding { AREA_PADDING_FINITE, AREA_PADDING_ZERO };
/* Contents to an NCHW array. ERR_DEVICE when the padding lanes are not as they must be. */
int area_take(const struct area *a, float *to, enum area_padding padding, struct err *e);

#endif
