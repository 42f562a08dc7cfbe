/* Tables on standard output: a line of titles, cells below in aligned columns. */
#ifndef CNND_TABLE_H
#define CNND_TABLE_H

#include "base/err.h"
#include "client/term.h"

#include <stdbool.h>
#include <stdio.h>

struct table_column {
        const char *title;
        bool right;    /* numbers */
        bool flexible; /* may be cut where the terminal is too narrow */
};

/* Cells are filled row by row, left to right. */
struct table;

/* `columns` and `t` are borrowed and must outlive the table. NULL when memory is out, which all below take
   for a table that cannot be printed. */
struct table *table_create(const struct term *t, const struct table_column *columns, int count);
void table_destroy(struct table *tb);
/* The next cell; the text is made safe for the terminal and copied. NULL is an empty cell. */
void table_cell(struct table *tb, const char *text);
/* The same in a colour. */
void table_styled(struct table *tb, enum style style, const char *text);
/* A line between the rows so far and those to come. */
void table_rule(struct table *tb);
/* ERR_NO_MEMORY if any cell found no memory. */
int table_print(struct table *tb, FILE *out, struct err *e);

#endif
