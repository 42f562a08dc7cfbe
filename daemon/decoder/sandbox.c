#include "daemon/decoder/sandbox.h"

#include "base/asan.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 32 };

static int limit(int what, rlim_t value, struct err *e)
{
        const struct rlimit r = {value, value};
        return setrlimit(what, &r) == 0 ? 0 : err_errno(e, errno, "setrlimit");
}

static int limit_all(const struct sandbox_options *o, struct err *e)
{
        int rc = limit(RLIMIT_CORE, 0, e);
        if (rc == 0)
                rc = limit(RLIMIT_NOFILE, MAX_DESCRIPTORS, e);
        if (rc == 0 && o->memory_bytes) {
                signal(SIGXFSZ, SIG_IGN); /* the write fails */
                rc = limit(RLIMIT_FSIZE, o->memory_bytes, e);
        }
        if (rc == 0 && o->memory_bytes && !SANITIZED) /* their shadows take terabytes */
                rc = limit(RLIMIT_AS, o->memory_bytes, e);
        return rc;
}

/* The soft limit counts from the process's start, so it moves on with every request. */
int sandbox_allow_cpu(int seconds, struct err *e)
{
        struct rusage used;
        struct rlimit r;
        getrusage(RUSAGE_SELF, &used);
        getrlimit(RLIMIT_CPU, &r);
        r.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + seconds);
        return setrlimit(RLIMIT_CPU, &r) == 0 ? 0 : err_errno(e, errno, "setrlimit");
}

/* --- files: Landlock --- */

static int add_folder(int ruleset, const char *folder, struct err *e)
{
        struct landlock_path_beneath_attr below = {
                .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                  LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                  LANDLOCK_ACCESS_FS_REMOVE_FILE,
                .parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC),
        };
        if (below.parent_fd < 0)
                return err_errno(e, errno, "%s", folder);
        long rc = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
        int errnum = errno;
        close(below.parent_fd);
        return rc == 0 ? 0 : err_errno(e, errnum, "Landlock");
}

static int confine_files(const char *folder, struct err *e)
{
        /* All that its first version knows. */
        const struct landlock_ruleset_attr all = {
                .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
        int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
        if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
                log_line(LOG_INFO,
                        "this kernel has no Landlock: files are guarded by their permissions alone");
                return 0;
        }
        if (ruleset < 0 && errno == EPERM)
                return err_set(e, ERR_UNAVAILABLE,
                        "Landlock is not permitted; what cnnd runs in, a container perhaps, has to allow "
                        "landlock_create_ruleset, landlock_add_rule and landlock_restrict_self");
        if (ruleset < 0)
                return err_errno(e, errno, "Landlock");
        int rc = folder ? add_folder(ruleset, folder, e) : 0;
        if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
                rc = err_errno(e, errno, "Landlock");
        close(ruleset);
        return rc;
}

/* --- system calls: seccomp --- */

/* Of the channel, files, memory, time, the log, and ending. Which files is Landlock's part. */
static const int allowed[] = {
        SCMP_SYS(read),
        SCMP_SYS(readv),
        SCMP_SYS(pread64),
        SCMP_SYS(write),
        SCMP_SYS(writev),
        SCMP_SYS(recvmsg),
        SCMP_SYS(recvfrom),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(close),
        SCMP_SYS(openat),
        SCMP_SYS(fsync),
        SCMP_SYS(rename),
        SCMP_SYS(renameat),
        SCMP_SYS(renameat2),
        SCMP_SYS(unlink),
        SCMP_SYS(unlinkat),
        SCMP_SYS(lseek),
        SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(statx),
        SCMP_SYS(munmap),
        SCMP_SYS(mremap),
        SCMP_SYS(madvise),
        SCMP_SYS(brk),
        SCMP_SYS(futex),
        SCMP_SYS(getrandom),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(clock_getres),
        SCMP_SYS(gettimeofday),
        SCMP_SYS(getrusage),
        SCMP_SYS(getpid),
        SCMP_SYS(gettid),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(sigaltstack),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(sched_yield),
        SCMP_SYS(sched_getaffinity),
        SCMP_SYS(sysinfo), /* qsort asks how much memory there is: libtiff sorts a directory's tags */
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
};

static int allow_with_conditions(scmp_filter_ctx f)
{
        const struct scmp_arg_cmp no_code[] = {SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)};
        const struct scmp_arg_cmp myself[] = {SCMP_A0(SCMP_CMP_EQ, 0)};
        const struct scmp_arg_cmp flags[] = {SCMP_A1(SCMP_CMP_LE, F_GETFL)};
        const struct scmp_arg_cmp own_group[] = {SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())};
        int rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_code);
        if (rc == 0)
                rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_code);
        if (rc == 0)
                rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, myself);
        if (rc == 0) /* libarchive makes sure that its file is closed on exec */
                rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, flags);
        if (rc == 0) /* abort() */
                rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, own_group);
        return rc;
}

static int confine_calls(struct err *e)
{
        scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
        if (!f) /* libseccomp says no more */
                return err_set(e, ERR_UNAVAILABLE,
                        "no system-call filter can be made; what cnnd runs in, a container perhaps, has to "
                        "allow seccomp and prctl, or memory is out");
        int rc = seccomp_attr_set(f, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own errors */
        for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
                rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
        if (rc == 0)
                rc = allow_with_conditions(f);
        if (rc == 0)
                rc = seccomp_load(f);
        seccomp_release(f);
        return rc == 0 ? 0 : err_errno(e, -rc, "the system-call filter");
}

int sandbox_enter(const struct sandbox_options *o, struct err *e)
{
        struct err why = {0};
        int rc =
                prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : err_errno(&why, errno, "no new privileges");
        if (rc == 0 && !SANITIZED)
                rc = confine_files(o->folder, &why);
        if (rc == 0)
                rc = limit_all(o, &why);
        if (rc == 0 && !SANITIZED)
                rc = confine_calls(&why);
        if (rc == 0)
                return 0;
        return err_set(e, ERR_UNAVAILABLE, "the server cannot open the sandbox in which it reads files: %s",
                why.message);
}
