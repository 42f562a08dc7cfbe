/* A grid of cells to draw lines on: dots of Braille characters (2 x 4 a cell) or, where the terminal has no
   UTF-8, one character a cell. */
#ifndef CNND_CANVAS_H
#define CNND_CANVAS_H

#include "base/str.h"
#include "client/term.h"

struct canvas;

/* `t` is borrowed. NULL when memory is out. */
struct canvas *canvas_create(const struct term *t, int columns, int rows);
/* NULL accepted. */
void canvas_destroy(struct canvas *c);
/* Dots a cell has across and down. */
int canvas_dots_across(const struct canvas *c);
int canvas_dots_down(const struct canvas *c);
/* A line between two dots, counted from the upper left; what lies outside is cut. `mark` is its ASCII
   character. Where lines share a cell, the later one gives it its colour. */
void canvas_line(struct canvas *c, int x0, int y0, int x1, int y1, enum style style, char mark);
/* A round point in the middle of the cell that holds the dot; hides what else is in the cell. */
void canvas_point(struct canvas *c, int x, int y, enum style style, char mark);
/* Appends one row; `ground` stands in its empty cells, dimmed, one column wide. */
void canvas_row(const struct canvas *c, int row, const char *ground, struct str *out);

#endif
