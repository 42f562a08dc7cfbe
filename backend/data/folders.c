#include "data/folders.h"

#include "base/str.h"
#include "data/name.h"
#include "data/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN = 200, MORE_SHOWN = 3 };

static const struct {
        const char *name;
        enum intake_split split;
        bool test;
} split_names[] = {
        {"train", INTAKE_TRAIN, false},
        {"training", INTAKE_TRAIN, false},
        {"val", INTAKE_VAL, false},
        {"valid", INTAKE_VAL, false},
        {"validation", INTAKE_VAL, false},
        {"test", INTAKE_VAL, true},
        {"testing", INTAKE_VAL, true},
};

/* Index in split_names of the first `len` bytes, -1 for none. */
static int split_of(const char *text, size_t len)
{
        for (size_t i = 0; i < sizeof split_names / sizeof split_names[0]; i++)
                if (strlen(split_names[i].name) == len && strncasecmp(split_names[i].name, text, len) == 0)
                        return (int)i;
        return -1;
}

static size_t first_part(const char *name)
{
        const char *slash = strchr(name, '/');
        return slash ? (size_t)(slash - name) : 0;
}

/* Bytes of the folders that all images' names begin with, which are neither split nor the only folder there
 * is. */
static size_t common_prefix(const struct intake *in)
{
        size_t at = 0;
        for (;;) {
                const char *first = NULL;
                size_t len = 0;
                for (size_t i = 0; i < in->count; i++) {
                        const struct intake_source *s = &in->sources[i];
                        if (s->problem)
                                continue;
                        const char *name = s->name + at;
                        size_t part = first_part(name);
                        if (part == 0 || !strchr(name + part + 1, '/'))
                                return at;
                        if (!first) {
                                first = name;
                                len = part;
                        }
                        if (part != len || memcmp(first, name, len) != 0)
                                return at;
                }
                if (!first || split_of(first, len) >= 0)
                        return at;
                at += len + 1;
        }
}

/* Whether all images lie in split folders: a class may be called "test", too. */
static bool has_splits(const struct intake *in, size_t at, bool *ret_both)
{
        bool any = false, val = false, test = false;
        for (size_t i = 0; i < in->count; i++) {
                const struct intake_source *s = &in->sources[i];
                if (s->problem)
                        continue;
                size_t part = first_part(s->name + at);
                int split = split_of(s->name + at, part);
                if (split < 0 || !strchr(s->name + at + part + 1, '/'))
                        return false;
                any = true;
                test |= split_names[split].test;
                val |= split_names[split].split == INTAKE_VAL && !split_names[split].test;
        }
        *ret_both = val && test;
        return any;
}

/* The class's folder begins at `name`; its name goes to *text. */
static int take_class(struct intake_source *s, const char *name, char **text, struct err *e)
{
        size_t len = first_part(name);
        if (len == 0 && s->problem) {
                s->split = INTAKE_OUT;
                return 0;
        }
        if (len == 0)
                return err_set(e, ERR_INVALID, "%.*s is not in a class folder, and there is no labels.csv",
                        SHOWN, s->name);
        if (s->problem)
                return err_set(e, ERR_INVALID,
                        "%.*s: %s; mend the file, or take it out of its class's folder", SHOWN, s->name,
                        s->problem);
        s->class_name = *text;
        memcpy(*text, name, len);
        (*text)[len] = '\0';
        *text += len + 1;
        return 0;
}

static int take_source(struct intake_source *s, const struct folders *f, char **text, struct err *e)
{
        /* What lies beside the images' common folders belongs to no class. */
        if (s->problem && strncmp(s->name, f->root, f->prefix) != 0) {
                s->split = INTAKE_OUT;
                return 0;
        }
        const char *name = s->name + f->prefix;
        if (f->splits) {
                size_t part = first_part(name);
                int split = split_of(name, part);
                if (split < 0) {
                        s->split = INTAKE_OUT; /* only what is no image can be here */
                        return 0;
                }
                s->split = f->both && split_names[split].test ? INTAKE_OUT : split_names[split].split;
                if (s->split == INTAKE_OUT)
                        return 0;
                name += part + 1;
        }
        return take_class(s, name, text, e);
}

/* Adds to the message of one file that cannot be read which others behind number `at` cannot either, so that
   they need not be found one import after the other. */
static void tell_more(const struct intake *in, size_t at, const struct folders *f, struct err *e)
{
        struct str more = {0};
        int count = 0;
        for (size_t i = at + 1; i < in->count; i++) {
                const struct intake_source *s = &in->sources[i];
                if (!s->problem || strncmp(s->name, f->root, f->prefix) != 0 ||
                        !first_part(s->name + f->prefix))
                        continue;
                if (count++ < MORE_SHOWN)
                        str_addf(&more, "%s%.120s", count == 1 ? "" : ", ", s->name);
        }
        if (count > MORE_SHOWN)
                str_addf(&more, " and %d more", count - MORE_SHOWN);
        if (count && !more.failed && e) {
                const struct err first = *e;
                err_set(e, first.code, "%s; nor can these be read: %s", first.message, more.data);
        }
        str_free(&more);
}

