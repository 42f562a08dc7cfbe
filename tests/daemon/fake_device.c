/* The device of the engine without one (fake_engine.c): it is there, and has nothing to do. CNND_FAKE_DEVICES
   in the environment is the number of devices (1), the second of which has tf32. That of the number
   CNND_FAKE_GPU is a GPU with little memory, which is not open while the file CNND_FAKE_GPU_WAITS is there.
 */
#include "fake_device.h"

#include "device/dev.h"
#include "device/launch.h"
#include "device/vram.h"
#include "ops/selftest.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* It ends where its memory does: what is linked of the real engine after all dies of looking further. */
struct dev {
        struct dev_info info;
};

static void fill_info(struct dev_info *info, int index)
{
        *info = (struct dev_info){.type = DEV_CPU,
                .global_bytes = (uint64_t)1 << 30,
                .max_alloc_bytes = (uint64_t)1 << 28,
                .local_bytes = 1 << 15,
                .compute_units = 1,
                .max_work_group = 64,
                .base_align_bytes = 64,
                .tf32 = index == 1 ? DEV_TF32_UNITS : DEV_TF32_NONE,
                .lanes = 1};
        if (index == env_int("CNND_FAKE_GPU", -1)) {
                info->type = DEV_GPU;
                info->global_bytes = info->max_alloc_bytes = 1 << 20;
        }
        snprintf(info->id, sizeof info->id, "0:%d", index);
        snprintf(info->name, sizeof info->name, "fake %d", index);
        snprintf(info->platform, sizeof info->platform, "fake platform");
}

int dev_driver_cache(const char *dir, struct err *e)
{
        (void)dir;
        (void)e;
        return 0;
}

int prog_save(struct dev *d, struct err *e)
{
        (void)d;
        (void)e;
        return 0;
}

bool prog_unkept(struct dev *d, const char **ret_file, const char **ret_options)
{
        (void)d;
        (void)ret_file;
        (void)ret_options;
        return false;
}

int prog_keep(struct dev *d, const char *file, const char *options, struct err *e)
{
        (void)d;
        (void)file;
        (void)options;
        (void)e;
        return 0;
}

void dev_watch_builds(struct dev *d, void (*build)(void *ctx, bool begins), void *ctx)
{
        (void)d;
        (void)build;
        (void)ctx;
}

bool dev_driver_cache_chosen(void)
{
        return true;
}

int dev_list(struct dev_info **ret, int *ret_count, struct err *e)
{
        int count = (int)env_int("CNND_FAKE_DEVICES", 1);
        struct dev_info *list = calloc((size_t)count + 1, sizeof *list);
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory");
        for (int i = 0; i < count; i++)
                fill_info(&list[i], i);
        *ret = list;
        *ret_count = count;
        return 0;
}

bool dev_matches(const struct dev_info *info, const char *spec)
{
        return strcmp(spec, "all") == 0 || strcmp(spec, info->id) == 0;
}

int dev_check_spec(const char *spec, struct err *e)
{
        return spec[0] ? 0 : err_set(e, ERR_INVALID, "no device");
}

int dev_open(const char *spec, const struct dev_options *options, struct dev **ret, struct err *e)
{
        (void)options;
        const char *waits = getenv("CNND_FAKE_GPU_WAITS");
        while (waits && spec[2] - '0' == env_int("CNND_FAKE_GPU", -1) && access(waits, F_OK) == 0)
                usleep(10000);
        const size_t page = (size_t)getpagesize();
        char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE))
                return err_set(e, ERR_NO_MEMORY, "no memory");
        *ret = (struct dev *)(pages + page) - 1;
        fill_info(&(*ret)->info, spec[2] - '0');
        return 0;
}

void dev_close(struct dev *d)
{
        if (d)
                munmap((char *)(d + 1) - getpagesize(), 2 * (size_t)getpagesize());
}

const struct dev_info *dev_info(const struct dev *d)
{
        return &d->info;
}

uint64_t dev_bytes(const struct dev *d)
{
        (void)d;
        return 4096;
}

const char *dev_type_name(enum dev_type t)
{
        return t == DEV_CPU ? "cpu" : "gpu";
}

int selftest_run(struct dev *d, cJSON **ret_report, struct err *e)
{
        (void)d;
        cJSON *report = cJSON_CreateObject();
        if (!report)
                return err_set(e, ERR_NO_MEMORY, "no memory");
        cJSON_AddNumberToObject(report, "passed", 1);
        *ret_report = report;
        return 0;
}

int selftest_compile(struct dev *d, struct err *e)
{
        (void)d;
        (void)e;
        return 0;
}

int selftest_check(struct dev *d, struct err *e)
{
        (void)d;
        (void)e;
        return 0;
}

/* Nobody tells how much of it is free. */
struct vram *vram_open(const struct dev *d)
{
        (void)d;
        return NULL;
}

bool vram_free(struct vram *v, uint64_t *ret)
{
        (void)v;
        (void)ret;
        return false;
}

int buf_create(struct dev *d, size_t bytes, const char *what, struct buf **ret, struct err *e)
{
        struct buf *b = calloc(1, sizeof *b);
        (void)d;
        if (b)
                b->bytes = malloc(bytes);
        if (!b || !b->bytes) {
                free(b);
                return err_set(e, ERR_DEVICE_MEMORY, "no memory for %s", what);
        }
        *ret = b;
        return 0;
}

void buf_destroy(struct buf *b)
{
        if (b)
                free(b->bytes);
        free(b);
}

int buf_write(struct buf *b, size_t offset, const void *from, size_t len, struct err *e)
{
        (void)e;
        memcpy(b->bytes + offset, from, len);
        return 0;
}
