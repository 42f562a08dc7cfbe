#include "base/clock.h"
#include "base/json.h"
#include "client/args.h"
#include "client/bar.h"
#include "client/command.h"
#include "client/rest.h"
#include "client/sse.h"
#include "client/text.h"
#include "client/transfer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BAR_COLUMNS = 32, DRAW_MS = 100 };

/* A data set on its way: sent, then read by the server, which tells how far it is. */
struct importer {
        struct ctl *c;
        struct err *e;
        struct transfer_file file;
        struct sse sse;
        uint64_t sent, size;
        cJSON *progress, *end; /* owned; the last events of these kinds */
        int64_t drawn_ms;
        bool drawn;
};

/* What the bar shows, and the words behind it. */
static double describe(const struct importer *im, char *words, size_t size)
{
        const cJSON *p = im->progress;
        if (!p) {
                snprintf(words, size, "sending, %s of %s", text_bytes((double)im->sent).s,
                        text_bytes((double)im->size).s);
                return im->size ? (double)im->sent / (double)im->size : 1;
        }
        double images = rest_number(p, "images"), written = rest_number(p, "written");
        if (strcmp(rest_text(p, "phase", ""), "writing") == 0) {
                snprintf(words, size, "writing the %s split, %s of %s images", rest_text(p, "split", "?"),
                        text_count(written).s, text_count(images).s);
                return images > 0 ? written / images : 1;
        }
        snprintf(words, size, "reading, %s files, %s images", text_count(rest_number(p, "files")).s,
                text_count(images).s);
        return rest_number(p, "bytes") / fmax(rest_number(p, "total_bytes"), 1);
}

static void draw(struct importer *im)
{
        char words[160];
        struct str line = {0}, text = {0};
        struct term *t = &im->c->term;
        double done = describe(im, words, sizeof words);
        str_addf(&text, "  %3.0f %%  ", floor((done > 0 ? fmin(done, 1) : 0) * 100));
        text_add_clean(&text, words, t->utf8);
        bar_add(&line, t, done, BAR_COLUMNS, STYLE_TRAIN);
        if (text.data && t->columns > BAR_COLUMNS + 1)
                text_add_cut(&line, text.data, t->columns - BAR_COLUMNS - 1, t->utf8);
        if (line.data && !line.failed) {
                printf("\r%s\x1b[K", line.data);
                fflush(stdout);
                im->drawn = true;
        }
        str_free(&line);
        str_free(&text);
}

static int on_tick(void *data)
{
        struct importer *im = data;
        int64_t now = clock_now_ms();
        if (im->c->term.live && !im->c->json && now - im->drawn_ms >= DRAW_MS) {
                im->drawn_ms = now;
                draw(im);
        }
        return 0;
}

static int on_event(void *data, const struct event *ev)
{
        struct importer *im = data;
        cJSON **place = strcmp(ev->kind, "end") == 0 ? &im->end : &im->progress;
        cJSON *tree = json_parse(ev->data, strlen(ev->data), im->e);
        if (!tree)
                return err_wrap(im->e, "the server's event %s", ev->kind);
        cJSON_Delete(*place);
        *place = tree;
        return 0;
}

static int on_bytes(void *data, const void *bytes, size_t len)
{
        struct importer *im = data;
        return sse_feed(&im->sse, bytes, len, on_event, im, im->e);
}

static int64_t on_source(void *data, void *bytes, size_t len)
{
        struct importer *im = data;
        int64_t n = transfer_source(&im->file, bytes, len);
        im->sent += n > 0 ? (uint64_t)n : 0;
        return n;
}

static void add_query(struct str *path, const struct args *a)
{
        static const char *const options[][2] = {{"size", "size"}, {"fit", "fit"}, {"stride", "stride"},
                {"channels", "channels"}, {"val", "val"}, {"normalize", "normalize"},
                {"pixel-size", "pixel_size"}};
        char gap = '?';
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
                const char *value = args_get(a, options[i][0]);
                if (!value)
                        continue;
                str_addf(path, "%c%s=", gap, options[i][1]);
                fetch_escape(path, value);
                gap = '&';
        }
}

