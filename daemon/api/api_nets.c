#include "daemon/api/api.h"

#include "base/json.h"
#include "train/augment.h"
#include "zoo/summary.h"
#include "zoo/zoo.h"

#include <stdio.h>
#include <string.h>

enum { SIDE_MAX = 65536, BATCH_MAX = 65536, CLASSES_MAX = 65536 };

int api_nets_list(void *ctx, struct http_request *rq, struct err *e)
{
        (void)ctx;
        int rc = target_only(&rq->target, "", e);
        if (rc)
                return rc;
        cJSON *known = architectures_json();
        json_add(known, "augmentations", augment_kinds_json());
        return reply_json(&rq->reply, 200, known, e);
}

/* "1x224x224" */
static int parse_input(const char *text, int input[3], struct err *e)
{
        char end;
        int c, h, w;
        if (strspn(text, "0123456789x") != strlen(text) || strlen(text) > 20 ||
                sscanf(text, "%dx%dx%d%c", &c, &h, &w, &end) != 3 || c < 1 || h < 1 || w < 1 ||
                c > SIDE_MAX || h > SIDE_MAX || w > SIDE_MAX)
                return err_set(e, ERR_INVALID,
                        "query parameter \"input\" is CHANNELSxHEIGHTxWIDTH like 1x224x224, not \"%.40s\"",
                        text);
        input[0] = c;
        input[1] = h;
        input[2] = w;
        return 0;
}

int api_nets_get_summary(void *ctx, struct http_request *rq, struct err *e)
{
        const char *text = target_get(&rq->target, "input");
        int input[3] = {1, 224, 224};
        int64_t batch = 1, num_classes = 0;
        cJSON *summary = NULL;
        (void)ctx;
        int rc = target_only(&rq->target, "input batch num_classes", e);
        if (rc == 0 && !zoo_find(api_name(rq)))
                rc = err_set(e, ERR_NOT_FOUND,
                        "there is no architecture \"%s\"; /v1/architectures lists them", api_name(rq));
        if (rc == 0 && text)
                rc = parse_input(text, input, e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "batch", 1, BATCH_MAX, &batch, e);
        if (rc == 0)
                rc = target_get_int(&rq->target, "num_classes", 1, CLASSES_MAX, &num_classes, e);
        if (rc)
                return rc;
        cJSON *name = cJSON_CreateString(api_name(rq));
        rc = name ? summary_build(name, input, (int)batch, (int)num_classes, &summary, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for a summary");
        cJSON_Delete(name);
        if (rc) {
                e->pointer[0] = '\0'; /* there is no body it could point into */
                return rc;
        }
        return reply_json(&rq->reply, 200, summary, e);
}

static int read_input(const cJSON *body, int input[3], struct err *e)
{
        const cJSON *list = json_field(body, "input"), *side;
        int i = 0;
        int rc = json_need(body, "input", "", e);
        if (rc)
                return rc;
        if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 3)
                return err_at(e, ERR_INVALID, "/input", "\"input\" is [channels, height, width]");
        cJSON_ArrayForEach(side, list)
        {
                char at[32];
                snprintf(at, sizeof at, "/input/%d", i);
                double v = cJSON_IsNumber(side) ? side->valuedouble : 0;
                if (!(v >= 1 && v <= SIDE_MAX) || v != (int)v)
                        return err_at(e, ERR_INVALID, at, "a side is a whole number, 1 to %d", SIDE_MAX);
                input[i++] = (int)v;
        }
        return 0;
}

static int summarise(const cJSON *body, cJSON **ret, struct err *e)
{
        int64_t batch = 1, num_classes = 0;
        int input[3];
        int rc = json_is_object(body, "", e);
        if (rc == 0)
                rc = json_only(body, "architecture input batch num_classes", "", e);
        if (rc == 0)
                rc = json_need(body, "architecture", "", e);
        if (rc == 0)
                rc = read_input(body, input, e);
        if (rc == 0)
                rc = json_get_int(body, "batch", 1, BATCH_MAX, "", &batch, e);
        if (rc == 0)
                rc = json_get_int(body, "num_classes", 1, CLASSES_MAX, "", &num_classes, e);
        if (rc)
                return rc;
        rc = summary_build(json_field(body, "architecture"), input, (int)batch, (int)num_classes, ret, e);
        return rc ? err_prefix(e, "/architecture") : 0;
}

int api_nets_post_summary(void *ctx, struct http_request *rq, struct err *e)
{
        cJSON *body = NULL, *summary = NULL;
        (void)ctx;
        int rc = target_only(&rq->target, "", e);
        if (rc == 0)
                rc = api_body(rq, &body, e);
        if (rc == 0)
                rc = summarise(body, &summary, e);
        cJSON_Delete(body);
        return rc ? rc : reply_json(&rq->reply, 200, summary, e);
}
