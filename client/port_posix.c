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

bool port_terminal(bool *ret_drawn)
{
        const char *kind = getenv("TERM");
        bool terminal = isatty(STDOUT_FILENO);
        *ret_drawn = terminal && kind && kind[0] && strcmp(kind, "dumb") != 0;
        return terminal;
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
