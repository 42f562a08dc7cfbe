#include "client/csv.h"
#include "base/file.h"
#include "client/command.h"
#include "client/text.h"

#include <math.h>
#include <string.h>

/* A row has no end yet where its last byte is none: a first cell is never empty text. */
static void begin_cell(struct str *out)
{
        if (out->len && out->data[out->len - 1] != '\n')
                str_add(out, ",");
}

void csv_text(struct str *out, const char *text)
{
        struct str clean = {0};
        text_add_clean(&clean, text, true);
        const char *p = clean.data ? clean.data : "";
        begin_cell(out);
        if (*p && !strpbrk(p, ",\"")) {
                str_add(out, p);
        } else {
                str_add(out, "\"");
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
