/* A driver that fails on demand: a layer of the OpenCL loader (OPENCL_LAYERS) that stands between cnnd and
   every driver, counts each call that cnnd makes, and lets chosen ones fail, hang or kill the process. A
   layer, not a preloaded library: the loader alone takes it in, so that the front, which never calls OpenCL,
   runs as it is, and sanitizers come first.

   CNND_FAULTS names a file of one struct plan, mapped by all processes: faults.py writes there what shall go
   wrong and reads what did. Counters run on over the deaths of workers. Without it nothing goes wrong. */
#include <CL/cl_layer.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLS(X)                                                                                             \
        X(clGetPlatformIDs)                                                                                  \
        X(clGetPlatformInfo)                                                                                 \
        X(clGetDeviceIDs)                                                                                    \
        X(clGetDeviceInfo)                                                                                   \
        X(clCreateContext)                                                                                   \
        X(clReleaseContext)                                                                                  \
        X(clCreateCommandQueueWithProperties)                                                                \
        X(clReleaseCommandQueue)                                                                             \
        X(clCreateBuffer)                                                                                    \
        X(clReleaseMemObject)                                                                                \
        X(clCreateProgramWithSource)                                                                         \
        X(clCreateProgramWithBinary)                                                                         \
        X(clReleaseProgram)                                                                                  \
        X(clBuildProgram)                                                                                    \
        X(clGetProgramInfo)                                                                                  \
        X(clGetProgramBuildInfo)                                                                             \
        X(clCreateKernel)                                                                                    \
        X(clReleaseKernel)                                                                                   \
        X(clSetKernelArg)                                                                                    \
        X(clGetKernelInfo)                                                                                   \
        X(clEnqueueNDRangeKernel)                                                                            \
        X(clEnqueueWriteBuffer)                                                                              \
        X(clEnqueueReadBuffer)                                                                               \
        X(clEnqueueFillBuffer)                                                                               \
        X(clFlush)                                                                                           \
        X(clFinish)                                                                                          \
        X(clGetEventInfo)                                                                                    \
        X(clReleaseEvent)                                                                                    \
        X(clEnqueueCopyBuffer)                                                                               \
        X(clWaitForEvents)

enum call {
#define X(name) CALL_##name,
        CALLS(X)
#undef X
                CALL_COUNT
};

/* How a call goes wrong. */
enum kind {
        KIND_NONE,
        KIND_FAIL,  /* it returns the status and does nothing */
        KIND_LATE,  /* a command is taken, does nothing, and its event ends with the status */
        KIND_LOST,  /* from now on all that works on the device returns the status, until the process ends */
        KIND_HANG,  /* it never returns */
        KIND_ABORT, /* the driver's assertion */
        KIND_SEGV
};

/* The shared file; faults.py knows it as 8 int32 and CALL_COUNT times (48 bytes, 1 int32). */
struct plan {
        _Atomic int call; /* index into calls; -1 for none */
        int kind, status;
        int first; /* the how-manieth matching call it is, from 1 */
        int times; /* so many calls from there, or processes for all but KIND_FAIL and KIND_LATE; 0: every */
        int min_bytes; /* transfers below it do not match */
        _Atomic int seen, hits;
        struct {
                char name[48];
                _Atomic int count;
        } calls[CALL_COUNT];
};

static const cl_icd_dispatch *next;
static cl_icd_dispatch table;
static struct plan *plan;
static int lost; /* the status of a lost device */

enum { MAX_LATE = 64 };
static struct {
        cl_event event;
        cl_int status;
} late[MAX_LATE]; /* events that fail; one thread calls OpenCL */

static void open_plan(void)
{
        static const char *const names[] = {
#define X(name) #name,
                CALLS(X)
#undef X
        };
        const char *path = getenv("CNND_FAULTS");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0)
                return;
        void *at = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED)
                abort();
        plan = at;
        for (int i = 0; i < CALL_COUNT; i++)
                strncpy(plan->calls[i].name, names[i], sizeof plan->calls[i].name - 1);
}

/* What a lost device still answers: about itself, and that something is let go. */
static bool survives_loss(enum call call)
{
        return call <= CALL_clGetDeviceInfo || call == CALL_clReleaseContext ||
               call == CALL_clReleaseCommandQueue || call == CALL_clReleaseMemObject ||
               call == CALL_clReleaseProgram || call == CALL_clReleaseKernel || call == CALL_clReleaseEvent;
}

/* Whether it is this call's turn. A process that hangs, dies or loses its device counts once. */
static bool due(enum call call, size_t bytes)
{
        if (atomic_load(&plan->call) != (int)call || bytes < (size_t)plan->min_bytes)
                return false;
        if (atomic_fetch_add(&plan->seen, 1) + 1 < plan->first)
                return false;
        if (plan->times && atomic_load(&plan->hits) >= plan->times)
                return false;
        atomic_fetch_add(&plan->hits, 1);
        return true;
}

