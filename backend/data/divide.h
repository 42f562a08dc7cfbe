/* Which class and which split the sources of an import belong to. */
#ifndef CNND_DIVIDE_H
#define CNND_DIVIDE_H

#include "data/intake.h"

/* Once every source that is not left out has a class_name: makes the list of classes, by name, and the
   labels. Names that name_normal makes one are one class. */
int divide_classes(struct intake *in, struct err *e);
/* The number of the class that has this name after name_normal, -1 for none. */
int32_t divide_class(const struct intake *in, const char *normal);
/* Sources whose split is open go to train or val by options.val, class by class, in the order of a hash of
   their names. ERR_INVALID where `val` is given and none is open. */
int divide_splits(struct intake *in, struct err *e);

#endif
