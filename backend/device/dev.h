/* OpenCL devices: finding, opening, capabilities. This folder alone includes <CL/cl.h>; the rest of the
   engine sees the opaque structs below. One thread owns a device and everything made on it. */
#ifndef CNND_DEV_H
#define CNND_DEV_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dev_type { DEV_CPU, DEV_GPU, DEV_ACCELERATOR };

/* Matrix units for tf32: NVIDIA's since compute capability 8.0, with an instruction that rounds to it since
   9.0; or their arithmetic on what there is, which is for tests (CNND_TEST_TF32 in the environment). */
enum dev_tf32 { DEV_TF32_NONE, DEV_TF32_UNITS, DEV_TF32_ROUNDING_UNITS, DEV_TF32_EMULATED };

/* What a device is, copied out of the driver once; plain data that the front may keep. */
struct dev_info {
        char id[24]; /* "platform:device": vendors.h's numbers; without vendors_use, the loader's */
        char name[128], vendor[128], driver[64], version[64], platform[128], platform_version[128];
        char uuid[33]; /* hexadecimal; "" where the driver tells of none */
        char card[24]; /* the hardware, whichever driver shows it: a PCI address, "cpu"; "" where nobody tells
                        */
        bool generic;  /* the driver is made for many vendors' hardware, which mostly has a better one of its
                          own */
        enum dev_type type;
        uint64_t global_bytes, max_alloc_bytes, local_bytes;
        int compute_units;
        size_t max_work_group;
        size_t base_align_bytes; /* of a sub-buffer */
        int native_width;        /* floats in a vector register, as the driver says; 1 on most GPUs */
        bool fma;                /* in hardware; kernels do without where a driver would emulate it */
        bool slow_binaries;      /* the driver compiles a program's kernels anew when asked for its binary */
        bool limits_registers;   /* the compiler takes NVIDIA's -cl-nv-maxrregcount */
        enum dev_tf32 tf32;
        bool clblast; /* whether CLBlast may multiply there: on GPUs, where it was built in. CNND_TEST_CLBLAST
                         in the environment is for tests: on every device */
        int lanes;    /* samples that stand side by side in a blocked tensor on this device (tensor.h): 16 on
                         CPUs. CNND_TEST_LANES in the environment is for tests: another number on every device */
};

/* The folder where drivers shall keep what they compile, those excepted that the environment names another
   one for. It has to be there: not every driver makes it. Before any other call here, with one thread. */
int dev_driver_cache(const char *dir, struct err *e);
/* Whether the environment names one for PoCL. */
bool dev_driver_cache_chosen(void);

/* Every device of every platform. *ret is malloc'ed, the caller frees it; 0 devices is no error. */
int dev_list(struct dev_info **ret, int *ret_count, struct err *e);
/* True if `spec` ("0:0", "type:cpu", "type:gpu", "all") names this device. */
bool dev_matches(const struct dev_info *info, const char *spec);
/* ERR_INVALID for a spec that none of the forms above fits. */
int dev_check_spec(const char *spec, struct err *e);

struct dev;
struct dev_options {
        const char *cache_dir; /* compiled kernels; NULL for none */
        uint64_t memory_limit; /* device bytes this process may allocate; 0 for the device's own limit */
        const char *uuid;      /* of the device that is meant; NULL or "" for any */
};
/* Opens the first device that `spec` names; with a uuid the one that has it, for where a device is gone,
   another may stand in its place. ERR_NOT_FOUND when there is none, ERR_UNAVAILABLE where another program
   seems to have it, so that it may be had later. */
int dev_open(const char *spec, const struct dev_options *options, struct dev **ret, struct err *e);
void dev_close(struct dev *d);
const struct dev_info *dev_info(const struct dev *d);
/* Bytes in buffers now, and at most since dev_peak_reset or the opening. */
uint64_t dev_bytes(const struct dev *d);
uint64_t dev_peak_bytes(const struct dev *d);
void dev_peak_reset(struct dev *d);
/* How many buffers found no room since the opening. */
uint64_t dev_refused(const struct dev *d);
uint64_t dev_free_bytes(const struct dev *d);
/* Waits until everything enqueued is done; the failure of a command since the last wait comes out here, and
   in blocking copies (buf.h). */
int dev_finish(struct dev *d, struct err *e);
/* The same of what was enqueued before the last call of this, of dev_finish or of a blocking copy; what was
   enqueued since is begun and goes on. */
int dev_catch_up(struct dev *d, struct err *e);

/* Calls `build` before a program is compiled, which may take a driver minutes, and after it: in the thread of
   whoever needs it. After a kernel's first launch, for which some drivers compile, it is called once more as
   after it. */
void dev_watch_builds(struct dev *d, void (*build)(void *ctx, bool begins), void *ctx);

/* Numbered marks that stay with an open device, for whoever needs to remember something about it:
   ops/selftest.h numbers what it found wrong. 0 <= mark < DEV_MARKS. */
enum { DEV_MARKS = 192 };
void dev_mark(struct dev *d, int mark);
bool dev_marked(const struct dev *d, int mark);

/* What a GPU's driver may take of so many bytes of memory for code, stacks and page tables, which it reports
   as well. */
static inline uint64_t dev_driver_bytes(uint64_t memory)
{
        const uint64_t part = memory / 16, most = 1 << 30;
        return part < most ? part : most;
}

/* "type:cpu" etc. to and from text. */
const char *dev_type_name(enum dev_type t);

#endif
