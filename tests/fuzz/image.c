/* The decoder of one format: of MEDIA_TYPE. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        fuzz_image(bytes, len, MEDIA_TYPE);
        return 0;
}
