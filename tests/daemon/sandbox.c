/* What a process in the sandbox can and cannot do: each attempt in a process of its own. */
#include "check.h"

#include "base/asan.h"
#include "base/file.h"
#include "daemon/decoder/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cnnd-sandbox-XXXXXX";
static char inside[64], outside[64];

/* How a process that enters the sandbox and does `attempt` ends: -signal, or its exit status. */
static int outcome(int (*attempt)(void))
{
        pid_t pid = fork();
        if (pid == 0) {
                const struct sandbox_options o = {.folder = folder, .memory_bytes = (uint64_t)1 << 30};
                struct err e;
                _exit(sandbox_enter(&o, &e) ? 100 : attempt());
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int compute(void)
{
        char *p = malloc(50 << 20);
        if (!p)
                return 1;
        memset(p, 7, 50 << 20);
        int sum = p[12345] + p[50000000];
        free(p);
        return sum == 14 ? 0 : 2;
}

static int read_inside(void)
{
        char byte;
        int fd = open(inside, O_RDONLY | O_CLOEXEC);
        return fd >= 0 && read(fd, &byte, 1) == 1 && byte == 'i' ? 0 : errno;
}

static int read_outside(void)
{
        return open(outside, O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int write_outside(void)
{
        return open(outside, O_WRONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int delete_outside(void)
{
        return unlink(outside) ? errno : 0;
}

static int make_outside(void)
{
        return open("/tmp/cnnd-sandbox-new", O_RDONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : errno;
}

/* As a file is replaced: beside its place, synced, renamed. */
static int replace_inside(void)
{
        struct file_new *f = NULL;
        struct err e;
        int rc = file_create(inside, &f, &e);
        if (rc == 0)
                rc = file_write(f, "inside again", 12, &e);
        return rc == 0 && file_commit(f, &e) == 0 ? 0 : 1;
}

static int link_inside(void)
{
        return link(inside, "/tmp/cnnd-sandbox-new") ? errno : 0;
}

static int start_process(void)
{
        return fork() < 0 ? errno : 0;
}

static int run_program(void)
{
        execl("/bin/true", "true", (char *)NULL);
        return errno;
}

static int make_socket(void)
{
        return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int signal_parent(void)
{
        return kill(getppid(), 0) ? errno : 0;
}

static int map_code(void)
{
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                       ? errno
                       : 0;
}

static int make_code(void)
{
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? 1 : mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}

static int take_memory(void)
{
        void *volatile p = malloc((size_t)2 << 30);
        return p ? 0 : errno;
}

static int take_descriptors(void)
{
        for (int i = 0; i < 100; i++)
                if (open(inside, O_RDONLY | O_CLOEXEC) < 0)
                        return errno;
        return 0;
}

static int spin(void)
{
        struct err e;
        if (sandbox_allow_cpu(1, &e))
                return 1;
        for (volatile unsigned long i = 0;; i++)
                ;
}

static int limit_of_another(void)
{
        struct rlimit r;
        return prlimit(getppid(), RLIMIT_NOFILE, NULL, &r) ? errno : 0;
}

static int fail_an_assertion(void)
{
        abort();
}

static void work_goes_on(void **state)
{
        (void)state;
        assert_int_equal(outcome(compute), 0);
        assert_int_equal(outcome(read_inside), 0);
        assert_int_equal(outcome(replace_inside), 0);
        assert_int_equal(outcome(fail_an_assertion), -SIGABRT);
}

static bool has_landlock(void)
{
        return outcome(read_outside) != 0;
}

static void files_elsewhere_stay_shut(void **state)
{
        (void)state;
        if (!has_landlock())
                skip();
        assert_int_equal(outcome(read_outside), EACCES);
        assert_int_equal(outcome(write_outside), EACCES);
        assert_int_equal(outcome(delete_outside), EACCES);
        assert_int_equal(outcome(make_outside), EACCES);
}

static void forbidden_calls_kill(void **state)
{
        int (*const attempts[])(void) = {link_inside, start_process, run_program, make_socket, signal_parent,
                map_code, make_code, limit_of_another};
        (void)state;
        if (SANITIZED)
                skip();
        for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
                if (outcome(attempts[i]) != -SIGSYS)
                        fail_msg("attempt %zu ended with %d", i, outcome(attempts[i]));
}

static void limits_hold(void **state)
{
        (void)state;
        if (!SANITIZED)
                assert_int_equal(outcome(take_memory), ENOMEM);
        assert_int_equal(outcome(take_descriptors), EMFILE);
        assert_int_equal(outcome(spin), -SIGXCPU);
}

static void put(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static int prepare(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        snprintf(inside, sizeof inside, "%s/file", folder);
        snprintf(outside, sizeof outside, "%s-outside", folder);
        put(inside, "inside");
        put(outside, "outside");
        return 0;
}

static int clean(void **state)
{
        (void)state;
        unlink(inside);
        unlink(outside);
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(work_goes_on),
                cmocka_unit_test(files_elsewhere_stay_shut),
                cmocka_unit_test(forbidden_calls_kill),
                cmocka_unit_test(limits_hold),
        };
        return cmocka_run_group_tests(tests, prepare, clean);
}
