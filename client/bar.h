/* A progress bar on a line. */
#ifndef CNND_BAR_H
#define CNND_BAR_H

#include "base/str.h"
#include "client/term.h"

/* Appends `width` columns, a share `done` of them filled in `style`. */
void bar_add(struct str *line, const struct term *t, double done, int width, enum style style);

#endif
