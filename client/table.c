#include "client/table.h"
#include "client/text.h"

#include <stdlib.h>

enum { GAP = 2, FLEXIBLE_MIN = 8, RULE = -1 };

struct cell {
        char *text; /* owned; NULL in a rule */
        int style;  /* enum style, or RULE: the whole row is one */
};

struct table {
        const struct term *term;
        const struct table_column *columns;
        int count;
        struct cell *cells; /* owned */
        size_t used, cap;
        bool failed;
};

struct table *table_create(const struct term *t, const struct table_column *columns, int count)
{
        struct table *tb = calloc(1, sizeof *tb);
        if (tb)
                *tb = (struct table){.term = t, .columns = columns, .count = count};
        return tb;
}

void table_destroy(struct table *tb)
{
        if (!tb)
                return;
        for (size_t i = 0; i < tb->used; i++)
                free(tb->cells[i].text);
        free(tb->cells);
        free(tb);
}

static void add(struct table *tb, char *text, int style)
{
        if (tb->used == tb->cap) {
                size_t cap = tb->cap ? tb->cap * 2 : 64;
                struct cell *cells = realloc(tb->cells, cap * sizeof *cells);
                if (!cells) {
                        free(text);
                        tb->failed = true;
                        return;
                }
                tb->cells = cells;
                tb->cap = cap;
        }
        tb->cells[tb->used++] = (struct cell){text, style};
}

void table_styled(struct table *tb, enum style style, const char *text)
{
        struct str s = {0};
        if (!tb)
                return;
        text_add_clean(&s, text ? text : "", tb->term->utf8);
        char *clean = str_take(&s);
        tb->failed |= clean == NULL;
        add(tb, clean, style);
}

void table_cell(struct table *tb, const char *text)
{
        table_styled(tb, STYLE_PLAIN, text);
}

void table_rule(struct table *tb)
{
        for (int i = 0; tb && i < tb->count; i++)
                add(tb, NULL, RULE);
}

/* Widths of the columns; flexible ones give way on a terminal that is too narrow. */
static void measure(const struct table *tb, int *widths)
{
        int total = GAP * (tb->count - 1);
        for (int c = 0; c < tb->count; c++)
                widths[c] = text_width(tb->columns[c].title);
        for (size_t i = 0; i < tb->used; i++) {
                int w = tb->cells[i].text ? text_width(tb->cells[i].text) : 0;
                if (w > widths[i % (size_t)tb->count])
                        widths[i % (size_t)tb->count] = w;
        }
        for (int c = 0; c < tb->count; c++)
                total += widths[c];
        while (tb->term->tty && total > tb->term->columns) {
                int widest = -1;
                for (int c = 0; c < tb->count; c++)
                        if (tb->columns[c].flexible && widths[c] > FLEXIBLE_MIN &&
                                (widest < 0 || widths[c] > widths[widest]))
                                widest = c;
                if (widest < 0)
                        break;
                widths[widest]--;
                total--;
        }
}

static void add_padded(
        const struct table *tb, struct str *line, int c, int width, enum style style, const char *text)
{
        struct str cut = {0};
        bool last = c + 1 == tb->count;
        text_add_cut(&cut, text, width, tb->term->utf8);
        int blanks = width - text_width(cut.data ? cut.data : "");
        if (tb->columns[c].right)
                str_addf(line, "%*s", blanks, "");
        if (style != STYLE_PLAIN)
                str_add(line, term_style(tb->term, style));
        str_add(line, cut.data ? cut.data : "");
        if (style != STYLE_PLAIN)
                str_add(line, term_style(tb->term, STYLE_PLAIN));
        if (!tb->columns[c].right && !last)
                str_addf(line, "%*s", blanks, "");
        if (!last)
                str_addf(line, "%*s", GAP, "");
        str_free(&cut);
}

static void add_rule(const struct table *tb, struct str *line, const int *widths)
{
        int total = GAP * (tb->count - 1);
        for (int c = 0; c < tb->count; c++)
                total += widths[c];
        str_add(line, term_style(tb->term, STYLE_DIM));
        for (int i = 0; i < total; i++)
                str_add(line, tb->term->utf8 ? "─" : "-");
        str_add(line, term_style(tb->term, STYLE_PLAIN));
}

/* Empty cells at the end of a line leave no blanks. */
static void end_line(struct str *text)
{
        while (text->len && text->data[text->len - 1] == ' ')
                text->data[--text->len] = '\0';
        str_add(text, "\n");
}

int table_print(struct table *tb, FILE *out, struct err *e)
{
        struct str text = {0};
        int *widths = tb ? calloc((size_t)tb->count, sizeof *widths) : NULL;
        if (!widths || tb->failed) {
                free(widths);
                return err_set(e, ERR_NO_MEMORY, "no memory for a table");
        }
        measure(tb, widths);
        for (int c = 0; c < tb->count; c++)
                add_padded(tb, &text, c, widths[c], STYLE_BOLD, tb->columns[c].title);
        end_line(&text);
        for (size_t i = 0; i + (size_t)tb->count <= tb->used; i += (size_t)tb->count) {
                if (tb->cells[i].style == RULE)
                        add_rule(tb, &text, widths);
                else
                        for (int c = 0; c < tb->count; c++)
                                add_padded(tb, &text, c, widths[c],
                                        (enum style)tb->cells[i + (size_t)c].style,
                                        tb->cells[i + (size_t)c].text);
                end_line(&text);
        }
        free(widths);
        if (!text.failed)
                fputs(text.data, out);
        int rc = text.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a table") : 0;
        str_free(&text);
        return rc;
}
