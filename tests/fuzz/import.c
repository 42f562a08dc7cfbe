/* What people send as a data set: archives of class folders, labels.csv, IDX pairs, NPZ. The first byte
   chooses the options; what is imported is a whole data set. */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/import.h"
#include "data/origins.h"

#include <string.h>
#include <unistd.h>

static const char *const options[][3] = {
        {NULL},
        {"size=4x4", NULL},
        {"size=2x2", "fit=crop", NULL},
        {"size=2x2", "fit=tile", "stride=1"},
        {"channels=1", "val=0.5", "normalize=none"},
        {"channels=3", "size=3x3", NULL},
};
enum { CHOICES = sizeof options / sizeof options[0] };

static struct import_options choose(uint8_t which)
{
        struct import_options o;
        struct err e;
        import_defaults(&o);
        for (int i = 0; i < 3 && options[which % CHOICES][i]; i++) {
                char key[16];
                const char *text = options[which % CHOICES][i], *value = strchr(text, '=') + 1;
                snprintf(key, sizeof key, "%.*s", (int)(value - 1 - text), text);
                FUZZ_CHECK(import_option(&o, key, value, &e) == 0);
        }
        FUZZ_CHECK(import_options_check(&o, &e) == 0);
        return o;
}

static void check_result(const char *path)
{
        struct dataset *d = NULL;
        struct err e;
        int rc = dataset_open(path, &d, &e);
        if (rc)
                fprintf(stderr, "%s\n", e.message);
        FUZZ_CHECK(rc == 0 && d->split[DATASET_TRAIN].count + d->split[DATASET_VAL].count > 0);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                struct origins o;
                FUZZ_CHECK(origins_open(d, (enum dataset_split)s, &o, &e) == 0);
        }
        dataset_close(d);
        FUZZ_CHECK(unlink(path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char path[FUZZ_PATH_BYTES], out[300];
        struct err e = {0};
        if (len == 0)
                return 0;
        const struct import_options o = choose(bytes[0]);
        const struct import_hooks hooks = {0};
        snprintf(out, sizeof out, "%s/set", fuzz_dir());
        const struct import_place place = {.name = "set", .out_path = out, .tmp_dir = fuzz_dir()};
        int fd = fuzz_file(bytes + 1, len - 1, path);
        int rc = import_archive(path, &o, &place, &hooks, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0) == (access(out, F_OK) == 0));
        if (rc && rc != ERR_SYNTAX && rc != ERR_INVALID && rc != ERR_MEDIA && rc != ERR_TOO_LARGE)
                fprintf(stderr, "%s: %s\n", err_name(rc), e.message);
        FUZZ_CHECK(
                rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_MEDIA || rc == ERR_TOO_LARGE);
        if (rc == 0)
                check_result(out);
        close(fd);
        return 0;
}
