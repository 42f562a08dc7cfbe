/* A second name for a file: a hard link, or a copy where the file systems differ. One thread. */
#ifndef CNND_TWIN_H
#define CNND_TWIN_H

#include "base/err.h"

/* `to` must not exist. A failure leaves nothing under the name; who is killed while a copy is made leaves a
   part of it, so that `to` is a name that a rename or a commit makes good. The bytes of a copy are synced,
   the name is durable once its folder is. A copy takes as long as copying takes. Errors call the file `what`:
   they reach people who need not know the server's folders. */
int twin_make(const char *from, const char *to, const char *what, struct err *e);

#endif
