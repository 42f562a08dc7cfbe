/* Matrix products by CLBlast, where the build found it. Its kernels are made for parameters, and those that
   it ships are poor on most devices: nothing is multiplied before clblast_apply has given it some that were
   measured on this device (ops/tuner).

   CLBlast before 1.6.1 keeps what it compiled in a cache that is not safe where two threads use two devices
   at once: a worker has one device and one thread that uses it. */
#ifndef CNND_CLBLAST_H
#define CNND_CLBLAST_H

#include "base/err.h"
#include "base/str.h"
#include "device/dev.h"
#include "device/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version it was built with, "1.5.3"; NULL where it was built without. */
const char *clblast_version(void);

/* What CLBlast's kernel Xgemm is compiled for, in its own names and their alphabetical order: tiles of a
   work-group (MWG, NWG, KWG), its work-items (MDIMC, NDIMC), how they load (MDIMA, NDIMB), unrolling (KWI),
   strided access (STRM, STRN), local memory (SA, SB), vectors (VWM, VWN). GEMMK is 0 and KREG is 1: the
   kernel that goes through local memory. The text is "GEMMK=0 KREG=1 KWG=16 …". */
enum { CLBLAST_PARAMS = 16, CLBLAST_TEXT = 192 };
struct clblast_params {
        int value[CLBLAST_PARAMS];
};
/* Whole texts of `len` bytes alone. ERR_INVALID says which parameter is wrong, and why. */
int clblast_params_read(const char *text, size_t len, struct clblast_params *ret, struct err *e);
void clblast_params_print(const struct clblast_params *p, struct str *out);
bool clblast_params_equal(const struct clblast_params *a, const struct clblast_params *b);

/* In force for what is enqueued from now on, recorded launches too; the next product compiles CLBlast's
   kernels, unless these parameters are in force already. ERR_STATE where CLBlast is not there, or not for
   this device (dev_info.clblast). */
int clblast_apply(struct dev *d, const struct clblast_params *p, struct err *e);
/* No parameters are in force any more, and what was compiled is gone. */
void clblast_forget(struct dev *d);
/* NULL before the first. */
const struct clblast_params *clblast_applied(const struct dev *d);

/* C (m x n) = op(A) (m x k) op(B) (k x n), or added to C. Column by column as in BLAS: A is m x k with `lda`
   floats from column to column, or k x m where `turn_a`. `workspace` holds clblast_workspace_floats. Launched
   by launch_gemm. */
struct gemm {
        struct view a, b, c, workspace;
        bool turn_a, turn_b, accumulate;
        int m, n, k, lda, ldb, ldc;
};
/* At most, whatever the parameters: the matrices once more, padded to whole tiles. Products of the same three
   sizes in another order take as much. */
uint64_t clblast_workspace_floats(int m, int n, int k, const struct dev_info *info);

#endif
