#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_COLUMNS = 12 };

static void line(const struct ctl *c, const char *key, enum style style, const char *text)
{
        struct str s = {0};
        if (!text || !text[0])
                return;
        text_add_clean(&s, text, c->term.utf8);
        printf("%s%-*s%s%s%s%s\n", term_style(&c->term, STYLE_DIM), KEY_COLUMNS, key,
                term_style(&c->term, STYLE_PLAIN), style == STYLE_PLAIN ? "" : term_style(&c->term, style),
                s.data ? s.data : "", style == STYLE_PLAIN ? "" : term_style(&c->term, STYLE_PLAIN));
        str_free(&s);
}

/* "2026-11-23 09:00:00, 3 min ago", in the user's time zone. */
static void show_time(const struct ctl *c, const char *key, const cJSON *job, const char *field)
{
        char day[32], text[96];
        double when = text_time(rest_text(job, field, NULL));
        if (!isfinite(when))
                return;
        time_t seconds = (time_t)when;
        const struct tm *tm = localtime(&seconds);
        if (!tm)
                return;
        strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", tm);
        snprintf(text, sizeof text, "%s, %s", day, text_age(when, (double)time(NULL)).s);
        line(c, key, STYLE_PLAIN, text);
}

static void show_progress(const struct ctl *c, const cJSON *job)
{
        char text[240];
        const cJSON *p = json_field(job, "progress");
        double step = rest_number(p, "step"), steps = rest_number(p, "steps");
        if (!isfinite(step) || !(steps > 0))
                return;
        const char *step_name = strcmp(rest_text(job, "type", ""), "classify") == 0 ? "image" : "step";
        int n = snprintf(text, sizeof text, "%s %s of %s (%s)", step_name, text_count(step).s,
                text_count(steps).s, text_percent(step / steps).s);
        if (step_name[0] == 's')
                snprintf(text + n, sizeof text - (size_t)n, ", epoch %s",
                        text_number(round(rest_number(p, "epoch") * 100) / 100).s);
        line(c, "progress", STYLE_PLAIN, text);
}

static void show_queue(const struct ctl *c, const cJSON *queue)
{
        char text[200];
        const char *reason = rest_text(queue, "reason", "");
        double position = rest_number(queue, "position");
        if (isfinite(position))
                snprintf(text, sizeof text, "no. %s in line: %s", text_count(position).s, reason);
        line(c, "waits", STYLE_PLAIN, isfinite(position) ? text : reason);
}

static void show_metrics(
        const struct ctl *c, const cJSON *m, const char *key, const char *loss, const char *acc)
{
        char text[128];
        double l = rest_number(m, loss), a = rest_number(m, acc);
        if (!isfinite(l) && !isfinite(a))
                return;
        snprintf(text, sizeof text, "loss %s, accuracy %s", text_loss(l).s, text_percent(a).s);
        line(c, key, STYLE_PLAIN, text);
}

static void show_job(const struct ctl *c, const cJSON *job)
{
        char text[320];
        const char *state = rest_text(job, "state", "?"), *device = rest_text(job, "device", "");
        const cJSON *metrics = json_field(job, "metrics"), *memory = json_field(job, "memory");
        snprintf(text, sizeof text, "%s %s", text_number(rest_number(job, "id")).s,
                rest_text(job, "name", ""));
        line(c, "job", STYLE_BOLD, text);
        snprintf(text, sizeof text, "%s%s%s", state, device[0] ? " on " : "", device);
        line(c, "state", term_state_style(state), text);
        show_queue(c, json_field(job, "queue"));
        line(c, "error", STYLE_BAD, rest_text(job, "error", ""));
        line(c, "type", STYLE_PLAIN, rest_text(job, "type", ""));
        line(c, "user", STYLE_PLAIN, rest_text(job, "user", ""));
        show_time(c, "submitted", job, "created_at");
        show_time(c, "started", job, "started_at");
        show_time(c, "finished", job, "finished_at");
        line(c, "took", STYLE_PLAIN,
                text_duration(text_time(rest_text(job, "finished_at", NULL)) -
                              text_time(rest_text(job, "started_at", NULL)))
                        .s);
        show_progress(c, job);
        show_metrics(c, metrics, "train", "train_loss", "train_acc");
        show_metrics(c, metrics, "validation", "val_loss", "val_acc");
        if (isfinite(rest_number(metrics, "best_epoch")))
                line(c, "best epoch", STYLE_PLAIN,
                        text_number(round(rest_number(metrics, "best_epoch") * 100) / 100).s);
        if (isfinite(rest_number(metrics, "images_per_second"))) {
                snprintf(text, sizeof text, "%s images/s",
                        text_count(round(rest_number(metrics, "images_per_second"))).s);
                line(c, "speed", STYLE_PLAIN, text);
        }
        if (rest_number(memory, "device_bytes") > 0) {
                snprintf(text, sizeof text, "%s on the device, %s images at a time",
                        text_bytes(rest_number(memory, "device_bytes")).s,
                        text_number(rest_number(memory, "micro_batch")).s);
                line(c, "memory", STYLE_PLAIN, text);
        }
        const cJSON *note;
        cJSON_ArrayForEach(note, json_field(job, "notes"))
        {
                if (cJSON_IsString(note))
                        line(c, "note", STYLE_PLAIN, note->valuestring);
        }
        line(c, "model", STYLE_PLAIN, rest_text(job, "model", ""));
        char *request = json_text(json_field(job, "request"));
        line(c, "request", STYLE_PLAIN, request);
        free(request);
}

int cmd_show(struct ctl *c, const struct args *a, struct err *e)
{
        char path[64];
        cJSON *job = NULL;
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64, args_id(a, 0));
        int rc = command_get(c, path, &job, e);
        if (rc == 0 && job)
                show_job(c, job);
        cJSON_Delete(job);
        return rc;
}
