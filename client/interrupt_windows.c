#include "client/interrupt.h"
#include "client/port.h"

#include <signal.h>
#include <windows.h>

/* Windows calls the handler on a thread of its own. */
static volatile LONG pending;
/* As of the last poll; the console does not tell when it changes. */
static int columns, rows;

static BOOL WINAPI on_control(DWORD kind)
{
        bool asked = kind == CTRL_C_EVENT || kind == CTRL_BREAK_EVENT;
        InterlockedExchange(&pending, asked ? SIGINT : SIGTERM);
        if (!asked) /* the window closes; the process ends when this returns, or with main */
                Sleep(INFINITE);
        return TRUE;
}

void interrupt_begin(struct interrupt *i)
{
        *i = (struct interrupt){0};
        InterlockedExchange(&pending, 0);
        columns = rows = 0;
        port_size(&columns, &rows);
        SetConsoleCtrlHandler(on_control, TRUE);
}

enum interrupt_kind interrupt_poll(struct interrupt *i)
{
        int sig = (int)InterlockedExchange(&pending, 0), now_columns = 0, now_rows = 0;
        if (sig) {
                i->ended_by = sig;
                return INTERRUPT_END;
        }
        port_size(&now_columns, &now_rows);
        if (now_columns == columns && now_rows == rows)
                return INTERRUPT_NONE;
        columns = now_columns;
        rows = now_rows;
        return INTERRUPT_RESIZE;
}

void interrupt_end(struct interrupt *i)
{
        (void)i;
        SetConsoleCtrlHandler(on_control, FALSE);
}

void interrupt_stop(void)
{
}