/* CL_SUCCESS to go on, else what to return. *ret_late: the command is to be dropped, its event to fail. */
static cl_int strike(enum call call, size_t bytes, cl_int *ret_late)
{
        if (!plan)
                return CL_SUCCESS;
        atomic_fetch_add(&plan->calls[call].count, 1);
        if (lost)
                return survives_loss(call) ? CL_SUCCESS : lost;
        if (!due(call, bytes))
                return CL_SUCCESS;
        switch ((enum kind)plan->kind) {
        case KIND_LATE:
                if (ret_late)
                        *ret_late = plan->status;
                return ret_late ? CL_SUCCESS : plan->status;
        case KIND_LOST:
                lost = plan->status;
                return lost;
        case KIND_HANG:
                for (;;)
                        pause();
        case KIND_ABORT:
                abort();
        case KIND_SEGV:
                signal(SIGSEGV, SIG_DFL); /* sanitizers would tell of it as a defect of ours */
                raise(SIGSEGV);
                abort();
        case KIND_FAIL:
        case KIND_NONE:
                break;
        }
        return plan->status;
}

/* A command that does nothing in the place of one that fails later. */
static cl_int fail_later(cl_command_queue queue, cl_int status, cl_event *event)
{
        cl_int rc = next->clEnqueueMarkerWithWaitList(queue, 0, NULL, event);
        for (int i = 0; rc == CL_SUCCESS && event && i < MAX_LATE; i++)
                if (!late[i].event) {
                        late[i].event = *event;
                        late[i].status = status;
                        break;
                }
        return rc;
}

