#include "device/dev.h"
#include "device/cl.h"
#include "device/clblast.h"
#include "device/hostmem.h"
#include "device/vendors.h"

#include <CL/cl_ext.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLATFORMS = 16, MAX_DEVICES = 64 };

/* Where PoCL, NVIDIA's driver, AMD's, Mesa and Intel's, new and old, keep what they compile; and where those
   look that have no variable of their own. */
static const char *const driver_caches[] = {"POCL_CACHE_DIR", "CUDA_CACHE_PATH", "AMD_COMGR_CACHE_DIR",
        "MESA_SHADER_CACHE_DIR", "NEO_CACHE_DIR", "cl_cache_dir", "XDG_CACHE_HOME"};
enum { DRIVER_CACHES = sizeof driver_caches / sizeof driver_caches[0] };

int dev_driver_cache(const char *dir, struct err *e)
{
        /* NVIDIA's alone is small by itself, in some versions: a network's kernels drove out the last one's.
         */
        bool set = setenv("CUDA_CACHE_MAXSIZE", "2147483648", 0) == 0;
        for (int i = 0; i < DRIVER_CACHES && set; i++)
                set = setenv(driver_caches[i], dir, 0) == 0;
        return set ? 0 : err_errno(e, errno, "setting the driver's cache folder");
}

bool dev_driver_cache_chosen(void)
{
        return getenv(driver_caches[0]) != NULL;
}

const char *dev_type_name(enum dev_type t)
{
        static const char *const names[] = {"cpu", "gpu", "accelerator"};
        return names[t];
}

/* Reads one after the other; the first status that is not CL_SUCCESS stays. */
struct reading {
        cl_device_id id;
        cl_int status;
};

static void read_value(struct reading *r, cl_device_info what, void *value, size_t size)
{
        if (r->status == CL_SUCCESS)
                r->status = clGetDeviceInfo(r->id, what, size, value, NULL);
}

/* Without the blanks that some drivers put first. */
static void take_text(const char text[512], char *out, size_t len)
{
        snprintf(out, len, "%.*s", (int)len - 1, text + strspn(text, " "));
}

static void read_text(struct reading *r, cl_device_info what, char *out, size_t len)
{
        char text[512] = "";
        read_value(r, what, text, sizeof text - 1);
        take_text(text, out, len);
}

static void read_platform(
        struct reading *r, cl_platform_id platform, cl_platform_info what, char *out, size_t len)
{
        char text[512] = "";
        if (r->status == CL_SUCCESS)
                r->status = clGetPlatformInfo(platform, what, sizeof text - 1, text, NULL);
        take_text(text, out, len);
}

static uint64_t read_ulong(struct reading *r, cl_device_info what)
{
        cl_ulong v = 0;
        read_value(r, what, &v, sizeof v);
        return v;
}

static cl_uint read_uint(struct reading *r, cl_device_info what)
{
        cl_uint v = 0;
        read_value(r, what, &v, sizeof v);
        return v;
}

/* cl_nv_device_attribute_query, for headers without it. */
enum { COMPUTE_CAPABILITY_MAJOR_NV = 0x4000 };

static bool has_extension(cl_device_id id, const char *name)
{
        char extensions[8192] = "";
        return clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL) ==
                       CL_SUCCESS &&
               strstr(extensions, name);
}

static enum dev_tf32 find_tf32(cl_device_id id, const struct dev_info *info)
{
        if (info->lanes != 32) /* other lanes have kernels without it */
                return DEV_TF32_NONE;
        if (getenv("CNND_TEST_TF32"))
                return DEV_TF32_EMULATED;
        if (!has_extension(id, "cl_nv_device_attribute_query"))
                return DEV_TF32_NONE;
        struct reading r = {.id = id};
        const cl_uint major = read_uint(&r, COMPUTE_CAPABILITY_MAJOR_NV);
        return major >= 9 ? DEV_TF32_ROUNDING_UNITS : major == 8 ? DEV_TF32_UNITS : DEV_TF32_NONE;
}

