#include "daemon/jobs/curve.h"

#include "base/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_ROWS = 256, FIRST_CAP = 64 };

/* The text of the number in a flat object's field and its length, 0 where it has none. `data` is what the
   worker wrote and the front has checked to be JSON; a whole parse of each of a million points would take
   seconds. */
static const char *digits(const char *data, const char *quoted_key, size_t *len)
{
        const char *p = strstr(data, quoted_key);
        *len = 0;
        if (!p)
                return data;
        p += strlen(quoted_key);
        p += strspn(p, " :");
        *len = strspn(p, "+-.0123456789eE");
        return p;
}

static double number(const char *data, const char *quoted_key)
{
        size_t len;
        const char *p = digits(data, quoted_key, &len);
        return len ? strtod(p, NULL) : (double)NAN;
}

/* False for an event that is no point. */
static bool kind_of(const char *event, enum curve_kind *ret)
{
        if (strcmp(event, "train") == 0)
                *ret = CURVE_TRAIN;
        else if (strcmp(event, "validation") == 0)
                *ret = CURVE_VALIDATION;
        else
                return false;
        return true;
}

static bool read_point(const char *event, const char *data, enum curve_kind *kind, struct curve_point *p)
{
        if (!kind_of(event, kind))
                return false;
        bool train = *kind == CURVE_TRAIN;
        *p = (struct curve_point){
                .step = number(data, "\"step\""),
                .epoch = number(data, "\"epoch\""),
                .loss = number(data, "\"loss\""),
                .acc = number(data, "\"acc\""),
                .images_per_second = train ? number(data, "\"images_per_second\"") : (double)NAN,
                .train_loss = train ? (double)NAN : number(data, "\"train_loss\""),
                .train_acc = train ? (double)NAN : number(data, "\"train_acc\""),
        };
        return true;
}

/* The index of the greatest sign * field, n where no point has a number there. */
static int extreme(const struct curve_point *p, int n, size_t offset, double sign)
{
        int best = n;
        double most = -INFINITY;
        for (int i = 0; i < n; i++) {
                double v = sign * *(const double *)((const char *)&p[i] + offset);
                if (isfinite(v) && v > most) {
                        most = v;
                        best = i;
                }
        }
        return best;
}

/* Keeps of n points in their order at most CURVE_KEPT. */
static void keep(struct curve_stretch *s, const struct curve_point *p, int n)
{
        bool chosen[2 * CURVE_KEPT + 1] = {false};
        int lost = 0;
        while (lost < n && isfinite(p[lost].loss))
                lost++;
        chosen[lost] = true; /* chosen[n]: none */
        chosen[extreme(p, n, offsetof(struct curve_point, loss), 1)] = true;
        chosen[extreme(p, n, offsetof(struct curve_point, loss), -1)] = true;
        chosen[extreme(p, n, offsetof(struct curve_point, acc), 1)] = true;
        chosen[extreme(p, n, offsetof(struct curve_point, acc), -1)] = true;
        s->count = 0;
        for (int i = 0; i < n; i++)
                if (n <= CURVE_KEPT || chosen[i])
                        s->kept[s->count++] = p[i];
}

static void sum(double v, double *total, size_t *count)
{
        if (!isfinite(v))
                return;
        *total += v;
        ++*count;
}

static void stretch_add(struct curve_stretch *s, const struct curve_point *p)
{
        struct curve_point all[CURVE_KEPT + 1];
        memcpy(all, s->kept, sizeof s->kept);
        all[s->count] = *p;
        keep(s, all, s->count + 1);
        s->points++;
        sum(p->epoch, &s->epoch, &s->epochs);
        sum(p->loss, &s->loss, &s->losses);
        sum(p->acc, &s->acc, &s->accs);
}

