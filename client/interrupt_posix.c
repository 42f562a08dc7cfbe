#include "client/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

static const struct {
        int signal;
        enum interrupt_kind kind;
} table[] = {{SIGINT, INTERRUPT_END}, {SIGTERM, INTERRUPT_END}, {SIGHUP, INTERRUPT_END},
        {SIGWINCH, INTERRUPT_RESIZE}, {SIGTSTP, INTERRUPT_STOP}};
enum { SIGNALS = sizeof table / sizeof table[0] };

/* Those of the table whose bits are set. */
static sigset_t set_of(unsigned bits)
{
        sigset_t set;
        sigemptyset(&set);
        for (int k = 0; k < SIGNALS; k++)
                if (bits >> k & 1)
                        sigaddset(&set, table[k].signal);
        return set;
}

void interrupt_begin(struct interrupt *i)
{
        sigset_t all = set_of((1u << SIGNALS) - 1), before;
        *i = (struct interrupt){0};
        sigprocmask(SIG_BLOCK, &all, &before);
        for (int k = 0; k < SIGNALS; k++)
                if (!sigismember(&before, table[k].signal))
                        i->held |= 1u << k;
}

enum interrupt_kind interrupt_poll(struct interrupt *i)
{
        sigset_t all = set_of((1u << SIGNALS) - 1);
        int sig = sigtimedwait(&all, NULL, &(struct timespec){0});
        for (int k = 0; k < SIGNALS; k++) {
                if (table[k].signal != sig)
                        continue;
                if (table[k].kind == INTERRUPT_END)
                        i->ended_by = sig;
                return table[k].kind;
        }
        return INTERRUPT_NONE;
}

void interrupt_end(struct interrupt *i)
{
        sigset_t held = set_of(i->held);
        sigprocmask(SIG_UNBLOCK, &held, NULL);
}

void interrupt_stop(void)
{
        raise(SIGSTOP);
}
