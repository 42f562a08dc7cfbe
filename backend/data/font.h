/* A tiny typeface: letters of 5x7 dots, for captions in pictures. */
#ifndef CNND_FONT_H
#define CNND_FONT_H

#include <stdbool.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7, FONT_ADVANCE = 6 };

/* Whether the letter has a dot at (x,y); bytes that are not printable ASCII are drawn as a frame. */
bool font_dot(char letter, int x, int y);

#endif
