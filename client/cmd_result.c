#include "base/json.h"
#include "client/args.h"
#include "client/command.h"
#include "client/csv.h"
#include "client/images.h"
#include "client/rest.h"
#include "client/table.h"
#include "client/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CONFUSION_MOST = 12 /* classes; a larger matrix does not fit a terminal */ };

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

/* Rows are what the images are, columns what they were taken for, by the number before a class's name. */
static int print_confusion(struct ctl *c, const cJSON *result, struct err *e)
{
        static const char *const numbers[CONFUSION_MOST] = {
                "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"};
        struct table_column columns[CONFUSION_MOST + 1] = {{"IS / TAKEN FOR", false, true}};
        const cJSON *classes = rest_list(result, "classes"), *row, *cell;
        int count = cJSON_GetArraySize(classes), r = 0;
        if (count < 1 || count > CONFUSION_MOST)
                return 0;
        for (int i = 0; i < count; i++)
                columns[i + 1] = (struct table_column){numbers[i], true, false};
        struct table *tb = table_create(&c->term, columns, count + 1);
        cJSON_ArrayForEach(row, rest_list(result, "confusion"))
        {
                char name[240];
                const cJSON *label = cJSON_GetArrayItem(classes, r++);
                int k = 0;
                snprintf(name, sizeof name, "%d %s", r, cJSON_IsString(label) ? label->valuestring : "?");
                table_styled(tb, STYLE_BOLD, name);
                cJSON_ArrayForEach(cell, row)
                {
                        enum style style = ++k == r ? STYLE_GOOD : STYLE_PLAIN;
                        table_styled(tb, style, text_count(cJSON_GetNumberValue(cell)).s);
                }
        }
        printf("\n");
        int rc = table_print(tb, stdout, e);
        table_destroy(tb);
        return rc;
}

/* A row a class: its scores, its images, and how many of these were taken for each class. */
static int write_csv(const cJSON *result, const char *file, struct err *e)
{
        static const char *const scores[] = {"precision", "recall", "f1", "support"};
        const cJSON *one, *name, *cell;
        struct str text = {0};
        int row = 0;
        str_add(&text, "class,precision,recall,f1,images");
        cJSON_ArrayForEach(name, rest_list(result, "classes"))
        {
                struct str head = {0};
                str_addf(&head, "as %s", cJSON_IsString(name) ? name->valuestring : "?");
                csv_text(&text, head.data ? head.data : "?");
                str_free(&head);
        }
        csv_end(&text);
        cJSON_ArrayForEach(one, rest_list(result, "per_class"))
        {
                csv_text(&text, rest_text(one, "class", "?"));
                for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++)
                        csv_number(&text, rest_number(one, scores[i]));
                const cJSON *taken = cJSON_GetArrayItem(rest_list(result, "confusion"), row++);
                cJSON_ArrayForEach(cell, taken)
                {
                        csv_number(&text, cJSON_GetNumberValue(cell));
                }
                csv_end(&text);
        }
        int rc = csv_write(file, &text, e);
        str_free(&text);
        return rc;
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

int cmd_result(struct ctl *c, const struct args *a, struct err *e)
{
        char path[64];
        cJSON *tree = NULL;
        const char *scores = args_get(a, "csv"), *images = args_get(a, "images");
        if ((scores || images) && c->json)
                return command_misused(
                        "--json prints what the server sent; it does not go with --csv and --images");
        snprintf(path, sizeof path, "/v1/jobs/%" PRId64 "/result", args_id(a, 0));
        int rc = command_get(c, path, &tree, e);
        if (rc != 0 || !tree)
                return rc;
        warn(tree);
        if (scores)
                rc = write_csv(tree, scores, e);
        if (images && rc == 0)
                rc = images_write_csv(tree, images, e);
        if (scores || images) {
                cJSON_Delete(tree);
                return rc;
        }
        struct str head = {0};
        text_add_clean(&head, rest_text(tree, "model", "?"), c->term.utf8);
        str_add(&head, " on ");
        text_add_clean(&head, rest_text(tree, "dataset", "?"), c->term.utf8);
        printf("%s: %s of %s images right\n\n", head.data ? head.data : "",
                text_percent(rest_number(tree, "accuracy")).s, text_count(rest_number(tree, "count")).s);
        str_free(&head);
        rc = print_scores(c, tree, e);
        if (rc == 0)
                rc = print_confusion(c, tree, e);
        cJSON_Delete(tree);
        return rc;
}
