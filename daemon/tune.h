/* `cnnd --tune`: measures on each device that the configuration names how the layers of well-known networks
   run fastest, prints it, and keeps it in the state folder (tuned.h), where jobs that start from then on find
   it. */
#ifndef CNND_TUNE_H
#define CNND_TUNE_H

#include "base/err.h"
#include "daemon/conf.h"

/* In a process of its own, for it loads drivers. Some minutes a device. */
int tune_main(const struct conf *conf, struct err *e);

#endif
