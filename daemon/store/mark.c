#include "daemon/store/mark.h"

#include "base/file.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 4 << 20, PIECE_MIN = 64, PIECE_MAX = 16 << 10, OF_TENSOR = 3, OF_IMAGES = 64 };

struct mark {
        gnutls_hash_hd_t hash;
        int fd;                /* borrowed */
        unsigned char *buffer; /* owned; PIECE_MAX bytes */
        bool failed;
};

static int begin(struct mark *m, int fd, struct err *e)
{
        *m = (struct mark){.fd = fd, .buffer = malloc(PIECE_MAX)};
        if (!m->buffer)
                return err_set(e, ERR_NO_MEMORY, "no memory for a mark");
        if (gnutls_hash_init(&m->hash, GNUTLS_DIG_SHA256) == 0)
                return 0;
        gnutls_free(m->hash); /* which stays behind when there is no memory for more */
        free(m->buffer);
        return err_set(e, ERR_NO_MEMORY, "no memory for SHA-256");
}

/* `rc` is what came of it so far. */
static int finish(struct mark *m, int rc, char ret[MARK_DIGITS + 1], struct err *e)
{
        unsigned char digest[MARK_DIGITS / 2];
        gnutls_hash_deinit(m->hash, digest);
        free(m->buffer);
        if (rc)
                return rc;
        if (m->failed)
                return err_set(e, ERR_INTERNAL, "SHA-256 cannot be had");
        for (size_t i = 0; i < sizeof digest; i++)
                snprintf(ret + 2 * i, 3, "%02x", digest[i]);
        return 0;
}

static void add(struct mark *m, const void *p, size_t len)
{
        m->failed = m->failed || (len && gnutls_hash(m->hash, p, len) < 0);
}

static int add_part(struct mark *m, uint64_t at, uint64_t len, struct err *e)
{
        int rc = 0;
        while (len && rc == 0) {
                const size_t n = len < PIECE_MAX ? (size_t)len : PIECE_MAX;
                rc = file_piece(m->fd, "the file", at, m->buffer, n, e);
                if (rc == 0)
                        add(m, m->buffer, n);
                at += n;
                len -= n;
        }
        return rc;
}

/* `pieces` of `piece` bytes from the first to the last; all of what is no longer than they are. */
static int add_pieces(struct mark *m, uint64_t at, uint64_t len, size_t piece, size_t pieces, struct err *e)
{
        int rc = 0;
        if (len <= piece * pieces)
                return add_part(m, at, len, e);
        const uint64_t step = (len - piece) / (pieces - 1);
        for (size_t i = 0; i + 1 < pieces && rc == 0; i++)
                rc = add_part(m, at + i * step, piece, e);
        return rc ? rc : add_part(m, at + len - piece, piece, e);
}

int mark_model(const struct safetensors *st, int fd, char ret[MARK_DIGITS + 1], struct err *e)
{
        struct mark m;
        size_t piece = PIECE_MAX;
        if (st->count && BYTES / OF_TENSOR / (size_t)st->count < piece)
                piece = BYTES / OF_TENSOR / (size_t)st->count;
        if (piece < PIECE_MIN)
                piece = PIECE_MIN;
        int rc = begin(&m, fd, e);
        if (rc)
                return rc;
        add(&m, st->head, st->head_len);
        for (int i = 0; i < st->count && rc == 0; i++)
                rc = add_pieces(&m, st->tensors[i].at, st->tensors[i].bytes, piece, OF_TENSOR, e);
        return finish(&m, rc, ret, e);
}

int mark_dataset(const struct dataset *d, int fd, char ret[MARK_DIGITS + 1], struct err *e)
{
        struct mark m;
        int rc = begin(&m, fd, e);
        if (rc)
                return rc;
        rc = add_part(&m, 0, d->split[0].images_at, e);
        for (int s = 0; s < DATASET_SPLITS && rc == 0; s++) {
                const uint64_t count = (uint64_t)d->split[s].count;
                rc = add_part(&m, d->split[s].labels_at, count * sizeof d->split[s].labels[0], e);
                if (rc == 0)
                        rc = add_pieces(&m, d->split[s].images_at, count * dataset_image_bytes(d), PIECE_MAX,
                                OF_IMAGES, e);
        }
        return finish(&m, rc, ret, e);
}
