#include "fuzz.h"

#include <string.h>
#include <zlib.h>

enum { SIGNATURE = 8, CHUNK_OVERHEAD = 12 };

static uint32_t length_at(const uint8_t *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Every chunk gets the CRC that fits its bytes; else no mutation would come past the check. */
static void seal_chunks(uint8_t *bytes, size_t len)
{
        for (size_t at = SIGNATURE; at < len && len - at >= CHUNK_OVERHEAD;) {
                uint32_t n = length_at(bytes + at);
                if (n > len - at - CHUNK_OVERHEAD)
                        return;
                uint32_t crc = (uint32_t)crc32(0, bytes + at + 4, n + 4);
                for (int i = 0; i < 4; i++)
                        bytes[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
                at += CHUNK_OVERHEAD + n;
        }
}

/* The last bit of the input says whether the checksums stay as they are. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        uint8_t *copy = malloc(len ? len : 1);
        FUZZ_CHECK(copy);
        if (len) {
                memcpy(copy, bytes, len);
                if (!(bytes[len - 1] & 1))
                        seal_chunks(copy, len);
        }
        fuzz_image(copy, len, "image/png");
        free(copy);
        return 0;
}
