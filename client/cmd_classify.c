#include "base/clock.h"
#include "base/json.h"
#include "client/args.h"
#include "client/bar.h"
#include "client/classes.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/retry.h"
#include "client/tar.h"
#include "client/text.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A folder goes in parts, so that what is lost with a connection is little, and one sees how far it is. */
enum { TOP = 3, WAIT_S = 60, PART_FILES = 256, PART_BYTES = 32 << 20, BAR_COLUMNS = 32, DRAW_MS = 100 };

struct sender {
        struct ctl *c;
        const char *path;    /* of the requests */
        struct classes list; /* not used with --json */
        struct retry retry;
        size_t at, done, all; /* files: tried, classified, to be tried */
        int status;
        bool over; /* what went wrong would go wrong with every file */
        bool draws, drawn;
        int64_t drawn_ms;
        struct err *e;
};

/* What one request sends: a file, or what a tar was told to hold. */
struct load {
        const char *name;
        struct tar *tar;    /* borrowed; NULL: the file of that name */
        size_t from, files; /* its entries */
};

static void clear(struct sender *s)
{
        if (s->drawn)
                printf("\r\x1b[K");
        fflush(stdout);
        s->drawn = false;
}

static void draw(struct sender *s)
{
        struct str line = {0}, text = {0};
        const struct term *t = &s->c->term;
        str_addf(&text, "  %s of %s files%s", text_count((double)s->at).s, text_count((double)s->all).s,
                s->retry.away ? ", no server, looking for it" : "");
        bar_add(&line, t, (double)s->at / fmax((double)s->all, 1), BAR_COLUMNS, STYLE_TRAIN);
        if (text.data && t->columns > BAR_COLUMNS + 1)
                text_add_cut(&line, text.data, t->columns - BAR_COLUMNS - 1, t->utf8);
        if (line.data && !line.failed)
                printf("\r%s\x1b[K", line.data);
        fflush(stdout);
        s->drawn = true;
        str_free(&line);
        str_free(&text);
}

static int on_tick(void *data)
{
        struct sender *s = data;
        const int64_t now = clock_now_ms();
        if (s->draws && s->all > 1 && now - s->drawn_ms >= DRAW_MS) {
                s->drawn_ms = now;
                draw(s);
        }
        return csv_tick(&s->list.csv, s->e);
}

static void on_link(void *data, const char *why)
{
        struct sender *s = data;
        if (s->draws && s->all > 1)
                return;
        if (why)
                command_say("%s; trying again", why);
        else
                command_say("the server at %s is back", fetch_url(s->c->http));
}

static int open_load(const struct load *l, struct transfer_file *f, struct fetch_request *q, struct err *e)
{
        if (!l->tar)
                return transfer_open(f, l->name, q, e);
        tar_choose(l->tar, l->from, l->files, UINT64_MAX);
        *f = (struct transfer_file){.tar = l->tar, .e = e};
        q->headers[0] = "Content-Type: application/x-tar";
        q->source = transfer_source;
        q->source_data = f;
        q->source_len = tar_size(l->tar);
        return 0;
}

/* The answer to it, over as many tries as that takes; *ret_status is the last one's, 0 where none came. */
static int ask(struct sender *s, const struct load *l, cJSON **ret, int *ret_status, struct err *e)
{
        struct fetch_reply reply;
        int rc, sent = 0;
        *ret_status = 0;
        do {
                struct transfer_file body;
                struct fetch_request q = {.method = "POST",
                        .path = s->path,
                        .headers = {NULL, "Accept: application/json"},
                        .tick = on_tick,
                        .tick_data = s};
                reply = (struct fetch_reply){0};
                rc = open_load(l, &body, &q, e);
                if (rc != 0)
                        return rc;
                s->e = e;
                rc = fetch_send(s->c->http, &q, &reply, &sent, e);
                s->retry.reached |= rc == ERR_CLOSED && sent;
                if (!l->tar)
                        transfer_close(&body);
        } while (retry_again(&s->retry, &rc, &reply, e));
        s->over = s->retry.away || rc == ERR_CLOSED || rc == ERR_CANCELLED ||
                  s->retry.unwell == RETRY_MOST_UNWELL;
        *ret_status = reply.status;
        if (rc == 0 && reply.status / 100 != 2) {
                rc = rest_refused(&reply, e);
                err_wrap(e, "%s", l->name);
                s->over |= rc == ERR_LOGIN || rc == ERR_DENIED || rc == ERR_NOT_FOUND;
        } else if (rc == 0 &&
                   !(*ret = json_parse(reply.body.data ? reply.body.data : "", reply.body.len, e))) {
                rc = err_wrap(e, "what answers at %s is not cnnd", fetch_url(s->c->http));
                s->over = true;
        } else if (rc == 0 && s->c->json) {
                command_print_json(&reply);
        }
        fetch_reply_finish(&reply);
        return rc;
}

