/* What images were taken for, as a table for people or as CSV: image,rank,class,probability,error. */
#ifndef CNND_CLASSES_H
#define CNND_CLASSES_H

#include "client/csv.h"
#include "client/table.h"

#include <cjson/cJSON.h>

struct classes {
        const struct term *term; /* borrowed */
        struct table *table;     /* owned; NULL where it is CSV */
        struct csv_file csv;
};

/* `csv` as in csv_open, NULL for a table, which classes_end prints. */
int classes_begin(struct classes *l, const struct term *t, const char *csv, struct err *e);
/* What the server answered to `file`; of a folder or an archive each as if it had been sent by itself. */
int classes_add(struct classes *l, const char *file, const cJSON *answer, struct err *e);
/* A row of CSV with the reason; a table has none, for people were told. */
int classes_add_error(struct classes *l, const char *file, const char *reason, struct err *e);
/* Where `rc` is 0; otherwise gives up. The first error of all; *ret_signal as in csv_close. */
int classes_end(struct classes *l, int rc, int *ret_signal, struct err *e);

#endif
