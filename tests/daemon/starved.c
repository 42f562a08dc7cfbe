/* What a process tells of its want of processors: much where others have the one that it may use, little
   where it sleeps. */
#include "check.h"

#include "base/clock.h"
#include "daemon/worker/starved.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OTHERS = 4, RUN_MS = 300, SLEEP_MS = 500 };

static int64_t processor_ms(void)
{
        return (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

static void run_ms(int64_t ms)
{
        for (const int64_t end = processor_ms() + ms; processor_ms() < end;)
                continue;
}

/* On the first processor that it may use. */
static void pin(void)
{
        cpu_set_t may, one;
        CPU_ZERO(&one);
        assert_int_equal(sched_getaffinity(0, sizeof may, &may), 0);
        for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
                if (CPU_ISSET(i, &may))
                        CPU_SET(i, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

static void is_told(void **state)
{
        struct starved s = {0};
        pid_t others[OTHERS];
        (void)state;
        pin();
        for (int i = 0; i < OTHERS; i++) {
                others[i] = fork();
                assert_true(others[i] >= 0);
                if (others[i] == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        for (;;)
                                continue;
                }
        }
        assert_int_equal(starved_ms(&s), 0);
        const int64_t begun = clock_now_ms();
        run_ms(RUN_MS);
        const int64_t told = starved_ms(&s), took = clock_now_ms() - begun;
        for (int i = 0; i < OTHERS; i++) {
                kill(others[i], SIGKILL);
                waitpid(others[i], NULL, 0);
        }
        print_message("%lld of %lld ms\n", (long long)told, (long long)took);
        assert_true(told > took / 2); /* a fifth of the processor is its own */
        assert_true(told <= took);
}

static void sleep_is_none(void **state)
{
        struct starved s = {0};
        (void)state;
        starved_ms(&s);
        nanosleep(&(struct timespec){.tv_nsec = SLEEP_MS * 1000000L}, NULL);
        assert_true(starved_ms(&s) < SLEEP_MS / 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(is_told), cmocka_unit_test(sleep_is_none)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
