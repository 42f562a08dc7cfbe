/* Small things that each system does in its own way: port_posix.c, port_windows.c. */
#ifndef CNND_PORT_H
#define CNND_PORT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, at the beginning of main: the user's locale; on Windows streams without translation, and a console
   that takes UTF-8 and escape sequences until the program ends. */
void port_begin(void);
/* What is written for people may be UTF-8. */
bool port_utf8(void);
/* What standard output is; the last two know escape sequences. */
enum port_terminal { PORT_FILE, PORT_DUMB, PORT_FEW_COLOURS, PORT_MANY_COLOURS };
enum port_terminal port_terminal(void);
/* The terminal's size; what it does not tell is left as it was. */
void port_size(int *columns, int *rows);
/* Columns that a character takes on the screen; -1 for a control character. */
int port_width(uint32_t c);
/* Bytes that nobody can guess. */
int port_random(void *bytes, size_t len, struct err *e);

#endif
