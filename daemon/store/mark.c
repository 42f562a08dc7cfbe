#include "daemon/store/mark.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BYTES = 4 << 20, PIECE_MIN = 64, PIECE_MAX = 16 << 10, OF_TENSOR = 3, OF_IMAGES = 64 };

struct mark {
        gnutls_hash_hd_t hash;
        bool failed;
};

static int begin(struct mark *m, struct err *e)
{
        *m = (struct mark){0};
        if (gnutls_hash_init(&m->hash, GNUTLS_DIG_SHA256) == 0)
                return 0;
        gnutls_free(m->hash); /* which stays behind when there is no memory for more */
        return err_set(e, ERR_NO_MEMORY, "no memory for SHA-256");
}

static int finish(struct mark *m, char ret[MARK_DIGITS + 1], struct err *e)
{
        unsigned char digest[MARK_DIGITS / 2];
        gnutls_hash_deinit(m->hash, digest);
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

/* `pieces` of `piece` bytes from the first to the last; all of what is no longer than they are. */
static void add_pieces(struct mark *m, const void *p, size_t len, size_t piece, size_t pieces)
{
        if (len <= piece * pieces) {
                add(m, p, len);
                return;
        }
        const size_t step = (len - piece) / (pieces - 1);
        for (size_t i = 0; i + 1 < pieces; i++)
                add(m, (const char *)p + i * step, piece);
        add(m, (const char *)p + len - piece, piece);
}

int mark_model(const struct safetensors *st, char ret[MARK_DIGITS + 1], struct err *e)
{
        struct mark m;
        uint64_t head; /* the number that the file begins with */
        size_t piece = PIECE_MAX;
        if (st->count && BYTES / OF_TENSOR / (size_t)st->count < piece)
                piece = BYTES / OF_TENSOR / (size_t)st->count;
        if (piece < PIECE_MIN)
                piece = PIECE_MIN;
        int rc = begin(&m, e);
        if (rc)
                return rc;
        memcpy(&head, st->map, sizeof head);
        add(&m, st->map, sizeof head + (size_t)head);
        for (int i = 0; i < st->count; i++)
                add_pieces(&m, st->tensors[i].data, st->tensors[i].bytes, piece, OF_TENSOR);
        return finish(&m, ret, e);
}

int mark_dataset(const struct dataset *d, char ret[MARK_DIGITS + 1], struct err *e)
{
        struct mark m;
        const char *head = d->map;
        int rc = begin(&m, e);
        if (rc)
                return rc;
        add(&m, head, (size_t)((const char *)d->split[0].images - head));
        for (int s = 0; s < DATASET_SPLITS; s++) {
                const size_t count = (size_t)d->split[s].count;
                add(&m, d->split[s].labels, count * sizeof d->split[s].labels[0]);
                add_pieces(&m, d->split[s].images, count * dataset_image_bytes(d), PIECE_MAX, OF_IMAGES);
        }
        return finish(&m, ret, e);
}
