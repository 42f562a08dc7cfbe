#include "client/transfer.h"
#include "base/file.h"
#include "client/command.h"
#include "client/interrupt.h"
#include "client/rest.h"
#include "client/tar.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct download {
        struct file_new *file;   /* or */
        struct path_file *spool; /* or, where both are NULL, standard output */
        struct interrupt interrupt;
        struct err *e;
};

static int on_bytes(void *data, const void *bytes, size_t len)
{
        struct download *d = data;
        return d->spool  ? path_write(d->spool, bytes, len, d->e)
               : d->file ? file_write(d->file, bytes, len, d->e)
                         : command_write(bytes, len, d->e);
}

static int on_tick(void *data)
{
        struct download *d = data;
        for (enum interrupt_kind kind; (kind = interrupt_poll(&d->interrupt)) != INTERRUPT_NONE;)
                if (kind == INTERRUPT_STOP)
                        interrupt_stop();
        return d->interrupt.ended_by ? err_set(d->e, ERR_CANCELLED, "interrupted") : 0;
}

/* The exchange, with signals held back. */
static int download(struct download *d, struct fetch *h, struct fetch_request *q, struct err *e)
{
        q->sink = on_bytes;
        q->tick = on_tick;
        q->sink_data = q->tick_data = d;
        return rest_call(h, q, NULL, NULL, e);
}

int transfer_spool(
        struct fetch *h, struct fetch_request *q, struct path_file **ret, int *ret_signal, struct err *e)
{
        struct download d = {.e = e};
        int rc = path_spool(&d.spool, e);
        if (rc != 0)
                return rc;
        interrupt_begin(&d.interrupt);
        rc = download(&d, h, q, e);
        interrupt_end(&d.interrupt);
        if (d.interrupt.ended_by)
                *ret_signal = d.interrupt.ended_by;
        if (rc == 0)
                *ret = d.spool;
        else
                path_close(d.spool);
        return rc;
}

int transfer_download(
        struct fetch *h, struct fetch_request *q, const char *file, int *ret_signal, struct err *e)
{
        struct download d = {.e = e};
        struct path_info info;
        struct err ignored;
        int rc = 0;
        bool to_file = strcmp(file, "-") != 0;
        if (to_file && path_look(file, &info, &ignored) == 0 && !info.regular)
                return err_set(e, ERR_INVALID, "%s is not a regular file; nothing was written", file);
        interrupt_begin(&d.interrupt);
        if (to_file)
                rc = file_create(file, &d.file, e);
        if (rc == 0)
                rc = download(&d, h, q, e);
        if (rc == 0 && to_file)
                rc = file_share(d.file, e);
        if (rc == 0 && to_file) {
                rc = file_commit(d.file, e);
                d.file = NULL;
        }
        file_abandon(d.file);
        interrupt_end(&d.interrupt);
        if (d.interrupt.ended_by)
                *ret_signal = d.interrupt.ended_by;
        return rc;
}

static const char *media_header(const char *path)
{
        static const struct {
                const char *end, *header;
        } table[] = {{".png", "Content-Type: image/png"}, {".jpg", "Content-Type: image/jpeg"},
                {".jpeg", "Content-Type: image/jpeg"}, {".tif", "Content-Type: image/tiff"},
                {".tiff", "Content-Type: image/tiff"}, {".mrc", "Content-Type: application/x-mrc"},
                {".dm3", "Content-Type: application/x-dm"}, {".dm4", "Content-Type: application/x-dm"},
                {".emd", "Content-Type: application/x-emd"}, {".ser", "Content-Type: application/x-ser"},
                {".mrcs", "Content-Type: application/x-mrc"}, {".map", "Content-Type: application/x-mrc"},
                {".npy", "Content-Type: application/x-npy"}, {".npz", "Content-Type: application/x-npz"},
                {".zip", "Content-Type: application/zip"}, {".tar", "Content-Type: application/x-tar"}};
        size_t len = strlen(path);
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
                size_t n = strlen(table[i].end);
                if (len > n && strcasecmp(path + len - n, table[i].end) == 0)
                        return table[i].header;
        }
        return "Content-Type: application/octet-stream";
}

int64_t transfer_source(void *data, void *bytes, size_t len)
{
        struct transfer_file *f = data;
        return f->tar ? tar_read(f->tar, bytes, len, f->e) : path_read(f->file, bytes, len, f->e);
}

int transfer_open(struct transfer_file *f, const char *path, struct fetch_request *q, struct err *e)
{
        struct path_info info;
        *f = (struct transfer_file){.e = e};
        int rc = path_open(path, &f->file, &info, e);
        if (rc == 0 && !info.regular)
                rc = err_set(e, ERR_INVALID, "%s is not a regular file", path);
        if (rc != 0) {
                transfer_close(f);
                return rc;
        }
        q->headers[0] = media_header(path);
        q->source = transfer_source;
        q->source_data = f;
        q->source_name = path;
        q->source_len = info.size;
        return 0;
}

int transfer_open_tree(struct transfer_file *f, const char *path, struct fetch_request *q, struct err *e)
{
        struct path_info info;
        struct err ignored;
        if (path_look(path, &info, &ignored) != 0 || !info.folder)
                return transfer_open(f, path, q, e);
        *f = (struct transfer_file){.e = e};
        int rc = tar_create(path, &f->tar, e);
        if (rc != 0)
                return rc;
        q->headers[0] = "Content-Type: application/x-tar";
        q->source = transfer_source;
        q->source_data = f;
        q->source_name = path;
        q->source_len = tar_size(f->tar);
        return 0;
}

void transfer_close(struct transfer_file *f)
{
        path_close(f->file);
        tar_destroy(f->tar);
        f->file = NULL;
        f->tar = NULL;
}

int transfer_read(const char *path, size_t most, struct str *ret, struct err *e)
{
        char bytes[1 << 14];
        struct str text = {0};
        struct path_file *f = NULL;
        int rc = path_open(strcmp(path, "-") == 0 ? NULL : path, &f, NULL, e);
        for (int64_t n; rc == 0 && (n = path_read(f, bytes, sizeof bytes, e)) != 0;) {
                rc = n < 0 ? (int)n : 0;
                if (n > 0)
                        str_add_bytes(&text, bytes, (size_t)n);
                if (text.len > most)
                        rc = err_set(e, ERR_TOO_LARGE, "%s has more than %zu bytes", path, most);
        }
        path_close(f);
        if (rc == 0 && text.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %s", path);
        if (rc == 0)
                *ret = text;
        else
                str_free(&text);
        return rc;
}
