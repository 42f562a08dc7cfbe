/* Files that are whole or absent: written beside their place, fsynced, renamed over it. */
#ifndef CNND_FILE_H
#define CNND_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file on its way. It lies as ".new-XXXXXX" in the folder of its path until file_commit; a killed process
   leaves such a file behind, which anybody may delete. Mode 0600. */
struct file_new;
int file_create(const char *path, struct file_new **ret, struct err *e);
int file_write(struct file_new *f, const void *bytes, size_t len, struct err *e);
/* The mode that a file of the user's own has by his umask, instead of 0600. */
int file_share(struct file_new *f, struct err *e);
/* Fsyncs, renames over the path, fsyncs the folder: after 0 the file survives power loss. Frees `f` in every
   case; on failure the temporary file is gone and what stood at the path still stands, unless the folder's
   fsync alone failed: then the new file is in place, but may not survive power loss. */
int file_commit(struct file_new *f, struct err *e);
/* Deletes the temporary file. NULL accepted. */
void file_abandon(struct file_new *f);

/* Writes all of it to an open file; false with errno set. Not on Windows, as all below. */
bool file_put(int fd, const void *bytes, size_t len);
/* A name is durable only when the folder that holds it is. Errors call the file `what`. */
int file_sync_folder(const char *dir, const char *what, struct err *e);
/* Maps a whole regular file for reading. An empty one is ERR_SYNTAX. *ret is unmapped with file_unmap. Who
   shortens the file while it is mapped makes readers fault: replace such files with file_commit only. */
int file_map(const char *path, void **ret, size_t *ret_len, struct err *e);
/* NULL accepted. Who may not die of a disk that fails reads a file instead, as below. */
void file_unmap(void *map, size_t len);
/* From now on this process ends with that exit status where it touches what a disk cannot give it of a map.
   A few dozen maps at once are known. */
void file_guard_maps(int status);
/* Opens a regular file that is not empty, with file_map's errors. The caller closes *ret_fd. */
int file_open(const char *path, int *ret_fd, uint64_t *ret_len, struct err *e);
/* `len` bytes from `at` on. ERR_SYNTAX where the file ends before that. `path` is for the words. */
int file_piece(int fd, const char *path, uint64_t at, void *out, size_t len, struct err *e);
/* A whole file with a NUL behind it; the caller frees *ret. */
int file_read(const char *path, char **ret, size_t *ret_len, struct err *e);

#endif
