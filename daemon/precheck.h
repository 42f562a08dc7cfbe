/* What of a configuration can be found out without starting anything and without leaving anything behind. */
#ifndef CNND_PRECHECK_H
#define CNND_PRECHECK_H

#include "base/err.h"
#include "daemon/conf.h"

/* That the device's form is known, that the state folder is there or can be made, and that a socket can be
   put where it is to be, by who asks. Whether somebody listens there is not looked at: it may be the daemon
   that is about to be restarted. */
int precheck_places(const struct conf *conf, struct err *e);
/* That this machine has the users and groups that it names. */
int precheck_people(const struct conf *conf, struct err *e);

#endif
