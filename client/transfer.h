/* Files to and from the server: bodies streamed from disk, answers that are whole files or none. */
#ifndef CNND_TRANSFER_H
#define CNND_TRANSFER_H

#include "client/fetch.h"
#include "client/path.h"

/* Seconds without a byte, for a request's stall_s, of what is long in the making: to hang up is to call it
   off. The server gives a map half an hour (CLASSIFY_MAP_TIMEOUT_MS). It sets no end to an import, and one
   that tells of itself does so at least once an hour. */
enum { TRANSFER_MAP_S = 2100, TRANSFER_IMPORT_S = 7200 };

/* GETs `path` with `accept` (a header line, or NULL) into `file`: written beside it and renamed when whole,
   so that no half of it ever stands there, whatever ends the transfer; "-" is standard output. The server's
   error, ERR_CANCELLED with *ret_signal set when an INTERRUPT_END came, ERR_CLOSED, ERR_DISK, …  `q` may
   hold a body and its headers to send; its sink and tick are set here. */
int transfer_download(
        struct fetch *h, struct fetch_request *q, const char *file, int *ret_signal, struct err *e);

/* The same into a file without a name, *ret, to be closed with path_close. */
int transfer_spool(
        struct fetch *h, struct fetch_request *q, struct path_file **ret, int *ret_signal, struct err *e);

/* A file as a request's body, or a folder as a tar of it. */
struct transfer_file {
        struct path_file *file; /* owned; or */
        struct tar *tar;        /* owned */
        struct err *e;          /* borrowed; told when reading fails */
};
/* Opens a regular file and puts it into `q`, with the media type of its name as headers[0]. `f` and `e` must
   outlive the exchange. ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID for what is no regular file. */
int transfer_open(struct transfer_file *f, const char *path, struct fetch_request *q, struct err *e);
/* The same, or a folder: tar.h. */
int transfer_open_tree(struct transfer_file *f, const char *path, struct fetch_request *q, struct err *e);
/* The next bytes of it, as a fetch_source; `data` is a struct transfer_file. */
int64_t transfer_source(void *data, void *bytes, size_t len);
void transfer_close(struct transfer_file *f);

/* A whole file, or standard input for "-", of at most `most` bytes. */
int transfer_read(const char *path, size_t most, struct str *ret, struct err *e);

#endif
