/* A curve as a picture: SVG with a loss and an accuracy panel, for a README, a browser or a report. It needs
   no script, brings its own colours for light and dark, and stays small however many points there are. */
#ifndef CNND_PLOT_H
#define CNND_PLOT_H

#include "base/str.h"
#include "daemon/jobs/curve.h"

/* Points that stay of each curve: least and greatest of each stretch, so that no spike is lost. */
enum { PLOT_MAX_POINTS = 2000 };

/* `title` and `note` (one line each, UTF-8, any characters) stand above. */
void plot_svg(const struct curve *c, const char *title, const char *note, struct str *out);

#endif
