/* Classifications of one model that go to a device in one batch: gathered, sent, answered; part of
   classify.c. */
#ifndef CNND_CROWD_H
#define CNND_CROWD_H

#include "base/chan.h"
#include "daemon/serving/enquiry.h"

/* Sends the batches that should go now, and notes in cl->due_us when the next should. */
void crowd_send(struct classify *cl, int64_t now_us);
/* Deals a worker's answer out to those of the batch that still wait for it. */
void crowd_answer(struct classify *cl, const struct batch *b, const struct chan_message *m);

#endif
