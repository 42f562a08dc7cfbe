#include "client/path.h"
#include "base/str.h"
#include "base/win.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

/* A FILETIME counts 100 ns since 1601. */
#define TICKS_PER_SECOND  10000000
#define SECONDS_1601_1970 11644473600

enum { PIECE_MOST = 1 << 24 };

struct path_file {
        HANDLE handle;
        bool own;   /* not standard input */
        char *path; /* owned, for messages */
};

/* A folder opens too, so that it is known for what it is. */
static HANDLE open_path(const char *path, DWORD access)
{
        wchar_t *wide = win_path(path);
        HANDLE h = INVALID_HANDLE_VALUE;
        if (wide)
                h = CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                        OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_SEQUENTIAL_SCAN, NULL);
        else
                SetLastError(ERROR_OUTOFMEMORY);
        DWORD code = GetLastError();
        free(wide);
        SetLastError(code);
        return h;
}

static int info_of(HANDLE h, const char *path, struct path_info *ret, struct err *e)
{
        BY_HANDLE_FILE_INFORMATION info;
        *ret = (struct path_info){0};
        if (GetFileType(h) != FILE_TYPE_DISK) /* a pipe, the console, NUL */
                return 0;
        if (!GetFileInformationByHandle(h, &info))
                return win_err(e, GetLastError(), "cannot look at %s", path);
        uint64_t ticks =
                (uint64_t)info.ftLastWriteTime.dwHighDateTime << 32 | info.ftLastWriteTime.dwLowDateTime;
        ret->folder = info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY;
        ret->regular = !ret->folder;
        ret->size = (uint64_t)info.nFileSizeHigh << 32 | info.nFileSizeLow;
        ret->mtime = (int64_t)(ticks / TICKS_PER_SECOND) - SECONDS_1601_1970;
        return 0;
}

int path_look(const char *path, struct path_info *ret, struct err *e)
{
        HANDLE h = open_path(path, FILE_READ_ATTRIBUTES);
        if (h == INVALID_HANDLE_VALUE)
                return win_err(e, GetLastError(), "cannot look at %s", path);
        int rc = info_of(h, path, ret, e);
        CloseHandle(h);
        return rc;
}

int path_open(const char *path, struct path_file **ret, struct path_info *ret_info, struct err *e)
{
        const char *name = path ? path : "standard input";
        struct path_info info;
        HANDLE h = path ? open_path(path, GENERIC_READ) : GetStdHandle(STD_INPUT_HANDLE);
        if (!h || h == INVALID_HANDLE_VALUE)
                return win_err(e, h ? GetLastError() : ERROR_INVALID_HANDLE, "cannot open %s", name);
        int rc = info_of(h, name, &info, e);
        struct path_file *f = rc == 0 ? calloc(1, sizeof *f) : NULL;
        if (f)
                *f = (struct path_file){h, path != NULL, strdup(name)};
        if (!f || !f->path) {
                if (path)
                        CloseHandle(h);
                free(f);
                return rc ? rc : err_set(e, ERR_NO_MEMORY, "no memory to open %s", name);
        }
        if (ret_info)
                *ret_info = info;
        *ret = f;
        return 0;
}

int path_spool(struct path_file **ret, struct err *e)
{
        wchar_t folder[MAX_PATH + 1], name[MAX_PATH + 1];
        HANDLE h = INVALID_HANDLE_VALUE;
        if (GetTempPathW(MAX_PATH + 1, folder) && GetTempFileNameW(folder, L"cnn", 0, name))
                h = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS,
                        FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, NULL);
        if (h == INVALID_HANDLE_VALUE)
                return win_err(e, GetLastError(), "cannot create a temporary file (TMP names their folder)");
        struct path_file *f = calloc(1, sizeof *f);
        if (f)
                *f = (struct path_file){h, true, strdup("a temporary file (TMP names their folder)")};
        if (!f || !f->path) {
                CloseHandle(h);
                free(f);
                return err_set(e, ERR_NO_MEMORY, "no memory for a temporary file");
        }
        *ret = f;
        return 0;
}

int path_write(struct path_file *f, const void *bytes, size_t len, struct err *e)
{
        for (const char *p = bytes; len;) {
                DWORD n = 0;
                if (!WriteFile(f->handle, p, len < PIECE_MOST ? (DWORD)len : PIECE_MOST, &n, NULL))
                        return win_err(e, GetLastError(), "cannot write %s", f->path);
                p += n;
                len -= n;
        }
        return 0;
}

int64_t path_read_at(struct path_file *f, uint64_t at, void *bytes, size_t len, struct err *e)
{
        OVERLAPPED from = {.Offset = (DWORD)at, .OffsetHigh = (DWORD)(at >> 32)};
        DWORD n = 0;
        if (ReadFile(f->handle, bytes, len < PIECE_MOST ? (DWORD)len : PIECE_MOST, &n, &from))
                return n;
        const DWORD code = GetLastError();
        return code == ERROR_HANDLE_EOF ? 0 : win_err(e, code, "cannot read %s", f->path);
}

int64_t path_read(struct path_file *f, void *bytes, size_t len, struct err *e)
{
        DWORD n = 0;
        if (ReadFile(f->handle, bytes, len < PIECE_MOST ? (DWORD)len : PIECE_MOST, &n, NULL))
                return n;
        DWORD code = GetLastError();
        return code == ERROR_BROKEN_PIPE || code == ERROR_HANDLE_EOF
                       ? 0
                       : win_err(e, code, "cannot read %s", f->path);
}

void path_close(struct path_file *f)
{
        if (!f)
                return;
        if (f->own)
                CloseHandle(f->handle);
        free(f->path);
        free(f);
}

static int visit_one(const WIN32_FIND_DATAW *found, path_visitor visit, void *data, struct err *e)
{
        if (found->cFileName[0] == L'.' || (found->dwFileAttributes & FILE_ATTRIBUTE_HIDDEN))
                return 0;
        char *name = win_utf8(found->cFileName);
        int rc = name ? visit(data, name, e) : err_set(e, ERR_NO_MEMORY, "no memory to list a folder");
        free(name);
        return rc;
}

int path_list(const char *folder, path_visitor visit, void *data, struct err *e)
{
        WIN32_FIND_DATAW found;
        struct str pattern = {0};
        str_addf(&pattern, "%s\\*", folder);
        wchar_t *wide = pattern.failed ? NULL : win_path(pattern.data);
        str_free(&pattern);
        if (!wide)
                return err_set(e, ERR_NO_MEMORY, "no memory to list %s", folder);
        HANDLE h = FindFirstFileW(wide, &found);
        DWORD code = GetLastError();
        free(wide);
        if (h == INVALID_HANDLE_VALUE)
                return win_err(e, code, "cannot read the folder %s", folder);
        int rc = visit_one(&found, visit, data, e);
        while (rc == 0 && FindNextFileW(h, &found))
                rc = visit_one(&found, visit, data, e);
        code = GetLastError();
        if (rc == 0 && code != ERROR_NO_MORE_FILES)
                rc = win_err(e, code, "cannot read the folder %s", folder);
        FindClose(h);
        return rc;
}
