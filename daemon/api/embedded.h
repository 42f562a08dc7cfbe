/* The files of the page that browsers get at `/`: embedded from daemon/page. */
#ifndef CNND_PAGE_H
#define CNND_PAGE_H

#include <stddef.h>

struct page_file {
        const char *name, *type, *text;
        size_t len;
};

/* Ends with a name of NULL. */
extern const struct page_file page_files[];

#endif
