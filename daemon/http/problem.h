/* Errors as the HTTP client sees them: the one table of status codes, and problem documents (RFC 9457). */
#ifndef CNND_PROBLEM_H
#define CNND_PROBLEM_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* The HTTP status of an ERR_… code; 500 for one that is unknown. */
int problem_status(int code);
/* "Not Found" for 404. */
const char *problem_title(int status);
/* Appends {"type","title","status","detail","pointer"}; `pointer` wherever a field or the body is at fault
   ("" is the whole body). `oip`: also the detail as "error", which clients of the Open Inference Protocol
   read. */
void problem_write(struct str *out, int status, const struct err *e, bool oip);

#endif
