#include "daemon/decoder/decode.h"

#include "base/json.h"
#include "daemon/decoder/album.h"
#include "daemon/decoder/decodeline.h"
#include "daemon/decoder/decoderequest.h"

#include <stdlib.h>

/* A larger body, an archive, a whole micrograph or a model is the slow one's, so that nobody waits long
 * behind it. */
enum { LARGE_BYTES = 4 << 20 };

struct decode {
        struct decoder_health health;
        struct decodeline *quick, *slow; /* owned */
};

struct decode *decode_create(const char *state_dir, struct children *kids)
{
        struct decode *dc = calloc(1, sizeof *dc);
        if (!dc)
                return NULL;
        dc->slow = decodeline_create(state_dir, kids, &dc->health, NULL);
        dc->quick = dc->slow ? decodeline_create(state_dir, kids, &dc->health, dc->slow) : NULL;
        if (dc->quick)
                return dc;
        decode_destroy(dc);
        return NULL;
}

void decode_destroy(struct decode *dc)
{
        if (!dc)
                return;
        decodeline_destroy(dc->quick);
        decodeline_destroy(dc->slow);
        free(dc);
}

int decode_image(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e)
{
        const uint64_t values = (uint64_t)target->c * (uint64_t)target->h * (uint64_t)target->w;
        const bool slow =
                len > LARGE_BYTES || values > DECODE_QUICK_VALUES || album_is(body, len, media_type);
        return decodeline_image(slow ? dc->slow : dc->quick, body, len, media_type, target, caller, e);
}

int decode_field(struct decode *dc, const void *body, size_t len, const char *media_type,
        const struct decode_target *target, const struct decode_caller *caller, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "field");
        if (media_type)
                cJSON_AddStringToObject(head, "media_type", media_type);
        decode_add_target(head, target);
        return decodeline_command(dc->slow, head, body, len, caller, e);
}

int decode_model(struct decode *dc, const char *path, const cJSON *overrides,
        const struct decode_caller *caller, struct err *e)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "model");
        cJSON_AddStringToObject(head, "path", path);
        json_add(head, "overrides", overrides ? cJSON_Duplicate(overrides, true) : cJSON_CreateNull());
        return decodeline_command(dc->slow, head, NULL, 0, caller, e);
}

int decode_sheet(
        struct decode *dc, const struct sheet *sheet, const struct decode_caller *caller, struct err *e)
{
        size_t image = (size_t)sheet->c * (size_t)sheet->h * (size_t)sheet->w;
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "grid");
        cJSON_AddNumberToObject(head, "count", sheet->count);
        cJSON_AddNumberToObject(head, "columns", sheet->columns);
        cJSON_AddNumberToObject(head, "c", sheet->c);
        cJSON_AddNumberToObject(head, "h", sheet->h);
        cJSON_AddNumberToObject(head, "w", sheet->w);
        return decodeline_command(
                dc->quick, head, sheet->maps, (size_t)sheet->count * image * sizeof *sheet->maps, caller, e);
}

bool decode_drop(struct decode *dc, const void *ctx)
{
        return decodeline_drop(dc->quick, ctx) || decodeline_drop(dc->slow, ctx);
}

uint64_t decode_refused(const struct decode *dc)
{
        return dc->health.refusals;
}

void decode_tick(struct decode *dc, int64_t now_ms)
{
        decodeline_tick(dc->quick, now_ms);
        decodeline_tick(dc->slow, now_ms);
}

int decode_timeout_ms(const struct decode *dc, int64_t now_ms)
{
        const int64_t quick = decodeline_due_ms(dc->quick, now_ms),
                      slow = decodeline_due_ms(dc->slow, now_ms);
        const int64_t due = quick < slow ? quick : slow;
        if (due == INT64_MAX)
                return -1;
        return due > now_ms ? (int)(due - now_ms) : 0;
}
