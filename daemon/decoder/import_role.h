/* The import role for data that came from outside: one request, one data set file, then the process ends. It
   has nothing to lose: core dumps, memory and processor time per file are limited, temporary files have no
   names, and the front looks at the result before it takes it.

   Front to child, once:
     {"op":"import","upload":PATH,"output":PATH,"name":NAME,"options":{"size":"64", …}}
   Child to front:
     {"op":"progress","progress":{"phase":"reading"|"writing","split":null|"train"|"val","files","images","written",
      "bytes"}}                                            as import.h counts; at most every PROGRESS_MS
     {"op":"imported"} or {"op":"refused","error":{…}}, with "skipped":{"count":3,"first":"…"} where files
   were passed over */
#ifndef CNND_IMPORT_ROLE_H
#define CNND_IMPORT_ROLE_H

#include "base/err.h"

/* `uploads` is the folder of the uploaded file, the result and all temporary files, the only one open to it.
   0 also after a refusal; an error is the channel's. */
int import_role_run(const char *uploads, struct err *e);

#endif
