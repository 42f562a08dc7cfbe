#include "daemon/api/api.h"

#include "base/embedded.h"

/* Its own files and requests to the server that it came from; no frame of another page's around it. */
static const char policy[] =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static int reply_page(struct http_request *rq, const char *name, struct err *e)
{
        const struct embedded *f = embedded_find(page_files, name);
        struct str text = {0};
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        if (!f)
                return err_set(e, ERR_NOT_FOUND, "the page has no file \"%.80s\"", name);
        str_add_bytes(&text, f->text, f->len);
        rc = reply_text(&rq->reply, 200, f->type, &text, e);
        if (rc)
                return rc;
        reply_header(&rq->reply, "Content-Security-Policy", "%s", policy);
        reply_header(&rq->reply, "Referrer-Policy", "no-referrer");
        return 0;
}

int api_page(void *ctx, struct http_request *rq, struct err *e)
{
        (void)ctx;
        return reply_page(rq, "page.html", e);
}

int api_page_file(void *ctx, struct http_request *rq, struct err *e)
{
        (void)ctx;
        return reply_page(rq, rq->target.part[1], e);
}
