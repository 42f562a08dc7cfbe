/* Time: a steady clock for waiting, the wall clock for people. */
#ifndef CNND_CLOCK_H
#define CNND_CLOCK_H

#include <stdint.h>

/* Milliseconds that never go back; only differences mean something. */
int64_t clock_now_ms(void);
/* The same in microseconds, and in seconds. */
int64_t clock_now_us(void);
double clock_now_s(void);
/* Microseconds of a processor that this thread has taken. */
int64_t clock_thread_us(void);
/* Milliseconds since 1970 UTC. */
int64_t clock_wall_ms(void);

enum { CLOCK_TEXT = 25 };
/* "2026-11-23T08:00:00Z" of clock_wall_ms's value. */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT]);

#endif
