/* Class and split of an archive's files by their names, or by a labels.csv. */
#ifndef CNND_FOLDERS_H
#define CNND_FOLDERS_H

#include "data/intake.h"

/* Sets class_name and split of all sources from CLASS/FILE or SPLIT/CLASS/FILE, as import.h tells. Names are
   kept in the sources: class names are cut out of them into *ret_text, which the caller frees after
   divide_classes. A source with a problem is left out where it lies in no class folder, else ERR_INVALID. */
int folders_read(struct intake *in, char **ret_text, struct err *e);
/* The same from "file,label[,split]" lines (quotes as in RFC 4180, a first line that names the columns is
   known by its "file" or "filename"). `csv_name` is where it lay: names are relative to its folder. `text` is
   changed and holds the class names. ERR_INVALID names the line. */
int folders_read_csv(struct intake *in, const char *csv_name, char *text, struct err *e);

#endif
