#include "client/term.h"
#include "client/port.h"

#include <stdlib.h>
#include <string.h>

void term_measure(struct term *t)
{
        t->columns = 80;
        t->rows = 24;
        port_size(&t->columns, &t->rows);
}

void term_init(struct term *t)
{
        enum port_terminal kind = port_terminal();
        const char *no_colour = getenv("NO_COLOR");
        *t = (struct term){.tty = kind > PORT_FILE, .live = kind > PORT_DUMB, .utf8 = port_utf8()};
        t->colour = t->live && !(no_colour && no_colour[0]);
        t->many = t->colour && kind == PORT_MANY_COLOURS;
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
                {"ready", STYLE_GOOD}, {"failed", STYLE_BAD}, {"missing", STYLE_BAD},
                {"quarantined", STYLE_BAD}, {"paused", STYLE_VALIDATION}, {"cancelled", STYLE_DIM},
                {"queued", STYLE_DIM}};
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (strcmp(state, table[i].state) == 0)
                        return table[i].style;
        return STYLE_PLAIN;
}
