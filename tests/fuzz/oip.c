/* A request of the Open Inference Protocol, from its bytes to the body for the decoder and back to an answer.
   The input is what Inference-Header-Content-Length says (-1: nothing), a newline, and the request's body. */
#include "fuzz.h"

#include "base/json.h"
#include "daemon/api/oipanswer.h"
#include "data/image.h"
#include "data/walk.h"

#include <limits.h>
#include <string.h>

enum { C = 1, H = 2, W = 3, CLASSES = 3, NPY_HEAD = 128, DESCR = 21, MAX_ANSWER = 200 };

static char name[] = "net", first[] = "a", second[] = "\"b:\"", third[] = "gr\xc3\xbcn";
static char *classes[CLASSES] = {first, second, third};
static struct model_facts model = {
        .name = name, .shape = {.c = C, .h = H, .w = W, .num_classes = CLASSES}, .classes = classes};

/* The tree's numbers one by one, as the protocol's types hold them. */
static void check_numbers(const cJSON *item, int size, const unsigned char **at)
{
        const cJSON *child;
        if (!cJSON_IsArray(item)) {
                const float f = (float)item->valuedouble;
                const uint16_t u = size < 4 ? (uint16_t)item->valuedouble : 0;
                FUZZ_CHECK(cJSON_IsNumber(item));
                FUZZ_CHECK(memcmp(*at, size == 4 ? (const void *)&f : &u, (size_t)size) == 0);
                *at += size;
        }
        cJSON_ArrayForEach(child, item) check_numbers(child, size, at);
}

/* A tree of the whole text has the same numbers; where there is none the text is refused. */
static void check_json(const char *text, size_t len, int rc, const struct oip_body *body, bool files)
{
        struct err e = {0};
        cJSON *tree = json_parse(text, len, &e);
        FUZZ_CHECK(tree || rc != 0 || strstr(e.message, "2^53"));
        const cJSON *inputs = json_field(tree, "inputs"),
                    *data = inputs ? json_field(inputs->child, "data") : NULL;
        if (tree && rc == 0 && data) {
                const unsigned char *at = (const unsigned char *)body->data + NPY_HEAD;
                const int size = body->data[DESCR + 2] - '0';
                FUZZ_CHECK(!files);
                check_numbers(data, size, &at);
                FUZZ_CHECK(at == (const unsigned char *)body->data + body->len);
        }
        cJSON_Delete(tree);
}

static void check_array(const struct oip_request *r, const struct oip_body *body)
{
        struct image im = {0};
        struct err e = {0};
        FUZZ_CHECK(body->media && strcmp(body->media, "application/x-npy") == 0);
        int rc = image_decode(body->data, body->len, body->media, &im, &e);
        FUZZ_CHECK(rc == 0 || (rc == ERR_INVALID && strstr(e.message, "not finite")));
        FUZZ_CHECK(rc != 0 || (im.n == r->n && im.c == C && im.h == H && im.w == W));
        image_finish(&im);
}

static void check_tar(const struct oip_request *r, const struct oip_body *body)
{
        struct walk *w = NULL;
        struct walk_file f;
        struct err e = {0};
        int count = 0, rc = walk_open_bytes(body->data, body->len, 1, &w, &e);
        while (rc == 0 && (rc = walk_next(w, &f, &e)) > 0) {
                void *bytes = NULL;
                size_t len = 0;
                rc = walk_read(w, &bytes, &len, &e);
                FUZZ_CHECK(rc == 0 && len == f.size && len > 0);
                free(bytes);
                count++;
        }
        if (rc)
                fprintf(stderr, "%s\n", e.message);
        FUZZ_CHECK(rc == 0 && count == r->n);
        walk_close(w);
}

/* JSON, and behind it as many bytes as its outputs say. */
static void check_answer(const struct oip_request *r, const struct str *out)
{
        struct err e = {0};
        const size_t head = r->json_bytes ? r->json_bytes : out->len;
        size_t rest = 0;
        cJSON *tree = json_parse(out->data, head, &e);
        const cJSON *o;
        FUZZ_CHECK(tree && cJSON_GetArraySize(json_field(tree, "outputs")) == r->output_count);
        const cJSON *id = json_field(tree, "id");
        FUZZ_CHECK(r->has_id == (id != NULL) && (!id || strcmp(id->valuestring, r->id) == 0));
        cJSON_ArrayForEach(o, json_field(tree, "outputs"))
        {
                const cJSON *size = json_field(json_field(o, "parameters"), "binary_data_size");
                rest += size ? (size_t)size->valuedouble : 0;
                FUZZ_CHECK(!size == (json_field(o, "data") != NULL));
        }
        FUZZ_CHECK(rest == out->len - head);
        cJSON_Delete(tree);
}

static void answer(struct oip_request *r)
{
        static float logits[MAX_ANSWER * CLASSES];
        struct str out = {0};
        struct err e = {0};
        if (r->n > MAX_ANSWER)
                return;
        for (int i = 0; i < r->n * CLASSES; i++)
                logits[i] = (float)(i * 37 % 11) - 5;
        int rc = oipanswer_write(&out, r, &model, NULL, logits, r->n, &e);
        FUZZ_CHECK(rc == 0 || (rc == ERR_INVALID && r->files && r->n != 1));
        if (rc == 0)
                check_answer(r, &out);
        str_free(&out);
}

static void check_request(struct oip_request *r, const struct oip_body *body)
{
        FUZZ_CHECK(r->n >= 1 && body->len > 0);
        FUZZ_CHECK(r->output_count >= 1 && r->output_count <= OIP_OUTPUTS);
        for (int i = 0; i < r->output_count; i++)
                FUZZ_CHECK(r->output[i].best >= 0 && r->output[i].best <= CLASSES);
        FUZZ_CHECK(r->output_count == 1 || r->output[0].tensor != r->output[1].tensor);
        if (!r->files)
                check_array(r, body);
        else if (r->n > 1)
                check_tar(r, body);
        answer(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        const uint8_t *line = len ? memchr(bytes, '\n', len) : NULL;
        struct oip_request r;
        struct oip_body body;
        struct err e = {0};
        if (!line)
                return 0;
        char *number = fuzz_text(bytes, (size_t)(line - bytes));
        const long json = strtol(number, NULL, 10);
        free(number);
        const size_t n = len - (size_t)(line + 1 - bytes);
        char *text = fuzz_text(line + 1, n);
        int rc = json >= -1 && json <= INT_MAX ? oip_read(text, n, json, &model.shape, &r, &body, &e) : -1;
        if (json >= -1 && json <= INT_MAX) {
                FUZZ_CHECK(rc == e.code && (rc == 0) == !e.message[0]);
                FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
                if (json && json <= (long)n)
                        check_json(text, json < 0 ? n : (size_t)json, rc, &body, r.files);
                if (rc == 0)
                        check_request(&r, &body);
                str_free(&body.made);
        }
        free(text);
        return 0;
}