/* Says which files of an archive the server could not read. */
static int take(struct sender *s, const struct load *l, const cJSON *answer, struct err *e)
{
        const cJSON *entry;
        cJSON_ArrayForEach(entry, json_field(answer, "files"))
        {
                const cJSON *problem = json_field(entry, "error");
                if (!problem)
                        continue;
                clear(s);
                command_say("%s: %s: %s", l->name, rest_text(entry, "file", "?"),
                        rest_text(problem, "detail", "the server could not read it"));
                s->status = STATUS_FAILED;
        }
        s->at += l->files;
        s->done += l->files;
        return s->c->json ? 0 : classes_add(&s->list, l->name, answer, e);
}

/* Says what went wrong with it; the others go on. */
static int fail(struct sender *s, const struct load *l, const struct err *why, struct err *e)
{
        clear(s);
        s->status = command_failed(why);
        s->at += l->files;
        return s->c->json ? 0 : classes_add_error(&s->list, l->name, why->message, e);
}

static int send_singly(struct sender *s, const struct load *l, struct err *e);

/* 0 unless all is over. */
static int send(struct sender *s, const struct load *l, struct err *e)
{
        struct err why = {0};
        cJSON *answer = NULL;
        int status, rc = ask(s, l, &answer, &status, &why);
        if (rc == 0) {
                rc = take(s, l, answer, e);
                cJSON_Delete(answer);
                return rc;
        }
        if (s->over) {
                *e = why;
                return rc;
        }
        /* One of them cannot be read here, none of them there, all are too large together, or a device was
           lost over one. */
        if (l->tar && (status == 0 || status == 413 || status == 422 || status == 503))
                return send_singly(s, l, e);
        return fail(s, l, &why, e);
}

static int send_singly(struct sender *s, const struct load *l, struct err *e)
{
        size_t len = strlen(l->name);
        int rc = 0;
        while (len > 1 && l->name[len - 1] == '/')
                len--;
        for (size_t i = l->from; rc == 0 && i < l->from + l->files; i++) {
                struct str path = {0};
                const char *file = tar_file(l->tar, i);
                if (file)
                        str_addf(&path, "%.*s/%s", (int)len, l->name, file);
                if (path.failed)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for the name of a file");
                else if (file)
                        rc = send(s, &(struct load){.name = path.data, .files = 1}, e);
                else
                        s->at++;
                str_free(&path);
        }
        return rc;
}

static int send_folder(struct sender *s, const char *folder, struct err *e)
{
        struct load l = {.name = folder, .files = 1};
        struct err why = {0};
        int rc = tar_create(folder, &l.tar, &why);
        if (rc != 0)
                return fail(s, &l, &why, e);
        s->all += tar_count(l.tar) - 1;
        for (size_t to; rc == 0 && l.from < tar_count(l.tar); l.from = to) {
                to = tar_choose(l.tar, l.from, PART_FILES, PART_BYTES);
                l.files = to - l.from;
                rc = send(s, &l, e);
        }
        tar_destroy(l.tar);
        return rc;
}

static int send_word(struct sender *s, const char *path, struct err *e)
{
        struct path_info info;
        struct err ignored;
        if (path_look(path, &info, &ignored) == 0 && info.folder)
                return send_folder(s, path, e);
        return send(s, &(struct load){.name = path, .files = 1}, e);
}

/* The table, or the rows that are not written yet: also of what was done before all was over, but for an
   interrupt. */
static int conclude(struct sender *s, int rc, int *ret_signal, struct err *e)
{
        struct err ignored = {0};
        clear(s);
        if (rc != 0 && rc != ERR_CANCELLED && s->at)
                err_wrap(
                        e, "after %s of %s files", text_count((double)s->at).s, text_count((double)s->all).s);
        if (s->c->json)
                return rc;
        const bool some = s->list.table ? s->done : s->at || rc == 0;
        const int ended = classes_end(
                &s->list, some && rc != ERR_CANCELLED ? 0 : ERR_CANCELLED, ret_signal, rc ? &ignored : e);
        return rc ? rc : some ? ended : 0;
}

int cmd_classify(struct ctl *c, const struct args *a, struct err *e)
{
        const char *csv = args_get(a, "csv");
        struct str path = {0};
        struct sender s = {.c = c,
                .all = (size_t)a->word_count - 1,
                .status = STATUS_DONE,
                .draws = c->term.live && !c->json && !(csv && strcmp(csv, "-") == 0),
                .e = e};
        int sig = 0;
        if (csv && c->json)
                return command_misused("--json prints what the server sent; it does not go with --csv");
        s.retry = (struct retry){.http = c->http,
                .give_up_s = (int)args_int(a, "wait", WAIT_S),
                .tick = on_tick,
                .told = on_link,
                .data = &s};
        str_add(&path, "/v1/models/");
        fetch_escape(&path, a->words[0]);
        str_addf(&path, "/classify?top=%" PRId64, args_int(a, "top", TOP));
        s.path = path.data;
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                 : c->json   ? 0
                             : classes_begin(&s.list, &c->term, csv, e);
        if (rc == 0) {
                for (int i = 1; rc == 0 && i < a->word_count; i++)
                        rc = send_word(&s, a->words[i], e);
                rc = conclude(&s, rc, &sig, e);
        }
        str_free(&path);
        return sig ? STATUS_SIGNAL + sig : rc ? rc : s.status;
}
