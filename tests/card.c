/* Cards that this machine has not: a layer of the OpenCL loader (OPENCL_LAYERS) that lets a driver's devices
   answer as CNND_CARD says, "nvidia" or "amd", where they tell of memory, "gpu" where of their type, "second"
   where the second driver does, and that takes no grid which NVIDIA's cards do not take: of more than 65,535
   work-groups in the second or third dimension. With CNND_CARD_NO_FMA there is no fma: neither in the
   hardware nor for a kernel that asks for it. While the file is there that CNND_CARD_SLOW names, to compile
   takes it so many milliseconds more as stand in it. The compiler of "nvidia" takes -cl-nv-maxrregcount, and
   writes the options that it was given to the file that CNND_CARD_OPTIONS names. As drivers keep what they
   compile, it leaves a file in each folder that the environment names to them.
 */
#include <CL/cl_ext.h>
#include <CL/cl_layer.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PCI_BUS_ID_NV = 0x4008, PCI_SLOT_ID_NV = 0x4009, MOST_GROUPS = 65535 };

static const cl_icd_dispatch *next;
static cl_icd_dispatch table;

static bool is_card(const char *vendor)
{
        const char *card = getenv("CNND_CARD");
        return card && strcmp(card, vendor) == 0;
}

/* Of the drivers that cnnd numbers from 0 on. */
static bool is_second(void)
{
        const char *number = getenv("CNND_PLATFORM");
        return number && atoi(number) == 1;
}

/* The first number of the file that the variable names; 0 where there is none. */
static unsigned long long number_in(const char *variable)
{
        unsigned long long number = 0;
        const char *path = getenv(variable);
        FILE *f = path ? fopen(path, "r") : NULL;
        if (f && fscanf(f, "%llu", &number) != 1)
                number = 0;
        if (f)
                fclose(f);
        return number;
}

static cl_int give(const void *from, size_t len, size_t size, void *value, size_t *ret)
{
        if (value && size < len)
                return CL_INVALID_VALUE;
        if (value)
                memcpy(value, from, len);
        if (ret)
                *ret = len;
        return CL_SUCCESS;
}

/* CNND_CARD_PLATFORMS names the drivers that cnnd numbers, by commas. The second one takes a second to say
 * its name. */
static CL_API_ENTRY cl_int CL_API_CALL my_clGetPlatformInfo(
        cl_platform_id p, cl_platform_info what, size_t size, void *value, size_t *ret)
{
        const char *name = getenv("CNND_CARD_PLATFORMS"), *number = getenv("CNND_PLATFORM");
        char copy[200] = "";
        if (!name || !number || what != CL_PLATFORM_NAME)
                return next->clGetPlatformInfo(p, what, size, value, ret);
        sleep(atoi(number) == 1);
        for (int i = atoi(number); i > 0 && strchr(name, ','); i--)
                name = strchr(name, ',') + 1;
        snprintf(copy, sizeof copy, "%.*s", (int)strcspn(name, ","), name);
        return give(copy, strlen(copy) + 1, size, value, ret);
}

/* Without the first device while the file that CNND_CARD_GONE names is there. */
static CL_API_ENTRY cl_int CL_API_CALL my_clGetDeviceIDs(
        cl_platform_id p, cl_device_type type, cl_uint num, cl_device_id *ids, cl_uint *ret)
{
        const char *gone = getenv("CNND_CARD_GONE");
        cl_uint count = 0;
        const cl_int status = next->clGetDeviceIDs(p, type, num, ids, &count);
        if (status == CL_SUCCESS && ids && count && gone && access(gone, F_OK) == 0)
                memmove(ids, ids + 1, --count * sizeof *ids);
        if (ret)
                *ret = count;
        return status;
}

