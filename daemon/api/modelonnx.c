#include "daemon/api/modelonnx.h"

#include "base/log.h"
#include "train/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct source {
        struct onnx onnx;
        int fd; /* owned: the weights */
};

static ssize_t source_read(void *ctx, uint64_t at, char *out, size_t max)
{
        const struct source *s = ctx;
        const ssize_t n = onnx_read(&s->onnx, s->fd, at, out, max);
        if (n > 0)
                return n;
        log_line(
                LOG_WARN, "a model cannot be exported to its end: %s", n ? strerror(errno) : "it is shorter");
        return REPLY_BROKEN;
}

static void source_close(void *ctx)
{
        struct source *s = ctx;
        onnx_free(&s->onnx);
        close(s->fd);
        free(s);
}

/* The file's head alone is read. */
static int export_file(struct models *ms, const char *name, struct onnx *o, uint64_t *ret_size, struct err *e)
{
        struct safetensors *st;
        struct err why = {0};
        char *path = models_path(ms, name);
        if (!path)
                return err_set(e, ERR_NO_MEMORY, "no memory for a path");
        int rc = safetensors_open(path, &st, &why);
        free(path);
        if (rc == ERR_NO_MEMORY)
                return err_set(e, rc, "%s", why.message);
        if (rc) /* whole when it was stored: nothing that who asks could mend */
                return err_set(
                        e, ERR_UNAVAILABLE, "the file of model '%s' is damaged: %s", name, why.message);
        rc = export_model(name, st, o, ret_size, e);
        safetensors_close(st);
        return rc;
}

int modelonnx_open(
        struct models *ms, const char *name, struct reply_source *ret, uint64_t *ret_size, struct err *e)
{
        uint64_t bytes;
        struct source *s = calloc(1, sizeof *s);
        if (!s)
                return err_set(e, ERR_NO_MEMORY, "no memory for a model");
        int rc = models_open(ms, name, &s->fd, &bytes, e);
        if (rc) {
                free(s);
                return rc;
        }
        rc = export_file(ms, name, &s->onnx, ret_size, e);
        if (rc)
                source_close(s);
        else
                *ret = (struct reply_source){.ctx = s, .read = source_read, .close = source_close};
        return rc;
}
