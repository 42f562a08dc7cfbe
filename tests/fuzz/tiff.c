#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        fuzz_image(bytes, len, "image/tiff");
        return 0;
}
