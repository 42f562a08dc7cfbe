#include "daemon/api/modelonnx.h"

#include "base/log.h"
#include "train/export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct source {
        struct onnx onnx;
        int fd;     /* owned: the weights */
        char *name; /* owned */
};

static ssize_t source_read(void *ctx, uint64_t at, char *out, size_t max)
{
        const struct source *s = ctx;
        const ssize_t n = onnx_read(&s->onnx, s->fd, at, out, max);
        if (n > 0)
                return n;
        log_line(LOG_WARN, "model '%s' is not exported to its end: %s", s->name,
                errno == ENODATA ? "its file became shorter" : strerror(errno));
        return REPLY_BROKEN;
}

static void source_close(void *ctx)
{
        struct source *s = ctx;
        onnx_free(&s->onnx);
        if (s->fd >= 0)
                close(s->fd);
        free(s->name);
        free(s);
}

/* The file's head alone is read. */
static int export_file(struct source *s, uint64_t *ret_size, struct err *e)
{
        struct safetensors *st = NULL;
        struct saved model = {0};
        struct err why = {0};
        int rc = safetensors_head(s->fd, &st, &why);
        if (rc == 0)
                rc = saved_read(st, &model, &why);
        if (rc)
                rc = models_damaged(s->name, &why, e);
        if (rc == 0)
                rc = export_model(s->name, &model, st, &s->onnx, ret_size, e);
        saved_finish(&model);
        safetensors_close(st);
        return rc;
}

int modelonnx_open(
        struct models *ms, const char *name, struct reply_source *ret, uint64_t *ret_size, struct err *e)
{
        uint64_t bytes;
        struct source *s = calloc(1, sizeof *s);
        if (s)
                *s = (struct source){.fd = -1, .name = strdup(name)};
        int rc = s && s->name ? models_open(ms, name, &s->fd, &bytes, e)
                              : err_set(e, ERR_NO_MEMORY, "no memory for a model");
        if (rc == 0)
                rc = export_file(s, ret_size, e);
        if (rc == 0)
                *ret = (struct reply_source){.ctx = s, .read = source_read, .close = source_close};
        else if (s)
                source_close(s);
        return rc;
}
