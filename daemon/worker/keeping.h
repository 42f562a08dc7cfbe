/* A driver that is slow to hand out what it has compiled (dev.h, slow_binaries) is asked for it by a process
   of its own, the role `keeper`, at the lowest priority: nobody who classifies waits for it. The worker tells
   the front what it had compiled ({"op":"unkept",…} of worker.h), and the front starts the keeper, whose one
   command is that message. */
#ifndef CNND_KEEPING_H
#define CNND_KEEPING_H

#include "daemon/worker/voice.h"
#include "device/dev.h"

/* The worker's side, after a time without work: of each program it tells once; nothing where there is none.
 */
int keeping_tell(struct dev *d, const struct voice *v, struct err *e);
/* How long that time is: a minute. CNND_TEST_QUIET_MS in the environment is for tests. */
int keeping_quiet_ms(void);

/* The keeper's: takes the command and keeps each program. No harm where that fails: the next start compiles
   again. */
int keeping_run(const char *device, const char *state_dir, struct err *e);

#endif
