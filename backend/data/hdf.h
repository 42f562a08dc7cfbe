/* HDF5, as much of it as microscopes write: superblocks 0 to 3, both object headers, groups in symbol tables
   or compact links, attributes in object headers, data that is compact, contiguous or in chunks (deflate,
   shuffle, fletcher32). Nothing leads out of the bytes at hand: soft and external links, data in other files,
   virtual data sets and filters from plugins are not followed. Files are damaged more often than libraries
   expect, so this reads them itself. */
#ifndef CNND_HDF_H
#define CNND_HDF_H

#include "base/err.h"
#include "data/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HDF_MAX_DIMS = 3, HDF_NAME_BYTES = 256, HDF_MAX_LINKS = 4096, HDF_MAX_FILTERS = 8 };

struct hdf {
        const unsigned char *bytes; /* borrowed */
        size_t len;
        uint64_t root;                /* the address of its group */
        int offset_size, length_size; /* of addresses and lengths in the file */
        int64_t steps;                /* that may still be made */
};
int hdf_open(const unsigned char *bytes, size_t len, struct hdf *ret, struct err *e);

/* Objects are their addresses. The child `name` of a group behind a hard link; false where there is none. */
bool hdf_child(struct hdf *f, uint64_t group, const char *name, uint64_t *ret);
bool hdf_is_group(struct hdf *f, uint64_t object);
/* Calls `visit` for each hard link of a group, until it returns not 0. ERR_INVALID for what is no group,
   ERR_TOO_LARGE past HDF_MAX_LINKS. */
typedef int (*hdf_visit)(void *ctx, const char *name, uint64_t object, struct err *e);
int hdf_each(struct hdf *f, uint64_t group, hdf_visit visit, void *ctx, struct err *e);

enum hdf_layout { HDF_COMPACT, HDF_CONTIGUOUS, HDF_CHUNKED };
/* A data set before anything of it is read. */
struct hdf_set {
        int ndim;
        uint64_t dims[HDF_MAX_DIMS];
        bool real; /* integers of 8 to 64 bits or floats of 16 to 64; else records, text, … */
        struct sample sample;
        uint32_t bytes; /* of an element */
        enum hdf_layout layout;
        const unsigned char *compact;
        uint64_t at, stored; /* of contiguous data; of what lists the chunks */
        uint64_t chunk[HDF_MAX_DIMS], chunk_bytes;
        int chunk_ndim;
        int index;     /* how chunks are listed: 0 for the tree of old files, else as in layout version 4 */
        uint32_t mask; /* of the one chunk of index 1 */
        unsigned char fill[8]; /* an element of what was never written */
        uint32_t fill_bytes;
        int filters[HDF_MAX_FILTERS], filter_count;
};
/* ERR_INVALID for what is no data set or of a kind that is not read, ERR_SYNTAX where the stored bytes cannot
   fill it. */
int hdf_open_set(struct hdf *f, uint64_t object, struct hdf_set *ret, struct err *e);
/* The first `count` elements along each dimension, as sample.h has them; `to` holds them all. */
int hdf_read_floats(
        struct hdf *f, const struct hdf_set *set, const uint64_t *count, float *to, struct err *e);
/* The same as they stand in the file, set->bytes each. */
int hdf_read_bytes(
        struct hdf *f, const struct hdf_set *set, const uint64_t *count, unsigned char *to, struct err *e);
/* One element of hdf_read_bytes as a number; set->real holds. */
double hdf_number(const struct sample *s, const unsigned char *p);

/* A number or a text in an attribute of one element; false where there is none. */
bool hdf_attribute_number(struct hdf *f, uint64_t object, const char *name, double *ret);
bool hdf_attribute_text(struct hdf *f, uint64_t object, const char *name, char *to, size_t room);

#endif
