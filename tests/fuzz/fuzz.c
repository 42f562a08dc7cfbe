#include "fuzz.h"

#include "data/image.h"

#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const struct dev_info fuzz_device = {.id = "0:0",
        .name = "fake",
        .type = DEV_CPU,
        .global_bytes = (uint64_t)4 << 30,
        .max_alloc_bytes = (uint64_t)1 << 30,
        .local_bytes = 1 << 15,
        .compute_units = 2,
        .max_work_group = 64,
        .base_align_bytes = 128,
        .lanes = 16};

void fuzz_image(const uint8_t *bytes, size_t len, const char *media_type)
{
        struct err e = {0};
        struct image im = {0};
        int rc = image_decode(bytes, len, media_type, &im, &e);
        FUZZ_CHECK(rc == e.code);
        FUZZ_CHECK(
                rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_MEDIA || rc == ERR_TOO_LARGE);
        if (rc != 0) {
                FUZZ_CHECK(!im.pixels && e.message[0]);
                return;
        }
        size_t count = (size_t)im.n * (size_t)im.c * (size_t)im.h * (size_t)im.w;
        FUZZ_CHECK(
                im.n >= 1 && im.c >= 1 && im.h >= 1 && im.w >= 1 && count <= IMAGE_MAX_BYTES / sizeof(float));
        for (size_t i = 0; i < count; i++)
                FUZZ_CHECK(isfinite(im.pixels[i]));
        if (count < 1 << 16 && (rc = image_fit(&im, im.c == 3 ? 1 : im.c, 7, 5, &e)) == 0)
                FUZZ_CHECK(im.h == 7 && im.w == 5);
        image_finish(&im);
}

char *fuzz_text(const uint8_t *bytes, size_t len)
{
        char *text = malloc(len + 1);
        FUZZ_CHECK(text);
        if (len)
                memcpy(text, bytes, len);
        text[len] = '\0';
        return text;
}

int fuzz_file(const uint8_t *bytes, size_t len, char path[FUZZ_PATH_BYTES])
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0);
        FUZZ_CHECK(len == 0 || write(fd, bytes, len) == (ssize_t)len);
        snprintf(path, FUZZ_PATH_BYTES, "/proc/self/fd/%d", fd);
        return fd;
}

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
        (void)st;
        (void)kind;
        (void)at;
        return remove(path);
}

static void remove_dir(void)
{
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_dir(void)
{
        if (!dir[0]) {
                snprintf(dir, sizeof dir, "%s/cnnd-fuzz-XXXXXX",
                        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
                FUZZ_CHECK(mkdtemp(dir));
                atexit(remove_dir);
        }
        return dir;
}

void fuzz_write(const char *path, const uint8_t *bytes, size_t len)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        FUZZ_CHECK(fd >= 0);
        FUZZ_CHECK(len == 0 || write(fd, bytes, len) == (ssize_t)len);
        close(fd);
}