void folders_finish(struct folders *f)
{
        if (f)
                free(f->text);
}

const char *folders_class(const struct folders *f, const char *name)
{
        if (!f->root || strlen(name) <= f->prefix || strncmp(name, f->root, f->prefix) != 0)
                return NULL;
        name += f->prefix;
        if (f->splits) {
                size_t part = first_part(name);
                int split = split_of(name, part);
                if (split < 0 || (f->both && split_names[split].test))
                        return NULL;
                name += part + 1;
        }
        return *name && !strchr(name, '/') ? name : NULL;
}

int folders_read(struct intake *in, struct folders *ret, struct err *e)
{
        struct folders f = {.prefix = common_prefix(in)};
        const char *problem = NULL, *at = NULL;
        size_t room = 1;
        for (size_t i = 0; i < in->count; i++) {
                room += strlen(in->sources[i].name) + 1;
                if (!in->sources[i].problem)
                        f.root = in->sources[i].name;
                else if (!problem) {
                        problem = in->sources[i].problem;
                        at = in->sources[i].name;
                }
        }
        if (!f.root && problem)
                return err_set(e, ERR_INVALID, "%.*s: %s", SHOWN, at, problem);
        if (!f.root)
                return err_set(e, ERR_INVALID, "there are no files in the archive");
        f.splits = has_splits(in, f.prefix, &f.both);
        char *end = f.text = malloc(room);
        if (!f.text)
                return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < in->count; i++)
                if ((rc = take_source(&in->sources[i], &f, &end, e)) != 0 && in->sources[i].problem)
                        tell_more(in, i, &f, e);
        if (rc != 0)
                folders_finish(&f);
        else
                *ret = f;
        return rc;
}

/* --- labels.csv --- */

enum { FIELDS = 3 };

/* What parts the fields of the first line: spreadsheets of many countries write semicolons. */
static char separator(const char *text)
{
        text += strspn(text, "\r\n");
        size_t len = strcspn(text, "\r\n");
        return memchr(text, ',', len) ? ',' : memchr(text, ';', len) ? ';' : '\t';
}

/* Takes one line apart in place; the number of fields, -1 for a quote without its end, FIELDS + 1 for more.
 */
static int split_line(char **at, char sep, char *fields[FIELDS])
{
        const char ends[] = {sep, '\r', '\n', '\0'};
        char *p = *at, *to;
        int n = 0;
        for (;;) {
                bool quoted = *p == '"';
                char *field = to = p += quoted;
                while (*p && (quoted || !strchr(ends, *p))) {
                        if (quoted && *p == '"' && *++p != '"')
                                break;
                        *to++ = *p++;
                }
                if (quoted && (*p ? !strchr(ends, *p) : p[-1] != '"'))
                        return -1;
                char after = *p;
                if (n < FIELDS)
                        fields[n] = field;
                n++;
                p += after != '\0';
                *to = '\0';
                if (after == '\r' && *p == '\n')
                        p++;
                if (after != sep)
                        break;
        }
        *at = p;
        return n <= FIELDS ? n : FIELDS + 1;
}

/* A source under the one spelling of its name (name.h). */
struct spelled {
        char *name; /* owned */
        struct intake_source *source;
};

struct csv {
        struct intake *in;
        struct intake_source **sorted;
        struct spelled *spelled; /* owned, as what it holds; made where it is wanted */
        const char *name;        /* of the file */
        size_t folder;           /* bytes of its folder, with the slash */
        int line;
        bool val; /* a line says so */
        struct err *e;
};

static void free_spelled(struct csv *c)
{
        for (size_t i = 0; c->spelled && i < c->in->count; i++)
                free(c->spelled[i].name);
        free(c->spelled);
}

static int by_name_alone(const void *a, const void *b)
{
        return strcmp((*(struct intake_source *const *)a)->name, (*(struct intake_source *const *)b)->name);
}

static int by_spelling(const void *a, const void *b)
{
        return strcmp(((const struct spelled *)a)->name, ((const struct spelled *)b)->name);
}

static int make_spelled(struct csv *c)
{
        const size_t n = c->in->count;
        bool whole = (c->spelled = calloc(n + 1, sizeof *c->spelled)) != NULL;
        for (size_t i = 0; whole && i < n; i++) {
                c->spelled[i] = (struct spelled){name_normal(c->in->sources[i].name), &c->in->sources[i]};
                whole = c->spelled[i].name != NULL;
        }
        if (!whole)
                return err_set(c->e, ERR_NO_MEMORY, "no memory for files' names");
        qsort(c->spelled, n, sizeof *c->spelled, by_spelling);
        return 0;
}

/* *ret stays NULL for none. Archives may have another spelling than their lists: some of their names
   libarchive has put into form C, and macOS writes form D. */
static int find_spelled(struct csv *c, const char *name, struct intake_source **ret)
{
        int rc = c->spelled ? 0 : make_spelled(c);
        const struct spelled key = {rc ? NULL : name_normal(name), NULL}, *found = NULL;
        if (rc == 0 && !key.name)
                rc = err_set(c->e, ERR_NO_MEMORY, "no memory for a file's name");
        if (rc == 0)
                found = bsearch(&key, c->spelled, c->in->count, sizeof *c->spelled, by_spelling);
        if (found)
                *ret = found->source;
        free(key.name);
        return rc;
}

