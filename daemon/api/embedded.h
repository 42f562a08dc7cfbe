/* Files that go out as they are, embedded at build time by daemon/page/embed.py. */
#ifndef CNND_EMBEDDED_H
#define CNND_EMBEDDED_H

#include <stddef.h>

struct embedded {
        const char *name, *type, *text;
        size_t len;
};

/* End with a name of NULL. */
extern const struct embedded page_files[];    /* the page that browsers get at `/`: daemon/page */
extern const struct embedded openapi_files[]; /* one, the parts in daemon/api/openapi joined */

#endif