static void read_uuid(cl_device_id id, struct dev_info *info)
{
        cl_uchar uuid[CL_UUID_SIZE_KHR];
        if (!has_extension(id, "cl_khr_device_uuid") ||
                clGetDeviceInfo(id, CL_DEVICE_UUID_KHR, sizeof uuid, uuid, NULL) != CL_SUCCESS)
                return;
        for (size_t i = 0; i < sizeof uuid; i++)
                snprintf(info->uuid + 2 * i, sizeof info->uuid - 2 * i, "%02x", uuid[i]);
}

#ifdef __aarch64__
enum { ON_ARM = true };
#else
enum { ON_ARM = false };
#endif

/* What is peculiar to a kind of device stands here and nowhere else. */
static void apply_quirks(struct dev_info *info)
{
        static const char pocl[] = "Portable Computing Language", *const generic[] = {
                                                                          pocl, "rusticl", "Clover"};
        const char *lanes = getenv("CNND_TEST_LANES");
        info->lanes = lanes ? atoi(lanes) : info->type == DEV_GPU ? 32 : 16;
        info->clblast = clblast_version() && (info->type == DEV_GPU || getenv("CNND_TEST_CLBLAST"));
        /* Intel's driver for CPUs and PoCL on ARM do not say that they have it. */
        if (strstr(info->platform, "Intel(R) OpenCL") || (ON_ARM && strstr(info->platform, pocl)))
                info->fma = true;
        /* For work-groups of any size, which nobody starts: seconds for what a selftest needs. */
        info->slow_binaries = strstr(info->platform, pocl) != NULL;
        for (size_t i = 0; i < sizeof generic / sizeof generic[0]; i++)
                info->generic = info->generic || strstr(info->platform, generic[i]);
        /* The whole memory of the machine, or what of it this process may have, which the operating system
           and all but the tensors need a part of. */
        if (info->type == DEV_CPU) {
                const uint64_t limit = hostmem_limit("/proc/self/cgroup", "/sys/fs/cgroup");
                info->global_bytes = limit < info->global_bytes ? limit : info->global_bytes;
        }
        if (info->type == DEV_CPU || strstr(info->platform, pocl))
                info->global_bytes -= info->global_bytes / 8;
        if (info->type == DEV_GPU)
                info->global_bytes -= dev_driver_bytes(info->global_bytes);
}

