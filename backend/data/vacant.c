#include "data/vacant.h"

#include "data/divide.h"
#include "data/name.h"

#include <stdlib.h>
#include <string.h>

enum { LISTED = 8 };

void vacant_finish(struct vacant *v)
{
        str_free(&v->names);
}

void vacant_add(struct vacant *v, const char *name, size_t len)
{
        const char *last = v->names.data ? v->names.data + v->last : "";
        len -= len && name[len - 1] == '/';
        if (len == 0 || (strlen(last) == len && memcmp(last, name, len) == 0))
                return;
        v->last = v->names.len;
        str_add_bytes(&v->names, name, len);
        str_add_bytes(&v->names, "", 1);
}

/* The names of folders in place of classes that are none, each owned by the list; at most `most`. */
static size_t list_vacant(
        const struct vacant *v, const struct folders *f, const struct intake *in, char **ret, size_t most)
{
        size_t n = 0;
        for (size_t at = 0; at < v->names.len && n < most; at += strlen(v->names.data + at) + 1) {
                const char *name = folders_class(f, v->names.data + at);
                char *normal = name ? name_normal(name) : NULL;
                if (normal && divide_class(in, normal) < 0)
                        ret[n++] = normal;
                else
                        free(normal);
        }
        return n;
}

void vacant_tell(const struct vacant *v, const struct folders *f, const struct intake *in, struct str *out)
{
        size_t most = 0, told = 0;
        for (size_t at = 0; at < v->names.len; at += strlen(v->names.data + at) + 1)
                most++;
        char **list = v->names.failed ? NULL : malloc((most + 1) * sizeof *list);
        out->failed |= !list;
        size_t n = list ? list_vacant(v, f, in, list, most) : 0;
        if (n)
                qsort(list, n, sizeof *list, str_by_text);
        for (size_t i = 0; i < n; i++) {
                if (i && strcmp(list[i], list[i - 1]) == 0)
                        continue; /* of both splits */
                if (told++ < LISTED)
                        str_addf(out, "%s\"%.60s\"",
                                told == 1 ? "folders without an image, which did not become classes: " : ", ",
                                list[i]);
        }
        if (told > LISTED)
                str_addf(out, " and %zu more", told - LISTED);
        for (size_t i = 0; i < n; i++)
                free(list[i]);
        free(list);
}
