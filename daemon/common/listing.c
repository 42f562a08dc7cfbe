#include "daemon/common/listing.h"

#include <stdio.h>

bool listing_takes(struct listing *l, const char *name, size_t bytes)
{
        l->more = l->count == l->limit || (l->count && bytes > LISTING_BYTES - l->bytes);
        if (l->more)
                return false;
        l->count++;
        l->bytes = bytes > LISTING_BYTES - l->bytes ? LISTING_BYTES : l->bytes + bytes;
        snprintf(l->last, sizeof l->last, "%s", name);
        return true;
}
