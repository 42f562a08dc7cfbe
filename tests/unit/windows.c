#include "check.h"
#include "train/windows.h"

#include <math.h>
#include <string.h>

enum { CLASSES = 3 };

/* Logits of a window, by its index: some certain, some not. */
static void logits_of(int index, float out[CLASSES])
{
        for (int k = 0; k < CLASSES; k++)
                out[k] = (float)((index * 7919 + k * 104729) % 1000) / 100.0f - 5.0f;
}

static void add_softmax(const float *logits, double *sums)
{
        double p[CLASSES], total = 0;
        for (int k = 0; k < CLASSES; k++)
                total += p[k] = exp((double)logits[k]);
        for (int k = 0; k < CLASSES; k++)
                sums[k] += p[k] / total;
}

/* The cell's mean over every window that its centre lies in, by looking at all of them. */
static void check_cell(const struct windows *l, const struct windows_mean *m, int row, int column)
{
        const int bottom = (row + 1) * l->stride, right = (column + 1) * l->stride;
        const double cy = (row * l->stride + (bottom < l->h ? bottom : l->h)) / 2.0;
        const double cx = (column * l->stride + (right < l->w ? right : l->w)) / 2.0;
        double sums[CLASSES] = {0};
        int over = 0, best = 0;
        for (int i = 0; i < l->down * l->across; i++) {
                int y, x;
                float logits[CLASSES];
                windows_place(l, i, &y, &x);
                if (cy < y || cy >= y + l->window || cx < x || cx >= x + l->window)
                        continue;
                logits_of(i, logits);
                add_softmax(logits, sums);
                over++;
        }
        assert_true(over > 0);
        for (int k = 1; k < CLASSES; k++)
                if (sums[k] > sums[best])
                        best = k;
        const int cell = row * l->columns + column;
        const float got = windows_mean_probabilities(m)[cell], want = (float)(sums[best] / over);
        assert_int_equal(windows_mean_labels(m)[cell], best);
        assert_true(fabsf(got - want) < 1e-6f);
}

static void cells_are_means_of_their_windows(void **state)
{
        static const int shapes[][4] = {{40, 64, 16, 8}, {41, 67, 16, 5}, {30, 30, 30, 1}, {23, 90, 7, 7},
                {50, 9, 9, 4}, {33, 35, 32, 3}, {5, 5, 1, 1}, {64, 64, 48, 48}};
        (void)state;
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
                struct err e = {0};
                struct windows l;
                struct windows_mean *m;
                CHECK_OK(windows_layout(shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3], &l, &e), &e);
                CHECK_OK(windows_mean_create(&l, CLASSES, &m, &e), &e);
                for (int i = 0; i < l.down * l.across; i++) {
                        float logits[CLASSES];
                        logits_of(i, logits);
                        windows_mean_add(m, logits);
                }
                for (int r = 0; r < l.rows; r++)
                        for (int i = 0; i < l.columns; i++)
                                check_cell(&l, m, r, i);
                windows_mean_destroy(m);
        }
}

static void windows_end_at_the_border(void **state)
{
        struct err e = {0};
        struct windows l;
        int y, x;
        (void)state;
        CHECK_OK(windows_layout(4096, 4100, 128, 64, &l, &e), &e);
        assert_int_equal(l.down, 63);
        assert_int_equal(l.across, 64);
        assert_int_equal(l.rows, 64);
        assert_int_equal(l.columns, 65);
        windows_place(&l, l.down * l.across - 1, &y, &x);
        assert_int_equal(y, 4096 - 128);
        assert_int_equal(x, 4100 - 128);
        windows_place(&l, l.across + 1, &y, &x);
        assert_int_equal(y, 64);
        assert_int_equal(x, 64);
}

static void refuse(int h, int w, int window, int stride, const char *part)
{
        struct err e = {0};
        struct windows l;
        assert_int_equal(windows_layout(h, w, window, stride, &l, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, part));
}

static void what_makes_no_map_is_refused(void **state)
{
        struct err e = {0};
        struct windows l;
        struct windows_mean *m;
        (void)state;
        refuse(100, 50, 51, 10, "larger than the image");
        refuse(100, 50, 10, 11, "gaps");
        refuse(100, 50, 10, 0, "1 or more");
        refuse(100, 50, 0, 0, "1 or more");
        refuse(514, 514, 2, 1, "more than a map has");
        refuse(2000, 2000, 1990, 1, "more than a map has"); /* 121 windows, four million cells */
        CHECK_OK(windows_layout(600, 600, 200, 1, &l, &e), &e);
        assert_int_equal(windows_mean_create(&l, 100000, &m, &e), ERR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(cells_are_means_of_their_windows),
                cmocka_unit_test(windows_end_at_the_border), cmocka_unit_test(what_makes_no_map_is_refused)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
