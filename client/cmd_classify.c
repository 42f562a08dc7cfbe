#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
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

/* The rows of one file: an image a result, in a batch with its number behind the name. */
static void add_results(struct table *tb, const struct term *t, const char *file, const cJSON *results)
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
                bool first = true;
                cJSON_ArrayForEach(p, json_field(result, "predictions"))
                {
                        double probability = rest_number(p, "probability");
                        table_cell(tb, first ? name.data : "");
                        table_styled(tb, first ? STYLE_BOLD : STYLE_PLAIN, rest_text(p, "label", "?"));
                        table_cell(tb, text_percent(probability).s);
                        add_bar(tb, t, probability);
                        first = false;
                }
                str_free(&name);
        }
}

/* The files of an archive or a folder, each as if it had been sent by itself. */
static void add_files(struct table *tb, const struct term *t, const char *archive, const cJSON *files)
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
                        add_results(tb, t, name.data, rest_list(entry, "results"));
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
static int classify(
        struct ctl *c, const char *path, const char *file, struct table *tb, int *ret_status, struct err *e)
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
        transfer_close(&body);
        if (rc != 0)
                return rc;
        const cJSON *files = json_field(tree, "files");
        if (tell_problems(file, files))
                *ret_status = STATUS_FAILED;
        if (c->json)
                command_print_json(&reply);
        else if (files)
                add_files(tb, &c->term, file, files);
        else
                add_results(tb, &c->term, file, rest_list(tree, "results"));
        fetch_reply_finish(&reply);
        cJSON_Delete(tree);
        return 0;
}

int cmd_classify(struct ctl *c, const struct args *a, struct err *e)
{
        static const struct table_column columns[] = {{"IMAGE", false, true}, {"CLASS", false, true},
                {"PROBABILITY", true, false}, {"", false, false}};
        struct str path = {0};
        int status = STATUS_DONE, rc = 0, done = 0;
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        str_add(&path, "/v1/models/");
        fetch_escape(&path, a->words[0]);
        str_addf(&path, "/classify?top=%" PRId64, args_int(a, "top", TOP));
        if (path.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a request");
        for (int i = 1; rc == 0 && i < a->word_count; i++) {
                struct err own = {0};
                int one = classify(c, path.data, a->words[i], tb, &status, &own);
                done += one == 0;
                if (one == ERR_CLOSED) {
                        *e = own;
                        rc = one;
                } else if (one != 0) {
                        status = command_failed(&own);
                }
        }
        if (done && !c->json) {
                int printed = table_print(tb, stdout, rc == 0 ? e : NULL);
                rc = rc ? rc : printed;
        }
        table_destroy(tb);
        str_free(&path);
        return rc ? rc : status;
}