#define STATUS(name, params, args)                                                                           \
        static CL_API_ENTRY cl_int CL_API_CALL my_##name params                                              \
        {                                                                                                    \
                cl_int status = strike(CALL_##name, 0, NULL);                                                \
                return status ? status : next->name args;                                                    \
        }
#define OBJECT(type, name, params, args)                                                                     \
        static CL_API_ENTRY type CL_API_CALL my_##name params                                                \
        {                                                                                                    \
                cl_int status = strike(CALL_##name, 0, NULL);                                                \
                if (status == CL_SUCCESS)                                                                    \
                        return next->name args;                                                              \
                if (ret)                                                                                     \
                        *ret = status;                                                                       \
                return NULL;                                                                                 \
        }
#define COMMAND(name, params, args, bytes, block)                                                            \
        static CL_API_ENTRY cl_int CL_API_CALL my_##name params                                              \
        {                                                                                                    \
                cl_int later = CL_SUCCESS, status = strike(CALL_##name, bytes, (block) ? NULL : &later);     \
                if (later)                                                                                   \
                        return fail_later(queue, later, event);                                              \
                return status ? status : next->name args;                                                    \
        }

#define WAITS cl_uint num, const cl_event *list, cl_event *event
#define INFO  cl_uint what, size_t size, void *value, size_t *ret

STATUS(clGetPlatformIDs, (cl_uint num, cl_platform_id *ids, cl_uint *ret), (num, ids, ret))
STATUS(clGetPlatformInfo, (cl_platform_id p, INFO), (p, what, size, value, ret))
STATUS(clGetDeviceIDs, (cl_platform_id p, cl_device_type type, cl_uint num, cl_device_id *ids, cl_uint *ret),
        (p, type, num, ids, ret))
STATUS(clGetDeviceInfo, (cl_device_id d, INFO), (d, what, size, value, ret))
OBJECT(cl_context, clCreateContext,
        (const cl_context_properties *properties, cl_uint num, const cl_device_id *ids,
                void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *), void *ctx,
                cl_int *ret),
        (properties, num, ids, notify, ctx, ret))
STATUS(clReleaseContext, (cl_context c), (c))
OBJECT(cl_command_queue, clCreateCommandQueueWithProperties,
        (cl_context c, cl_device_id d, const cl_queue_properties *properties, cl_int *ret),
        (c, d, properties, ret))
STATUS(clReleaseCommandQueue, (cl_command_queue q), (q))
OBJECT(cl_mem, clCreateBuffer, (cl_context c, cl_mem_flags flags, size_t size, void *host, cl_int *ret),
        (c, flags, size, host, ret))
STATUS(clReleaseMemObject, (cl_mem m), (m))
OBJECT(cl_program, clCreateProgramWithSource,
        (cl_context c, cl_uint num, const char **texts, const size_t *sizes, cl_int *ret),
        (c, num, texts, sizes, ret))
OBJECT(cl_program, clCreateProgramWithBinary,
        (cl_context c, cl_uint num, const cl_device_id *ids, const size_t *sizes,
                const unsigned char **binaries, cl_int *taken, cl_int *ret),
        (c, num, ids, sizes, binaries, taken, ret))
STATUS(clReleaseProgram, (cl_program p), (p))
STATUS(clBuildProgram,
        (cl_program p, cl_uint num, const cl_device_id *ids, const char *options,
                void(CL_CALLBACK *notify)(cl_program, void *), void *ctx),
        (p, num, ids, options, notify, ctx))
STATUS(clGetProgramInfo, (cl_program p, INFO), (p, what, size, value, ret))
STATUS(clGetProgramBuildInfo, (cl_program p, cl_device_id d, INFO), (p, d, what, size, value, ret))
OBJECT(cl_kernel, clCreateKernel, (cl_program p, const char *name, cl_int *ret), (p, name, ret))
STATUS(clReleaseKernel, (cl_kernel k), (k))
STATUS(clSetKernelArg, (cl_kernel k, cl_uint index, size_t size, const void *value), (k, index, size, value))
STATUS(clGetKernelInfo, (cl_kernel k, INFO), (k, what, size, value, ret))
COMMAND(clEnqueueNDRangeKernel,
        (cl_command_queue queue, cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global,
                const size_t *local, WAITS),
        (queue, k, dims, offset, global, local, num, list, event), 0, false)
COMMAND(clEnqueueWriteBuffer,
        (cl_command_queue queue, cl_mem m, cl_bool block, size_t offset, size_t size, const void *from,
                WAITS),
        (queue, m, block, offset, size, from, num, list, event), size, block)
COMMAND(clEnqueueReadBuffer,
        (cl_command_queue queue, cl_mem m, cl_bool block, size_t offset, size_t size, void *to, WAITS),
        (queue, m, block, offset, size, to, num, list, event), size, block)
COMMAND(clEnqueueFillBuffer,
        (cl_command_queue queue, cl_mem m, const void *pattern, size_t pattern_size, size_t offset,
                size_t size, WAITS),
        (queue, m, pattern, pattern_size, offset, size, num, list, event), size, false)
COMMAND(clEnqueueCopyBuffer,
        (cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset, size_t to_offset, size_t size,
                WAITS),
        (queue, from, to, from_offset, to_offset, size, num, list, event), size, false)
STATUS(clWaitForEvents, (cl_uint num, const cl_event *list), (num, list))
STATUS(clFlush, (cl_command_queue q), (q))
STATUS(clFinish, (cl_command_queue q), (q))

static CL_API_ENTRY cl_int CL_API_CALL my_clGetEventInfo(cl_event event, INFO)
{
        cl_int status = strike(CALL_clGetEventInfo, 0, NULL);
        if (status == CL_SUCCESS)
                status = next->clGetEventInfo(event, what, size, value, ret);
        for (int i = 0; status == CL_SUCCESS && i < MAX_LATE; i++)
                if (late[i].event == event && what == CL_EVENT_COMMAND_EXECUTION_STATUS && value)
                        memcpy(value, &late[i].status, sizeof late[i].status);
        return status;
}

static CL_API_ENTRY cl_int CL_API_CALL my_clReleaseEvent(cl_event event)
{
        cl_int status = strike(CALL_clReleaseEvent, 0, NULL);
        for (int i = 0; i < MAX_LATE; i++)
                if (late[i].event == event)
                        late[i].event = NULL;
        return status ? status : next->clReleaseEvent(event);
}

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(
        cl_layer_info param_name, size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
        static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
        static const char name[] = "faults";
        const bool number = param_name == CL_LAYER_API_VERSION;
        const size_t size = number ? sizeof version : sizeof name;
        if ((!number && param_name != CL_LAYER_NAME) || (param_value && param_value_size < size))
                return CL_INVALID_VALUE;
        if (param_value)
                memcpy(param_value, number ? (const void *)&version : name, size);
        if (param_value_size_ret)
                *param_value_size_ret = size;
        return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint num_entries, const cl_icd_dispatch *target_dispatch,
        cl_uint *num_entries_ret, const cl_icd_dispatch **layer_dispatch_ret)
{
        const cl_uint entries = sizeof table / sizeof(void *);
        if (num_entries < entries || !num_entries_ret || !layer_dispatch_ret)
                return CL_INVALID_VALUE;
        next = target_dispatch;
        table = *target_dispatch;
#define X(name) table.name = my_##name;
        CALLS(X)
#undef X
        open_plan();
        *num_entries_ret = entries;
        *layer_dispatch_ret = &table;
        return CL_SUCCESS;
}
