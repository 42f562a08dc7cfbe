/* Curves over a common x axis as rows of text, with axes and round numbers on them. */
#ifndef CNND_SKETCH_H
#define CNND_SKETCH_H

#include "base/err.h"
#include "base/str.h"
#include "client/term.h"

#include <stdbool.h>
#include <stddef.h>

enum { SKETCH_MIN_ROWS = 5 };

/* An axis from min to max, both whole multiples of step; `decimals` is what its numbers need. */
struct sketch_scale {
        double min, max, step;
        int decimals;
};
/* The tightest scale around [low, high] with at most `most` >= 2 steps of 1, 2, 2.5 or 5 times a power of
   ten. Both finite; where they are equal or the wrong way round, room is made around them. */
struct sketch_scale sketch_scale_around(double low, double high, int most);

struct sketch_point {
        double x, y; /* points that are not finite are passed over */
};

struct sketch_series {
        const struct sketch_point *points; /* borrowed; x ascending */
        size_t count;
        enum style style;
        char mark;         /* where there is no UTF-8 */
        bool points_apart; /* few points: each one is marked where there is room */
};

struct sketch {
        const struct term *term;
        int columns, rows; /* of the whole picture; at least the minimum above */
        const char *title; /* over the y axis */
        const char *x_title;
        double x_max; /* the x axis runs from 0 to here */
        const struct sketch_series *series;
        int count;
};

/* Appends row i to lines[i], exactly `columns` wide, for each of `rows`. ERR_NO_MEMORY. */
int sketch_draw(const struct sketch *p, struct str *lines, struct err *e);

#endif
