/* Files that the binary carries: tables that embed.py writes at build time. */
#ifndef CNND_EMBEDDED_H
#define CNND_EMBEDDED_H

#include <stddef.h>
#include <string.h>

struct embedded {
        const char *name, *type, *text; /* without its folder; its media type */
        size_t len;
};

/* Each ends with a name of NULL. */
extern const struct embedded kernel_files[]; /* kernels/NAME.cl */
extern const struct embedded tune_files[]; /* kernels/tune: their first lines name the devices they are for */
extern const struct embedded page_files[]; /* daemon/page: what browsers get at `/` */
extern const struct embedded openapi_files[]; /* one, the parts in daemon/api/openapi joined */

/* NULL where the table has no such file. */
static inline const struct embedded *embedded_find(const struct embedded *table, const char *name)
{
        while (table->name && strcmp(table->name, name) != 0)
                table++;
        return table->name ? table : NULL;
}

#endif
