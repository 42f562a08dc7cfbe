#include "client/term.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static bool is_set(const char *variable)
{
        const char *v = getenv(variable);
        return v && v[0];
}

void term_measure(struct term *t)
{
        struct winsize w;
        t->columns = 80;
        t->rows = 24;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0)
                return;
        if (w.ws_col > 0)
                t->columns = w.ws_col;
        if (w.ws_row > 0)
                t->rows = w.ws_row;
}

void term_init(struct term *t)
{
        const char *kind = getenv("TERM");
        const char *codes = nl_langinfo(CODESET);
        *t = (struct term){.tty = isatty(STDOUT_FILENO)};
        t->live = t->tty && kind && kind[0] && strcmp(kind, "dumb") != 0;
        t->utf8 = strcmp(codes, "UTF-8") == 0;
        t->colour = t->live && !is_set("NO_COLOR");
        t->many = t->colour && (strstr(kind, "256color") || is_set("COLORTERM"));
        term_measure(t);
}

const char *term_style(const struct term *t, enum style style)
{
        static const char *const few[STYLES] = {
                "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[36m", "\x1b[33m"};
        /* Blue and orange of a lightness that reads on dark and on light ground, and to the colour-blind. */
        static const char *const many[STYLES] = {"\x1b[0m", "\x1b[1m", "\x1b[38;5;244m", "\x1b[38;5;35m",
                "\x1b[38;5;160m", "\x1b[38;5;33m", "\x1b[38;5;208m"};
        return !t->colour ? "" : t->many ? many[style] : few[style];
}

enum style term_state_style(const char *state)
{
        static const struct {
                const char *state;
                enum style style;
        } table[] = {{"running", STYLE_TRAIN}, {"busy", STYLE_TRAIN}, {"succeeded", STYLE_GOOD},
                {"ready", STYLE_GOOD}, {"failed", STYLE_BAD}, {"quarantined", STYLE_BAD},
                {"paused", STYLE_VALIDATION}, {"cancelled", STYLE_DIM}, {"queued", STYLE_DIM}};
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (strcmp(state, table[i].state) == 0)
                        return table[i].style;
        return STYLE_PLAIN;
}

void interrupt_begin(struct interrupt *i)
{
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
        i->ended_by = 0;
        sigemptyset(&i->held);
        for (size_t k = 0; k < sizeof signals / sizeof signals[0]; k++)
                sigaddset(&i->held, signals[k]);
        sigprocmask(SIG_BLOCK, &i->held, &i->before);
}

int interrupt_poll(struct interrupt *i)
{
        int sig = sigtimedwait(&i->held, NULL, &(struct timespec){0});
        if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP)
                i->ended_by = sig;
        return sig > 0 ? sig : 0;
}

void interrupt_end(struct interrupt *i)
{
        sigprocmask(SIG_SETMASK, &i->before, NULL);
}
