#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        fuzz_image(bytes, len, "application/x-npz");
        return 0;
}
