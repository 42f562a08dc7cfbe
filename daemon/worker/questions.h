/* What is asked of a model between two steps: classes of images, and looks at a layer. The engine thread's.
 */
#ifndef CNND_QUESTIONS_H
#define CNND_QUESTIONS_H

#include "base/chan.h"
#include "daemon/worker/loaded.h"
#include "daemon/worker/voice.h"

#include <stdbool.h>

enum { QUESTIONS_TOGETHER = 16, QUESTIONS_BYTES = 16 << 20 };

/* Whether both are classifications by one model, so that one run answers both. */
bool questions_agree(const struct chan_message *a, const struct chan_message *b);
/* Says the answers, in order, to `count` classifications that agree; messages as worker.h has them. On
   failure some may have been said. */
int questions_classify(struct loaded *l, const struct voice *v, struct chan_message *const *m, int count,
        int *ret_said, struct err *e);
int questions_look(struct loaded *l, const struct voice *v, const struct chan_message *m, struct err *e);

#endif