/* The same for a path, which is changed. What an archive has with other control characters than the list is
   known by its name alone. */
static int find_path(struct csv *c, char *path, bool spelled, struct intake_source **ret)
{
        struct walk_file file;
        if (!walk_clean(path, &file))
                return 0;
        if (spelled)
                return find_spelled(c, file.name, ret);
        struct intake_source key = {.name = file.name, .id = file.id}, *want = &key, **found;
        found = bsearch(&want, c->sorted, c->in->count, sizeof *c->sorted, intake_by_name);
        if (!found)
                found = bsearch(&want, c->sorted, c->in->count, sizeof *c->sorted, by_name_alone);
        if (found)
                *ret = *found;
        return 0;
}

/* Lists that Windows made have backslashes. */
static int find_file(struct csv *c, const char *name, struct intake_source **ret)
{
        int rc = 0;
        for (int way = 0; rc == 0 && !*ret && way < 4; way++) {
                struct str path = {0};
                str_addf(&path, "%.*s%s", (int)c->folder, c->name, name);
                for (char *p = path.data; way % 2 && p && (p = strchr(p, '\\'));)
                        *p = '/';
                rc = path.failed ? err_set(c->e, ERR_NO_MEMORY, "no memory for a file's name")
                                 : find_path(c, path.data, way / 2, ret);
                str_free(&path);
        }
        return rc;
}

static int take_line(struct csv *c, char *fields[FIELDS], int n)
{
        struct intake_source *s = NULL;
        int split = -1;
        if (!fields[1][0])
                return err_set(c->e, ERR_INVALID, "%.200s, line %d: no label", c->name, c->line);
        if (n > 2 && (split = split_of(fields[2], strlen(fields[2]))) < 0)
                return err_set(c->e, ERR_INVALID,
                        "%.200s, line %d: \"%.40s\" is not a split; train, val and test are", c->name,
                        c->line, fields[2]);
        int rc = find_file(c, fields[0], &s);
        if (rc)
                return rc;
        if (!s)
                return err_set(c->e, ERR_INVALID, "%.200s, line %d: %.*s%.200s is not in the archive%s",
                        c->name, c->line, c->folder < 200 ? (int)c->folder : 200, c->name, fields[0],
                        c->line == 1 ? "; a line of titles begins with \"file\"" : "");
        if (s->problem)
                return err_set(c->e, ERR_INVALID, "%.*s: %s", SHOWN, s->name, s->problem);
        if (s->class_name)
                return err_set(c->e, ERR_INVALID, "%.200s, line %d: %.200s is listed twice", c->name, c->line,
                        s->name);
        s->class_name = fields[1];
        s->split = split < 0 ? INTAKE_OPEN : split_names[split].split;
        c->val |= s->split == INTAKE_VAL && !split_names[split].test;
        s->test = split >= 0 && split_names[split].test;
        return 0;
}

static int read_lines(struct csv *c, char *text)
{
        char *fields[FIELDS] = {0};
        int rc = 0, first = 0;
        const char sep = separator(text);
        for (char *at = text; rc == 0 && *at;) {
                c->line++;
                int n = split_line(&at, sep, fields);
                if (n == 1 && !fields[0][0])
                        continue;
                if (n < 2 || n > FIELDS)
                        return err_set(c->e, ERR_INVALID, "%.200s, line %d is not \"file,label[,split]\"",
                                c->name, c->line);
                if (first == 0 &&
                        (strcasecmp(fields[0], "file") == 0 || strcasecmp(fields[0], "filename") == 0)) {
                        first = -1;
                        continue;
                }
                if (first > 0 && first != n)
                        return err_set(c->e, ERR_INVALID, "%.200s, line %d has %d columns, the first one %d",
                                c->name, c->line, n, first);
                first = n;
                rc = take_line(c, fields, n);
        }
        return rc;
}

int folders_read_csv(struct intake *in, const char *csv_name, char *text, struct err *e)
{
        const char *slash = strrchr(csv_name, '/');
        struct csv c = {
                .in = in, .name = csv_name, .folder = slash ? (size_t)(slash - csv_name) + 1 : 0, .e = e};
        c.sorted = malloc((in->count + 1) * sizeof *c.sorted);
        if (!c.sorted)
                return err_set(e, ERR_NO_MEMORY, "no memory for class names");
        for (size_t i = 0; i < in->count; i++)
                c.sorted[i] = &in->sources[i];
        qsort(c.sorted, in->count, sizeof *c.sorted, intake_by_name);
        if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
                text += 3;
        int rc = read_lines(&c, text);
        for (size_t i = 0; rc == 0 && i < in->count; i++)
                if (!in->sources[i].class_name || (in->sources[i].test && c.val))
                        in->sources[i].split = INTAKE_OUT;
        free(c.sorted);
        free_spelled(&c);
        return rc;
}
