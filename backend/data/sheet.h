/* A contact sheet of a data set: what each class looks like. */
#ifndef CNND_SHEET_H
#define CNND_SHEET_H

#include "data/dataset.h"

enum { SHEET_IMAGES = 12, SHEET_MAX_IMAGES = 64, SHEET_MAX_ROWS = 64 };

/* The pictures for grid_rows_png: a row a class, its first `images` images of the split side by side, NaN
   where a class has fewer. Of many classes the first SHEET_MAX_ROWS; fewer images where they are large. */
struct sheet {
        int count, columns, c, h, w;
        float *maps; /* owned: (count,c,h,w) */
};
/* Out of the file of one that was looked at: ERR_UNAVAILABLE where it cannot be read. ERR_INVALID for
   channels other than 1 and 3, ERR_NOT_FOUND for an empty split, ERR_TOO_LARGE where even one image a class
   is too much. The caller frees ret->maps. */
int sheet_gather(
        const struct dataset *d, enum dataset_split split, int images, struct sheet *ret, struct err *e);

#endif
