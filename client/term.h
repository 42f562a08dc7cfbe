/* What standard output is: a terminal or not, how wide, with which characters and colours. */
#ifndef CNND_TERM_H
#define CNND_TERM_H

#include <stdbool.h>

enum style {
        STYLE_PLAIN,
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_BAD,
        STYLE_TRAIN,
        STYLE_VALIDATION,
        STYLES
};

struct term {
        bool tty;    /* standard output is a terminal */
        bool live;   /* and one on which a picture can be redrawn in place */
        bool utf8;   /* the locale's characters are UTF-8 */
        bool colour; /* never where NO_COLOR is set */
        bool many;   /* 256 colours */
        int columns, rows;
};

/* Looks at standard output, the locale (see port_begin) and the environment. */
void term_init(struct term *t);
/* Asks for the size again. */
void term_measure(struct term *t);
/* The escape sequence that begins a style, "" where the terminal has no colour; STYLE_PLAIN ends all. */
const char *term_style(const struct term *t, enum style style);
/* The style of a job's or device's state. */
enum style term_state_style(const char *state);

#endif
