#include "ops/strategy.h"
#include "base/embedded.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
        char *name; /* owned */
        enum op_variant variants[OP_DIRECTIONS];
};

struct strategies {
        struct entry *entries; /* owned, sorted by name */
        int count, room;
        bool has_clblast;
        struct clblast_params clblast;
};

static const char clblast_name[] = "clblast Xgemm";

static const char *const variant_names[OP_VARIANTS] = {"naive", "tiled", "winograd", "clblast"};

const char *op_variant_name(enum op_variant v)
{
        return variant_names[v];
}

const char *op_direction_name(enum op_direction d)
{
        static const char *const names[OP_DIRECTIONS] = {"forward", "data", "weights"};
        return names[d];
}

static bool has_choice(const struct op *op, int lanes, const struct dev_info *info)
{
        for (int d = 0; op->kind->variants && d < OP_DIRECTIONS; d++) {
                const unsigned fast =
                        op->kind->variants(op, (enum op_direction)d, lanes, info) & ~(1u << OP_NAIVE);
                if (fast & (fast - 1))
                        return true;
        }
        return false;
}

/* Layers that are not dilated go by the names of before there was a dilation, under which devices have been
   measured and jobs bound. */
static bool is_unnamed(const struct op_field *f, const int *pair)
{
        return strcmp(f->name, "dilation") == 0 && pair[0] == 1 && pair[1] == 1;
}

bool strategy_name(
        const struct op *op, int n, int lanes, const struct dev_info *info, char name[STRATEGY_NAME])
{
        if (!has_choice(op, lanes, info))
                return false;
        const struct shape in = op->in[0];
        int at = snprintf(name, STRATEGY_NAME, "%s %dx%dx%d", op->kind->type, in.c, in.h, in.w);
        for (const struct op_field *f = op->kind->fields; f->name && at < STRATEGY_NAME; f++) {
                const void *field = (const char *)op->args + f->offset;
                const int *pair = field;
                const size_t room = (size_t)(STRATEGY_NAME - at);
                if (is_unnamed(f, pair))
                        continue;
                if (f->type == OP_PAIR || f->type == OP_PADDING)
                        at += snprintf(name + at, room, " %s=%dx%d", f->name, pair[0], pair[1]);
                else if (f->type == OP_INT)
                        at += snprintf(name + at, room, " %s=%d", f->name, pair[0]);
                else if (f->type == OP_BOOL)
                        at += snprintf(name + at, room, " %s=%d", f->name, *(const bool *)field);
        }
        if (at < STRATEGY_NAME)
                snprintf(
                        name + at, (size_t)(STRATEGY_NAME - at), " batch%s%d", n > lanes ? ">" : "<=", lanes);
        return true;
}

void strategy_prefer(const struct op *op, int n, int lanes, const struct dev_info *info,
        enum op_variant ret[OP_DIRECTIONS])
{
        for (int d = 0; d < OP_DIRECTIONS; d++)
                ret[d] = op->kind->prefer ? op->kind->prefer(op, (enum op_direction)d, n, lanes, info)
                                          : OP_TILED;
}

struct strategies *strategies_create(void)
{
        return calloc(1, sizeof(struct strategies));
}

void strategies_destroy(struct strategies *s)
{
        if (!s)
                return;
        for (int i = 0; i < s->count; i++)
                free(s->entries[i].name);
        free(s->entries);
        free(s);
}

int strategies_count(const struct strategies *s)
{
        return s->count;
}

