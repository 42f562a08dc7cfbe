/* Limits of control groups, in folders that stand for them. */
#include "check.h"

#include "device/hostmem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/cnnd-hostmem-XXXXXX";

static void write_file(const char *name, const char *text)
{
        char path[200];
        snprintf(path, sizeof path, "%s/%s", root, name);
        for (char *slash = path + sizeof root; (slash = strchr(slash, '/')) != NULL; slash++) {
                *slash = '\0';
                (void)mkdir(path, 0700);
                *slash = '/';
        }
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static uint64_t limit(const char *groups)
{
        char self[200];
        write_file("self", groups);
        snprintf(self, sizeof self, "%s/self", root);
        return hostmem_limit(self, root);
}

static void the_least_of_a_group_and_those_above_it(void **state)
{
        (void)state;
        assert_true(limit("0::/a/b\n") == UINT64_MAX);
        write_file("a/b/memory.max", "max\n");
        assert_true(limit("0::/a/b\n") == UINT64_MAX);
        write_file("a/memory.max", "4000\n");
        assert_true(limit("0::/a/b\n") == 4000);
        write_file("a/b/memory.high", "3000\n");
        assert_true(limit("0::/a/b\n") == 3000);
        assert_true(limit("0::/a\n") == 4000);
        assert_true(limit("0::/\n") == UINT64_MAX);
        write_file("memory.max", "5000\n"); /* a container's, which sees no more */
        assert_true(limit("0::/\n") == 5000);
        assert_true(limit("0::/not/seen\n") == 5000);
}

static void the_first_version(void **state)
{
        (void)state;
        write_file("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        assert_true(limit("5:cpu,cpuacct:/c\n4:memory:/c\n") == UINT64_MAX);
        write_file("memory/c/memory.limit_in_bytes", "2000\n");
        assert_true(limit("5:cpu,cpuacct:/c\n4:memory:/c\n") == 2000);
        assert_true(limit("5:cpu,memory_not:/c\n") == UINT64_MAX);
        assert_true(limit("no line of it") == UINT64_MAX);
}

static int drop(void **state)
{
        char command[100];
        (void)state;
        snprintf(command, sizeof command, "rm -r %s", root);
        return system(command);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_version),
                cmocka_unit_test(the_least_of_a_group_and_those_above_it)};
        return mkdtemp(root) ? cmocka_run_group_tests(tests, NULL, drop) : 1;
}
