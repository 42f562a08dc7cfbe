#include "client/images.h"
#include "base/json.h"
#include "client/csv.h"
#include "client/rest.h"

#include <math.h>
#include <stdlib.h>

enum { LABEL, PREDICTION, PROBABILITY, SOURCE, FRAME, TILE, COLUMNS };
static const char *const keys[COLUMNS] = {[LABEL] = "labels",
        [PREDICTION] = "predictions",
        [PROBABILITY] = "probabilities",
        [SOURCE] = "file",
        [FRAME] = "frame",
        [TILE] = "tile"};

/* Texts of a list by their number. */
struct texts {
        const char **list; /* owned; of borrowed ones */
        int count;
};

static int texts_make(const cJSON *list, struct texts *ret, struct err *e)
{
        const cJSON *one;
        struct texts t = {.list = malloc(((size_t)cJSON_GetArraySize(list) + 1) * sizeof *t.list)};
        if (!t.list)
                return err_set(e, ERR_NO_MEMORY, "no memory for a list of images");
        cJSON_ArrayForEach(one, list)
        {
                t.list[t.count++] = cJSON_IsString(one) ? one->valuestring : "";
        }
        *ret = t;
        return 0;
}

/* "" where `number` is NULL or tells of none. */
static const char *text_at(const struct texts *t, const cJSON *number)
{
        const double v = cJSON_IsNumber(number) ? number->valuedouble : -1;
        return v >= 0 && v < t->count ? t->list[(int)v] : "";
}

/* Words, so that no spreadsheet takes them for a date or a product. */
static void add_tile(struct str *out, const cJSON *tile)
{
        struct str cell = {0};
        const double y = cJSON_GetNumberValue(cJSON_GetArrayItem(tile, 0)),
                     x = cJSON_GetNumberValue(cJSON_GetArrayItem(tile, 1));
        if (isfinite(y) && isfinite(x))
                str_addf(&cell, "y%.0f x%.0f", y, x);
        csv_text(out, cell.data ? cell.data : "");
        out->failed |= cell.failed;
        str_free(&cell);
}

static void add_row(struct str *out, const cJSON *const at[COLUMNS], const struct texts *classes,
        const struct texts *files)
{
        csv_text(out, text_at(files, at[SOURCE]));
        csv_number(out, cJSON_GetNumberValue(at[FRAME]));
        add_tile(out, at[TILE]);
        csv_text(out, text_at(classes, at[LABEL]));
        csv_text(out, text_at(classes, at[PREDICTION]));
        csv_number(out, cJSON_GetNumberValue(at[PROBABILITY]));
        csv_text(out, cJSON_Compare(at[LABEL], at[PREDICTION], true) ? "yes" : "no");
        csv_end(out);
}

static void add_rows(
        struct str *out, const cJSON *result, const struct texts *classes, const struct texts *files)
{
        const cJSON *at[COLUMNS];
        for (int k = 0; k < COLUMNS; k++) {
                const cJSON *list = rest_list(result, keys[k]);
                at[k] = list ? list->child : NULL;
        }
        while (at[LABEL]) {
                add_row(out, at, classes, files);
                for (int k = 0; k < COLUMNS; k++)
                        at[k] = at[k] ? at[k]->next : NULL;
        }
}

int images_write_csv(const cJSON *result, const char *file, struct err *e)
{
        struct texts classes = {0}, files = {0};
        struct str text = {0};
        int rc = texts_make(rest_list(result, "classes"), &classes, e);
        if (rc == 0)
                rc = texts_make(rest_list(result, "files"), &files, e);
        if (rc == 0) {
                str_add(&text, "file,frame,tile,label,predicted,probability,correct\n");
                add_rows(&text, result, &classes, &files);
                rc = csv_write(file, &text, e);
        }
        free(classes.list);
        free(files.list);
        str_free(&text);
        return rc;
}
