/* Bodies of POST /v1/architectures/summary, through the handler itself. An input that begins with '/' is the
   address of a GET of a preset's summary instead. */
#include "fuzz.h"

#include "base/json.h"
#include "daemon/api/api.h"

static void check_answer(const struct reply *r)
{
        struct err e = {0};
        cJSON *tree = json_parse(r->text.data, r->text.len, &e);
        FUZZ_CHECK(r->status == 200 && tree);
        const cJSON *totals = json_field(tree, "totals"), *memory = json_field(tree, "memory"), *item;
        FUZZ_CHECK(cJSON_GetArraySize(json_field(tree, "layers")) >= 1);
        cJSON_ArrayForEach(item, totals) if (cJSON_IsNumber(item)) FUZZ_CHECK(item->valuedouble >= 0);
        cJSON_ArrayForEach(item, memory) FUZZ_CHECK(cJSON_IsNumber(item) && item->valuedouble > 0);
        cJSON_Delete(tree);
}

static int ask(struct http_request *rq, const char *text, size_t len, struct err *e)
{
        bool get = len && *text == '/';
        char address[] = "/v1/architectures/summary";
        int rc = target_parse(get ? text : address, &rq->target, e);
        if (rc || (get && rq->target.part_count < 4))
                return rc ? rc : err_set(e, ERR_NOT_FOUND, "no such route");
        str_add_bytes(&rq->body.text, text, get ? 0 : len);
        return (get ? api_nets_get_summary : api_nets_post_summary)(NULL, rq, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct http_request rq = {.body = {.fd = -1}};
        struct err e = {0};
        char *text = fuzz_text(bytes, len);
        int rc = ask(&rq, text, len, &e);
        FUZZ_CHECK(rc == e.code);
        FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_NOT_FOUND ||
                   rc == ERR_TOO_LARGE || rc == ERR_DEVICE_MEMORY);
        FUZZ_CHECK(rc == 0 || e.message[0]);
        if (rc == 0)
                check_answer(&rq.reply);
        reply_finish(&rq.reply);
        target_finish(&rq.target);
        str_free(&rq.body.text);
        free(text);
        return 0;
}
