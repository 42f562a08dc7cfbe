#include "train/mapping.h"

#include <stdlib.h>

struct mapping {
        struct windows at;
        struct buf *field; /* owned, as all below */
        struct windows_mean *mean;
        float *logits; /* (INFER_MAX_BATCH, num_classes) */
        int c, num_classes, done;
};

int mapping_create(struct dev *d, const struct windows *layout, const float *image, int c, int num_classes,
        struct mapping **ret, struct err *e)
{
        const size_t bytes = (size_t)c * (size_t)layout->h * (size_t)layout->w * sizeof(float);
        struct mapping *mp = calloc(1, sizeof *mp);
        if (!mp)
                return err_set(e, ERR_NO_MEMORY, "no memory for a map");
        mp->at = *layout;
        mp->c = c;
        mp->num_classes = num_classes;
        mp->logits = malloc((size_t)INFER_MAX_BATCH * (size_t)num_classes * sizeof *mp->logits);
        int rc = mp->logits ? windows_mean_create(layout, num_classes, &mp->mean, e)
                            : err_set(e, ERR_NO_MEMORY, "no memory for a map");
        if (rc == 0)
                rc = buf_create(d, bytes, "an image to be mapped", &mp->field, e);
        if (rc == 0)
                rc = buf_write(mp->field, 0, image, bytes, e);
        if (rc) {
                mapping_destroy(mp);
                return rc;
        }
        *ret = mp;
        return 0;
}

void mapping_destroy(struct mapping *mp)
{
        if (!mp)
                return;
        buf_destroy(mp->field);
        windows_mean_destroy(mp->mean);
        free(mp->logits);
        free(mp);
}

int mapping_step(struct mapping *mp, struct infer *model, int most, struct err *e)
{
        int32_t places[INFER_MAX_BATCH];
        int c, h, w, num_classes;
        const int left = mp->at.down * mp->at.across - mp->done, n = left < most ? left : most;
        infer_shape(model, &c, &h, &w, &num_classes);
        if (c != mp->c || num_classes != mp->num_classes)
                return err_set(e, ERR_UNAVAILABLE, "the model was replaced while it made a map; try again");
        for (int i = 0; i < n; i++) {
                int y, x;
                windows_place(&mp->at, mp->done + i, &y, &x);
                places[i] = y * mp->at.w + x;
        }
        const struct infer_field from = {mp->field, mp->at.h, mp->at.w, mp->at.window};
        int rc = infer_windows(model, &from, places, n, mp->logits, e);
        if (rc)
                return rc;
        for (int i = 0; i < n; i++)
                windows_mean_add(mp->mean, mp->logits + (size_t)i * (size_t)mp->num_classes);
        mp->done += n;
        return 0;
}

int mapping_done(const struct mapping *mp)
{
        return mp->done;
}

const struct windows_mean *mapping_mean(const struct mapping *mp)
{
        return mp->mean;
}
