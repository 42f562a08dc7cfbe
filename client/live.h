/* A picture that is drawn over itself on the terminal, at most ten times a second. */
#ifndef CNND_LIVE_H
#define CNND_LIVE_H

#include "base/err.h"
#include "client/chart.h"
#include "client/term.h"

#include <stdbool.h>

struct live {
        struct term *term;         /* borrowed; measured again after a resize */
        const struct chart *chart; /* borrowed */
        char note[96];             /* shown in place of the state while not empty */
        int widths[32];            /* of the lines that stand on the screen */
        int count;                 /* how many */
        double drawn_at;
        bool dirty, hidden;
};

void live_init(struct live *l, struct term *t, const struct chart *c);
/* Hides the cursor and draws if something changed or a second went by. `now` is any steady clock in seconds.
 */
int live_tick(struct live *l, double now, struct err *e);
/* Something changed. */
void live_touch(struct live *l);
/* The terminal has another size. */
void live_resize(struct live *l);
/* Stops the process as Ctrl-Z does, with the cursor shown meanwhile, and draws anew after. */
int live_suspend(struct live *l, double now, struct err *e);
/* Draws a last time, puts the cursor below the picture and shows it again. Also after a failed tick. */
int live_end(struct live *l, double now, struct err *e);

#endif
