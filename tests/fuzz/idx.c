#include "fuzz.h"

#include "data/idx.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char path[FUZZ_PATH_BYTES];
        int fd = fuzz_file(bytes, len, path);
        for (int ndim = 1; ndim <= IDX_MAX_DIMS; ndim += 2) {
                struct err e = {0};
                struct idx x = {0};
                int rc = idx_read(path, ndim, &x, &e);
                FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_SYNTAX || rc == ERR_TOO_LARGE));
                if (rc == 0) {
                        size_t count = 1;
                        for (int i = 0; i < ndim; i++)
                                count *= x.dims[i];
                        FUZZ_CHECK(x.ndim == ndim && count == x.len && count > 0);
                }
                idx_finish(&x);
        }
        close(fd);
        return 0;
}