static void stretch_join(
        struct curve_stretch *out, const struct curve_stretch *a, const struct curve_stretch *b)
{
        struct curve_point all[2 * CURVE_KEPT];
        struct curve_stretch s = {.points = a->points + b->points,
                .epoch = a->epoch + b->epoch,
                .loss = a->loss + b->loss,
                .acc = a->acc + b->acc,
                .epochs = a->epochs + b->epochs,
                .losses = a->losses + b->losses,
                .accs = a->accs + b->accs};
        memcpy(all, a->kept, sizeof a->kept);
        memcpy(all + a->count, b->kept, sizeof b->kept);
        keep(&s, all, a->count + b->count);
        *out = s;
}

/* A stretch with room; NULL when memory is out. */
static struct curve_stretch *last_stretch(struct curve_line *l)
{
        if (l->count && l->stretches[l->count - 1].points < l->each)
                return &l->stretches[l->count - 1];
        if (l->count == CURVE_STRETCHES) {
                for (size_t i = 0; i < CURVE_STRETCHES / 2; i++)
                        stretch_join(&l->stretches[i], &l->stretches[2 * i], &l->stretches[2 * i + 1]);
                l->count = CURVE_STRETCHES / 2;
                l->each *= 2;
        }
        if (l->count == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : FIRST_CAP;
                struct curve_stretch *grown = realloc(l->stretches, cap * sizeof *grown);
                if (!grown)
                        return NULL;
                l->stretches = grown;
                l->cap = cap;
                l->each = l->each ? l->each : CURVE_KEPT;
        }
        l->stretches[l->count] = (struct curve_stretch){0};
        return &l->stretches[l->count++];
}

bool curve_add(struct curve *c, const char *event, const char *data)
{
        enum curve_kind kind;
        struct curve_point p;
        if (!read_point(event, data, &kind, &p))
                return true;
        struct curve_line *l = &c->line[kind];
        struct curve_stretch *s = last_stretch(l);
        if (!s)
                return false;
        stretch_add(s, &p);
        l->points++;
        l->last = p;
        c->ends_in_validation = kind == CURVE_VALIDATION;
        return true;
}

struct loading {
        struct curve *c;
        int rows;
};

static int take_row(void *ctx, int64_t id, const char *event, const char *data)
{
        struct loading *l = ctx;
        if (!curve_add(l->c, event, data))
                return ERR_NO_MEMORY;
        l->c->last_event = id;
        l->rows++;
        return 0;
}

int curve_load(struct jobs *js, int limit, struct curve *c, bool *ret_more, struct err *e)
{
        struct loading l = {.c = c};
        struct err why = {0};
        int rc = jobs_events(js, c->job, c->last_event, limit, take_row, &l, &why);
        if (rc == ERR_NO_MEMORY && !why.code)
                err_set(&why, ERR_NO_MEMORY, "no memory for the curve of job %lld", (long long)c->job);
        if (rc && e)
                *e = why;
        if (rc == 0)
                *ret_more = l.rows == limit;
        return rc;
}

void curve_finish(struct curve *c)
{
        for (int k = 0; k < CURVE_KINDS; k++)
                free(c->line[k].stretches);
        *c = (struct curve){0};
}

size_t curve_kept(const struct curve_line *l, const struct curve_point **out)
{
        size_t n = 0;
        for (size_t i = 0; i < l->count; i++)
                for (int k = 0; k < l->stretches[i].count; k++)
                        out[n++] = &l->stretches[i].kept[k];
        if (n && memcmp(out[n - 1], &l->last, sizeof l->last) != 0)
                out[n++] = &l->last;
        return n;
}

struct column {
        const char *name;
        size_t offset;
};
#define COLUMN(field)                                                                                        \
        {                                                                                                    \
#field, offsetof(struct curve_point, field)                                                  \
        }

static void add_columns(const struct curve_line *l, const struct column *columns, int count, struct str *out)
{
        const struct curve_point **points = malloc((CURVE_EXACT + 1) * sizeof *points);
        if (!points) {
                out->failed = true;
                return;
        }
        size_t n = curve_kept(l, points);
        for (int i = 0; i < count; i++) {
                str_addf(out, "%s\"%s\":[", i ? "," : "", columns[i].name);
                for (size_t k = 0; k < n; k++) {
                        str_add(out, k ? "," : "");
                        str_add_double(out, *(const double *)((const char *)points[k] + columns[i].offset));
                }
                str_add(out, "]");
        }
        free(points);
}

