/* What a file is known by again, without reading all of it: SHA-256 over its head and pieces of all its
   parts. Files of one mark may differ in the middle of large parts alone, as no two trainings and no two
   imports do. It tells whose a file is; it does not tell a damaged file from a whole one.

   Marks are stored: what goes into one must stay as it is. */
#ifndef CNND_MARK_H
#define CNND_MARK_H

#include "base/err.h"
#include "data/dataset.h"
#include "model/safetensors.h"

enum { MARK_DIGITS = 64 };

/* Read 4 MiB at most but for the head (data sets: and the labels), from a file that is open: `st` is its
   safetensors_head, `d` its dataset_look. ERR_NO_MEMORY, or what is wrong with the file. Any thread. */
int mark_model(const struct safetensors *st, int fd, char ret[MARK_DIGITS + 1], struct err *e);
int mark_dataset(const struct dataset *d, int fd, char ret[MARK_DIGITS + 1], struct err *e);

#endif
