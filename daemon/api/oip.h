/* Requests of the Open Inference Protocol, version 2 (KServe, Triton, OpenVINO's model server), over HTTP:
   JSON, and behind it tensors in binary. They become what the decoder takes, an NPY or files; nothing of what
   they hold is decoded here. A model has
     "input" (N,C,H,W), FP32 as it is, UINT8 and UINT16 scaled to 0..1, or instead
     "image" (N) or (N,1), BYTES in binary, each a whole file of one image;
     "logits" (N,classes) and "probabilities" (N,classes), FP32. */
#ifndef CNND_OIP_H
#define CNND_OIP_H

#include "base/err.h"
#include "daemon/models/modelfacts.h"
#include "daemon/api/oipbody.h"

#include <stdbool.h>
#include <stddef.h>

enum { OIP_ID_MAX = 256, OIP_OUTPUTS = 2, OIP_JSON_MIB = 8 };
#define OIP_VERSION "1" /* the only one of each model */

enum oip_tensor { OIP_LOGITS, OIP_PROBABILITIES };

struct oip_output {
        enum oip_tensor tensor;
        bool binary;
        int best; /* so many best classes as texts "score:index:label"; 0: the tensor */
};

/* What a request wants, plain data. */
struct oip_request {
        char id[OIP_ID_MAX + 1];
        bool has_id;
        struct oip_output output[OIP_OUTPUTS];
        int output_count;
        int n;             /* images */
        bool files;        /* they came as "image" */
        size_t json_bytes; /* of the answer, once it is written, where tensors follow them; else 0 */
};

/* Reads a request of `len` bytes for a model; `json_bytes` is what Inference-Header-Content-Length says, -1
   without one: it is all JSON. 0: it is all one tensor "input" of FP32. ERR_SYNTAX, ERR_TOO_LARGE for JSON
   above OIP_JSON_MIB, ERR_INVALID with the pointer of the field. The caller frees
   ret_body->made, also on error. */
int oip_read(const char *body, size_t len, int64_t json_bytes, const struct model_shape *shape,
        struct oip_request *ret, struct oip_body *ret_body, struct err *e);

#endif
