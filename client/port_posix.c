#include "client/port.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>
#include <wchar.h>

void port_begin(void)
{
        setlocale(LC_CTYPE, "");
}

bool port_utf8(void)
{
        return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

enum port_terminal port_terminal(void)
{
        const char *kind = getenv("TERM"), *colours = getenv("COLORTERM");
        if (!isatty(STDOUT_FILENO))
                return PORT_FILE;
        if (!kind || !kind[0] || strcmp(kind, "dumb") == 0)
                return PORT_DUMB;
        return strstr(kind, "256color") || (colours && colours[0]) ? PORT_MANY_COLOURS : PORT_FEW_COLOURS;
}

void port_size(int *columns, int *rows)
{
        struct winsize w;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0)
                return;
        if (w.ws_col > 0)
                *columns = w.ws_col;
        if (w.ws_row > 0)
                *rows = w.ws_row;
}

int port_width(uint32_t c)
{
        return wcwidth((wchar_t)c);
}

int port_random(void *bytes, size_t len, struct err *e)
{
        return getrandom(bytes, len, 0) == (ssize_t)len ? 0 : err_errno(e, errno, "no random bytes");
}
