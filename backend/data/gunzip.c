#include "data/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PACKED_BYTES = 1 << 16, UNPACKED_BYTES = 1 << 16, TAIL = 512, GZIP_ONLY = 16 };

struct gunzip {
        FILE *file;                 /* owned */
        const unsigned char *bytes; /* borrowed, `left` of them to come */
        size_t left;
        z_stream z;
        uint64_t read, unpacked; /* bytes of the file, and out of it */
        bool ended;
        size_t zeros; /* at the end of what was unpacked */
        unsigned char in[PACKED_BYTES], out[UNPACKED_BYTES];
};

bool gunzip_is(const void *head, size_t len)
{
        return len >= 2 && memcmp(head, "\x1f\x8b", 2) == 0;
}

struct gunzip *gunzip_create(FILE *file, const void *bytes, size_t len)
{
        struct gunzip *g = calloc(1, sizeof *g);
        if (!g || inflateInit2(&g->z, GZIP_ONLY + MAX_WBITS) != Z_OK) {
                free(g);
                if (file)
                        fclose(file);
                return NULL;
        }
        g->file = file;
        g->bytes = bytes;
        g->left = len;
        return g;
}

void gunzip_destroy(struct gunzip *g)
{
        if (!g)
                return;
        inflateEnd(&g->z);
        if (g->file)
                fclose(g->file);
        free(g);
}

/* False at the end of the file. */
static bool refill(struct gunzip *g)
{
        size_t n = g->left < sizeof g->in ? g->left : sizeof g->in;
        if (g->z.avail_in)
                return true;
        if (g->file) {
                n = fread(g->in, 1, sizeof g->in, g->file);
        } else if (n) {
                memcpy(g->in, g->bytes, n);
                g->bytes += n;
                g->left -= n;
        }
        g->z.next_in = g->in;
        g->z.avail_in = (uInt)n;
        g->read += n;
        return n > 0;
}

static void count_zeros(struct gunzip *g, size_t n)
{
        size_t zeros = 0;
        while (zeros < n && g->out[n - 1 - zeros] == 0)
                zeros++;
        g->zeros = zeros == n ? g->zeros + n : zeros;
        g->unpacked += n;
}

/* Several files may follow each other; what follows and is none is passed over, as gzip does. */
static void end_member(struct gunzip *g)
{
        g->ended = !refill(g) || g->z.next_in[0] != 0x1f;
        if (!g->ended)
                inflateReset(&g->z);
}

la_ssize_t gunzip_read(struct archive *a, void *ctx, const void **ret)
{
        struct gunzip *g = ctx;
        g->z.next_out = g->out;
        g->z.avail_out = sizeof g->out;
        while (g->z.avail_out && !g->ended) {
                if (!refill(g)) {
                        archive_set_error(a, EILSEQ, "the gzip file is cut short");
                        return ARCHIVE_FATAL;
                }
                int rc = inflate(&g->z, Z_NO_FLUSH);
                if (rc == Z_STREAM_END) {
                        end_member(g);
                } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
                        archive_set_error(a, rc == Z_MEM_ERROR ? ENOMEM : EILSEQ, "gzip: %s",
                                g->z.msg ? g->z.msg : "damaged");
                        return ARCHIVE_FATAL;
                }
        }
        size_t n = sizeof g->out - g->z.avail_out;
        count_zeros(g, n);
        *ret = g->out;
        return (la_ssize_t)n;
}

uint64_t gunzip_packed(const struct gunzip *g)
{
        return g->read - g->z.avail_in;
}

uint64_t gunzip_unpacked(const struct gunzip *g)
{
        return g->unpacked;
}

bool gunzip_ends_in_zeros(const struct gunzip *g)
{
        return g->zeros >= (g->unpacked < TAIL ? g->unpacked : TAIL);
}
