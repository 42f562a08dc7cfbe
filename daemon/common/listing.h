/* A page of a list that is sorted by name, short enough to keep nobody waiting. */
#ifndef CNND_LISTING_H
#define CNND_LISTING_H

#include <stdbool.h>
#include <stddef.h>

enum { LISTING_MAX = 500, LISTING_NAME = 65 };
/* Of what is said of them; one that takes more stands alone. */
enum { LISTING_BYTES = 1 << 20 };

/* The caller sets the first two. */
struct listing {
        const char *after; /* borrowed; it begins behind this name, "" for the first */
        int limit;         /* 1 to LISTING_MAX */
        int count;         /* of those that are in it */
        size_t bytes;
        char last[LISTING_NAME]; /* of these */
        bool more;               /* others follow: the next part begins behind `last` */
};

/* Whether the next one, of which so many bytes are said, is in it. */
bool listing_takes(struct listing *l, const char *name, size_t bytes);

#endif
