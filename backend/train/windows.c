#include "train/windows.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* The windows [first,last] that a cell's centre lies in, along one axis. */
struct span {
        int first, last;
};

/* Sums run along a row of windows, then down the rows: the windows of a cell are a rectangle, so that its sum
   is a difference of four. Of the sums down only so many rows are kept as a cell reaches over. */
struct windows_mean {
        struct windows at;
        int classes, done;           /* windows added */
        struct span *rows, *columns; /* owned, as all below */
        double *line;                /* (across + 1, classes): sums along the row in hand */
        double *ring;                /* (room, columns, classes): sums over all rows of windows above one */
        int room, ready;             /* rows of ring; rows of cells that are finished */
        int *labels;
        float *probabilities;
};

static int count_along(int size, int window, int stride)
{
        return (size - window + stride - 1) / stride + 1;
}

int windows_layout(int h, int w, int window, int stride, struct windows *ret, struct err *e)
{
        if (window < 1 || stride < 1)
                return err_set(e, ERR_INVALID, "a window of %d and a stride of %d: both are to be 1 or more",
                        window, stride);
        if (window > h || window > w)
                return err_set(e, ERR_INVALID, "the window of %d pixels is larger than the image of %dx%d",
                        window, h, w);
        if (stride > window)
                return err_set(e, ERR_INVALID, "a stride of %d leaves gaps between windows of %d pixels",
                        stride, window);
        struct windows l = {.h = h, .w = w, .window = window, .stride = stride};
        l.down = count_along(h, window, stride);
        l.across = count_along(w, window, stride);
        l.rows = (h + stride - 1) / stride;
        l.columns = (w + stride - 1) / stride;
        if ((int64_t)l.down * l.across > WINDOWS_MAX || (int64_t)l.rows * l.columns > WINDOWS_MAX_CELLS)
                return err_set(e, ERR_INVALID,
                        "%dx%d windows and %dx%d cells are more than a map has, %d and %d: take a larger "
                        "stride",
                        l.down, l.across, l.rows, l.columns, WINDOWS_MAX, WINDOWS_MAX_CELLS);
        *ret = l;
        return 0;
}

static int begin_of(int index, int size, const struct windows *l)
{
        const int at = index * l->stride;
        return at < size - l->window ? at : size - l->window;
}

void windows_place(const struct windows *l, int index, int *ret_y, int *ret_x)
{
        *ret_y = begin_of(index / l->across, l->h, l);
        *ret_x = begin_of(index % l->across, l->w, l);
}

/* Both limits only grow from cell to cell. NULL when memory is out. */
static struct span *spans(const struct windows *l, int size, int windows, int cells)
{
        struct span *all = malloc((size_t)cells * sizeof *all);
        struct span s = {0, 0};
        for (int i = 0; all && i < cells; i++) {
                const int begin = i * l->stride, end = begin + l->stride < size ? begin + l->stride : size;
                while (begin + end >= 2 * (begin_of(s.first, size, l) + l->window))
                        s.first++;
                while (s.last + 1 < windows && begin + end >= 2 * begin_of(s.last + 1, size, l))
                        s.last++;
                all[i] = s;
        }
        return all;
}

static int allocate(struct windows_mean *m, struct err *e)
{
        const size_t cells = (size_t)m->at.rows * (size_t)m->at.columns, classes = (size_t)m->classes;
        m->rows = spans(&m->at, m->at.h, m->at.down, m->at.rows);
        m->columns = spans(&m->at, m->at.w, m->at.across, m->at.columns);
        if (!m->rows || !m->columns)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        for (int i = 0; i < m->at.rows; i++)
                if (m->rows[i].last - m->rows[i].first + 2 > m->room)
                        m->room = m->rows[i].last - m->rows[i].first + 2;
        const size_t sums = (size_t)m->room * (size_t)m->at.columns + (size_t)m->at.across + 1;
        if (sums > WINDOWS_MAX_BYTES / sizeof(double) / classes)
                return err_set(e, ERR_INVALID,
                        "a map of %dx%d cells and %d classes takes more than %zu MiB: take a larger stride",
                        m->at.rows, m->at.columns, m->classes, WINDOWS_MAX_BYTES >> 20);
        m->line = calloc(((size_t)m->at.across + 1) * classes, sizeof *m->line);
        m->ring = calloc((size_t)m->room * (size_t)m->at.columns * classes, sizeof *m->ring);
        m->labels = calloc(cells, sizeof *m->labels);
        m->probabilities = calloc(cells, sizeof *m->probabilities);
        if (!m->line || !m->ring || !m->labels || !m->probabilities)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        return 0;
}

