/* A chart as lines of text: heading, curves, legend, progress. */
#ifndef CNND_PICTURE_H
#define CNND_PICTURE_H

#include "base/str.h"
#include "client/chart.h"
#include "client/term.h"

enum { PICTURE_MAX_LINES = 24 };

/* Appends the picture to lines[0…PICTURE_MAX_LINES); *ret_count of them, none wider than the terminal, and
   fewer than it has rows. `note` stands in place of the job's state where it is not NULL. ERR_NO_MEMORY. */
int picture_draw(const struct chart *c, const struct term *t, const char *note, double now, struct str *lines,
        int *ret_count, struct err *e);

#endif
