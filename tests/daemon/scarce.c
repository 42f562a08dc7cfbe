#include "scarce.h"

#include <errno.h>
#include <execinfo.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef SCARCE_ABOVE_SANITIZER
#define BELOW(name) __interceptor_##name
#else
#define BELOW(name) __libc_##name
#endif

void *BELOW(malloc)(size_t size);
void *BELOW(calloc)(size_t n, size_t size);
void *BELOW(realloc)(void *p, size_t size);
void BELOW(free)(void *p);

enum { TABLE = 1 << 18, FRAMES = 12, PRINTED = 4 };

/* A block of the watched thread; p NULL: an empty place. */
struct block {
        void *p;
        long number;
        void *frame[FRAMES];
};

static struct {
        atomic_flag lock; /* not a mutex, whose functions sanitizers take over later than malloc is called */
        struct block table[TABLE];
        long blocks;
        long count, fail_at, failed; /* since scarce_fail; fail_at 0: none */
        bool ever, frames;
} scarce = {.lock = ATOMIC_FLAG_INIT};

static __thread bool watched, busy;

static void lock(void)
{
        while (atomic_flag_test_and_set_explicit(&scarce.lock, memory_order_acquire))
                sched_yield();
}

static void unlock(void)
{
        atomic_flag_clear_explicit(&scarce.lock, memory_order_release);
}

static size_t home_of(const void *p)
{
        return (((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15U >> 32) % TABLE;
}

/* Where `p` stands, or the empty place where it would. */
static size_t place_of(const void *p)
{
        size_t i = home_of(p);
        while (scarce.table[i].p && scarce.table[i].p != p)
                i = (i + 1) % TABLE;
        return i;
}

/* Empties place i and moves up what stands behind it only for want of a nearer place. */
static void take_out(size_t i)
{
        for (size_t j = (i + 1) % TABLE; scarce.table[j].p; j = (j + 1) % TABLE) {
                const size_t home = home_of(scarce.table[j].p);
                if ((j + TABLE - home) % TABLE >= (j + TABLE - i) % TABLE) {
                        scarce.table[i] = scarce.table[j];
                        i = j;
                }
        }
        scarce.table[i].p = NULL;
}

/* Whose allocation fails. */
static void print_frames(void)
{
        void *frame[FRAMES];
        busy = true;
        backtrace_symbols_fd(frame, backtrace(frame, FRAMES), STDERR_FILENO);
        busy = false;
}

static bool fails(void)
{
        bool now = false;
        if (!watched || busy)
                return false;
        lock();
        scarce.count++;
        if (scarce.fail_at && (scarce.ever ? scarce.count >= scarce.fail_at : scarce.count == scarce.fail_at))
                now = true;
        scarce.failed += now;
        unlock();
        if (now && scarce.frames && !scarce.ever)
                print_frames();
        if (now)
                errno = ENOMEM;
        return now;
}

static void *note(void *p)
{
        struct block b = {.p = p, .number = scarce.count};
        if (!p || !watched || busy)
                return p;
        busy = true; /* backtrace allocates the first time */
        if (scarce.frames)
                backtrace(b.frame, FRAMES);
        lock();
        if (scarce.blocks >= TABLE / 2)
                abort();
        scarce.table[place_of(p)] = b;
        scarce.blocks++;
        unlock();
        busy = false;
        return p;
}

static void forget(const void *p)
{
        lock();
        const size_t place = place_of(p);
        if (scarce.table[place].p) {
                take_out(place);
                scarce.blocks--;
        }
        unlock();
}

void *malloc(size_t size)
{
        return fails() ? NULL : note(BELOW(malloc)(size));
}

void *calloc(size_t n, size_t size)
{
        return fails() ? NULL : note(BELOW(calloc)(n, size));
}

void *realloc(void *p, size_t size)
{
        if (fails())
                return NULL;
        if (p)
                forget(p);
        return note(BELOW(realloc)(p, size));
}

void free(void *p)
{
        if (p)
                forget(p);
        BELOW(free)(p);
}

void scarce_watch(void)
{
        lock();
        memset(scarce.table, 0, sizeof scarce.table);
        scarce.blocks = scarce.fail_at = 0;
        scarce.frames = getenv("SCARCE_FRAMES") != NULL;
        unlock();
        watched = true;
}

void scarce_fail(long n, bool ever)
{
        lock();
        scarce.count = scarce.failed = 0;
        scarce.fail_at = n;
        scarce.ever = ever;
        unlock();
}

long scarce_end(long *ret_count)
{
        lock();
        scarce.fail_at = 0;
        const long failed = scarce.failed;
        if (ret_count)
                *ret_count = scarce.count;
        unlock();
        return failed;
}

long scarce_blocks(void)
{
        return scarce.blocks;
}

void scarce_print(void)
{
        int printed = 0;
        for (int i = 0; i < TABLE && printed < PRINTED; i++)
                if (scarce.table[i].p) {
                        printed++;
                        fprintf(stderr, "a block left since allocation %ld\n", scarce.table[i].number);
                        if (scarce.frames)
                                backtrace_symbols_fd(scarce.table[i].frame, FRAMES, STDERR_FILENO);
                }
}
