/* Layer pictures and class maps, which go to a device by themselves; part of classify.c. */
#ifndef CNND_SOLO_H
#define CNND_SOLO_H

#include "base/chan.h"
#include "daemon/serving/enquiry.h"

/* Sends it to the least busy device; stays waiting when none is ready. */
int solo_send(struct enquiry *q, struct err *e);
/* The worker's answer, which ends it. */
void solo_answer(struct enquiry *q, const struct chan_message *m);
/* Tells the worker that it need not go on with a map, or a long classification. */
void solo_drop(struct enquiry *q);

#endif
