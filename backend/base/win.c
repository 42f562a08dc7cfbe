#include "base/win.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>
#include <bcrypt.h>

/* CreateDirectory leaves 12 of MAX_PATH for a name of 8.3. */
enum { SHORT_PATH = MAX_PATH - 12 };

wchar_t *win_wide(const char *utf8)
{
        int n = MultiByteToWideChar(CP_UTF8, 0, utf8, -1, NULL, 0);
        wchar_t *wide = n > 0 ? malloc((size_t)n * sizeof *wide) : NULL;
        if (wide)
                MultiByteToWideChar(CP_UTF8, 0, utf8, -1, wide, n);
        return wide;
}

char *win_utf8(const wchar_t *wide)
{
        int n = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
        char *utf8 = n > 0 ? malloc((size_t)n) : NULL;
        if (utf8)
                WideCharToMultiByte(CP_UTF8, 0, wide, -1, utf8, n, NULL, NULL);
        return utf8;
}

wchar_t *win_path(const char *path)
{
        static const wchar_t device[] = L"\\\\?\\", share[] = L"\\\\?\\UNC\\";
        wchar_t *wide = win_wide(path);
        DWORD room = wide ? GetFullPathNameW(wide, 0, NULL, NULL) : 0;
        if (room < SHORT_PATH || wcsncmp(wide, device, 4) == 0)
                return wide;
        wchar_t *full = malloc((room + wcslen(share)) * sizeof *full),
                *name = full ? full + wcslen(share) : NULL;
        if (full && GetFullPathNameW(wide, room, name, NULL) < room) {
                bool on_share = name[0] == L'\\' && name[1] == L'\\';
                const wchar_t *prefix = on_share ? share : device;
                const wchar_t *rest = on_share ? name + 2 : name;
                memmove(full + wcslen(prefix), rest, (wcslen(rest) + 1) * sizeof *rest);
                memcpy(full, prefix, wcslen(prefix) * sizeof *prefix);
        } else {
                free(full);
                full = NULL;
        }
        free(wide);
        return full;
}

static int code_of(unsigned long code)
{
        switch (code) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
        case ERROR_INVALID_NAME:
        case ERROR_BAD_NETPATH:
        case ERROR_INVALID_DRIVE:
                return ERR_NOT_FOUND;
        case ERROR_ACCESS_DENIED:
        case ERROR_SHARING_VIOLATION:
        case ERROR_WRITE_PROTECT:
                return ERR_DENIED;
        case ERROR_DISK_FULL:
        case ERROR_HANDLE_DISK_FULL:
                return ERR_DISK;
        case ERROR_NOT_ENOUGH_MEMORY:
        case ERROR_OUTOFMEMORY:
                return ERR_NO_MEMORY;
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS:
                return ERR_EXISTS;
        default:
                return ERR_IO;
        }
}

int win_err(struct err *e, unsigned long code, const char *fmt, ...)
{
        wchar_t wide[256] = L"";
        char words[3 * 256] = "", context[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(context, sizeof context, fmt, ap);
        va_end(ap);
        DWORD n = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, code, 0,
                wide, sizeof wide / sizeof wide[0], NULL);
        while (n && wcschr(L"\r\n .", wide[n - 1]))
                wide[--n] = L'\0';
        WideCharToMultiByte(CP_UTF8, 0, wide, -1, words, sizeof words, NULL, NULL);
        if (!words[0])
                snprintf(words, sizeof words, "error %lu of Windows", code);
        return err_set(e, code_of(code), "%s: %s", context, words);
}

int win_random(void *bytes, size_t len, struct err *e)
{
        if (BCryptGenRandom(NULL, bytes, (ULONG)len, BCRYPT_USE_SYSTEM_PREFERRED_RNG) != 0)
                return err_set(e, ERR_IO, "no random bytes");
        return 0;
}
