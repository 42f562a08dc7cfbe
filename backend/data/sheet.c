#include "data/sheet.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FLOATS ((size_t)1 << 22)

enum { LABELS = 4096 };

/* Image `i` out of the file as floats; `bytes` has room for it. */
static int read_image(const struct dataset *d, enum dataset_split split, int fd, int i, unsigned char *bytes,
        float *to, struct err *e)
{
        const size_t size = dataset_image_bytes(d), values = (size_t)d->c * (size_t)d->h * (size_t)d->w;
        int rc = file_piece(fd, "its file", d->split[split].images_at + (uint64_t)i * size, bytes, size, e);
        if (rc == 0 && d->type == DATASET_F32)
                memcpy(to, bytes, size);
        for (size_t k = 0; k < values && rc == 0 && d->type != DATASET_F32; k++)
                to[k] = (float)bytes[k] / 255.0f;
        return rc;
}

/* Until each row has all its cells. */
static int read_cells(const struct dataset *d, enum dataset_split split, int fd, int rows,
        const struct sheet *sheet, unsigned char *bytes, struct err *e)
{
        int32_t labels[LABELS];
        int have[SHEET_MAX_ROWS] = {0}, rc = 0;
        const size_t values = (size_t)d->c * (size_t)d->h * (size_t)d->w;
        for (int i = 0, full = 0; i < d->split[split].count && full < rows; i++) {
                const int left = d->split[split].count - i;
                if (i % LABELS == 0)
                        rc = dataset_labels(d, split, fd, i, left < LABELS ? left : LABELS, labels, e);
                if (rc)
                        return rc;
                const int32_t label = labels[i % LABELS];
                if (label < 0 || label >= rows || have[label] == sheet->columns)
                        continue;
                const size_t cell = (size_t)label * (size_t)sheet->columns + (size_t)have[label]++;
                rc = read_image(d, split, fd, i, bytes, sheet->maps + cell * values, e);
                if (rc)
                        return rc;
                full += have[label] == sheet->columns;
        }
        return 0;
}

int sheet_gather(
        const struct dataset *d, enum dataset_split split, int images, struct sheet *ret, struct err *e)
{
        int rows = d->num_classes < SHEET_MAX_ROWS ? d->num_classes : SHEET_MAX_ROWS,
            count = d->split[split].count;
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
        unsigned char *bytes = maps ? malloc(dataset_image_bytes(d)) : NULL;
        struct err why = {0};
        int fd = -1, rc = bytes ? dataset_file(d, &fd, &why)
                                : err_set(&why, ERR_NO_MEMORY, "no memory for a contact sheet");
        const struct sheet sheet = {(int)cells, (int)columns, d->c, d->h, d->w, maps};
        if (rc == 0) {
                for (size_t i = 0; i < cells * values; i++)
                        maps[i] = NAN; /* drawn black */
                rc = read_cells(d, split, fd, rows, &sheet, bytes, &why);
        }
        if (fd >= 0)
                close(fd);
        free(bytes);
        if (rc == 0) {
                *ret = sheet;
                return 0;
        }
        free(maps);
        return dataset_unread(d, &why, e);
}
