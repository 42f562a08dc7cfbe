#include "daemon/api/oipbody.h"

#include <stdio.h>
#include <string.h>

enum { NPY_HEAD = 128, TAR_BLOCK = 512 };

int64_t oipbody_elements(const struct oip_input *in)
{
        int64_t n = 1;
        for (int i = 0; i < in->dims; i++)
                n *= in->shape[i];
        return n;
}

/* An NPY of format 1.0, whose header is padded to NPY_HEAD. */
static void begin_npy(const struct oip_input *in, char head[NPY_HEAD + 1])
{
        char text[NPY_HEAD - 10];
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d, %d, %d), }",
                in->type->npy, (int)in->shape[0], (int)in->shape[1], (int)in->shape[2], (int)in->shape[3]);
        memcpy(head, "\x93NUMPY\1\0", 8);
        head[8] = NPY_HEAD - 10;
        head[9] = 0;
        snprintf(head + 10, NPY_HEAD - 10 + 1, "%-*s\n", NPY_HEAD - 11, text);
}

static int make_array(const struct oip_input *in, struct oip_body *to, struct err *e)
{
        const size_t len = (size_t)oipbody_elements(in) * (size_t)in->type->size;
        char head[NPY_HEAD + 1];
        /* A number and what parts it from the next are two bytes at least. */
        if (in->numbers && (size_t)oipbody_elements(in) > in->numbers->len / 2)
                return err_at(e, ERR_INVALID, "/inputs/0/data", "%zu bytes hold fewer than %lld numbers",
                        in->numbers->len, (long long)oipbody_elements(in));
        begin_npy(in, head);
        if (!str_reserve(&to->made, NPY_HEAD + len))
                return err_set(e, ERR_NO_MEMORY, "no memory for a tensor of %zu bytes", len);
        str_add_bytes(&to->made, head, NPY_HEAD);
        if (in->numbers) {
                int rc = numbers_read(
                        in->numbers, in->shape, in->dims, in->type->number, to->made.data + NPY_HEAD, e);
                if (rc) {
                        snprintf(e->pointer, sizeof e->pointer, "/inputs/0/data");
                        return rc;
                }
                to->made.len += len;
        } else {
                str_add_bytes(&to->made, in->bytes, len);
        }
        to->data = to->made.data;
        to->len = to->made.len;
        to->media = "application/x-npy";
        return 0;
}

static uint32_t length_at(const unsigned char *p)
{
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* That n elements, each behind its length in four bytes, fill the tensor. */
static int check_files(const struct oip_input *in, struct err *e)
{
        const unsigned char *p = in->bytes, *end = p + in->len;
        for (int64_t i = 0; i < in->shape[0]; i++) {
                const size_t left = (size_t)(end - p);
                if (left < 4)
                        return err_at(e, ERR_INVALID, "/inputs/0",
                                "the %zu bytes of \"image\" end before element %lld of %lld", in->len,
                                (long long)i, (long long)in->shape[0]);
                const uint32_t len = length_at(p);
                if (len == 0 || len > left - 4)
                        return err_at(e, ERR_INVALID, "/inputs/0",
                                "element %lld of \"image\" is to have %u bytes, and %zu follow", (long long)i,
                                len, left - 4);
                p += 4 + len;
        }
        if (p < end)
                return err_at(e, ERR_INVALID, "/inputs/0", "%zu bytes follow the %lld elements of \"image\"",
                        (size_t)(end - p), (long long)in->shape[0]);
        return 0;
}

/* A plain file's header (POSIX ustar). */
static void begin_file(struct str *tar, int64_t index, uint32_t size)
{
        char head[TAR_BLOCK] = "";
        unsigned sum = 0;
        snprintf(head, 100, "element %lld", (long long)index);
        memcpy(head + 100, "0000644\0000000000\0000000000\0", 24);
        snprintf(head + 124, 12, "%011o", size);
        memcpy(head + 136, "00000000000", 12);
        memcpy(head + 148, "        0", 9);
        memcpy(head + 257, "ustar\00000", 8);
        for (int i = 0; i < TAR_BLOCK; i++)
                sum += (unsigned char)head[i];
        snprintf(head + 148, 8, "%06o", sum & 0777777);
        str_add_bytes(tar, head, sizeof head);
}

static int make_files(const struct oip_input *in, struct oip_body *to, struct err *e)
{
        static const char zeros[2 * TAR_BLOCK];
        const unsigned char *p = in->bytes;
        int rc = check_files(in, e);
        if (rc)
                return rc;
        if (in->shape[0] == 1) {
                to->data = (const char *)p + 4;
                to->len = in->len - 4;
                return 0;
        }
        str_reserve(&to->made, in->len + (size_t)in->shape[0] * 2 * TAR_BLOCK + sizeof zeros);
        for (int64_t i = 0; i < in->shape[0]; i++) {
                const uint32_t len = length_at(p);
                begin_file(&to->made, i, len);
                str_add_bytes(&to->made, p + 4, len);
                str_add_bytes(&to->made, zeros, (size_t)-len % TAR_BLOCK);
                p += 4 + len;
        }
        str_add_bytes(&to->made, zeros, sizeof zeros);
        if (to->made.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for a tensor of %zu bytes", in->len);
        to->data = to->made.data;
        to->len = to->made.len;
        to->media = "application/x-tar";
        return 0;
}

int oipbody_make(const struct oip_input *in, struct oip_body *ret, struct err *e)
{
        return in->type->npy ? make_array(in, ret, e) : make_files(in, ret, e);
}