int windows_mean_create(
        const struct windows *layout, int num_classes, struct windows_mean **ret, struct err *e)
{
        struct windows_mean *m = calloc(1, sizeof *m);
        if (!m)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        m->at = *layout;
        m->classes = num_classes;
        int rc = allocate(m, e);
        if (rc) {
                windows_mean_destroy(m);
                return rc;
        }
        *ret = m;
        return 0;
}

void windows_mean_destroy(struct windows_mean *m)
{
        if (!m)
                return;
        free(m->rows);
        free(m->columns);
        free(m->line);
        free(m->ring);
        free(m->labels);
        free(m->probabilities);
        free(m);
}

/* Sums over the windows above window row `row`. */
static double *above(const struct windows_mean *m, int row)
{
        return m->ring + (size_t)(row % m->room) * (size_t)m->at.columns * (size_t)m->classes;
}

static void add_row(struct windows_mean *m, int row)
{
        const double *from = above(m, row);
        double *to = above(m, row + 1);
        for (int i = 0; i < m->at.columns; i++) {
                const double *end = m->line + (size_t)(m->columns[i].last + 1) * (size_t)m->classes;
                const double *begin = m->line + (size_t)m->columns[i].first * (size_t)m->classes;
                for (int k = 0; k < m->classes; k++)
                        *to++ = *from++ + (end[k] - begin[k]);
        }
}

static void finish_cells(struct windows_mean *m, int row)
{
        const struct span down = m->rows[row];
        const double *end = above(m, down.last + 1), *begin = above(m, down.first);
        for (int i = 0; i < m->at.columns; i++) {
                const size_t cell = (size_t)row * (size_t)m->at.columns + (size_t)i;
                const double windows =
                        (double)(down.last - down.first + 1) * (m->columns[i].last - m->columns[i].first + 1);
                double best = -1;
                for (int k = 0; k < m->classes; k++) {
                        const double p = (*end++ - *begin++) / windows;
                        if (p > best) {
                                best = p;
                                m->labels[cell] = k;
                        }
                }
                m->probabilities[cell] = (float)fmin(fmax(best, 0), 1);
        }
}

void windows_mean_add(struct windows_mean *m, const float *logits)
{
        const int row = m->done / m->at.across, column = m->done % m->at.across;
        const double *left = m->line + (size_t)column * (size_t)m->classes;
        double *sums = m->line + (size_t)(column + 1) * (size_t)m->classes;
        double most = (double)logits[0], total = 0;
        for (int k = 1; k < m->classes; k++)
                most = fmax(most, (double)logits[k]);
        for (int k = 0; k < m->classes; k++) {
                sums[k] = exp((double)logits[k] - most);
                total += sums[k];
        }
        for (int k = 0; k < m->classes; k++)
                sums[k] = left[k] + sums[k] / total;
        m->done++;
        if (column + 1 < m->at.across)
                return;
        add_row(m, row);
        while (m->ready < m->at.rows && m->rows[m->ready].last == row)
                finish_cells(m, m->ready++);
}

const int *windows_mean_labels(const struct windows_mean *m)
{
        return m->labels;
}

const float *windows_mean_probabilities(const struct windows_mean *m)
{
        return m->probabilities;
}
