#include "daemon/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The number of a flat object's field, NAN where it has none. The text is what the worker wrote and the front
   has checked to be JSON; a whole parse of each of a million points would hold up everybody else. */
static double number(const char *data, const char *quoted_key)
{
        const char *p = strstr(data, quoted_key);
        char *end;
        if (!p)
                return NAN;
        p += strlen(quoted_key);
        p += strspn(p, " :");
        double v = strtod(p, &end);
        return end == p ? (double)NAN : v;
}

bool curve_add(struct curve *c, const char *event, const char *data)
{
        bool validation = strcmp(event, "validation") == 0;
        if (!validation && strcmp(event, "train") != 0)
                return true;
        if (c->count == c->cap) {
                size_t cap = c->cap ? c->cap * 2 : 256;
                struct curve_point *points = realloc(c->points, cap * sizeof *points);
                if (!points)
                        return false;
                c->points = points;
                c->cap = cap;
        }
        c->points[c->count++] = (struct curve_point){
                .validation = validation,
                .step = number(data, "\"step\""),
                .epoch = number(data, "\"epoch\""),
                .loss = number(data, "\"loss\""),
                .acc = number(data, "\"acc\""),
                .images_per_second = number(data, "\"images_per_second\""),
                .train_loss = number(data, "\"train_loss\""),
                .train_acc = number(data, "\"train_acc\""),
        };
        return true;
}

static int take_row(void *ctx, int64_t id, const char *event, const char *data)
{
        (void)id;
        return curve_add(ctx, event, data) ? 0 : ERR_NO_MEMORY;
}

int curve_load(struct jobs *js, int64_t job, struct curve *ret, struct err *e)
{
        struct curve c = {.job = job};
        struct err why = {0};
        int rc = jobs_events(js, job, 0, 0, take_row, &c, &why);
        if (rc == ERR_NO_MEMORY && !why.code)
                err_set(&why, ERR_NO_MEMORY, "no memory for the curve of job %lld", (long long)job);
        if (rc) {
                curve_finish(&c);
                if (e)
                        *e = why;
                return rc;
        }
        *ret = c;
        return 0;
}

void curve_finish(struct curve *c)
{
        free(c->points);
        *c = (struct curve){0};
}

struct column {
        const char *name;
        size_t offset;
};
#define COLUMN(field)                                                                                        \
        {                                                                                                    \
#field, offsetof(struct curve_point, field)                                                  \
        }

static void add_columns(
        const struct curve *c, bool validation, const struct column *columns, int count, struct str *out)
{
        for (int i = 0; i < count; i++) {
                const char *comma = "";
                str_addf(out, "%s\"%s\":[", i ? "," : "", columns[i].name);
                for (size_t k = 0; k < c->count; k++) {
                        if (c->points[k].validation != validation)
                                continue;
                        str_add(out, comma);
                        str_add_double(
                                out, *(const double *)((const char *)&c->points[k] + columns[i].offset));
                        comma = ",";
                }
                str_add(out, "]");
        }
}

void curve_json(const struct curve *c, struct str *out)
{
        static const struct column train[] = {
                COLUMN(step), COLUMN(epoch), COLUMN(loss), COLUMN(acc), COLUMN(images_per_second)};
        static const struct column validation[] = {COLUMN(step), COLUMN(epoch), COLUMN(loss), COLUMN(acc),
                COLUMN(train_loss), COLUMN(train_acc)};
        str_addf(out, "{\"id\":%lld,\"train\":{", (long long)c->job);
        add_columns(c, false, train, sizeof train / sizeof train[0], out);
        str_add(out, "},\"validation\":{");
        add_columns(c, true, validation, sizeof validation / sizeof validation[0], out);
        str_add(out, "}}\n");
}

static void add_cell(struct str *out, double v, const char *end)
{
        if (isfinite(v))
                str_add_double(out, v);
        str_add(out, end);
}

void curve_csv(const struct curve *c, struct str *out)
{
        str_add(out, "step,epoch,train_loss,train_acc,val_loss,val_acc,images_per_second\n");
        for (size_t i = 0; i < c->count; i++) {
                const struct curve_point *p = &c->points[i];
                add_cell(out, p->step, ",");
                add_cell(out, p->epoch, ",");
                add_cell(out, p->validation ? p->train_loss : p->loss, ",");
                add_cell(out, p->validation ? p->train_acc : p->acc, ",");
                add_cell(out, p->validation ? p->loss : (double)NAN, ",");
                add_cell(out, p->validation ? p->acc : (double)NAN, ",");
                add_cell(out, p->images_per_second, "\n");
        }
}
