/* The list of models in the form of the Open Inference Protocol. The protocol has no pages, so all models are
   one answer, written in parts as it is sent. */
#ifndef CNND_OIPINDEX_H
#define CNND_OIPINDEX_H

#include "base/err.h"
#include "daemon/http/reply.h"
#include "daemon/models/models.h"

/* Of those that are open to `who`, and with `ready` that can be used. `ms` is borrowed and outlives the
   answer, `who` is copied. */
int oipindex_open(
        struct models *ms, const struct identity *who, bool ready, struct reply_stream *ret, struct err *e);

#endif