/* Where the name stands, or would. */
static int place_of(const struct strategies *s, const char *name)
{
        int low = 0, high = s->count;
        while (low < high) {
                const int middle = (low + high) / 2;
                if (strcmp(s->entries[middle].name, name) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool stands_at(const struct strategies *s, int at, const char *name)
{
        return at < s->count && strcmp(s->entries[at].name, name) == 0;
}

static int insert(struct strategies *s, int at, const char *name, struct err *e)
{
        if (s->count == s->room) {
                const int room = s->room ? 2 * s->room : 64;
                struct entry *entries = realloc(s->entries, (size_t)room * sizeof *entries);
                if (!entries)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %d strategies", room);
                s->entries = entries;
                s->room = room;
        }
        char *copy = strdup(name);
        if (!copy)
                return err_set(e, ERR_NO_MEMORY, "no memory for a strategy");
        memmove(s->entries + at + 1, s->entries + at, (size_t)(s->count - at) * sizeof *s->entries);
        s->entries[at].name = copy;
        s->count++;
        return 0;
}

int strategies_put(
        struct strategies *s, const char *name, const enum op_variant v[OP_DIRECTIONS], struct err *e)
{
        const int at = place_of(s, name), rc = stands_at(s, at, name) ? 0 : insert(s, at, name, e);
        if (rc == 0)
                memcpy(s->entries[at].variants, v, sizeof s->entries[at].variants);
        return rc;
}

int strategies_add(struct strategies *s, const struct strategies *more, struct err *e)
{
        int rc = 0;
        if (more->has_clblast)
                strategies_put_clblast(s, &more->clblast);
        for (int i = 0; i < more->count && rc == 0; i++)
                rc = strategies_put(s, more->entries[i].name, more->entries[i].variants, e);
        return rc;
}

bool strategies_find(const struct strategies *s, const char *name, enum op_variant ret[OP_DIRECTIONS])
{
        const int at = s ? place_of(s, name) : 0;
        if (!s || !stands_at(s, at, name))
                return false;
        memcpy(ret, s->entries[at].variants, sizeof s->entries[at].variants);
        return true;
}

void strategies_put_clblast(struct strategies *s, const struct clblast_params *p)
{
        s->clblast = *p;
        s->has_clblast = true;
}

const struct clblast_params *strategies_clblast(const struct strategies *s)
{
        return s && s->has_clblast ? &s->clblast : NULL;
}

static void print_variants(const struct entry *entry, struct str *out)
{
        for (int d = 0; d < OP_DIRECTIONS; d++)
                str_addf(out, "%s%s", d ? " " : "", variant_names[entry->variants[d]]);
}

/* "winograd tiled winograd", `len` bytes of it. */
static bool read_variants(const char *text, size_t len, enum op_variant ret[OP_DIRECTIONS])
{
        char words[OP_DIRECTIONS][16], more[2], copy[64];
        if (len >= sizeof copy)
                return false;
        snprintf(copy, sizeof copy, "%.*s", (int)len, text);
        if (sscanf(copy, "%15s %15s %15s %1s", words[0], words[1], words[2], more) != OP_DIRECTIONS)
                return false;
        for (int d = 0; d < OP_DIRECTIONS; d++) {
                int v = 0;
                while (v < OP_VARIANTS && strcmp(words[d], variant_names[v]) != 0)
                        v++;
                if (v == OP_VARIANTS)
                        return false;
                ret[d] = (enum op_variant)v;
        }
        return true;
}

static bool add_text(cJSON *o, const char *name, struct str *text)
{
        const bool added = !text->failed && cJSON_AddStringToObject(o, name, text->data);
        str_clear(text);
        return added;
}

cJSON *strategies_json(const struct strategies *s)
{
        cJSON *o = cJSON_CreateObject();
        struct str text = {0};
        bool added = o != NULL;
        if (added && s->has_clblast) {
                clblast_params_print(&s->clblast, &text);
                added = add_text(o, clblast_name, &text);
        }
        for (int i = 0; added && i < s->count; i++) {
                print_variants(&s->entries[i], &text);
                added = add_text(o, s->entries[i].name, &text);
        }
        str_free(&text);
        if (added)
                return o;
        cJSON_Delete(o);
        return NULL;
}

static int read_clblast(struct strategies *s, const char *text, size_t len, struct err *e)
{
        struct clblast_params p;
        const int rc = clblast_params_read(text, len, &p, e);
        if (rc == 0)
                strategies_put_clblast(s, &p);
        return rc;
}

int strategies_read_json(struct strategies *s, const cJSON *json, struct err *e)
{
        const cJSON *item;
        cJSON_ArrayForEach(item, json)
        {
                enum op_variant v[OP_DIRECTIONS];
                if (item->string && cJSON_IsString(item) && strcmp(item->string, clblast_name) == 0) {
                        const int rc = read_clblast(s, item->valuestring, strlen(item->valuestring), e);
                        if (rc)
                                return rc;
                        continue;
                }
                if (!item->string || strlen(item->string) >= STRATEGY_NAME || !cJSON_IsString(item) ||
                        !read_variants(item->valuestring, strlen(item->valuestring), v))
                        return err_set(e, ERR_INVALID, "'%.80s' is not a strategy",
                                item->string ? item->string : "");
                const int rc = strategies_put(s, item->string, v, e);
                if (rc)
                        return rc;
        }
        return 0;
}

void strategies_print(const struct strategies *s, struct str *out)
{
        if (s->has_clblast) {
                str_addf(out, "%s: ", clblast_name);
                clblast_params_print(&s->clblast, out);
                str_add(out, "\n");
        }
        for (int i = 0; i < s->count; i++) {
                str_addf(out, "%s: ", s->entries[i].name);
                print_variants(&s->entries[i], out);
                str_add(out, "\n");
        }
}

static int read_line(struct strategies *s, const char *line, size_t len, struct err *e)
{
        enum op_variant v[OP_DIRECTIONS];
        char name[STRATEGY_NAME];
        const char *colon = memchr(line, ':', len);
        if (strspn(line, " \t\r") >= len)
                return 0;
        if (colon && (size_t)(colon - line) == strlen(clblast_name) &&
                memcmp(line, clblast_name, strlen(clblast_name)) == 0)
                return read_clblast(s, colon + 1, len - (size_t)(colon - line) - 1, e);
        if (!colon || (size_t)(colon - line) >= sizeof name ||
                !read_variants(colon + 1, len - (size_t)(colon - line) - 1, v))
                return err_set(e, ERR_SYNTAX, "'%.*s' is not a strategy", len < 80 ? (int)len : 80, line);
        snprintf(name, sizeof name, "%.*s", (int)(colon - line), line);
        return strategies_put(s, name, v, e);
}

int strategies_read(struct strategies *s, const char *text, struct err *e)
{
        int rc = 0;
        while (*text && rc == 0) {
                const size_t line = strcspn(text, "\n"), kept = strcspn(text, "#\n");
                rc = read_line(s, text, kept, e);
                text += line + (text[line] != '\0');
        }
        return rc;
}

/* The line of a shipped file that says for which devices it is: "platform PATTERN" or "device PATTERN". */
static bool line_matches(const char *text, const char *key, const char *value)
{
        char pattern[160];
        const char *at = strstr(text, key);
        if (!at || sscanf(at + strlen(key), " %159[^\n]", pattern) != 1)
                return false;
        return fnmatch(pattern, value, 0) == 0;
}

int strategies_shipped(struct strategies *s, const struct dev_info *info, struct err *e)
{
        for (const struct embedded *f = tune_files; f->name; f++) {
                if (!line_matches(f->text, "# platform:", info->platform) ||
                        !line_matches(f->text, "# device:", info->name))
                        continue;
                const int rc = strategies_read(s, f->text, e);
                if (rc)
                        return err_wrap(e, "kernels/tune/%s", f->name);
        }
        return 0;
}
