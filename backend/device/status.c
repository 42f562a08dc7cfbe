#include "device/cl.h"

#include <stdio.h>
#include <string.h>

enum { NVIDIA_ILLEGAL_ACCESS = -9999 };

static const struct {
        cl_int status;
        const char *name;
} statuses[] = {
#define S(name)                                                                                              \
        {                                                                                                    \
                name, #name                                                                                  \
        }
        S(CL_DEVICE_NOT_FOUND),
        S(CL_DEVICE_NOT_AVAILABLE),
        S(CL_COMPILER_NOT_AVAILABLE),
        S(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        S(CL_OUT_OF_RESOURCES),
        S(CL_OUT_OF_HOST_MEMORY),
        S(CL_PROFILING_INFO_NOT_AVAILABLE),
        S(CL_MEM_COPY_OVERLAP),
        S(CL_BUILD_PROGRAM_FAILURE),
        S(CL_MAP_FAILURE),
        S(CL_MISALIGNED_SUB_BUFFER_OFFSET),
        S(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        S(CL_COMPILE_PROGRAM_FAILURE),
        S(CL_LINKER_NOT_AVAILABLE),
        S(CL_LINK_PROGRAM_FAILURE),
        S(CL_DEVICE_PARTITION_FAILED),
        S(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
        S(CL_INVALID_VALUE),
        S(CL_INVALID_DEVICE_TYPE),
        S(CL_INVALID_PLATFORM),
        S(CL_INVALID_DEVICE),
        S(CL_INVALID_CONTEXT),
        S(CL_INVALID_QUEUE_PROPERTIES),
        S(CL_INVALID_COMMAND_QUEUE),
        S(CL_INVALID_HOST_PTR),
        S(CL_INVALID_MEM_OBJECT),
        S(CL_INVALID_BINARY),
        S(CL_INVALID_BUILD_OPTIONS),
        S(CL_INVALID_PROGRAM),
        S(CL_INVALID_PROGRAM_EXECUTABLE),
        S(CL_INVALID_KERNEL_NAME),
        S(CL_INVALID_KERNEL_DEFINITION),
        S(CL_INVALID_KERNEL),
        S(CL_INVALID_ARG_INDEX),
        S(CL_INVALID_ARG_VALUE),
        S(CL_INVALID_ARG_SIZE),
        S(CL_INVALID_KERNEL_ARGS),
        S(CL_INVALID_WORK_DIMENSION),
        S(CL_INVALID_WORK_GROUP_SIZE),
        S(CL_INVALID_WORK_ITEM_SIZE),
        S(CL_INVALID_GLOBAL_OFFSET),
        S(CL_INVALID_EVENT_WAIT_LIST),
        S(CL_INVALID_EVENT),
        S(CL_INVALID_OPERATION),
        S(CL_INVALID_BUFFER_SIZE),
        S(CL_INVALID_GLOBAL_WORK_SIZE),
        S(CL_INVALID_PROPERTY),
        S(CL_INVALID_COMPILER_OPTIONS),
        S(CL_INVALID_LINKER_OPTIONS),
#undef S
        {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
        {NVIDIA_ILLEGAL_ACCESS, "an illegal access on an NVIDIA device"},
};

const char *cl_status_name(cl_int status)
{
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
                if (statuses[i].status == status)
                        return statuses[i].name;
        return "unknown OpenCL status";
}

static int code_of(cl_int status)
{
        switch (status) {
        case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        case CL_OUT_OF_RESOURCES:
        case CL_OUT_OF_HOST_MEMORY:
                return ERR_DEVICE_MEMORY;
        case CL_DEVICE_NOT_AVAILABLE:
        case CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST:
        case CL_INVALID_DEVICE:
        case CL_INVALID_CONTEXT:
        case CL_INVALID_COMMAND_QUEUE:
        case CL_INVALID_MEM_OBJECT:
        case CL_INVALID_PROGRAM:
        case CL_INVALID_KERNEL:
        case CL_INVALID_EVENT:
        case NVIDIA_ILLEGAL_ACCESS:
                return ERR_LOST;
        default:
                return ERR_DEVICE;
        }
}

int err_cl(struct err *e, cl_int status, const char *fmt, ...)
{
        int code = code_of(status);
        char context[400];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(context, sizeof context, fmt, ap);
        va_end(ap);
        err_set(e, code, "%s: %s (%d)", context, cl_status_name(status), status);
        if (e)
                e->cl = status;
        return code;
}
