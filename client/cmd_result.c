#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/csv.h"
#include "client/images.h"
#include "client/rest.h"
#include "client/scored.h"
#include "client/table.h"
#include "client/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONFUSION_MOST = 12 /* classes; a larger matrix does not fit a terminal */, PIECE_BYTES = 1 << 16 };

static void add_scores(struct table *tb, const char *name, const cJSON *o, double support)
{
        table_cell(tb, name);
        table_cell(tb, text_percent(rest_number(o, "precision")).s);
        table_cell(tb, text_percent(rest_number(o, "recall")).s);
        table_cell(tb, text_percent(rest_number(o, "f1")).s);
        table_cell(tb, text_count(support).s);
}

static int print_scores(struct ctl *c, const cJSON *result, struct err *e)
{
        static const struct table_column columns[] = {{"CLASS", false, true}, {"PRECISION", true, false},
                {"RECALL", true, false}, {"F1", true, false}, {"IMAGES", true, false}};
        const cJSON *one;
        double count = rest_number(result, "count");
        struct table *tb = table_create(&c->term, columns, sizeof columns / sizeof columns[0]);
        cJSON_ArrayForEach(one, rest_list(result, "per_class"))
        {
                add_scores(tb, rest_text(one, "class", "?"), one, rest_number(one, "support"));
        }
        table_rule(tb);
        add_scores(tb, "mean of the classes", json_field(result, "macro"), count);
        add_scores(tb, "mean by images", json_field(result, "weighted"), count);
        int rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

static void add_confusion_row(struct table *tb, const char *label, int r, const cJSON *row)
{
        char name[240];
        const cJSON *cell;
        int k = 0;
        snprintf(name, sizeof name, "%d %s", r, label);
        table_styled(tb, STYLE_BOLD, name);
        cJSON_ArrayForEach(cell, row)
        {
                enum style style = ++k == r ? STYLE_GOOD : STYLE_PLAIN;
                table_styled(tb, style, text_count(cJSON_GetNumberValue(cell)).s);
        }
}

/* Rows are what the images are, columns what they were taken for, by the number before a class's name. */
static int print_confusion(struct ctl *c, const struct scored *result, struct err *e)
{
        static const char *const numbers[CONFUSION_MOST] = {
                "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"};
        struct table_column columns[CONFUSION_MOST + 1] = {{"IS / TAKEN FOR", false, true}};
        const cJSON *classes = rest_list(result->tree, "classes");
        struct scored_reader rows;
        int count = cJSON_GetArraySize(classes), r = 0;
        if (count < 1 || count > CONFUSION_MOST)
                return 0;
        for (int i = 0; i < count; i++)
                columns[i + 1] = (struct table_column){numbers[i], true, false};
        struct table *tb = table_create(&c->term, columns, count + 1);
        int rc = scored_open(result, SCORED_CONFUSION, &rows, e);
        while (rc == 0 && (rc = scored_next(&rows, e)) > 0) {
                cJSON *row = NULL;
                const cJSON *label = cJSON_GetArrayItem(classes, r++);
                rc = pull_tree(&rows.pull, &row, e);
                add_confusion_row(tb, cJSON_IsString(label) ? label->valuestring : "?", r, row);
                cJSON_Delete(row);
        }
        scored_close(&rows);
        printf("\n");
        if (rc == 0)
                rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

/* What the images of the next class were taken for. */
static int add_taken(struct scored_reader *rows, struct str *out, struct err *e)
{
        double v;
        int rc = scored_next(rows, e);
        if (rc <= 0)
                return rc;
        const int kind = pull_kind(&rows->pull, e);
        if (kind != '[')
                return kind < 0 ? kind : pull_skip(&rows->pull, e);
        rc = pull_enter(&rows->pull, e);
        while (rc == 0 && (rc = pull_next(&rows->pull, e)) > 0)
                if ((rc = pull_number(&rows->pull, &v, e)) == 0)
                        csv_number(out, v);
        return rc;
}

static int add_class(const cJSON *one, struct scored_reader *rows, struct str *out, struct err *e)
{
        static const char *const scores[] = {"precision", "recall", "f1", "support"};
        csv_text(out, rest_text(one, "class", "?"));
        for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++)
                csv_number(out, rest_number(one, scores[i]));
        const int rc = add_taken(rows, out, e);
        csv_end(out);
        return rc;
}

/* A row a class: its scores, its images, and how many of these were taken for each class. */
static int write_csv(const struct scored *result, const char *file, int *ret_signal, struct err *e)
{
        const cJSON *one, *name;
        struct scored_reader rows;
        struct csv_file out;
        int rc = scored_open(result, SCORED_CONFUSION, &rows, e);
        if (rc != 0 || (rc = csv_open(&out, file, e)) != 0) {
                scored_close(&rows);
                return rc;
        }
        str_add(&out.rows, "class,precision,recall,f1,images");
        cJSON_ArrayForEach(name, rest_list(result->tree, "classes"))
        {
                struct str head = {0};
                str_addf(&head, "as %s", cJSON_IsString(name) ? name->valuestring : "?");
                csv_text(&out.rows, head.data ? head.data : "?");
                str_free(&head);
        }
        csv_end(&out.rows);
        cJSON_ArrayForEach(one, rest_list(result->tree, "per_class"))
        {
                if (rc == 0)
                        rc = add_class(one, &rows, &out.rows, e);
                if (rc == 0)
                        rc = csv_pass(&out, e);
        }
        scored_close(&rows);
        return csv_close(&out, rc, ret_signal, e);
}

/* Scores of pictures that a model was not made for mean little. */
static void warn(const cJSON *result)
{
        static const char *const keys[] = {"normalize", "pixel_size", "fit"};
        const cJSON *model = json_field(result, "model_import"), *data = json_field(result, "dataset_import");
        for (size_t i = 0; i < sizeof keys / sizeof keys[0] && cJSON_IsObject(model); i++)
                if (!cJSON_Compare(json_field(model, keys[i]), json_field(data, keys[i]), true) &&
                        (json_field(model, keys[i]) || json_field(data, keys[i])))
                        command_say("the data set was imported with another \"%s\" than the model's was",
                                keys[i]);
        if (strcmp(rest_text(result, "classes_by", ""), "number") == 0)
                command_say(
                        "the model's classes have other names than the data set's: they are taken by number");
}

/* As the server sent it, with a line end. */
static int print_json(const struct scored *result, struct err *e)
{
        static char bytes[PIECE_BYTES];
        char last = '\n';
        int64_t n;
        int rc = 0;
        for (uint64_t at = 0; rc == 0 && (n = path_read_at(result->file, at, bytes, sizeof bytes, e)) != 0;
                at += (uint64_t)n) {
                rc = n < 0 ? (int)n : command_write(bytes, (size_t)n, e);
                last = n > 0 ? bytes[n - 1] : last;
        }
        return rc == 0 && last != '\n' ? command_write("\n", 1, e) : rc;
}

static int print(struct ctl *c, const struct scored *result, struct err *e)
{
        struct str head = {0};
        text_add_clean(&head, rest_text(result->tree, "model", "?"), c->term.utf8);
        str_add(&head, " on ");
        text_add_clean(&head, rest_text(result->tree, "dataset", "?"), c->term.utf8);
        printf("%s: %s of %s images right\n\n", head.data ? head.data : "",
                text_percent(rest_number(result->tree, "accuracy")).s,
                text_count(rest_number(result->tree, "count")).s);
        str_free(&head);
        const int rc = print_scores(c, result->tree, e);
        return rc == 0 ? print_confusion(c, result, e) : rc;
}

int cmd_result(struct ctl *c, const struct args *a, struct err *e)
{
        struct scored result = {0};
        const char *scores = args_get(a, "csv"), *images = args_get(a, "images");
        int sig = 0;
        if ((scores || images) && c->json)
                return command_misused(
                        "--json prints what the server sent; it does not go with --csv and --images");
        int rc = scored_fetch(c->http, args_id(a, 0), &result, &sig, e);
        if (rc == 0 && c->json) {
                rc = print_json(&result, e);
        } else if (rc == 0) {
                warn(result.tree);
                if (scores)
                        rc = write_csv(&result, scores, &sig, e);
                if (images && rc == 0)
                        rc = images_write_csv(&result, images, &sig, e);
                if (!scores && !images)
                        rc = print(c, &result, e);
        }
        scored_finish(&result);
        return sig ? STATUS_SIGNAL + sig : rc;
}
