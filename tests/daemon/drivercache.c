/* What drivers keep does not grow for ever. */
#include "check.h"

#include "daemon/devices/drivercache.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 40000, MOST = 100000 };

static char state[] = "/tmp/cnnd-cache-XXXXXX";

static void write_file(const char *name)
{
        static const char bytes[FILE_BYTES];
        char path[200];
        snprintf(path, sizeof path, "%s/cache/%s", state, name);
        for (char *slash = path + sizeof state; (slash = strchr(slash, '/')) != NULL; slash++) {
                *slash = '\0';
                (void)mkdir(path, 0700);
                *slash = '/';
        }
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fwrite(bytes, sizeof bytes, 1, f) == 1 && fclose(f) == 0);
}

static bool there(const char *name)
{
        char path[200];
        snprintf(path, sizeof path, "%s/cache/%s", state, name);
        return access(path, F_OK) == 0;
}

static uint64_t trim(const char *id)
{
        struct err e;
        uint64_t freed = 0;
        CHECK_OK(drivercache_trim(state, id, MOST, &freed, &e), &e);
        return freed;
}

static void a_folder_that_is_too_large_is_begun_anew(void **ctx)
{
        (void)ctx;
        assert_int_equal(trim("0:0"), 0); /* of nothing */
        write_file("driver/0:0/AB/x/program");
        write_file("driver/0:0/AB/y/program");
        write_file("driver/0:1/AB/x/program");
        write_file("one.bin");
        write_file("two.bin");
        assert_int_equal(trim("0:0"), 0);
        assert_true(there("driver/0:0/AB/y/program"));
        write_file("driver/0:0/CD/z/program");
        assert_true(trim("0:0") >= 3 * FILE_BYTES);
        assert_true(there("driver/0:0"));
        assert_false(there("driver/0:0/AB") || there("driver/0:0/CD") || there("driver/0:0.old"));
        assert_true(there("driver/0:1/AB/x/program") && there("two.bin"));
}

static void so_are_programs(void **ctx)
{
        (void)ctx;
        write_file("three.bin");
        write_file("vendors/a.icd");
        assert_true(trim("0:1") >= 3 * FILE_BYTES);
        assert_false(there("one.bin") || there("two.bin") || there("three.bin"));
        assert_true(there("driver/0:1/AB/x/program") && there("vendors/a.icd"));
}

/* Of a worker that was killed meanwhile. */
static void what_is_half_removed_goes(void **ctx)
{
        (void)ctx;
        write_file("driver/0:1.old/AB/x/program");
        assert_int_equal(trim("0:1"), 0);
        assert_false(there("driver/0:1.old"));
        assert_true(there("driver/0:1/AB/x/program"));
}

static int drop(void **ctx)
{
        char command[100];
        (void)ctx;
        snprintf(command, sizeof command, "rm -r %s", state);
        return system(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_that_is_too_large_is_begun_anew),
                cmocka_unit_test(so_are_programs), cmocka_unit_test(what_is_half_removed_goes)};
        return mkdtemp(state) ? cmocka_run_group_tests(tests, NULL, drop) : 1;
}
