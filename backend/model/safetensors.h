/* The safetensors format: u64 length of a JSON head, the head, the tensors' bytes.
   Source: https://huggingface.co/docs/safetensors (format section). Only F32, I64, U8 and I32 are written. */
#ifndef CNND_SAFETENSORS_H
#define CNND_SAFETENSORS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_MAX_HEAD = 100 << 20, SAFETENSORS_MAX_DIMS = 8, SAFETENSORS_NAME_MAX = 200 };
/* Commas in the head, which bound the tree that it makes in memory: some 100,000 tensors. */
enum { SAFETENSORS_MAX_COMMAS = 1 << 20 };

enum safetensors_type {
        SAFETENSORS_F32,
        SAFETENSORS_F16,
        SAFETENSORS_BF16,
        SAFETENSORS_F64,
        SAFETENSORS_I64,
        SAFETENSORS_I32,
        SAFETENSORS_U8,
        SAFETENSORS_OTHER
};

struct safetensors_tensor {
        char name[SAFETENSORS_NAME_MAX + 1];
        enum safetensors_type type;
        int ndim;
        int64_t dims[SAFETENSORS_MAX_DIMS];
        const void *data; /* borrowed: the writer's caller, or the reader's map; NULL of a head */
        uint64_t at;      /* of readers: where the bytes begin in the file */
        size_t bytes;
};

/* Read: the whole file is mapped and checked (lengths, overlaps, holes, dims times type size, JSON) before
   anything is returned; damage is ERR_SYNTAX. What is whole but beyond this reader (a type that it does not
   know, a name or shape longer than the bounds above) is ERR_INVALID. Data may lie unaligned, so take it with
   memcpy or safetensors_read_f32. SAFETENSORS_OTHER are the format's further types (BOOL, I8, I16, U16, U32,
   U64, C64, 8-bit floats): listed and checked like the others, but nothing here reads their values. */
struct safetensors {
        struct safetensors_tensor *tensors; /* owned; sorted by name */
        int count;
        struct {
                char *key, *value; /* owned */
        } * metadata;              /* owned */
        int metadata_count;
        void *map; /* owned; NULL of a head, as `data` are */
        size_t map_len;
        char *head; /* owned; the number that the file begins with, and the text behind it. NULL of a map */
        size_t head_len;
};
int safetensors_open(const char *path, struct safetensors **ret, struct err *e);
/* The same of a file's head alone, which is read: for who may not die of a disk that fails, or of a file that
   is cut. `fd` is borrowed. What is wrong is told without the file's name. */
int safetensors_head(int fd, struct safetensors **ret, struct err *e);
void safetensors_close(struct safetensors *s);
/* NULL where absent. Borrowed. */
const struct safetensors_tensor *safetensors_find(const struct safetensors *s, const char *name);
const char *safetensors_metadata(const struct safetensors *s, const char *key);
/* Copies a float tensor of any float type to `count` floats; ERR_INVALID where the type is no float type or
   the number of elements is another. Names the tensor in the error. */
int safetensors_read_f32(const struct safetensors_tensor *t, float *out, size_t count, struct err *e);

/* Write: metadata is `pairs` NULL-terminated key, value, key, value, …, NULL. The file is written to a
   temporary name in the same directory, fsynced, renamed over `path`, and the directory fsynced: after 0 it
   survives power loss, before that the old file stands. Tensors are written by falling size of their type, in
   the order given within one size: the format allows no holes, and so each still lies aligned to its type.
   ERR_INVALID for a type that is not written, a doubled or empty name, or bytes that are not those of the
   shape. Disk full is ERR_DISK. */
int safetensors_write(const char *path, const struct safetensors_tensor *tensors, int count,
        const char *const *metadata, struct err *e);
/* The bytes of the file that it would write; the tensors' data are not looked at. */
int safetensors_size(const struct safetensors_tensor *tensors, int count, const char *const *metadata,
        uint64_t *ret, struct err *e);

#endif
