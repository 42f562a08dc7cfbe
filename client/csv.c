#include "client/csv.h"
#include "base/file.h"
#include "client/command.h"
#include "client/text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* A row has no end yet where its last byte is none: a first cell is never empty text. */
static void begin_cell(struct str *out)
{
        if (out->len && out->data[out->len - 1] != '\n')
                str_add(out, ",");
}

/* What a spreadsheet would take for a formula, however it is quoted; numbers are none. A name that begins
   with an apostrophe counts, too, so that each such cell has one more than its name. */
static bool needs_mark(const char *p)
{
        return *p == '=' || *p == '@' || *p == '\'' ||
               ((*p == '+' || *p == '-') && p[1 + strspn(p + 1, "0123456789.")]);
}

void csv_text(struct str *out, const char *text)
{
        struct str clean = {0};
        text_add_clean(&clean, text, true);
        const char *p = clean.data ? clean.data : "", *mark = needs_mark(p) ? "'" : "";
        begin_cell(out);
        if (*p && !strpbrk(p, ",;\"")) {
                str_add(out, mark);
                str_add(out, p);
        } else {
                str_add(out, "\"");
                str_add(out, mark);
                for (; *p; p++)
                        str_add_bytes(out, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
                str_add(out, "\"");
        }
        out->failed |= clean.failed;
        str_free(&clean);
}

void csv_number(struct str *out, double v)
{
        if (!isfinite(v)) {
                csv_text(out, "");
                return;
        }
        begin_cell(out);
        str_add_double(out, v);
}

void csv_end(struct str *out)
{
        str_add(out, "\n");
}

int csv_write(const char *file, const struct str *text, struct err *e)
{
        struct file_new *f = NULL;
        if (text->failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for %s", file);
        if (strcmp(file, "-") == 0)
                return command_write(text->data, text->len, e);
        int rc = file_create(file, &f, e);
        if (rc == 0)
                rc = file_write(f, text->data, text->len, e);
        if (rc == 0)
                rc = file_share(f, e);
        if (rc == 0)
                return file_commit(f, e);
        file_abandon(f);
        return rc;
}
