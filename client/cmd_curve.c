#include "client/args.h"
#include "client/chart.h"
#include "client/command.h"
#include "client/picture.h"
#include "client/rest.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* A job of another type has no curve: where to look instead. */
static int check_type(struct ctl *c, const char *path, int64_t id, struct err *e)
{
        cJSON *job = NULL;
        int rc = rest_get(c->http, path, NULL, &job, e);
        const char *type = rest_text(job, "type", "train");
        if (rc == 0 && strcmp(type, "train") != 0)
                rc = err_set(e, ERR_STATE,
                        "job %" PRId64 " is a %.20s job and has no curve; cnnctl result %" PRId64
                        " shows its scores",
                        id, type, id);
        cJSON_Delete(job);
        return rc;
}

static bool ends_with(const char *text, const char *end)
{
        size_t len = strlen(text), n = strlen(end);
        return len > n && strcmp(text + len - n, end) == 0;
}

/* What -o FILE asks for by its ending; NULL for another. */
static const char *accept_of(const char *file)
{
        if (ends_with(file, ".svg"))
                return "Accept: image/svg+xml";
        if (ends_with(file, ".csv"))
                return "Accept: text/csv";
        return ends_with(file, ".json") ? "Accept: application/json" : NULL;
}

int cmd_curve(struct ctl *c, const struct args *a, struct err *e)
{
        char job[64], curve[80];
        const char *csv = args_get(a, "csv"), *svg = args_get(a, "svg"), *output = args_get(a, "output");
        cJSON *unused = NULL;
        snprintf(job, sizeof job, "/v1/jobs/%" PRId64, args_id(a, 0));
        snprintf(curve, sizeof curve, "%s/curve", job);
        if (c->json && (csv || svg || output))
                return command_misused(
                        "--json prints the curve as JSON; it does not go with -o, --csv and --svg");
        if (output && !accept_of(output))
                return command_misused("-o takes a file that ends in .svg, .csv or .json, not %s", output);
        if (c->json)
                return command_get(c, curve, &unused, e);
        int rc = check_type(c, job, args_id(a, 0), e);
        bool to_file = csv || svg || output;
        if (rc == 0 && !to_file && c->term.tty)
                return draw(c, job, curve, e);
        if (!to_file)
                csv = "-";
        if (rc == 0 && output)
                rc = download(c, curve, accept_of(output), output, e);
        if (rc == 0 && csv)
                rc = download(c, curve, "Accept: text/csv", csv, e);
        if (rc == 0 && svg)
                rc = download(c, curve, "Accept: image/svg+xml", svg, e);
        return rc;
}