enum { CLASSES_SHOWN = 8 };

/* Folders may be taken for classes that were not meant to be: they are named. */
static void print_classes(const struct importer *im, const cJSON *set)
{
        const cJSON *name, *classes = rest_list(set, "classes");
        struct str s = {0};
        int n = 0, count = cJSON_GetArraySize(classes);
        cJSON_ArrayForEach(name, classes)
        {
                if (n++ == CLASSES_SHOWN)
                        break;
                str_add(&s, n == 1 ? " " : ", ");
                text_add_clean(&s, cJSON_IsString(name) ? name->valuestring : "?", im->c->term.utf8);
        }
        if (count > CLASSES_SHOWN)
                str_addf(&s, " and %d more", count - CLASSES_SHOWN);
        if (count && !s.failed)
                printf("%d %s:%s\n", count, count == 1 ? "class" : "classes", s.data);
        str_free(&s);
}

/* What the events told in the end; a server that sent none has answered in full. */
static int conclude(const struct importer *im, const char *name, const char *file,
        const struct fetch_reply *reply, struct err *e)
{
        const char *state = rest_text(im->end, "state", "");
        const cJSON *set = json_field(im->end, "dataset");
        if (im->end && strcmp(state, "succeeded") != 0)
                return err_set(e, strcmp(state, "cancelled") == 0 ? ERR_CANCELLED : ERR_INVALID, "%s: %s",
                        file, rest_text(im->end, "error", state));
        if (!im->end && strcmp(reply->type, "text/event-stream") == 0)
                return err_set(e, ERR_CLOSED, "the server ended without a word of the import's end");
        const cJSON *created = json_field(im->end, "created");
        const char *done =
                cJSON_IsFalse(created) || (!im->end && reply->status == 200) ? "replaced" : "imported";
        printf("data set %s: ", name);
        if (reply->status == 202)
                printf("received, being imported (cnnctl datasets)\n");
        else if (set)
                printf("%s, %s images to train and %s to validate\n", done,
                        text_count(rest_number(set, "train")).s, text_count(rest_number(set, "val")).s);
        else
                printf("%s\n", done);
        print_classes(im, set);
        fflush(stdout);
        const cJSON *warning;
        cJSON_ArrayForEach(warning, json_field(set, "warnings"))
        {
                if (cJSON_IsString(warning))
                        command_say("%s", warning->valuestring);
        }
        return 0;
}

int cmd_import(struct ctl *c, const struct args *a, struct err *e)
{
        struct importer im = {.c = c, .e = e};
        struct fetch_reply reply = {0};
        struct str path = {0};
        struct fetch_request q = {
                .method = "PUT", .tick = on_tick, .tick_data = &im, .stall_s = TRANSFER_IMPORT_S};
        str_add(&path, "/v1/datasets/");
        fetch_escape(&path, a->words[0]);
        add_query(&path, a);
        int rc = transfer_open_tree(&im.file, a->words[1], &q, e);
        q.source = on_source;
        q.source_data = &im;
        im.size = q.source_len;
        if (rc != 0)
                rc = command_misused("%s", e->message);
        else if (path.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        if (rc == 0) {
                q.path = path.data;
                q.headers[1] = c->json ? "Accept: application/json" : "Accept: text/event-stream";
                q.sink = c->json ? NULL : on_bytes;
                q.sink_data = &im;
                rc = rest_call(c->http, &q, &reply, NULL, e);
                if (im.drawn)
                        printf("\r\x1b[K");
        }
        if (rc == 0 && c->json)
                command_print_json(&reply);
        else if (rc == 0)
                rc = conclude(&im, a->words[0], a->words[1], &reply, e);
        fetch_reply_finish(&reply);
        sse_finish(&im.sse);
        cJSON_Delete(im.progress);
        cJSON_Delete(im.end);
        transfer_close(&im.file);
        str_free(&path);
        return rc;
}
