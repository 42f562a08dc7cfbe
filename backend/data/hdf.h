/* libhdf5 with everything that reaches outside the bytes at hand switched off: no soft or external links, no
   raw data in other files, no virtual data sets, no filters from plugins. */
#ifndef CNND_HDF_H
#define CNND_HDF_H

#include "base/err.h"
#include "data/image.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HDF_MAX_DIMS = 8, HDF_TEXT_BYTES = 1 << 20, HDF_NAME_BYTES = 256, HDF_MAX_LINKS = 4096 };

/* Opens bytes (copied) as a file; close it with hdf_close, which ends the library, too. */
int hdf_open(const unsigned char *bytes, size_t len, hid_t *ret, struct err *e);
void hdf_close(hid_t file);

/* Opens the child `name` (no path) behind a hard link; negative where it is none or of another type. */
hid_t hdf_child(hid_t group, const char *name, H5I_type_t type);
/* Calls `visit` for each hard link of a group in the order of names, until it returns not 0. ERR_TOO_LARGE
   past HDF_MAX_LINKS. */
typedef int (*hdf_visit)(void *ctx, hid_t group, const char *name, struct err *e);
int hdf_each(hid_t group, hdf_visit visit, void *ctx, struct err *e);

/* What a data set is before anything of it is read. */
struct hdf_shape {
        int ndim;
        uint64_t dims[HDF_MAX_DIMS];
        bool real; /* integers of 8 to 64 bits or floats of 16 to 64; else records, text, … */
        bool is_signed, is_float;
        size_t bytes; /* of an element */
};
/* ERR_INVALID for what the head of this file rules out, ERR_SYNTAX where the stored bytes cannot fill it. */
int hdf_shape(hid_t set, uint64_t file_bytes, struct hdf_shape *ret, struct err *e);
/* The hyperslab of `count` from `start` as floats, or as bytes; `to` holds them all. */
int hdf_read_floats(
        hid_t set, const uint64_t *start, const uint64_t *count, int ndim, float *to, struct err *e);
int hdf_read_bytes(
        hid_t set, const uint64_t *start, const uint64_t *count, int ndim, unsigned char *to, struct err *e);

/* A number or a text in an attribute, the first of several; false where there is none. */
bool hdf_attribute_number(hid_t object, const char *name, double *ret);
bool hdf_attribute_text(hid_t object, const char *name, char *to, size_t room);
/* ERR_SYNTAX with the library's own words. */
int hdf_damaged(struct err *e);

#endif
