#include "client/port.h"
#include "base/win.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <windows.h>

enum { OUTPUT_BYTES = 1 << 16 };

/* The shells of Windows leave "*.tif" to the program; mingw's start-up looks here whether to expand it. */
extern int _dowildcard;
int _dowildcard = -1;

int main(int argc, char **argv);
int wmain(int argc, wchar_t **argv);

int wmain(int argc, wchar_t **argv)
{
        char **words = calloc((size_t)argc + 1, sizeof *words);
        bool failed = !words;
        for (int i = 0; !failed && i < argc; i++)
                failed = !(words[i] = win_utf8(argv[i]));
        int status = failed ? 1 : main(argc, words);
        if (failed)
                fputs("cnnctl: no memory for the command line\n", stderr);
        for (int i = 0; words && i < argc; i++)
                free(words[i]);
        free(words);
        return status;
}

/* What the console was before, for who comes after; 0 where it was not touched. */
static UINT codes_before;
static DWORD mode_before;

static void restore_console(void)
{
        if (codes_before)
                SetConsoleOutputCP(codes_before);
        if (mode_before)
                SetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), mode_before);
}

static BOOL WINAPI on_control(DWORD kind)
{
        (void)kind;
        restore_console();
        return FALSE; /* the usual effect follows */
}

void port_begin(void)
{
        static char bytes[OUTPUT_BYTES];
        HANDLE output = GetStdHandle(STD_OUTPUT_HANDLE);
        DWORD mode = 0;
        _setmode(_fileno(stdin), _O_BINARY);
        _setmode(_fileno(stdout), _O_BINARY);
        _setmode(_fileno(stderr), _O_BINARY);
        setvbuf(stdout, bytes, _IOFBF,
                sizeof bytes); /* a character that is cut in two is lost on a console */
        codes_before = GetConsoleOutputCP();
        if (codes_before)
                SetConsoleOutputCP(CP_UTF8);
        DWORD drawing = ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING;
        if (GetConsoleMode(output, &mode) &&
                SetConsoleMode(output, (mode | drawing) & ~(DWORD)DISABLE_NEWLINE_AUTO_RETURN))
                mode_before = mode;
        atexit(restore_console);
        SetConsoleCtrlHandler(on_control, TRUE);
}

bool port_utf8(void)
{
        return true;
}

enum port_terminal port_terminal(void)
{
        DWORD mode;
        if (!GetConsoleMode(GetStdHandle(STD_OUTPUT_HANDLE), &mode))
                return PORT_FILE;
        return mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING ? PORT_MANY_COLOURS : PORT_DUMB;
}

void port_size(int *columns, int *rows)
{
        CONSOLE_SCREEN_BUFFER_INFO info;
        if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info))
                return;
        *columns = info.srWindow.Right - info.srWindow.Left + 1;
        *rows = info.srWindow.Bottom - info.srWindow.Top + 1;
}

/* The blocks that a console draws two columns wide (Unicode's East_Asian_Width W and F), and those of marks
   that it draws over the character before. */
int port_width(uint32_t c)
{
        static const uint32_t ranges[][3] = {{0x0300, 0x036F, 0}, {0x0483, 0x0489, 0}, {0x1100, 0x115F, 2},
                {0x1AB0, 0x1AFF, 0}, {0x1DC0, 0x1DFF, 0}, {0x200B, 0x200F, 0}, {0x20D0, 0x20FF, 0},
                {0x2E80, 0x303E, 2}, {0x3041, 0xA4CF, 2}, {0xA960, 0xA97F, 2}, {0xAC00, 0xD7A3, 2},
                {0xF900, 0xFAFF, 2}, {0xFE00, 0xFE0F, 0}, {0xFE10, 0xFE19, 2}, {0xFE20, 0xFE2F, 0},
                {0xFE30, 0xFE6F, 2}, {0xFF01, 0xFF60, 2}, {0xFFE0, 0xFFE6, 2}, {0x1F300, 0x1F64F, 2},
                {0x1F680, 0x1F6FF, 2}, {0x1F900, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2}};
        if (c < 0x20 || (c >= 0x7F && c < 0xA0))
                return -1;
        for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
                if (c >= ranges[i][0] && c <= ranges[i][1])
                        return (int)ranges[i][2];
        return 1;
}

int port_random(void *bytes, size_t len, struct err *e)
{
        return win_random(bytes, len, e);
}
