/* The images of a classify job, each with its class and what it was taken for. */
#ifndef CNND_CLIENT_IMAGES_H
#define CNND_CLIENT_IMAGES_H

#include "client/scored.h"

/* Writes a row of CSV for each image of a job's result: file,frame,tile,label,predicted,probability,correct.
   Cells of what the result does not tell are empty. "-" is standard output. As csv_close. */
int images_write_csv(const struct scored *r, const char *file, int *ret_signal, struct err *e);

#endif
