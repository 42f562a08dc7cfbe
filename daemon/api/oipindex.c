#include "daemon/api/oipindex.h"

#include "base/log.h"
#include "base/str.h"
#include "daemon/api/oip.h"

#include <stdlib.h>
#include <string.h>

struct index {
        struct models *models; /* borrowed */
        struct identity who;
        bool ready;
        struct listing part; /* that was read last; its `after` is `after` */
        char after[LISTING_NAME];
        struct str text; /* what is on its way */
        size_t sent;
        bool begun; /* one has been written */
};

static void add_entry(void *ctx, const char *name, const struct err *error)
{
        struct index *x = ctx;
        if (error && x->ready)
                return;
        str_add(&x->text, x->begun ? ",{\"name\":" : "{\"name\":");
        str_add_json(&x->text, name);
        str_addf(&x->text, ",\"version\":\"" OIP_VERSION "\",\"state\":\"%s\",\"reason\":",
                error ? "UNAVAILABLE" : "READY");
        str_add_json(&x->text, error ? error->message : "");
        str_add(&x->text, "}");
        x->begun = true;
}

static int read_part(struct index *x, struct err *e)
{
        memcpy(x->after, x->part.last, sizeof x->after);
        x->part = (struct listing){.after = x->after, .limit = LISTING_MAX};
        int rc = models_names(x->models, &x->who, &x->part, add_entry, x, e);
        if (rc == 0 && !x->part.more)
                str_add(&x->text, "]\n");
        else if (rc == 0 && !x->text.len)
                str_add(&x->text, " "); /* a part a turn, also where nothing of it is told */
        return rc == 0 && x->text.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a list") : rc;
}

static ssize_t index_read(void *ctx, char *out, size_t max)
{
        struct index *x = ctx;
        struct err e = {0};
        while (x->sent == x->text.len) {
                if (!x->part.more)
                        return REPLY_END;
                str_clear(&x->text);
                x->sent = 0;
                if (read_part(x, &e)) {
                        log_line(LOG_WARN, "a list of models breaks off: %s", e.message);
                        return REPLY_BROKEN;
                }
        }
        size_t n = x->text.len - x->sent;
        n = n < max ? n : max;
        memcpy(out, x->text.data + x->sent, n);
        x->sent += n;
        return (ssize_t)n;
}

static void index_close(void *ctx)
{
        struct index *x = ctx;
        str_free(&x->text);
        free(x);
}

int oipindex_open(
        struct models *ms, const struct identity *who, bool ready, struct reply_stream *ret, struct err *e)
{
        struct index *x = calloc(1, sizeof *x);
        if (!x)
                return err_set(e, ERR_NO_MEMORY, "no memory for a list");
        *x = (struct index){.models = ms, .who = *who, .ready = ready};
        str_add(&x->text, "[");
        int rc = read_part(x, e);
        if (rc)
                index_close(x);
        else
                *ret = (struct reply_stream){
                        .ctx = x, .read = index_read, .close = index_close, .whole = true};
        return rc;
}
