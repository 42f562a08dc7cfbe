#include "device/vram.h"
#include "device/cl.h"

#include <CL/cl_ext.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of libnvidia-ml's interface. 0 is success. */
typedef struct nvmlDevice_st *nvml_device;
struct nvml_memory {
        unsigned long long total, free, used;
};

struct vram {
        cl_device_id id;
        void *library; /* owned; NULL: AMD's driver is asked */
        nvml_device device;
        int (*memory)(nvml_device, struct nvml_memory *);
        int (*shutdown)(void);
};

static bool ask(cl_device_id id, cl_device_info what, size_t size, void *ret)
{
        return clGetDeviceInfo(id, what, size, ret, NULL) == CL_SUCCESS;
}

static void *symbol(const struct vram *v, const char *name)
{
        return dlsym(v->library, name);
}

/* A part that MIG has cut off has the address of the whole, whose memory is then told. */
static bool is_whole(const struct vram *v, uint64_t bytes)
{
        struct nvml_memory m;
        return v->memory(v->device, &m) == 0 && m.total >= bytes - bytes / 8 && m.total <= bytes + bytes / 8;
}

static bool open_nvml(struct vram *v, const char *address, uint64_t bytes)
{
        v->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!v->library)
                return false;
        int (*init)(void) = (int (*)(void))(uintptr_t)symbol(v, "nvmlInit_v2");
        int (*find)(const char *, nvml_device *) = (int (*)(const char *, nvml_device *))(uintptr_t)symbol(
                v, "nvmlDeviceGetHandleByPciBusId_v2");
        v->memory =
                (int (*)(nvml_device, struct nvml_memory *))(uintptr_t)symbol(v, "nvmlDeviceGetMemoryInfo");
        int (*shutdown)(void) = (int (*)(void))(uintptr_t)symbol(v, "nvmlShutdown");
        if (!init || !find || !v->memory || !shutdown || init() != 0)
                return false;
        v->shutdown = shutdown;
        return find(address, &v->device) == 0 && is_whole(v, bytes);
}

static void close_it(struct vram *v)
{
        if (!v)
                return;
        if (v->shutdown)
                v->shutdown();
        if (v->library)
                dlclose(v->library);
        free(v);
}

struct vram *vram_open(const struct dev *d)
{
        char extensions[8192] = "", address[32];
        cl_ulong bytes = 0;
        struct vram *v = calloc(1, sizeof *v);
        if (!v || !ask(d->id, CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions) ||
                !ask(d->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof bytes, &bytes))
                goto none;
        v->id = d->id;
        if (strstr(extensions, "cl_nv_device_attribute_query")) {
                if (pci_address(d->id, address, sizeof address) && open_nvml(v, address, bytes))
                        return v;
        } else if (strstr(extensions, "cl_amd_device_attribute_query")) {
                uint64_t unused;
                if (vram_free(v, &unused))
                        return v;
        }
none:
        close_it(v);
        return NULL;
}

bool vram_free(struct vram *v, uint64_t *ret)
{
        struct nvml_memory m;
        size_t kib[2]; /* in all, and in one piece */
        if (!v->library) {
                if (!ask(v->id, CL_DEVICE_GLOBAL_FREE_MEMORY_AMD, sizeof kib, kib))
                        return false;
                *ret = (uint64_t)kib[0] * 1024;
                return true;
        }
        if (v->memory(v->device, &m) != 0)
                return false;
        *ret = m.free;
        return true;
}
