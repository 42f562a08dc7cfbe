/* Texts that are not UTF-8: names in archives, and lists written by spreadsheets. */
#ifndef CNND_CODEPAGE_H
#define CNND_CODEPAGE_H

#include "base/str.h"

/* CODEPAGE_DOS is number 437, which zips have where they do not tell; of its neighbour 850 the letters of
   Western Europe stand in the same places, but for some capitals. */
enum codepage { CODEPAGE_LATIN1, CODEPAGE_DOS };
/* Appends `text` to *to as UTF-8: as it is where it is UTF-8 already, else byte by byte. */
void codepage_add(struct str *to, const char *text, enum codepage page);

#endif
