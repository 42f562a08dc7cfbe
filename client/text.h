/* Text for people: widths on the screen, and numbers, bytes, times in short forms. */
#ifndef CNND_TEXT_H
#define CNND_TEXT_H

#include "base/str.h"

#include <stdbool.h>

/* Small results by value, so that several fit into one call: text_bytes(n).s */
struct text {
        char s[48];
};

/* Appends what a server sent, made safe for a terminal: control characters become '?', and without `utf8`
   what is no ASCII does too. */
void text_add_clean(struct str *s, const char *text, bool utf8);
/* Columns that UTF-8 `text` takes on a screen; escape sequences of colour count nothing. */
int text_width(const char *text);
/* Appends UTF-8 `text`, cut to at most `width` columns; the last is an ellipsis where something was cut.
   Escape sequences of colour are kept, and ended. */
void text_add_cut(struct str *s, const char *text, int width, bool utf8);

/* "21,034"; "" for NAN, as for all below. */
struct text text_count(double n);
/* "1.43 G", three digits. */
struct text text_si(double n);
/* "12.3 MiB". */
struct text text_bytes(double n);
/* "98.2 %" of a fraction. */
struct text text_percent(double fraction);
/* Four significant digits, as losses are read: "0.6123", "12.35", "3.2e-05". */
struct text text_loss(double v);
/* The shortest decimal text that reads back to the same number, whole ones without an exponent; "nan" for
 * NAN. */
struct text text_number(double v);
/* "0:14", "1:02:03", "3 d 04 h". */
struct text text_duration(double seconds);
/* "2026-11-23T08:00:00Z" in seconds since 1970; NAN where `rfc3339` is none or NULL. */
double text_time(const char *rfc3339);
/* "3 min ago" of a time in seconds since 1970. */
struct text text_age(double when, double now);

#endif
