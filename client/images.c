#include "client/images.h"
#include "client/csv.h"
#include "client/rest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What the rows are made of. */
struct album {
        const struct scored *result;
        struct scored_reader columns[SCORED_IMAGE_COLUMNS];
        const char **classes; /* owned; of borrowed texts */
        int class_count;
        /* Names of files, which are read in their order as far as they are asked for so. */
        struct pull names;
        uint64_t next_name;
        struct str name; /* owned; of file next_name - 1, where `named` */
        bool named;
};

static void album_destroy(struct album *a)
{
        if (!a)
                return;
        for (int k = 0; k < SCORED_IMAGE_COLUMNS; k++)
                scored_close(&a->columns[k]);
        pull_finish(&a->names);
        str_free(&a->name);
        free(a->classes);
        free(a);
}

static int album_create(const struct scored *r, struct album **ret, struct err *e)
{
        const cJSON *one, *classes = rest_list(r->tree, "classes");
        struct album *a = calloc(1, sizeof *a);
        int rc = 0;
        if (a)
                a->classes = malloc(((size_t)cJSON_GetArraySize(classes) + 1) * sizeof *a->classes);
        if (!a || !a->classes) {
                free(a);
                return err_set(e, ERR_NO_MEMORY, "no memory for a list of images");
        }
        a->result = r;
        cJSON_ArrayForEach(one, classes)
        {
                a->classes[a->class_count++] = cJSON_IsString(one) ? one->valuestring : "";
        }
        for (int k = 0; rc == 0 && k < SCORED_IMAGE_COLUMNS; k++)
                rc = scored_open(r, (enum scored_column)k, &a->columns[k], e);
        pull_init(&a->names, r->file, 0);
        a->next_name = UINT64_MAX;
        if (rc == 0)
                *ret = a;
        else
                album_destroy(a);
        return rc;
}

/* *ret is NAN behind the column's end. */
static int next_number(struct album *a, enum scored_column column, double *ret, struct err *e)
{
        const int rc = scored_next(&a->columns[column], e);
        *ret = NAN;
        return rc > 0 ? pull_number(&a->columns[column].pull, ret, e) : rc;
}

/* "" where there is none of that number. */
static const char *class_of(const struct album *a, double number)
{
        return number >= 0 && number < a->class_count ? a->classes[(int)number] : "";
}

/* a->name, empty where there is none of that number. */
static int find_name(struct album *a, double number, struct err *e)
{
        const bool known = number >= 0 && number < (double)a->result->files;
        const uint64_t wanted = known ? (uint64_t)number : 0, place = wanted / SCORED_STEP;
        int rc = 0;
        if (known && a->named && wanted + 1 == a->next_name)
                return 0;
        str_clear(&a->name);
        a->named = known;
        if (!known)
                return 0;
        if (wanted < a->next_name || place > a->next_name / SCORED_STEP) {
                pull_seek(&a->names, a->result->places[place]);
                a->next_name = place * SCORED_STEP;
        }
        while (rc == 0 && a->next_name <= wanted && (rc = pull_next(&a->names, e)) > 0)
                rc = a->next_name++ < wanted ? pull_skip(&a->names, e) : pull_text(&a->names, &a->name, e);
        return rc;
}

/* NAN where it is not known. */
static int next_tile(struct album *a, double place[2], struct err *e)
{
        struct scored_reader *tile = &a->columns[SCORED_TILE];
        place[0] = place[1] = NAN;
        int rc = scored_next(tile, e);
        if (rc <= 0)
                return rc;
        const int kind = pull_kind(&tile->pull, e);
        if (kind != '[')
                return kind < 0 ? kind : pull_skip(&tile->pull, e);
        rc = pull_enter(&tile->pull, e);
        for (int i = 0; rc == 0 && (rc = pull_next(&tile->pull, e)) > 0; i++)
                rc = i < 2 ? pull_number(&tile->pull, &place[i], e) : pull_skip(&tile->pull, e);
        return rc;
}

/* Words, so that no spreadsheet takes them for a date or a product. */
static void add_tile(struct str *out, const double place[2])
{
        char text[64] = "";
        if (isfinite(place[0]) && isfinite(place[1]))
                snprintf(text, sizeof text, "y%.0f x%.0f", place[0], place[1]);
        csv_text(out, text);
}

/* The row of the next image. */
static int add_row(struct album *a, double label, struct str *out, struct err *e)
{
        double prediction, probability, source, frame, tile[2];
        int rc = next_number(a, SCORED_PREDICTIONS, &prediction, e);
        if (rc == 0)
                rc = next_number(a, SCORED_PROBABILITIES, &probability, e);
        if (rc == 0)
                rc = next_number(a, SCORED_FILE, &source, e);
        if (rc == 0)
                rc = next_number(a, SCORED_FRAME, &frame, e);
        if (rc == 0)
                rc = next_tile(a, tile, e);
        if (rc == 0)
                rc = find_name(a, source, e);
        if (rc != 0)
                return rc;
        csv_text(out, a->name.data ? a->name.data : "");
        csv_number(out, frame);
        add_tile(out, tile);
        csv_text(out, class_of(a, label));
        csv_text(out, class_of(a, prediction));
        csv_number(out, probability);
        csv_text(out, label == prediction ? "yes" : "no");
        csv_end(out);
        return 0;
}

static int add_rows(struct album *a, struct csv_file *out, struct err *e)
{
        struct scored_reader *labels = &a->columns[SCORED_LABELS];
        int rc = 0;
        while (rc == 0 && (rc = scored_next(labels, e)) > 0) {
                double label;
                rc = pull_number(&labels->pull, &label, e);
                if (rc == 0)
                        rc = add_row(a, label, &out->rows, e);
                if (rc == 0)
                        rc = csv_pass(out, e);
        }
        return rc;
}

int images_write_csv(const struct scored *r, const char *file, int *ret_signal, struct err *e)
{
        struct album *a = NULL;
        struct csv_file out;
        int rc = album_create(r, &a, e);
        if (rc == 0 && (rc = csv_open(&out, file, e)) == 0) {
                str_add(&out.rows, "file,frame,tile,label,predicted,probability,correct\n");
                rc = csv_close(&out, add_rows(a, &out, e), ret_signal, e);
        }
        album_destroy(a);
        return rc;
}
