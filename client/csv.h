/* Rows of CSV (RFC 4180) for spreadsheets and scripts, and the file that they go to. */
#ifndef CNND_CLIENT_CSV_H
#define CNND_CLIENT_CSV_H

#include "base/err.h"
#include "base/str.h"

/* The next cell of the last row; what would break the line or a terminal becomes '?', and what a spreadsheet
   would take for a formula has an apostrophe before it. */
void csv_text(struct str *out, const char *text);
/* With all its digits; an empty cell where it is no number. */
void csv_number(struct str *out, double v);
/* Ends the row. */
void csv_end(struct str *out);
/* "-" is standard output. ERR_NO_MEMORY where `text` is not whole. */
int csv_write(const char *file, const struct str *text, struct err *e);

#endif
