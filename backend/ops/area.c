#include "ops/area.h"
#include "device/buf.h"
#include "ops/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Floats before and behind; channels of the larger tensor before and behind a slice. */
enum { GUARD = 64, SLICE_BEFORE = 2, SLICE_BEHIND = 1 };
static const uint32_t canary = 0x7FC5A5A5;

static size_t index_of(const struct area *a, int n, int64_t element)
{
        const struct tensor *t = &a->tensor;
        return (size_t)(t->at.offset + (uint64_t)(n / t->lanes) * t->stride + (uint64_t)(element * t->lanes) +
                        (uint64_t)(n % t->lanes));
}

static int allocate(struct area *a, size_t floats, struct err *e)
{
        a->floats = floats;
        a->host = malloc(floats * sizeof *a->host);
        a->before = malloc(floats * sizeof *a->before);
        a->owner = calloc(floats, 1);
        if (!a->host || !a->before || !a->owner)
                return err_set(e, ERR_NO_MEMORY, "no memory for a trial");
        for (size_t i = 0; i < floats; i++)
                memcpy(&a->host[i], &canary, sizeof canary);
        return 0;
}

int area_tensor(struct area *a, const char *name, int n, struct shape s, int lanes, bool slice, struct err *e)
{
        const uint64_t pixels = (uint64_t)s.h * (uint64_t)s.w * (uint64_t)lanes;
        a->name = name;
        a->tensor = tensor_whole((struct view){NULL, GUARD}, n, s, lanes);
        if (slice) {
                a->tensor.at.offset += SLICE_BEFORE * pixels;
                a->tensor.stride += (SLICE_BEFORE + SLICE_BEHIND) * pixels;
        }
        const int blocks = tensor_blocks(&a->tensor);
        int rc = allocate(a, (size_t)blocks * (size_t)a->tensor.stride + 2 * (size_t)GUARD, e);
        if (rc)
                return rc;
        for (int i = 0; i < blocks * lanes; i++)
                for (int64_t k = 0; k < shape_count(s); k++)
                        a->owner[index_of(a, i, k)] = i < n ? AREA_CONTENT : AREA_PADDING;
        return 0;
}

int area_floats(struct area *a, const char *name, uint64_t floats, struct err *e)
{
        return area_tensor(a, name, 1, (struct shape){(int)floats, 1, 1}, 1, false, e);
}

void area_finish(struct area *a)
{
        buf_destroy(a->tensor.at.buf);
        free(a->host);
        free(a->before);
        free(a->owner);
}

void area_put(struct area *a, const float *from, uint64_t *garbage)
{
        const int64_t count = shape_count(a->tensor.s);
        const int lanes = a->tensor.lanes;
        for (int n = 0; n < tensor_blocks(&a->tensor) * lanes; n++)
                for (int64_t k = 0; k < count; k++) {
                        float outside = garbage ? (float)(200 * trial_uniform(garbage) - 100) : 0.0f;
                        a->host[index_of(a, n, k)] = n < a->tensor.n ? from[n * count + k] : outside;
                }
}

void area_watch(struct area *a)
{
        a->watched = true;
        for (size_t i = 0; i < a->floats; i++)
                if (a->owner[i] != AREA_CANARY && memcmp(&a->host[i], &canary, sizeof canary) == 0)
                        a->host[i] = 0;
}

int area_upload(struct area *a, struct dev *d, struct err *e)
{
        int rc = buf_create(d, a->floats * sizeof *a->host, a->name, &a->tensor.at.buf, e);
        if (rc)
                return rc;
        memcpy(a->before, a->host, a->floats * sizeof *a->host);
        return buf_write_later(a->tensor.at.buf, 0, a->host, a->floats * sizeof *a->host, e);
}

int area_download(struct area *a, struct err *e)
{
        int rc = buf_read(a->tensor.at.buf, 0, a->host, a->floats * sizeof *a->host, e);
        for (size_t i = 0; i < a->floats && rc == 0; i++)
                if ((a->owner[i] == AREA_CANARY || a->watched) &&
                        memcmp(&a->host[i], &a->before[i], sizeof a->host[i]) != 0)
                        rc = err_set(e, ERR_DEVICE, "wrote %.9g %s %s, at float %lld of %llu",
                                (double)a->host[i], a->owner[i] == AREA_CANARY ? "outside" : "over", a->name,
                                (long long)i - (long long)a->tensor.at.offset,
                                (unsigned long long)a->tensor.stride * (unsigned)tensor_blocks(&a->tensor));
        return rc;
}

int area_take(const struct area *a, float *to, enum area_padding padding, struct err *e)
{
        const int64_t count = shape_count(a->tensor.s);
        for (int n = 0; n < tensor_blocks(&a->tensor) * a->tensor.lanes; n++)
                for (int64_t k = 0; k < count; k++) {
                        float v = a->host[index_of(a, n, k)];
                        if (n < a->tensor.n)
                                to[n * count + k] = v;
                        else if (padding == AREA_PADDING_ZERO ? v != 0 : !isfinite(v))
                                return err_set(e, ERR_DEVICE,
                                        "left %.9g in padding sample %d of %s, element %lld", (double)v, n,
                                        a->name, (long long)k);
                }
        return 0;
}
