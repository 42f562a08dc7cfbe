/* What the user or the system asks of a program that draws on a terminal or writes a file, held back between
   begin and end and read by polling, so that neither a half-written file nor a hidden cursor is left behind.
   One thread; not nested. */
#ifndef CNND_INTERRUPT_H
#define CNND_INTERRUPT_H

enum interrupt_kind {
        INTERRUPT_NONE,
        INTERRUPT_END,    /* SIGINT, SIGTERM, SIGHUP; Ctrl-C, Ctrl-Break, a closed window */
        INTERRUPT_RESIZE, /* the terminal has another size */
        INTERRUPT_STOP    /* Ctrl-Z; never on Windows */
};

struct interrupt {
        int ended_by;  /* the number of the signal once INTERRUPT_END came, else 0 */
        unsigned held; /* which signals came through before */
};
void interrupt_begin(struct interrupt *i);
/* The next that came. Does not block. */
enum interrupt_kind interrupt_poll(struct interrupt *i);
/* Lets signals through again; those polled are gone, one that came since takes its usual effect. */
void interrupt_end(struct interrupt *i);
/* The usual effect of Ctrl-Z: stops the process, and returns when the shell lets it go on. */
void interrupt_stop(void);

#endif