void curve_json(const struct curve *c, struct str *out)
{
        static const struct column train[] = {
                COLUMN(step), COLUMN(epoch), COLUMN(loss), COLUMN(acc), COLUMN(images_per_second)};
        static const struct column validation[] = {COLUMN(step), COLUMN(epoch), COLUMN(loss), COLUMN(acc),
                COLUMN(train_loss), COLUMN(train_acc)};
        str_addf(out, "{\"id\":%lld,\"points\":{\"train\":%zu,\"validation\":%zu},\"train\":{",
                (long long)c->job, c->line[CURVE_TRAIN].points, c->line[CURVE_VALIDATION].points);
        add_columns(&c->line[CURVE_TRAIN], train, sizeof train / sizeof train[0], out);
        str_add(out, "},\"validation\":{");
        add_columns(&c->line[CURVE_VALIDATION], validation, sizeof validation / sizeof validation[0], out);
        str_add(out, "}}\n");
}

/* --- CSV --- */

struct csv {
        struct jobs *jobs; /* borrowed */
        int64_t job, last_event;
        struct str text; /* what is on its way */
        size_t sent;
        int rows; /* read of the last batch */
};

static int csv_row(void *ctx, int64_t id, const char *event, const char *data)
{
        static const char *const columns[CURVE_KINDS][7] = {
                {"\"step\"", "\"epoch\"", "\"loss\"", "\"acc\"", NULL, NULL, "\"images_per_second\""},
                {"\"step\"", "\"epoch\"", "\"train_loss\"", "\"train_acc\"", "\"loss\"", "\"acc\"", NULL},
        };
        struct csv *v = ctx;
        enum curve_kind kind;
        v->last_event = id;
        v->rows++;
        if (!kind_of(event, &kind))
                return 0;
        for (int i = 0; i < 7; i++) {
                size_t len = 0;
                const char *text = columns[kind][i] ? digits(data, columns[kind][i], &len) : "";
                str_add_bytes(&v->text, text, len);
                str_add(&v->text, i < 6 ? "," : "\n");
        }
        return v->text.failed ? ERR_NO_MEMORY : 0;
}

static ssize_t csv_read(void *ctx, char *out, size_t max)
{
        struct csv *v = ctx;
        struct err e = {0};
        while (v->sent == v->text.len) {
                if (v->rows < CSV_ROWS)
                        return REPLY_END;
                str_clear(&v->text);
                v->sent = 0;
                v->rows = 0;
                if (jobs_events(v->jobs, v->job, v->last_event, CSV_ROWS, csv_row, v, &e)) {
                        log_line(LOG_WARN, "the curve of job %lld breaks off: %s", (long long)v->job,
                                v->text.failed ? "no memory" : e.message);
                        return REPLY_BROKEN;
                }
        }
        size_t n = v->text.len - v->sent;
        n = n < max ? n : max;
        memcpy(out, v->text.data + v->sent, n);
        v->sent += n;
        return (ssize_t)n;
}

static void csv_close(void *ctx)
{
        struct csv *v = ctx;
        str_free(&v->text);
        free(v);
}

int curve_csv(struct jobs *js, int64_t job, struct reply *r, struct err *e)
{
        struct csv *v = calloc(1, sizeof *v);
        if (!v)
                return err_set(e, ERR_NO_MEMORY, "no memory for a curve");
        *v = (struct csv){.jobs = js, .job = job, .rows = CSV_ROWS};
        str_add(&v->text, "step,epoch,train_loss,train_acc,val_loss,val_acc,images_per_second\n");
        if (v->text.failed) {
                csv_close(v);
                return err_set(e, ERR_NO_MEMORY, "no memory for a curve");
        }
        reply_stream(r, "text/csv", &(struct reply_stream){.ctx = v, .read = csv_read, .close = csv_close});
        return 0;
}
