#include "client/csv.h"
#include "base/file.h"
#include "client/command.h"
#include "client/path.h"
#include "client/text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 16 };

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

int csv_open(struct csv_file *f, const char *path, struct err *e)
{
        struct path_info info;
        struct err ignored;
        *f = (struct csv_file){0};
        if (strcmp(path, "-") == 0)
                return 0;
        if (path_look(path, &info, &ignored) == 0 && !info.regular)
                return err_set(e, ERR_INVALID, "%s is not a regular file; nothing was written", path);
        interrupt_begin(&f->interrupt);
        const int rc = file_create(path, &f->file, e);
        if (rc != 0)
                interrupt_end(&f->interrupt);
        return rc;
}

int csv_tick(struct csv_file *f, struct err *e)
{
        for (enum interrupt_kind kind; f->file && (kind = interrupt_poll(&f->interrupt)) != INTERRUPT_NONE;)
                if (kind == INTERRUPT_STOP)
                        interrupt_stop();
        return f->interrupt.ended_by ? err_set(e, ERR_CANCELLED, "interrupted") : 0;
}

static int write_rows(struct csv_file *f, struct err *e)
{
        int rc = csv_tick(f, e);
        if (rc == 0 && f->rows.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for rows of CSV");
        if (rc == 0 && f->rows.len)
                rc = f->file ? file_write(f->file, f->rows.data, f->rows.len, e)
                             : command_write(f->rows.data, f->rows.len, e);
        str_clear(&f->rows);
        return rc;
}

int csv_pass(struct csv_file *f, struct err *e)
{
        return f->rows.len < PIECE_BYTES && !f->rows.failed ? 0 : write_rows(f, e);
}

int csv_close(struct csv_file *f, int rc, int *ret_signal, struct err *e)
{
        const bool held = f->file != NULL;
        if (rc == 0)
                rc = write_rows(f, e);
        if (rc == 0 && f->file)
                rc = file_share(f->file, e);
        if (rc == 0 && f->file)
                rc = file_commit(f->file, e);
        else
                file_abandon(f->file);
        if (held)
                interrupt_end(&f->interrupt);
        if (f->interrupt.ended_by)
                *ret_signal = f->interrupt.ended_by;
        str_free(&f->rows);
        return rc;
}
