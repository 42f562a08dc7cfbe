/* What the parts of the HDF5 reader share. Names as in "HDF5 File Format Specification Version 3.0". Every
   number is taken through a cursor, which never passes its end. */
#ifndef CNND_HDFPARTS_H
#define CNND_HDFPARTS_H

#include "data/hdf.h"
#include "data/span.h"

/* Bytes of the file. One that was taken beyond the end is `bad` for good and gives zeros. */
struct hdf_cursor {
        const unsigned char *p, *end;
        bool bad;
};

/* From an address on: `size` bytes, or all to the end of the file. */
struct hdf_cursor hdf_at(const struct hdf *f, uint64_t address, uint64_t size);
struct hdf_cursor hdf_from(const struct hdf *f, uint64_t address);
/* A little-endian number of at most 8 bytes. */
uint64_t hdf_take(struct hdf_cursor *c, int size);
/* The next `size` bytes; NULL where they are not there. */
const unsigned char *hdf_skip(struct hdf_cursor *c, uint64_t size);
bool hdf_take_magic(struct hdf_cursor *c, const char magic[4]);
/* An address of the file; HDF_NOWHERE for the undefined one. */
#define HDF_NOWHERE UINT64_MAX
uint64_t hdf_take_address(const struct hdf *f, struct hdf_cursor *c);
int hdf_damaged(const char *what, struct err *e);
/* One step of a walk through the file; ERR_TOO_LARGE when there were so many that the file must go in
 * circles. */
int hdf_step(struct hdf *f, struct err *e);

enum hdf_message {
        HDF_SPACE = 1,
        HDF_LINK_INFO = 2,
        HDF_TYPE = 3,
        HDF_FILL_OLD = 4,
        HDF_FILL = 5,
        HDF_LINK = 6,
        HDF_EXTERNAL = 7,
        HDF_LAYOUT = 8,
        HDF_FILTERS = 11,
        HDF_ATTRIBUTE = 12,
        HDF_CONTINUATION = 16,
        HDF_SYMBOLS = 17
};
enum { HDF_SHARED = 2 }; /* a message's flag: it stands somewhere else */
/* Calls `visit` for each message of the object header at `address`, until it returns not 0. */
typedef int (*hdf_on_message)(void *ctx, int kind, int flags, struct hdf_cursor body, struct err *e);
int hdf_messages(struct hdf *f, uint64_t address, hdf_on_message visit, void *ctx, struct err *e);

/* What a datatype message says. */
struct hdf_type {
        bool plain;           /* one of the numbers that machines have, which `sample` is then */
        bool text, long_text; /* of fixed length; of any, in the global heap */
        struct sample sample;
        uint32_t size; /* of an element, in bytes */
};
bool hdf_read_type(struct hdf_cursor c, struct hdf_type *ret);
/* A dataspace message; 0 dimensions are one element, -1 none. False where it is damaged; ndim may be more
   than HDF_MAX_DIMS, of which the first are told. */
bool hdf_read_space(const struct hdf *f, struct hdf_cursor c, int *ret_ndim, uint64_t dims[HDF_MAX_DIMS]);

/* A part of a data set. */
struct hdf_chunk {
        uint64_t at, size; /* in the file */
        uint64_t offset[HDF_MAX_DIMS];
        uint32_t mask; /* of filters that were not applied */
};
/* All chunks that are stored; the caller frees *ret. */
int hdf_list_chunks(
        struct hdf *f, const struct hdf_set *set, struct hdf_chunk **ret, size_t *ret_count, struct err *e);
enum hdf_filter { HDF_DEFLATE = 1, HDF_SHUFFLE = 2, HDF_FLETCHER32 = 3 };
/* The filters undone. *ret has set->chunk_bytes and points into the file or to `room`, HDF_SLACK_BYTES more
   each for the checksums that stood behind the chunk. */
enum { HDF_CHECKSUM_BYTES = 4, HDF_SLACK_BYTES = HDF_CHECKSUM_BYTES * HDF_MAX_FILTERS };
int hdf_unfilter(const struct hdf *f, const struct hdf_set *set, const struct hdf_chunk *chunk,
        unsigned char *room[2], const unsigned char **ret, struct err *e);

#endif
