/* Rows of CSV (RFC 4180) for spreadsheets and scripts, and the file that they go to. */
#ifndef CNND_CLIENT_CSV_H
#define CNND_CLIENT_CSV_H

#include "base/err.h"
#include "base/str.h"
#include "client/interrupt.h"

struct file_new;

/* The next cell of the last row; what would break the line or a terminal becomes '?', and what a spreadsheet
   would take for a formula has an apostrophe before it. */
void csv_text(struct str *out, const char *text);
/* With all its digits; an empty cell where it is no number. */
void csv_number(struct str *out, double v);
/* Ends the row. */
void csv_end(struct str *out);
/* Rows on their way: to standard output, or to a file that is there when it is whole, and not at all before.
   While one is written signals are held back (interrupt.h). */
struct csv_file {
        struct str rows;       /* cells are added here; what was written is gone */
        struct file_new *file; /* owned; NULL for standard output */
        struct interrupt interrupt;
};

/* "-" is standard output. ERR_INVALID where something else than a file stands there. */
int csv_open(struct csv_file *f, const char *path, struct err *e);
/* Writes the rows once they are many. ERR_CANCELLED where an INTERRUPT_END came, or the reader has gone. */
int csv_pass(struct csv_file *f, struct err *e);
/* Looks for an INTERRUPT_END alone: what csv_pass says of it. */
int csv_tick(struct csv_file *f, struct err *e);
/* Where `rc` is 0 writes what is left and puts the file in its place, else gives it up. The first error of
   all; *ret_signal is set where an INTERRUPT_END came. */
int csv_close(struct csv_file *f, int rc, int *ret_signal, struct err *e);

#endif
