#include "data/unpack.h"

ssize_t unpack_read(struct archive *a, void *to, size_t len)
{
        size_t have = 0;
        while (have < len) {
                ssize_t n = archive_read_data(a, (char *)to + have, len - have);
                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                have += (size_t)n;
        }
        return (ssize_t)have;
}
