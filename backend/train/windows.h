/* Square windows slid over an image, and what they say of the image's cells. Plain computation on the host,
   any thread.

   Windows begin every `stride` pixels; the last of an axis ends flush with the image's border. Cells are
   squares of `stride` pixels from the top left corner on, the last ones cut off by the border. A cell is the
   mean of the class probabilities of all windows that its centre lies in. */
#ifndef CNND_WINDOWS_H
#define CNND_WINDOWS_H

#include "base/err.h"

enum { WINDOWS_MAX = 262144, WINDOWS_MAX_CELLS = 524288 };
/* Largest memory for the sums of windows_mean. */
#define WINDOWS_MAX_BYTES ((size_t)256 << 20)

struct windows {
        int h, w, window, stride; /* pixels */
        int down, across;         /* windows */
        int rows, columns;        /* cells */
};

/* ERR_INVALID, with the numbers, for a window larger than the image, for a stride below 1 or above the
   window, which leaves gaps, and for more windows or cells than above. */
int windows_layout(int h, int w, int window, int stride, struct windows *ret, struct err *e);
/* Window `index` of down*across, in rows: the pixel its corner lies on. */
void windows_place(const struct windows *l, int index, int *ret_y, int *ret_x);

/* Best class of each cell and its mean probability. */
struct windows_mean;
/* `layout` is copied. ERR_INVALID where the sums pass WINDOWS_MAX_BYTES. */
int windows_mean_create(
        const struct windows *layout, int num_classes, struct windows_mean **ret, struct err *e);
void windows_mean_destroy(struct windows_mean *m);
/* Adds the next window, in the order of their indices: `logits` (num_classes), whose softmax is meant. */
void windows_mean_add(struct windows_mean *m, const float *logits);
/* (rows,columns), borrowed; whole once all windows are added. Of equal classes the first is best. */
const int *windows_mean_labels(const struct windows_mean *m);
const float *windows_mean_probabilities(const struct windows_mean *m);

#endif
