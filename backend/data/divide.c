#include "data/divide.h"

#include "base/str.h"
#include "data/name.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A class as the sources write it, and its one spelling. */
struct spelling {
        const char *written; /* borrowed */
        char *normal;        /* owned */
};

static int by_written(const void *a, const void *b)
{
        return strcmp(((const struct spelling *)a)->written, ((const struct spelling *)b)->written);
}

/* Those of all sources that are used, in order; *ret is to be freed with what it holds, also after an error.
 */
static int list_spellings(const struct intake *in, struct spelling **ret, size_t *ret_n, struct err *e)
{
        size_t n = 0, kept = 0;
        struct spelling *list = malloc((in->count + 1) * sizeof *list);
        if (!list)
                return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        for (size_t i = 0; i < in->count; i++)
                if (in->sources[i].split != INTAKE_OUT)
                        list[n++] = (struct spelling){in->sources[i].class_name, NULL};
        qsort(list, n, sizeof *list, by_written);
        for (size_t i = 0; i < n; i++)
                if (i == 0 || by_written(&list[i], &list[kept - 1]) != 0)
                        list[kept++] = list[i];
        *ret = list;
        *ret_n = kept;
        for (size_t i = 0; i < kept; i++)
                if (!(list[i].normal = name_normal(list[i].written)))
                        return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        return kept ? 0 : err_set(e, ERR_INVALID, "no images in class folders");
}

/* `names` are sorted. */
static int set_classes(struct intake *in, const char **names, size_t count, struct err *e)
{
        in->classes = calloc(count, sizeof *in->classes);
        if (!in->classes)
                return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        for (size_t i = 0; i < count; i++) {
                if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
                        continue;
                if (in->num_classes == DATASET_MAX_CLASSES)
                        return err_set(e, ERR_TOO_LARGE, "more than %d classes", DATASET_MAX_CLASSES);
                if (strlen(names[i]) > DATASET_CLASS_NAME_MAX)
                        return err_set(e, ERR_INVALID, "a class name of more than %d bytes: %.60s…",
                                DATASET_CLASS_NAME_MAX, names[i]);
                if (!(in->classes[in->num_classes] = strdup(names[i])))
                        return err_set(e, ERR_NO_MEMORY, "no memory for class names");
                in->num_classes++;
        }
        return 0;
}

static int take_classes(struct intake *in, const struct spelling *list, size_t n, struct err *e)
{
        const char **names = malloc(n * sizeof *names);
        if (!names)
                return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        for (size_t i = 0; i < n; i++)
                names[i] = list[i].normal;
        qsort(names, n, sizeof *names, str_by_text);
        int rc = set_classes(in, names, n, e);
        free(names);
        return rc;
}

int32_t divide_class(const struct intake *in, const char *normal)
{
        char **found =
                bsearch(&normal, in->classes, (size_t)in->num_classes, sizeof *in->classes, str_by_text);
        return found ? (int32_t)(found - in->classes) : -1;
}

int divide_classes(struct intake *in, struct err *e)
{
        struct spelling *list = NULL;
        size_t n = 0;
        int rc = list_spellings(in, &list, &n, e);
        if (rc == 0)
                rc = take_classes(in, list, n, e);
        for (size_t i = 0; rc == 0 && i < in->count; i++) {
                struct intake_source *s = &in->sources[i];
                const struct spelling key = {s->class_name, NULL}, *found;
                if (s->split == INTAKE_OUT)
                        continue;
                found = bsearch(&key, list, n, sizeof *list, by_written);
                s->label = divide_class(in, found->normal);
        }
        for (size_t i = 0; i < n; i++)
                free(list[i].normal);
        free(list);
        return rc;
}

/* FNV-1a, then the finalizer of splitmix64. http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash_of(const char *name)
{
        uint64_t h = 0xcbf29ce484222325u;
        for (; *name; name++)
                h = (h ^ (unsigned char)*name) * 0x100000001b3u;
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
        h = (h ^ h >> 27) * 0x94d049bb133111ebu;
        return h ^ h >> 31;
}

struct ticket {
        int32_t label;
        uint64_t hash;
        struct intake_source *source;
};

static int by_hash(const void *a, const void *b)
{
        const struct ticket *x = a, *y = b;
        if (x->label != y->label)
                return x->label < y->label ? -1 : 1;
        if (x->hash != y->hash)
                return x->hash < y->hash ? -1 : 1;
        return intake_by_name(&x->source, &y->source);
}

/* How many of `n` sources validate: the nearest number, but one on either side where there are two; one alone
   trains. */
static size_t share_of(size_t n, double val)
{
        size_t k = (size_t)llrint(val * (double)n);
        if (val > 0 && k == 0 && n > 1)
                k = 1;
        return k == n && val < 1 ? n - 1 : k;
}

int divide_splits(struct intake *in, struct err *e)
{
        size_t n = 0, end;
        double val = in->o.val < 0 ? IMPORT_VAL_DEFAULT : in->o.val;
        for (size_t i = 0; i < in->count; i++)
                n += in->sources[i].split == INTAKE_OPEN;
        if (n == 0)
                return in->o.val < 0 ? 0
                                     : err_set(e, ERR_INVALID,
                                               "\"val\" is given, but the data come with their own splits");
        struct ticket *tickets = malloc(n * sizeof *tickets);
        if (!tickets)
                return err_set(e, ERR_NO_MEMORY, "no memory to split %zu files", n);
        n = 0;
        for (size_t i = 0; i < in->count; i++) {
                struct intake_source *s = &in->sources[i];
                if (s->split == INTAKE_OPEN)
                        tickets[n++] = (struct ticket){s->label, hash_of(s->name), s};
        }
        qsort(tickets, n, sizeof *tickets, by_hash);
        for (size_t at = 0; at < n; at = end) {
                for (end = at; end < n && tickets[end].label == tickets[at].label;)
                        end++;
                size_t k = share_of(end - at, val);
                for (size_t i = at; i < end; i++)
                        tickets[i].source->split = i - at < k ? INTAKE_VAL : INTAKE_TRAIN;
        }
        free(tickets);
        return 0;
}
