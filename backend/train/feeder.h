/* Batches out of a data set, on the device: images gathered, scaled, resized; labels beside them. */
#ifndef CNND_FEEDER_H
#define CNND_FEEDER_H

#include "data/dataset.h"
#include "device/buf.h"
#include "device/tensor.h"
#include "train/setup.h"

struct feeder;

/* Places a split's images on the device, or a staging area where they do not fit (setup->resident). `data` is
   borrowed and must outlive it. */
int feeder_create(struct dev *d, const struct setup *s, const struct dataset *data, enum dataset_split split,
        struct feeder **ret, struct err *e);
void feeder_destroy(struct feeder *f);

/* The order of the images from now on: the files' own, or shuffled by (seed, epoch). Waits for the device. */
int feeder_order(struct feeder *f, bool shuffle, uint64_t seed, uint32_t epoch, struct err *e);

/* The weights of the labels of `n` images from position `first`, summed; `class_weights` NULL: n. */
double feeder_weight(const struct feeder *f, int first, int n, const float *class_weights);

/* Enqueues the gathering of `x->n` images from position `first` of the order into x and `labels`, with their
   augmentation and normalisation (setup->transform). */
int feeder_next(
        struct feeder *f, int first, const struct tensor *x, const struct view *labels, struct err *e);

#endif
