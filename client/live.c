#include "client/live.h"
#include "client/interrupt.h"
#include "client/picture.h"
#include "client/text.h"

#include <stdio.h>

#define HIDE_CURSOR "\x1b[?25l"
#define SHOW_CURSOR "\x1b[?25h"
/* A terminal that knows these shows the picture only when it is whole; others ignore them. */
#define BEGIN_UPDATE "\x1b[?2026h"
#define END_UPDATE   "\x1b[?2026l"

static const double redraw_s = 0.1, clock_s = 1;

void live_init(struct live *l, struct term *t, const struct chart *c)
{
        *l = (struct live){.term = t, .chart = c, .dirty = true, .drawn_at = -1};
}

/* From the last line, where the cursor waits in the first column, to the first. A terminal that became
   narrower has wrapped what stands there. */
static void add_way_up(const struct live *l, struct str *out)
{
        int up = 0;
        for (int i = 0; i + 1 < l->count; i++)
                up += l->widths[i] > 0 ? (l->widths[i] + l->term->columns - 1) / l->term->columns : 1;
        str_add(out, "\r");
        if (up > 0)
                str_addf(out, "\x1b[%dA", up);
}

static int draw(struct live *l, double now, struct err *e)
{
        struct str lines[PICTURE_MAX_LINES] = {{0}}, out = {0};
        int count = 0;
        int rc = picture_draw(l->chart, l->term, l->note[0] ? l->note : NULL, now, lines, &count, e);
        if (rc != 0)
                goto out;
        str_add(&out, BEGIN_UPDATE HIDE_CURSOR);
        add_way_up(l, &out);
        for (int i = 0; i < count; i++) {
                const char *text = lines[i].data ? lines[i].data : "";
                str_addf(&out, "%s%s", text, i + 1 < count ? "\x1b[K\n" : "\x1b[J\r");
                l->widths[i] = text_width(text);
        }
        str_add(&out, END_UPDATE);
        l->hidden = true;
        l->count = count;
        l->drawn_at = now;
        l->dirty = false;
        if (out.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        else if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
                rc = err_set(e, ERR_IO, "cannot write to the terminal");
out:
        for (int i = 0; i < PICTURE_MAX_LINES; i++)
                str_free(&lines[i]);
        str_free(&out);
        return rc;
}

int live_tick(struct live *l, double now, struct err *e)
{
        double since = now - l->drawn_at;
        bool due = l->drawn_at < 0 || (l->dirty && since >= redraw_s) || since >= clock_s;
        return due ? draw(l, now, e) : 0;
}

void live_touch(struct live *l)
{
        l->dirty = true;
}

void live_resize(struct live *l)
{
        term_measure(l->term);
        l->dirty = true;
}

static void show_cursor(struct live *l)
{
        if (!l->hidden)
                return;
        int last = l->count ? l->widths[l->count - 1] : 0;
        if (last)
                printf("\x1b[%dC", last);
        fputs("\n" SHOW_CURSOR, stdout);
        fflush(stdout);
        l->hidden = false;
        l->count = 0;
}

int live_suspend(struct live *l, double now, struct err *e)
{
        int rc = draw(l, now, e); /* over the ^Z that the terminal shows */
        show_cursor(l);
        interrupt_stop();
        live_resize(l);
        return rc;
}

int live_end(struct live *l, double now, struct err *e)
{
        int rc = draw(l, now, e);
        show_cursor(l);
        return rc;
}
