/* One request for a classification, a class map or a layer picture on its way through the front. Only
   classify.c, crowd.c and solo.c include it. */
#ifndef CNND_ENQUIRY_H
#define CNND_ENQUIRY_H

#include "daemon/serving/batches.h"
#include "daemon/serving/classify.h"
#include "daemon/decoder/imagefacts.h"

enum enquiry_phase { ENQUIRY_DECODING, ENQUIRY_WAITING, ENQUIRY_ON_DEVICE };

struct enquiry {
        struct enquiry *next; /* in order of arrival */
        struct classify *home;
        int64_t ticket, deadline_ms;
        enum enquiry_phase phase;
        bool tried;              /* a worker was lost with it in hand */
        bool alone;              /* its batch failed: next time it goes by itself */
        bool gone;               /* its caller is; only the decoder still knows it */
        char *model;             /* owned */
        char *layer;             /* owned; of classify_look, else NULL */
        struct classify_map map; /* of classify_map, else with a window of 0 */
        struct model_shape shape;
        int top, n;
        float *pixels; /* owned; kept until the answer, for a second try; NULL where there was no body */
        size_t bytes;
        struct image_facts facts; /* of the body, or of an archive's first image */
        cJSON *files;             /* owned; of an archive (album.h), whose facts lie behind the pixels */
        struct classify_caller caller;
        int64_t since_us; /* when it began to wait for a device */
        /* While ENQUIRY_ON_DEVICE; `batch` is 0 for a look or a map, `at` its first image in the batch. */
        int device, at;
        int64_t batch;
        uint64_t turn; /* the last one that counted it in a crowd */
};

struct classify {
        struct models *models; /* borrowed, as the next two */
        struct decode *decode;
        struct supervisor *supervisor;
        struct enquiry *list; /* owned */
        int count;
        int64_t next_ticket;
        uint64_t images; /* answered */
        int64_t look_ms; /* when to look next for callers that left */
        struct batches batches;
        uint64_t turn;  /* of looking for crowds */
        int64_t due_us; /* when the next crowd has waited long enough */
};

void enquiry_free(struct enquiry *q);
/* Ends it: `body`, which is taken, for the caller, or the error. */
void enquiry_answer(struct enquiry *q, struct str *body, const struct err *e);
/* Ends one that no device has begun. */
void enquiry_abandon(struct enquiry *q, const struct err *e);
/* The same because nobody waits for it any more; a map and a long one also on the device. */
void enquiry_cancel(struct enquiry *q);
bool enquiry_caller_left(const struct enquiry *q);
/* A classification of more images than go together: it takes its time, and goes by itself. */
bool enquiry_is_long(const struct enquiry *q);

/* The model as it is now: ERR_UNAVAILABLE where it was replaced by one of another size since the body was
   fitted to it, and models_known's. *ret as models_facts. */
int enquiry_model(const struct enquiry *q, const struct model_facts **ret, struct err *e);
/* A worker's command, without what only its kind has. NULL when memory is out. */
cJSON *enquiry_command(const struct enquiry *q, const char *op, int64_t ticket, int64_t generation, int n);

#endif
