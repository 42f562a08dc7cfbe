#include "data/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FLOATS ((size_t)1 << 22)

static void copy_image(const struct dataset *d, const void *images, size_t i, size_t values, float *to)
{
        if (d->type == DATASET_F32)
                memcpy(to, (const float *)images + i * values, values * sizeof *to);
        else
                for (size_t k = 0; k < values; k++)
                        to[k] = (float)((const unsigned char *)images)[i * values + k] / 255.0f;
}

int sheet_gather(
        const struct dataset *d, enum dataset_split split, int images, struct sheet *ret, struct err *e)
{
        int rows = d->num_classes < SHEET_MAX_ROWS ? d->num_classes : SHEET_MAX_ROWS,
            count = d->split[split].count;
        int have[SHEET_MAX_ROWS] = {0};
        size_t values = (size_t)d->c * (size_t)d->h * (size_t)d->w, most = MAX_FLOATS / values / (size_t)rows;
        if (d->c != 1 && d->c != 3)
                return err_set(e, ERR_INVALID, "images of %d channels cannot be shown", d->c);
        if (count == 0)
                return err_set(e, ERR_NOT_FOUND, "the split has no images");
        if (most == 0)
                return err_set(
                        e, ERR_TOO_LARGE, "images of %dx%d are too large for a contact sheet", d->h, d->w);
        size_t columns = most < (size_t)images ? most : (size_t)images, cells = columns * (size_t)rows;
        float *maps = malloc(cells * values * sizeof *maps);
        if (!maps)
                return err_set(e, ERR_NO_MEMORY, "no memory for a contact sheet");
        for (size_t i = 0; i < cells * values; i++)
                maps[i] = NAN; /* drawn black */
        for (int i = 0, full = 0; i < count && full < rows; i++) {
                int32_t label = d->split[split].labels[i];
                if (label >= rows || (size_t)have[label] == columns)
                        continue;
                size_t cell = (size_t)label * columns + (size_t)have[label]++;
                copy_image(d, d->split[split].images, (size_t)i, values, maps + cell * values);
                full += (size_t)have[label] == columns;
        }
        *ret = (struct sheet){(int)cells, (int)columns, d->c, d->h, d->w, maps};
        return 0;
}