static int read_info(
        cl_platform_id platform, int p, int n, cl_device_id id, struct dev_info *info, struct err *e)
{
        struct reading r = {id, CL_SUCCESS};
        cl_device_type type = CL_DEVICE_TYPE_GPU;
        cl_device_fp_config single = 0;
        memset(info, 0, sizeof *info);
        snprintf(info->id, sizeof info->id, "%d:%d", p, n);
        read_text(&r, CL_DEVICE_NAME, info->name, sizeof info->name);
        read_text(&r, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
        read_text(&r, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
        read_text(&r, CL_DEVICE_VERSION, info->version, sizeof info->version);
        read_platform(&r, platform, CL_PLATFORM_NAME, info->platform, sizeof info->platform);
        read_platform(
                &r, platform, CL_PLATFORM_VERSION, info->platform_version, sizeof info->platform_version);
        read_value(&r, CL_DEVICE_TYPE, &type, sizeof type);
        info->type = type & CL_DEVICE_TYPE_CPU   ? DEV_CPU
                     : type & CL_DEVICE_TYPE_GPU ? DEV_GPU
                                                 : DEV_ACCELERATOR;
        info->global_bytes = read_ulong(&r, CL_DEVICE_GLOBAL_MEM_SIZE);
        info->max_alloc_bytes = read_ulong(&r, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
        info->local_bytes = read_ulong(&r, CL_DEVICE_LOCAL_MEM_SIZE);
        info->native_width = (int)read_uint(&r, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
        info->compute_units = (int)read_uint(&r, CL_DEVICE_MAX_COMPUTE_UNITS);
        info->base_align_bytes = read_uint(&r, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8;
        read_value(&r, CL_DEVICE_SINGLE_FP_CONFIG, &single, sizeof single);
        info->fma = (single & CL_FP_FMA) != 0;
        read_value(&r, CL_DEVICE_MAX_WORK_GROUP_SIZE, &info->max_work_group, sizeof info->max_work_group);
        apply_quirks(info);
        if (r.status != CL_SUCCESS)
                return err_cl(e, r.status, "asking OpenCL device %s what it is", info->id);
        info->tf32 = find_tf32(id, info);
        info->limits_registers = has_extension(id, "cl_nv_compiler_options");
        read_uuid(id, info);
        if (!pci_address(id, info->card, sizeof info->card))
                snprintf(info->card, sizeof info->card, "%s", info->type == DEV_CPU ? "cpu" : "");
        return 0;
}

/* Calls `visit` for each device until it returns true. */
static int each_device(bool (*visit)(void *ctx, cl_platform_id, cl_device_id, const struct dev_info *),
        void *ctx, struct err *e)
{
        cl_platform_id platforms[MAX_PLATFORMS];
        cl_uint count = 0;
        const int alone = vendors_platform();
        int place = 0; /* among all devices of a driver that is seen alone */
        cl_int status = clGetPlatformIDs(MAX_PLATFORMS, platforms, &count);
        if (status == -1001) /* the loader's "no platform": a machine without drivers */
                return 0;
        if (status != CL_SUCCESS)
                return err_cl(e, status, "asking for the OpenCL platforms");
        if (count > MAX_PLATFORMS)
                count = MAX_PLATFORMS;
        for (cl_uint p = 0; p < count; p++) {
                cl_device_id ids[MAX_DEVICES];
                cl_uint devices = 0;
                status = clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &devices);
                if (status == CL_DEVICE_NOT_FOUND)
                        continue;
                if (status != CL_SUCCESS)
                        return err_cl(e, status, "asking for the devices of OpenCL platform %u", p);
                if (devices > MAX_DEVICES)
                        devices = MAX_DEVICES;
                for (cl_uint n = 0; n < devices; n++) {
                        struct dev_info info;
                        int rc = alone < 0 ? read_info(platforms[p], (int)p, (int)n, ids[n], &info, e)
                                           : read_info(platforms[p], alone, place++, ids[n], &info, e);
                        if (rc)
                                return rc;
                        if (visit(ctx, platforms[p], ids[n], &info))
                                return 0;
                }
        }
        return 0;
}

struct listing {
        struct dev_info *infos;
        int count;
        bool failed;
};

static bool add_to_listing(void *ctx, cl_platform_id platform, cl_device_id id, const struct dev_info *info)
{
        struct listing *l = ctx;
        (void)platform;
        (void)id;
        struct dev_info *grown = realloc(l->infos, (size_t)(l->count + 1) * sizeof *grown);
        if (!grown) {
                l->failed = true;
                return true;
        }
        l->infos = grown;
        l->infos[l->count++] = *info;
        return false;
}

int dev_list(struct dev_info **ret, int *ret_count, struct err *e)
{
        struct listing l = {0};
        int rc = each_device(add_to_listing, &l, e);
        if (rc == 0 && l.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the list of devices");
        if (rc) {
                free(l.infos);
                return rc;
        }
        *ret = l.infos;
        *ret_count = l.count;
        return 0;
}

int dev_check_spec(const char *spec, struct err *e)
{
        static const char *const words[] = {"all", "type:cpu", "type:gpu", "type:accelerator"};
        int p, n, used = 0;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (strcmp(spec, words[i]) == 0)
                        return 0;
        if (isdigit((unsigned char)spec[0]) && sscanf(spec, "%d:%d%n", &p, &n, &used) == 2 &&
                spec[used] == '\0')
                return 0;
        return err_set(e, ERR_INVALID,
                "device \"%.60s\": expected platform:device such as 0:0, or type:cpu, type:gpu, "
                "type:accelerator, all",
                spec);
}

bool dev_matches(const struct dev_info *info, const char *spec)
{
        if (strcmp(spec, "all") == 0)
                return true;
        if (strncmp(spec, "type:", 5) == 0)
                return strcmp(spec + 5, dev_type_name(info->type)) == 0;
        return strcmp(spec, info->id) == 0;
}

struct wanted {
        const char *spec;
        const char *uuid; /* NULL: any */
        cl_platform_id platform;
        cl_device_id id;
        struct dev_info info;
};

static bool take_first(void *ctx, cl_platform_id platform, cl_device_id id, const struct dev_info *info)
{
        struct wanted *w = ctx;
        const bool named = dev_matches(info, w->spec);
        if (w->uuid ? strcmp(info->uuid, w->uuid) != 0 || (w->id && !named) : !named)
                return false;
        w->platform = platform;
        w->id = id;
        w->info = *info;
        return named; /* of several with one UUID it is the one in its place */
}

/* As drivers say of a device that somebody uses exclusively, or whose memory others hold: NVIDIA's that it is
   invalid of the former, and of the latter that the host has no memory. */
static bool is_taken(cl_int status)
{
        return status == CL_DEVICE_NOT_AVAILABLE || status == CL_INVALID_DEVICE ||
               status == CL_OUT_OF_RESOURCES || status == CL_OUT_OF_HOST_MEMORY ||
               status == CL_MEM_OBJECT_ALLOCATION_FAILURE;
}

static int not_opened(const struct dev *d, cl_int status, const char *what, struct err *e)
{
        if (!is_taken(status))
                return err_cl(e, status, "%s %s", what, d->info.name);
        return err_set(e, ERR_UNAVAILABLE,
                "%s %s: another program has it for itself, or all of its memory: %s (%d)", what, d->info.name,
                cl_status_name(status), status);
}

static int open_queue(struct dev *d, cl_platform_id platform, struct err *e)
{
        cl_int status;
        const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
        d->ctx = clCreateContext(properties, 1, &d->id, NULL, NULL, &status);
        if (status != CL_SUCCESS)
                return not_opened(d, status, "opening", e);
        d->queue = clCreateCommandQueueWithProperties(d->ctx, d->id, NULL, &status);
        if (status != CL_SUCCESS)
                return not_opened(d, status, "a command queue on", e);
        return 0;
}

int dev_open(const char *spec, const struct dev_options *options, struct dev **ret, struct err *e)
{
        struct wanted w = {
                .spec = spec, .uuid = options && options->uuid && options->uuid[0] ? options->uuid : NULL};
        int rc = dev_check_spec(spec, e);
        if (rc == 0)
                rc = each_device(take_first, &w, e);
        if (rc)
                return rc;
        if (!w.id)
                return err_set(e, ERR_NOT_FOUND,
                        w.uuid ? "OpenCL device \"%s\" is gone" : "no OpenCL device fits \"%s\"", spec);
        struct dev *d = calloc(1, sizeof *d);
        if (!d)
                return err_set(e, ERR_NO_MEMORY, "no memory for a device");
        d->info = w.info;
        if (w.uuid)
                snprintf(d->info.id, sizeof d->info.id, "%s", spec);
        d->id = w.id;
        d->limit = options && options->memory_limit ? options->memory_limit : d->info.global_bytes;
        if (options && options->cache_dir && !(d->cache_dir = strdup(options->cache_dir)))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a device");
        if (rc == 0)
                rc = open_queue(d, w.platform, e);
        if (rc) {
                dev_close(d);
                return rc;
        }
        *ret = d;
        return 0;
}

void dev_close(struct dev *d)
{
        if (!d)
                return;
        pending_check(d, NULL);
        clblast_forget(d);
        prog_release_all(d);
        if (d->queue)
                clReleaseCommandQueue(d->queue);
        if (d->ctx)
                clReleaseContext(d->ctx);
        free(d->cache_dir);
        free(d);
}

const struct dev_info *dev_info(const struct dev *d)
{
        return &d->info;
}

uint64_t dev_bytes(const struct dev *d)
{
        return d->bytes;
}

uint64_t dev_peak_bytes(const struct dev *d)
{
        return d->peak;
}

void dev_peak_reset(struct dev *d)
{
        d->peak = d->bytes;
}

uint64_t dev_refused(const struct dev *d)
{
        return d->refused;
}

uint64_t dev_free_bytes(const struct dev *d)
{
        return d->limit - d->bytes;
}

int dev_finish(struct dev *d, struct err *e)
{
        cl_int status = clFinish(d->queue);
        int rc = pending_check(d, e);
        if (rc == 0 && status != CL_SUCCESS)
                rc = err_cl(e, status, "waiting for %s", d->info.name);
        return rc;
}

void dev_watch_builds(struct dev *d, void (*build)(void *ctx, bool begins), void *ctx)
{
        d->build = build;
        d->build_ctx = ctx;
}

void dev_mark(struct dev *d, int mark)
{
        d->marks[mark] = true;
}

bool dev_marked(const struct dev *d, int mark)
{
        return d->marks[mark];
}
