/* What the files of this folder share: the OpenCL headers, the device's inside, status texts. */
#ifndef CNND_CL_H
#define CNND_CL_H

#include "device/clblast.h"
#include "device/dev.h"
#include "device/launch.h"

#include <CL/cl.h>

struct prog;

/* A command that was enqueued and whose end nobody has looked at yet. */
struct pending {
        cl_event event;
        const char *what; /* borrowed: a literal */
        void *copy;       /* owned; what the command reads, NULL for nothing of ours */
};
enum { PENDING_MAX = 1024 };

struct dev {
        struct dev_info info;
        cl_device_id id;
        cl_context ctx;
        cl_command_queue queue; /* in order */
        uint64_t limit, bytes, peak;
        uint64_t refused;              /* buffers that found no room */
        char *cache_dir;               /* owned; NULL for no disk cache */
        struct prog *programs;         /* owned list; every program built so far */
        struct launch_list *recording; /* borrowed; launches go there instead of the queue while not NULL */
        struct pending pending[PENDING_MAX];
        int num_pending, num_before; /* the first so many were enqueued before the last dev_catch_up */
        void (*build)(void *ctx, bool begins); /* NULL: nobody watches */
        void *build_ctx;
        bool marks[DEV_MARKS];
        bool has_clblast; /* its parameters: clblast_apply */
        struct clblast_params clblast;
};

struct buf {
        struct dev *dev; /* borrowed */
        cl_mem mem;
        size_t bytes;
};

/* ERR_DEVICE_MEMORY for the statuses that mean it, ERR_DEVICE for those that mean the call alone, ERR_LOST
   for those after which the device or its context is of no use; the message ends in the status's name. */
int err_cl(struct err *e, cl_int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "CL_INVALID_VALUE" for -30. */
const char *cl_status_name(cl_int status);

/* Where a device sits, "domain:bus:device.function" in hexadecimal as nvidia-smi has it, at most 24 bytes;
   false where its driver does not tell. */
bool pci_address(cl_device_id id, char *ret, size_t len);

/* The kernel `name` of the program made of kernels/FILE.cl with `options`, built or taken from the cache. A
   new kernel object each time: the caller releases it. */
int prog_kernel(struct dev *d, const char *file, const char *options, const char *name, cl_kernel *ret,
        struct err *e);
void prog_release_all(struct dev *d);
/* For dev_watch_builds. */
void prog_tell(const struct dev *d, bool begins);

/* A product with its matrices bound: what a launch list holds of it. The view's buffers must outlive it. */
struct clblast_call;
int clblast_call_create(struct dev *d, const struct gemm *g, struct clblast_call **ret, struct err *e);
void clblast_call_destroy(struct clblast_call *call);
/* The event, the caller's, is that of its last kernel. */
int clblast_call_enqueue(struct dev *d, const struct clblast_call *call, cl_event *ret, struct err *e);
/* A driver may take a command and fail it later, which its event alone tells. Takes the event of one that was
   enqueued; where very many are kept it waits for them. */
int pending_add(struct dev *d, cl_event event, const char *what, struct err *e);
/* The same of a command that reads `copy`, malloc'ed: it is freed when the command has ended. */
int pending_add_copy(struct dev *d, cl_event event, const char *what, void *copy, struct err *e);
/* After the queue was waited for: the error is that of the first command that failed. None is kept. */
int pending_check(struct dev *d, struct err *e);

#endif
