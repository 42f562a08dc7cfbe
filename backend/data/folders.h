/* Class and split of an archive's files by their names, or by a labels.csv. */
#ifndef CNND_FOLDERS_H
#define CNND_FOLDERS_H

#include "data/intake.h"

/* How the folders of an archive lie; all zero where a labels.csv tells. */
struct folders {
        char *text;       /* owned; the names of the classes */
        const char *root; /* borrowed; a name that begins with what all images' names begin with, */
        size_t prefix;    /* and so many bytes of it that is */
        bool splits;      /* folders of splits come next, */
        bool both;        /* and of those for tests nothing is taken, for there are others */
};
/* NULL accepted; once divide_classes is done. */
void folders_finish(struct folders *f);

/* Sets class_name and split of all sources from CLASS/FILE or SPLIT/CLASS/FILE, as import.h tells. Names are
   kept in the sources: class names are cut out of them into ret->text. A source with a problem is left out
   where it lies in no class folder, else ERR_INVALID. */
int folders_read(struct intake *in, struct folders *ret, struct err *e);
/* The class whose folder is `name`, NULL where it is none that classes are made of. Within `name`. */
const char *folders_class(const struct folders *f, const char *name);
/* The same from "file,label[,split]" lines (quotes as in RFC 4180, a first line that names the columns is
   known by its "file" or "filename"). `csv_name` is where it lay: names are relative to its folder. `text` is
   changed and holds the class names. ERR_INVALID names the line. */
int folders_read_csv(struct intake *in, const char *csv_name, char *text, struct err *e);

#endif
