#include "base/file.h"
#include "base/str.h"
#include "model/safetensors.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ALIGN = 8 };

static const struct {
        enum safetensors_type type;
        const char *name;
        size_t size;
} written[] = {{SAFETENSORS_I64, "I64", 8}, {SAFETENSORS_F32, "F32", 4}, {SAFETENSORS_I32, "I32", 4},
        {SAFETENSORS_U8, "U8", 1}};
enum { WRITTEN = sizeof written / sizeof written[0] };

/* Row of `written`, -1 for a type that is not. */
static int row_of(enum safetensors_type type)
{
        for (int i = 0; i < WRITTEN; i++)
                if (written[i].type == type)
                        return i;
        return -1;
}

static int check_tensor(const struct safetensors_tensor *t, struct err *e)
{
        int row = row_of(t->type);
        if (t->name[0] == '\0' || strcmp(t->name, "__metadata__") == 0)
                return err_set(e, ERR_INVALID, "a tensor cannot be named \"%s\"", t->name);
        if (row < 0)
                return err_set(e, ERR_INVALID, "tensor %s: only F32, I64, I32 and U8 are written", t->name);
        if (t->ndim < 0 || t->ndim > SAFETENSORS_MAX_DIMS)
                return err_set(e, ERR_INVALID, "tensor %s has %d dimensions", t->name, t->ndim);
        size_t bytes = written[row].size;
        for (int i = 0; i < t->ndim; i++)
                if (t->dims[i] < 0 || __builtin_mul_overflow(bytes, (size_t)t->dims[i], &bytes))
                        return err_set(e, ERR_INVALID, "tensor %s has impossible dimensions", t->name);
        if (bytes != t->bytes)
                return err_set(e, ERR_INVALID, "tensor %s: %zu bytes, its shape needs %zu", t->name, t->bytes,
                        bytes);
        return 0;
}

static int by_name(const void *a, const void *b)
{
        const struct safetensors_tensor *const *x = a, *const *y = b;
        return strcmp((*x)->name, (*y)->name);
}

/* By falling size of the type, else in the caller's order. */
static int by_place(const void *a, const void *b)
{
        const struct safetensors_tensor *const *x = a, *const *y = b;
        size_t p = written[row_of((*x)->type)].size, q = written[row_of((*y)->type)].size;
        if (p != q)
                return p > q ? -1 : 1;
        return (*x > *y) - (*x < *y);
}

/* The tensors in the order of the file; the caller frees the list. */
static int put_in_order(const struct safetensors_tensor *tensors, int count,
        const struct safetensors_tensor ***ret, struct err *e)
{
        const struct safetensors_tensor **order = calloc((size_t)count + 1, sizeof *order);
        int rc = order ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for the list of tensors");
        for (int i = 0; i < count && rc == 0; i++) {
                order[i] = &tensors[i];
                rc = check_tensor(order[i], e);
        }
        if (rc == 0)
                qsort(order, (size_t)count, sizeof *order, by_name);
        for (int i = 1; i < count && rc == 0; i++)
                if (strcmp(order[i - 1]->name, order[i]->name) == 0)
                        rc = err_set(e, ERR_INVALID, "two tensors are named %s", order[i]->name);
        if (rc == 0) {
                qsort(order, (size_t)count, sizeof *order, by_place);
                *ret = order;
        } else {
                free(order);
        }
        return rc;
}

static void add_metadata(struct str *s, const char *const *metadata)
{
        str_add(s, "\"__metadata__\":{");
        for (int i = 0; metadata[i]; i += 2) {
                str_add(s, i ? "," : "");
                str_add_json(s, metadata[i]);
                str_add(s, ":");
                str_add_json(s, metadata[i + 1]);
        }
        str_add(s, "}");
}

static void add_tensor(struct str *s, const struct safetensors_tensor *t, size_t offset)
{
        str_add_json(s, t->name);
        str_addf(s, ":{\"dtype\":\"%s\",\"shape\":[", written[row_of(t->type)].name);
        for (int i = 0; i < t->ndim; i++)
                str_addf(s, "%s%lld", i ? "," : "", (long long)t->dims[i]);
        str_addf(s, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->bytes);
}

/* Padded with blanks, so that the data begin at a multiple of 8. */
static int make_head(const struct safetensors_tensor *const *order, int count, const char *const *metadata,
        struct str *ret, struct err *e)
{
        size_t offset = 0;
        bool any = metadata && metadata[0];
        str_add(ret, "{");
        if (any)
                add_metadata(ret, metadata);
        for (int i = 0; i < count; i++) {
                str_add(ret, any || i ? "," : "");
                add_tensor(ret, order[i], offset);
                offset += order[i]->bytes;
        }
        str_add(ret, "}");
        while (ret->len % HEAD_ALIGN && !ret->failed)
                str_add(ret, " ");
        if (ret->failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for the head of %d tensors", count);
        if (ret->len > SAFETENSORS_MAX_HEAD)
                return err_set(e, ERR_TOO_LARGE, "a head of %zu bytes", ret->len);
        return 0;
}

int safetensors_write(const char *path, const struct safetensors_tensor *tensors, int count,
        const char *const *metadata, struct err *e)
{
        const struct safetensors_tensor **order = NULL;
        struct file_new *f = NULL;
        struct str head = {0};
        int rc = put_in_order(tensors, count, &order, e);
        if (rc == 0)
                rc = make_head(order, count, metadata, &head, e);
        if (rc == 0)
                rc = file_create(path, &f, e);
        uint64_t head_len = head.len;
        if (rc == 0)
                rc = file_write(f, &head_len, sizeof head_len, e);
        if (rc == 0)
                rc = file_write(f, head.data, head.len, e);
        for (int i = 0; i < count && rc == 0; i++)
                rc = file_write(f, order[i]->data, order[i]->bytes, e);
        if (rc == 0)
                rc = file_commit(f, e);
        else
                file_abandon(f);
        str_free(&head);
        free(order);
        return rc;
}

int safetensors_size(const struct safetensors_tensor *tensors, int count, const char *const *metadata,
        uint64_t *ret, struct err *e)
{
        const struct safetensors_tensor **order = NULL;
        struct str head = {0};
        int rc = put_in_order(tensors, count, &order, e);
        if (rc == 0)
                rc = make_head(order, count, metadata, &head, e);
        if (rc == 0) {
                *ret = sizeof(uint64_t) + head.len;
                for (int i = 0; i < count; i++)
                        *ret += tensors[i].bytes;
        }
        str_free(&head);
        free(order);
        return rc;
}
