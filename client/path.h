/* Files and folders to read, by names in UTF-8 on every system: path_posix.c, path_windows.c. */
#ifndef CNND_PATH_H
#define CNND_PATH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct path_info {
        bool regular, folder;
        uint64_t size;
        int64_t mtime; /* seconds since 1970 */
};
/* What stands there, links followed. ERR_NOT_FOUND, ERR_DENIED, … */
int path_look(const char *path, struct path_info *ret, struct err *e);

/* A file open for reading, as it is: no line ends are translated. */
struct path_file;
/* NULL opens standard input, which path_close leaves open. `ret_info` may be NULL. */
int path_open(const char *path, struct path_file **ret, struct path_info *ret_info, struct err *e);
/* Up to `len` bytes; their number, 0 at the end, or a negative ERR_…. */
int64_t path_read(struct path_file *f, void *bytes, size_t len, struct err *e);
/* A new file without a name, for what is too much for memory: it is gone with path_close, or with the
   program. It lies in TMPDIR, or where the system keeps such files. */
int path_spool(struct path_file **ret, struct err *e);
/* Writes behind what was written before. */
int path_write(struct path_file *f, const void *bytes, size_t len, struct err *e);
/* As path_read, from byte `at` of such a file on. */
int64_t path_read_at(struct path_file *f, uint64_t at, void *bytes, size_t len, struct err *e);
/* NULL accepted. */
void path_close(struct path_file *f);

/* Gets the name of one entry of a folder; 0 to go on. */
typedef int (*path_visitor)(void *data, const char *name, struct err *e);
/* Calls `visit` for each entry that is not hidden (by a dot before its name, on Windows by its attribute
   too), in no order; its code where that is not 0. */
int path_list(const char *folder, path_visitor visit, void *data, struct err *e);

#endif