static CL_API_ENTRY cl_int CL_API_CALL my_clGetDeviceInfo(
        cl_device_id d, cl_device_info what, size_t size, void *value, size_t *ret)
{
        static const cl_uint bus = 0x3b, slot = 2 << 3;
        char extensions[8192] = "";
        if ((is_card("gpu") || (is_card("second") && is_second())) && what == CL_DEVICE_TYPE) {
                const cl_device_type gpu = CL_DEVICE_TYPE_GPU;
                return give(&gpu, sizeof gpu, size, value, ret);
        }
        if (is_card("nvidia") && what == PCI_BUS_ID_NV)
                return give(&bus, sizeof bus, size, value, ret);
        if (is_card("nvidia") && what == PCI_SLOT_ID_NV)
                return give(&slot, sizeof slot, size, value, ret);
        if (is_card("amd") && what == CL_DEVICE_GLOBAL_FREE_MEMORY_AMD) {
                const size_t kib = (size_t)(number_in("CNND_CARD_MEMORY") / 1024);
                return give((const size_t[]){kib, kib}, 2 * sizeof kib, size, value, ret);
        }
        if (what == CL_DEVICE_SINGLE_FP_CONFIG && getenv("CNND_CARD_NO_FMA")) {
                const cl_device_fp_config least = CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN;
                return give(&least, sizeof least, size, value, ret);
        }
        if (what == CL_DEVICE_UUID_KHR && getenv("CNND_CARD")) {
                char name[256] = "";
                next->clGetDeviceInfo(d, CL_DEVICE_NAME, sizeof name - 1, name, NULL);
                return give(name, CL_UUID_SIZE_KHR, size, value, ret);
        }
        if (what == CL_DEVICE_EXTENSIONS && getenv("CNND_CARD")) {
                const int len = snprintf(extensions, sizeof extensions,
                        "cl_khr_device_uuid cl_%s_device_attribute_query %s", is_card("amd") ? "amd" : "nv",
                        is_card("nvidia") ? "cl_nv_compiler_options " : "");
                next->clGetDeviceInfo(d, what, sizeof extensions - (size_t)len - 1, extensions + len, NULL);
                return give(extensions, strlen(extensions) + 1, size, value, ret);
        }
        return next->clGetDeviceInfo(d, what, size, value, ret);
}

static CL_API_ENTRY cl_program CL_API_CALL my_clCreateProgramWithSource(
        cl_context context, cl_uint count, const char **texts, const size_t *lengths, cl_int *ret)
{
        static const char none[] = "#undef fma\n#define fma there_is_none\n";
        const char *both[] = {none, texts[0]};
        if (count != 1 || lengths || !getenv("CNND_CARD_NO_FMA"))
                return next->clCreateProgramWithSource(context, count, texts, lengths, ret);
        return next->clCreateProgramWithSource(context, 2, both, NULL, ret);
}

/* None while the file is there that CNND_CARD_FULL names. With CNND_CARD_DIRTY full of what others left: NaN,
 * and -1. */
static CL_API_ENTRY cl_mem CL_API_CALL my_clCreateBuffer(
        cl_context context, cl_mem_flags flags, size_t size, void *host, cl_int *ret)
{
        void *dirt = host || !getenv("CNND_CARD_DIRTY") ? NULL : malloc(size);
        const char *full = getenv("CNND_CARD_FULL");
        if (full && access(full, F_OK) == 0) {
                free(dirt);
                *ret = CL_MEM_OBJECT_ALLOCATION_FAILURE;
                return NULL;
        }
        if (!dirt)
                return next->clCreateBuffer(context, flags, size, host, ret);
        memset(dirt, 0xFF, size);
        cl_mem mem = next->clCreateBuffer(context, flags | CL_MEM_COPY_HOST_PTR, size, dirt, ret);
        free(dirt);
        return mem;
}

