#include "daemon/worker/voice.h"

#include "base/json.h"
#include "daemon/common/wire.h"

cJSON *voice_head(const char *op, const char *id_key, int64_t id)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", op);
        if (id_key)
                cJSON_AddNumberToObject(head, id_key, (double)id);
        return head;
}

int voice_say(const struct voice *v, cJSON *head, const void *raw, size_t raw_len, struct err *e)
{
        if (!head)
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        int rc = v->send(v->ctx, head, raw, raw_len, e);
        cJSON_Delete(head);
        return rc;
}

void voice_fail(const struct voice *v, const char *op, const char *id_key, int64_t id, const struct err *why)
{
        struct err gone;
        cJSON *head = voice_head(op, id_key, id);
        json_add(head, "error", wire_error_json(why));
        (void)voice_say(v, head, NULL, 0, &gone);
}
