/* The C library's allocations in a test's process, of which one can be made to fail: the n-th that the
   watched thread makes, or all from there on. Libraries' are among them, children's and other threads' are
   not. Under a sanitizer its own allocator stands below, which copies strings by itself. */
#ifndef CNND_SCARCE_H
#define CNND_SCARCE_H

#include <stdbool.h>

/* From now on the calling thread is the watched one, and none of its blocks is left. */
void scarce_watch(void);
/* The n-th allocation from now, counted from 1, fails, and with `ever` all behind it. */
void scarce_fail(long n, bool ever);
/* No more fails. Returns how many did since scarce_fail; *ret_count, where not NULL, allocations since. */
long scarce_end(long *ret_count);
/* Blocks of the watched thread that live. */
long scarce_blocks(void);
/* Prints the first few of them. With SCARCE_FRAMES in the environment of scarce_watch who allocated them
   stands there too, and whose allocation fails is printed when one does. */
void scarce_print(void);

#endif
