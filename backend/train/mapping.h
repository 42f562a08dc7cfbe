/* A class map in the making: one image on the device, its windows classified batch by batch. The engine
 * thread alone. */
#ifndef CNND_MAPPING_H
#define CNND_MAPPING_H

#include "device/dev.h"
#include "train/infer.h"
#include "train/windows.h"

struct mapping;

/* Copies `image` (c, layout->h, layout->w), 8-bit ones scaled to 0..1, to the device. `d` must outlive it. */
int mapping_create(struct dev *d, const struct windows *layout, const float *image, int c, int num_classes,
        struct mapping **ret, struct err *e);
void mapping_destroy(struct mapping *mp);

/* Classifies the next windows, at most `most` <= INFER_MAX_BATCH. The model may be another object each time,
   of the same sizes. */
int mapping_step(struct mapping *mp, struct infer *model, int most, struct err *e);
/* Windows done so far, of down*across. */
int mapping_done(const struct mapping *mp);
/* Borrowed. */
const struct windows_mean *mapping_mean(const struct mapping *mp);

#endif