/* NVIDIA's compiler alone has such an option: what is left for another's. */
static const char *take_limit(const char *options, char *left, size_t size)
{
        static const char limit[] = "-cl-nv-maxrregcount=";
        const char *path = getenv("CNND_CARD_OPTIONS"), *at = options ? strstr(options, limit) : NULL;
        FILE *f = path ? fopen(path, "a") : NULL;
        if (f) {
                fprintf(f, "%s\n", options ? options : "");
                fclose(f);
        }
        if (!at)
                return options;
        at += strlen(limit);
        snprintf(left, size, "%.*s%s", (int)(at - options - (long)strlen(limit)), options,
                at + strspn(at, "0123456789"));
        return left;
}

static CL_API_ENTRY cl_int CL_API_CALL my_clBuildProgram(cl_program p, cl_uint num, const cl_device_id *ids,
        const char *options, void(CL_CALLBACK *notify)(cl_program, void *), void *ctx)
{
        const unsigned long long ms = is_card("second") && !is_second() ? 0 : number_in("CNND_CARD_SLOW");
        const struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        char left[1024] = "";
        if (ms)
                nanosleep(&pause, NULL);
        if (is_card("nvidia"))
                options = take_limit(options, left, sizeof left);
        return next->clBuildProgram(p, num, ids, options, notify, ctx);
}

static CL_API_ENTRY cl_int CL_API_CALL my_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel k,
        cl_uint dims, const size_t *offset, const size_t *global, const size_t *local, cl_uint num,
        const cl_event *list, cl_event *event)
{
        for (cl_uint i = 1; i < dims; i++)
                if (global[i] / (local ? local[i] : 1) > MOST_GROUPS) {
                        char name[200] = "";
                        next->clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
                        fprintf(stderr, "%s: %zu work-groups in dimension %u\n", name,
                                global[i] / (local ? local[i] : 1), i);
                        return CL_INVALID_GLOBAL_WORK_SIZE;
                }
        return next->clEnqueueNDRangeKernel(queue, k, dims, offset, global, local, num, list, event);
}

CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(
        cl_layer_info param_name, size_t param_value_size, void *param_value, size_t *param_value_size_ret)
{
        static const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
        static const char name[] = "card";
        if (param_name == CL_LAYER_API_VERSION)
                return give(&version, sizeof version, param_value_size, param_value, param_value_size_ret);
        return param_name == CL_LAYER_NAME
                       ? give(name, sizeof name, param_value_size, param_value, param_value_size_ret)
                       : CL_INVALID_VALUE;
}

static void keep_files(void)
{
        static const char *const names[] = {"CUDA_CACHE_PATH", "AMD_COMGR_CACHE_DIR", "MESA_SHADER_CACHE_DIR",
                "NEO_CACHE_DIR", "cl_cache_dir", "XDG_CACHE_HOME"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                char path[4096];
                const char *folder = getenv(names[i]);
                snprintf(path, sizeof path, "%s/%s", folder ? folder : "", names[i]);
                FILE *f = folder ? fopen(path, "w") : NULL;
                if (f)
                        fclose(f);
        }
}

CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint num_entries, const cl_icd_dispatch *target_dispatch,
        cl_uint *num_entries_ret, const cl_icd_dispatch **layer_dispatch_ret)
{
        const cl_uint entries = sizeof table / sizeof(void *);
        if (num_entries < entries || !num_entries_ret || !layer_dispatch_ret)
                return CL_INVALID_VALUE;
        next = target_dispatch;
        table = *target_dispatch;
        table.clGetPlatformInfo = my_clGetPlatformInfo;
        table.clGetDeviceIDs = my_clGetDeviceIDs;
        table.clGetDeviceInfo = my_clGetDeviceInfo;
        table.clCreateProgramWithSource = my_clCreateProgramWithSource;
        table.clCreateBuffer = my_clCreateBuffer;
        table.clBuildProgram = my_clBuildProgram;
        table.clEnqueueNDRangeKernel = my_clEnqueueNDRangeKernel;
        if (getenv("CNND_CARD"))
                keep_files();
        *num_entries_ret = entries;
        *layer_dispatch_ret = &table;
        return CL_SUCCESS;
}
