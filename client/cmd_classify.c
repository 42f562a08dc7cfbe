#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/csv.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOP = 3, BAR_COLUMNS = 20 };

static void add_bar(struct table *tb, const struct term *t, double fraction)
{
        static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
        struct str bar = {0};
        int n = fraction > 0 ? (int)(fraction * BAR_COLUMNS * 8 + 0.5) : 0;
        for (int i = 0; i < n / 8; i++)
                str_add(&bar, t->utf8 ? "█" : "#");
        if (t->utf8)
                str_add(&bar, eighths[n % 8]);
        table_styled(tb, STYLE_TRAIN, bar.data);
        str_free(&bar);
}

/* What comes of all files: rows for people, or of CSV. */
struct listing {
        const struct term *term;
        struct table *table;
        struct str *csv; /* NULL: for people */
};

static void add_prediction(const struct listing *l, const char *image, int rank, const cJSON *p)
{
        const char *label = rest_text(p, "label", "?");
        double probability = rest_number(p, "probability");
        if (l->csv) {
                csv_text(l->csv, image);
                csv_number(l->csv, rank);
                csv_text(l->csv, label);
                csv_number(l->csv, probability);
                csv_end(l->csv);
                return;
        }
        table_cell(l->table, rank == 1 ? image : "");
        table_styled(l->table, rank == 1 ? STYLE_BOLD : STYLE_PLAIN, label);
        table_cell(l->table, text_percent(probability).s);
        add_bar(l->table, l->term, probability);
}

/* The rows of one file: an image a result, in a batch with its number behind the name. */
static void add_results(const struct listing *l, const char *file, const cJSON *results)
{
        const cJSON *result, *p;
        int image = 0, count = cJSON_GetArraySize(results);
        cJSON_ArrayForEach(result, results)
        {
                struct str name = {0};
                str_add(&name, file);
                if (count > 1)
                        str_addf(&name, "[%d]", image);
                image++;
                int rank = 0;
                cJSON_ArrayForEach(p, json_field(result, "predictions"))
                {
                        add_prediction(l, name.data ? name.data : file, ++rank, p);
                }
                str_free(&name);
        }
}

/* The files of an archive or a folder, each as if it had been sent by itself. */
static void add_files(const struct listing *l, const char *archive, const cJSON *files)
{
        const cJSON *entry;
        size_t len = strlen(archive);
        while (len > 1 && archive[len - 1] == '/')
                len--;
        cJSON_ArrayForEach(entry, files)
        {
                struct str name = {0};
                str_addf(&name, "%.*s/%s", (int)len, archive, rest_text(entry, "file", "?"));
                if (name.data)
                        add_results(l, name.data, rest_list(entry, "results"));
                str_free(&name);
        }
}

/* Says which files of an archive the server could not read; whether there were any. */
static bool tell_problems(const char *archive, const cJSON *files)
{
        const cJSON *entry;
        bool any = false;
        cJSON_ArrayForEach(entry, files)
        {
                const cJSON *problem = json_field(entry, "error");
                if (!problem)
                        continue;
                command_say("%s: %s: %s", archive, rest_text(entry, "file", "?"),
                        rest_text(problem, "detail", "the server could not read it"));
                any = true;
        }
        return any;
}

/* *ret_status stays where all of it was read. */
static int classify(struct ctl *c, const char *path, const char *file, const struct listing *l,
        int *ret_status, struct err *e)
{
        struct transfer_file body;
        struct fetch_request q = {
                .method = "POST", .path = path, .headers = {NULL, "Accept: application/json"}};
        struct fetch_reply reply = {0};
        cJSON *tree = NULL;
        int rc = transfer_open_tree(&body, file, &q, e);
        if (rc != 0)
                return rc;
        rc = rest_call(c->http, &q, &reply, &tree, e);
        if (rc == ERR_TOO_LARGE && body.tar) {
                const struct err was = *e;
                err_set(e, rc, "%s; given by name (%s/*) its files are sent one by one", was.message, file);
        }
        transfer_close(&body);
        if (rc != 0)
                return rc;
        const cJSON *files = json_field(tree, "files");
        if (tell_problems(file, files))
                *ret_status = STATUS_FAILED;
        if (c->json)
                command_print_json(&reply);
        else if (files)
                add_files(l, file, files);
        else
                add_results(l, file, rest_list(tree, "results"));
        fetch_reply_finish(&reply);
        cJSON_Delete(tree);
        return 0;
}

static int write_csv(struct str *rows, const char *file, int *ret_signal, struct err *e)
{
        struct csv_file out;
        const int rc = csv_open(&out, file, e);
        if (rc != 0)
                return rc;
        out.rows = *rows;
        *rows = (struct str){0};
        return csv_close(&out, 0, ret_signal, e);
}

int cmd_classify(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"IMAGE", false, true}, {"CLASS", false, true},
                {"PROBABILITY", true, false}, {"", false, false}};
        const char *file = args_get(a, "csv");
        struct str path = {0}, csv = {0};
        int status = STATUS_DONE, rc = 0, done = 0, sig = 0;
        if (file && c->json)
                return command_misused("--json prints what the server sent; it does not go with --csv");
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        const struct listing list = {&c->term, tb, file ? &csv : NULL};
        str_add(&csv, "image,rank,class,probability\n");
        str_add(&path, "/v1/models/");
        fetch_escape(&path, a->words[0]);
        str_addf(&path, "/classify?top=%" PRId64, args_int(a, "top", TOP));
        if (path.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        for (int i = 1; rc == 0 && i < a->word_count; i++) {
                struct err own = {0};
                int one = classify(c, path.data, a->words[i], &list, &status, &own);
                done += one == 0;
                if (one == ERR_CLOSED) {
                        *e = own;
                        rc = one;
                } else if (one != 0) {
                        status = command_failed(&own);
                }
        }
        if (done && !c->json) {
                struct err *why = rc == 0 ? e : NULL;
                int printed = file ? write_csv(&csv, file, &sig, why) : table_print(tb, stdout, why);
                rc = rc ? rc : printed;
        }
        table_destroy(tb);
        str_free(&csv);
        str_free(&path);
        return sig ? STATUS_SIGNAL + sig : rc ? rc : status;
}
