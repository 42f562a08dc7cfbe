#include "daemon/jobs/line.h"

#include <stdlib.h>

/* Where the jobs of one user and priority begin and end. */
struct row {
        size_t next, end;
};

static size_t find_end(const struct line_job *jobs, size_t from, size_t count)
{
        size_t i = from;
        while (i < count && jobs[i].priority == jobs[from].priority && jobs[i].user == jobs[from].user)
                i++;
        return i;
}

/* The row whose first job goes next; NULL when all are at their ends. */
static struct row *choose(const struct line_job *jobs, const double *seconds, struct row *rows, size_t count)
{
        struct row *best = NULL;
        for (size_t i = 0; i < count; i++) {
                if (rows[i].next == rows[i].end)
                        continue;
                const struct line_job *a = &jobs[rows[i].next], *b = best ? &jobs[best->next] : NULL;
                if (!b || seconds[a->user] < seconds[b->user] ||
                        (seconds[a->user] == seconds[b->user] && a->id < b->id))
                        best = &rows[i];
        }
        return best;
}

void line_order(struct line_job *jobs, size_t count, double *seconds, double slice)
{
        int position = 0;
        struct row *rows = malloc((count + 1) * sizeof *rows);
        for (size_t i = 0; i < count; i++)
                jobs[i].position = 0;
        for (size_t from = 0; rows && from < count;) {
                size_t used = 0, i = from;
                while (i < count && jobs[i].priority == jobs[from].priority) {
                        rows[used] = (struct row){i, find_end(jobs, i, count)};
                        i = rows[used++].end;
                }
                for (struct row *r; (r = choose(jobs, seconds, rows, used)) != NULL; r->next++) {
                        jobs[r->next].position = ++position;
                        seconds[jobs[r->next].user] += slice;
                }
                from = i;
        }
        free(rows);
}
