/* What a model says of itself, and its answers, in the Open Inference Protocol (oip.h). */
#ifndef CNND_OIPANSWER_H
#define CNND_OIPANSWER_H

#include "daemon/api/oip.h"

#include <cjson/cJSON.h>

/* Appends the answer: JSON, and the tensors that were asked for in binary behind it; sets r->json_bytes.
   `logits` (n,num_classes); `files` are those of an archive (album.h) or NULL. ERR_INVALID where a file could
   not be read or holds more than one image. */
int oipanswer_write(struct str *out, struct oip_request *r, const struct model_facts *model,
        const cJSON *files, const float *logits, int n, struct err *e);

/* Appends what `GET /v2/models/NAME` says. */
void oipanswer_describe(struct str *out, const struct model_facts *model);

#endif
