/* What the files for Windows share: texts in UTF-16, names of files of any length, errors, random bytes. */
#ifndef CNND_WIN_H
#define CNND_WIN_H

#include "base/err.h"

#include <stddef.h>

/* UTF-16 of UTF-8 and back, to be freed; what is wrong in it becomes U+FFFD. NULL when memory is out. */
wchar_t *win_wide(const char *utf8);
char *win_utf8(const wchar_t *wide);
/* win_wide for a file's name: absolute behind "\\?\" where it is longer than Windows takes without. */
wchar_t *win_path(const char *path);
/* Fills *e from a code of GetLastError; the message ends in Windows' words for it. */
int win_err(struct err *e, unsigned long code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Bytes that nobody can guess. */
int win_random(void *bytes, size_t len, struct err *e);

#endif
