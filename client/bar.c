#include "client/bar.h"

#include <math.h>

void bar_add(struct str *line, const struct term *t, double done, int width, enum style style)
{
        int halves = (int)(fmin(fmax(done, 0), 1) * 2 * width + 1e-9);
        str_add(line, term_style(t, style));
        for (int i = 0; i < halves / 2; i++)
                str_add(line, t->utf8 ? "━" : "#");
        if (halves % 2 && t->utf8)
                str_add(line, "╸");
        str_addf(line, "%s%s", term_style(t, STYLE_PLAIN), term_style(t, STYLE_DIM));
        for (int i = (halves + t->utf8) / 2; i < width; i++)
                str_add(line, t->utf8 ? "─" : ".");
        str_add(line, term_style(t, STYLE_PLAIN));
}
