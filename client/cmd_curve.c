#include "client/args.h"
#include "client/chart.h"
#include "client/command.h"
#include "client/picture.h"
#include "client/rest.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <stdio.h>

static int download(struct ctl *c, const char *path, const char *accept, const char *file, struct err *e)
{
        struct fetch_request q = {.method = "GET", .path = path, .headers = {accept}};
        int sig = 0;
        int rc = transfer_download(c->http, &q, file, &sig, e);
        return sig ? STATUS_SIGNAL + sig : rc;
}

/* The picture that following the job would have left on the screen. */
static int draw(struct ctl *c, const char *job_path, const char *curve_path, struct err *e)
{
        struct str lines[PICTURE_MAX_LINES] = {{0}};
        struct chart chart;
        cJSON *job = NULL, *curve = NULL;
        int count = 0, rc = rest_get(c->http, job_path, NULL, &job, e);
        if (rc == 0)
                rc = rest_get(c->http, curve_path, NULL, &curve, e);
        chart_init(&chart);
        if (rc == 0) {
                chart_set_job(&chart, job);
                rc = chart_add_columns(&chart, curve, e);
        }
        if (rc == 0)
                rc = picture_draw(&chart, &c->term, NULL, 0, lines, &count, e);
        for (int i = 0; i < count; i++)
                puts(lines[i].data ? lines[i].data : "");
        for (int i = 0; i < PICTURE_MAX_LINES; i++)
                str_free(&lines[i]);
        chart_finish(&chart);
        cJSON_Delete(job);
        cJSON_Delete(curve);
        return rc;
}

int cmd_curve(struct ctl *c, const struct args *a, struct err *e)
{
        char job[64], curve[80];
        const char *csv = args_get(a, "csv"), *svg = args_get(a, "svg");
        cJSON *unused = NULL;
        snprintf(job, sizeof job, "/v1/jobs/%" PRId64, args_id(a, 0));
        snprintf(curve, sizeof curve, "%s/curve", job);
        if (c->json && (csv || svg))
                return command_misused(
                        "--json prints the curve as JSON; it does not go with --csv and --svg");
        if (c->json)
                return command_get(c, curve, &unused, e);
        if (!csv && !svg && c->term.tty)
                return draw(c, job, curve, e);
        if (!csv && !svg)
                csv = "-";
        int rc = csv ? download(c, curve, "Accept: text/csv", csv, e) : 0;
        if (rc == 0 && svg)
                rc = download(c, curve, "Accept: image/svg+xml", svg, e);
        return rc;
}
