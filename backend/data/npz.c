/* NPZ: a zip of NPY files, unpacked by libarchive in memory. */
#include "data/decoder.h"
#include "data/packed.h"
#include "data/span.h"
#include "data/unpack.h"

#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 1024, NAME_BYTES = 80, MAGIC = 6 };

struct unpack {
        const unsigned char *bytes;
        size_t len;
        uint64_t unpacked; /* bytes of all arrays so far: entries that overlap would multiply the file */
        struct archive *archive;
        char name[NAME_BYTES], reason[160]; /* of the image found; why the last array was none */
        struct image image;
        bool found;
        struct err *e;
};

static int damaged(struct unpack *u)
{
        const char *why = archive_error_string(u->archive);
        if (why && strstr(why, "Unrecognized"))
                return err_set(u->e, ERR_SYNTAX, "cut short: the list of the arrays, at the end, is missing");
        return err_set(u->e, ERR_SYNTAX, "%s", why ? why : "damaged");
}

/* The entry's size, held against the archive's. */
static int entry_size(struct unpack *u, struct archive_entry *entry, size_t *ret)
{
        const char *how = archive_format_name(u->archive);
        int64_t size = archive_entry_size_is_set(entry) ? archive_entry_size(entry) : -1;
        if (!how || (!strstr(how, "deflation") && !strstr(how, "uncompressed")))
                return err_set(
                        u->e, ERR_INVALID, "%.80s: arrays are read stored or deflated", how ? how : "zip");
        if (size < 0)
                return err_set(u->e, ERR_SYNTAX, "an array without a size");
        if ((uint64_t)size > IMAGE_MAX_BYTES * 2)
                return err_set(u->e, ERR_TOO_LARGE, "an array of %lld bytes", (long long)size);
        u->unpacked += (uint64_t)size;
        if (u->unpacked / DEFLATE_RATIO > u->len)
                return err_set(u->e, ERR_SYNTAX, "too short for arrays of %llu bytes",
                        (unsigned long long)u->unpacked);
        *ret = (size_t)size;
        return 0;
}

/* The whole array, owned; its first `have` bytes are in `head`. One byte more would be too much. */
static int read_rest(
        struct unpack *u, const unsigned char *head, size_t have, size_t size, unsigned char **ret)
{
        unsigned char *bytes = malloc(size + 1);
        if (!bytes)
                return err_set(u->e, ERR_NO_MEMORY, "no memory for an array of %zu bytes", size);
        memcpy(bytes, head, have);
        ssize_t n = unpack_read(u->archive, bytes + have, size + 1 - have);
        if (n != (ssize_t)(size - have)) {
                free(bytes);
                return n < 0 ? damaged(u) : err_set(u->e, ERR_SYNTAX, "an array is not as long as it claims");
        }
        *ret = bytes;
        return 0;
}

/* Decodes one array; what is wrong with it alone goes to *why. The beginning tells whether it can be an
   image, so that nothing else is unpacked. */
static int decode_entry(struct unpack *u, struct archive_entry *entry, struct image *im, struct err *why)
{
        unsigned char head[NPY_HEAD_BYTES], *bytes = NULL;
        size_t size = 0;
        int rc = entry_size(u, entry, &size);
        if (rc != 0)
                return rc;
        ssize_t have = unpack_read(u->archive, head, size < sizeof head ? size : sizeof head);
        if (have < 0)
                return damaged(u);
        if (have < MAGIC || memcmp(head, "\x93NUMPY", MAGIC) != 0)
                return err_set(why, ERR_SYNTAX, "no array");
        if (npy_check(head, (size_t)have, size, why) != 0)
                return why->code;
        rc = read_rest(u, head, (size_t)have, size, &bytes);
        if (rc == 0)
                rc = npy_decode(bytes, size, im, why);
        free(bytes);
        return rc;
}

/* An array that cannot be an image is passed over; a second image makes the file ambiguous. */
static int take_entry(struct unpack *u, struct archive_entry *entry)
{
        const char *name = archive_entry_pathname(entry);
        size_t name_len = name ? strlen(name) : 0;
        struct image im = {0};
        struct err why = {0};
        if (name_len < 4 || strcmp(name + name_len - 4, ".npy") != 0)
                return 0;
        int rc = decode_entry(u, entry, &im, &why);
        if (why.code == ERR_INVALID) {
                snprintf(u->reason, sizeof u->reason, "%.60s: %.90s", name, why.message);
                return 0;
        }
        if (why.code)
                return err_set(u->e, why.code, "%.60s: %s", name, why.message);
        if (rc != 0)
                return rc;
        if (u->found) {
                image_finish(&im);
                return err_set(u->e, ERR_INVALID, "both %s and %.60s can be images; send one", u->name, name);
        }
        snprintf(u->name, sizeof u->name, "%.60s", name);
        u->image = im;
        u->found = true;
        return 0;
}

static int read_archive(struct unpack *u)
{
        struct archive_entry *entry = NULL;
        /* The seeking reader believes the directory at the end, as NumPy does. */
        if (archive_read_support_format_zip_seekable(u->archive) != ARCHIVE_OK ||
                archive_read_open_memory(u->archive, u->bytes, u->len) != ARCHIVE_OK)
                return damaged(u);
        for (int count = 0;; count++) {
                int rc = archive_read_next_header(u->archive, &entry);
                if (rc == ARCHIVE_EOF)
                        break;
                if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
                        return damaged(u);
                if (count == MAX_ENTRIES)
                        return err_set(u->e, ERR_TOO_LARGE, "more than %d files", MAX_ENTRIES);
                rc = take_entry(u, entry);
                if (rc != 0)
                        return rc;
        }
        if (u->found)
                return 0;
        return err_set(u->e, ERR_INVALID, "%s", u->reason[0] ? u->reason : "a zip without arrays");
}

int npz_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct unpack u = {.bytes = bytes, .len = len, .e = e};
        u.archive = archive_read_new();
        if (!u.archive)
                return err_set(e, ERR_NO_MEMORY, "no memory to decode");
        int rc = read_archive(&u);
        archive_read_free(u.archive);
        if (rc == 0)
                *ret = u.image;
        else
                image_finish(&u.image);
        return rc;
}
