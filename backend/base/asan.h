/* Builds with the address sanitizer, or another: what must differ in them. */
#ifndef CNND_ASAN_H
#define CNND_ASAN_H

#if defined __SANITIZE_ADDRESS__
#define ASAN_BUILD 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define ASAN_BUILD 1
#endif
#endif

/* 1 or 0: the thread sanitizer too, whose shadow takes terabytes of addresses as well. */
#if defined ASAN_BUILD || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#ifdef ASAN_BUILD
#include <sanitizer/lsan_interface.h>
#endif

/* Reports what is unreachable by now. For processes that end by a signal, where the check at exit never
   comes; any thread. Does nothing in other builds. */
static inline void asan_check_leaks(void)
{
#ifdef ASAN_BUILD
        (void)__lsan_do_recoverable_leak_check();
#endif
}

#endif
