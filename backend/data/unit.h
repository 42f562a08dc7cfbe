/* Units of length as microscopes write them. */
#ifndef CNND_UNIT_H
#define CNND_UNIT_H

#include "data/image.h"

#include <stdbool.h>
#include <stddef.h>

enum { UNIT_BYTES = 32 };

/* "nm", "1/nm", "nm^-1", "[n_m]" and so on, in UTF-8 or Latin-1, blanks ignored: what it measures, with
   metres (or 1/metres) per unit in *ret_factor. IMAGE_UNKNOWN, *ret_factor untouched, for anything else and
   NULL. */
enum image_unit unit_parse(const char *text, double *ret_factor);
/* UTF-16 of `count` units to UTF-8 as far as units use it (beyond U+00FF: only the Greek mu and the Angstrom
   sign), cut at UNIT_BYTES - 1 bytes. */
void unit_from_utf16(const unsigned char *from, size_t count, bool big_endian, char out[UNIT_BYTES]);

#endif
