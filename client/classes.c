#include "client/classes.h"
#include "base/json.h"
#include "client/rest.h"
#include "client/text.h"

#include <string.h>

enum { BAR_COLUMNS = 20 };

int classes_begin(struct classes *l, const struct term *t, const char *csv, struct err *e)
{
        static const struct table_column columns[] = {{"IMAGE", false, true}, {"CLASS", false, true},
                {"PROBABILITY", true, false}, {"", false, false}};
        *l = (struct classes){.term = t};
        if (!csv) {
                l->table = table_create(t, columns, sizeof columns / sizeof columns[0]);
                return l->table ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a table");
        }
        const int rc = csv_open(&l->csv, csv, e);
        if (rc == 0)
                str_add(&l->csv.rows, "image,rank,class,probability,error\n");
        return rc;
}

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

static void add_prediction(struct classes *l, const char *image, int rank, const cJSON *p)
{
        const char *label = rest_text(p, "label", "?");
        const double probability = rest_number(p, "probability");
        if (!l->table) {
                struct str *rows = &l->csv.rows;
                csv_text(rows, image);
                csv_number(rows, rank);
                csv_text(rows, label);
                csv_number(rows, probability);
                csv_text(rows, "");
                csv_end(rows);
                return;
        }
        table_cell(l->table, rank == 1 ? image : "");
        table_styled(l->table, rank == 1 ? STYLE_BOLD : STYLE_PLAIN, label);
        table_cell(l->table, text_percent(probability).s);
        add_bar(l->table, l->term, probability);
}

/* The rows of one file: an image a result, in a batch with its number behind the name. */
static void add_results(struct classes *l, const char *file, const cJSON *results)
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

static void add_error(struct classes *l, const char *file, const char *reason)
{
        struct str *rows = &l->csv.rows;
        if (l->table)
                return;
        csv_text(rows, file);
        for (int empty = 0; empty < 3; empty++)
                csv_text(rows, "");
        csv_text(rows, reason);
        csv_end(rows);
}

static int pass(struct classes *l, struct err *e)
{
        return l->table ? 0 : csv_pass(&l->csv, e);
}

int classes_add(struct classes *l, const char *file, const cJSON *answer, struct err *e)
{
        const cJSON *entry, *files = json_field(answer, "files");
        size_t len = strlen(file);
        while (len > 1 && file[len - 1] == '/')
                len--;
        if (!files)
                add_results(l, file, rest_list(answer, "results"));
        cJSON_ArrayForEach(entry, files)
        {
                struct str name = {0};
                const cJSON *problem = json_field(entry, "error");
                str_addf(&name, "%.*s/%s", (int)len, file, rest_text(entry, "file", "?"));
                if (problem && name.data)
                        add_error(l, name.data, rest_text(problem, "detail", "?"));
                else if (name.data)
                        add_results(l, name.data, rest_list(entry, "results"));
                str_free(&name);
        }
        return pass(l, e);
}

int classes_add_error(struct classes *l, const char *file, const char *reason, struct err *e)
{
        add_error(l, file, reason);
        return pass(l, e);
}

int classes_end(struct classes *l, int rc, int *ret_signal, struct err *e)
{
        if (!l->table)
                return csv_close(&l->csv, rc, ret_signal, e);
        if (rc == 0)
                rc = table_print(l->table, stdout, e);
        table_destroy(l->table);
        return rc;
}
