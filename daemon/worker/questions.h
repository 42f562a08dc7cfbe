/* Requests that are answered between two training steps: classifications, and pictures of a layer. The engine
   thread's. */
#ifndef CNND_QUESTIONS_H
#define CNND_QUESTIONS_H

#include "base/chan.h"
#include "daemon/worker/commands.h"
#include "daemon/worker/loaded.h"
#include "daemon/worker/voice.h"

#include <stdatomic.h>
#include <stdbool.h>

/* QUESTIONS_LONG: a classification of more images goes on by itself, one run a turn. */
enum { QUESTIONS_TOGETHER = 16, QUESTIONS_BYTES = 16 << 20, QUESTIONS_LONG = 64, QUESTIONS_DROPS = 8 };

/* A long one in hand: others are answered, and steps are trained, between its runs. All zero: none. */
struct questions_long {
        struct command *c;       /* owned; NULL for none */
        struct commands waiting; /* owned; others that came meanwhile */
        float *logits;           /* owned; of what is done */
        int done, classes;
        atomic_llong dropped[QUESTIONS_DROPS]; /* any thread: the last requests that nobody waits for */
        unsigned drops;                        /* the thread's that calls questions_drop */
};
/* Nobody waits for this request any more, should it be a long one. One thread, any. */
void questions_drop(struct questions_long *q, int64_t request);
/* Takes the first of `from` where it is a long one. */
bool questions_take_long(struct questions_long *q, struct commands *from);
/* One run; after the last says the answer. On failure it is still in hand. */
int questions_work(struct questions_long *q, struct loaded *l, const struct voice *v, struct err *e);
/* Says why there is no answer. */
void questions_fail(struct questions_long *q, const struct voice *v, const struct err *why);

/* Whether both are short classifications by one model, so that one run answers both. */
bool questions_agree(const struct chan_message *a, const struct chan_message *b);
/* Says the answers, in order, to `count` classifications that agree; messages as worker.h has them. On
   failure some may have been said. */
int questions_classify(struct loaded *l, const struct voice *v, struct chan_message *const *m, int count,
        int *ret_said, struct err *e);
int questions_look(struct loaded *l, const struct voice *v, const struct chan_message *m, struct err *e);

#endif
