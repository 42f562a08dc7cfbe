#include "daemon/api/oipanswer.h"

#include "base/json.h"
#include "daemon/serving/predictions.h"
#include "daemon/common/wire.h"

#include <stdlib.h>

/* The files that an answer has a row for: each was read, and holds one image. */
static int check_files(const struct oip_request *r, const cJSON *files, int n, struct err *e)
{
        const cJSON *file;
        int index = 0;
        if (!files && n != 1)
                return err_set(e, ERR_INVALID, "element 0 of \"image\" holds %d images; each must be one", n);
        cJSON_ArrayForEach(file, files)
        {
                const cJSON *error = json_field(file, "error");
                if (error) {
                        wire_error_read(error, e);
                        return err_wrap(e, "element %d of \"image\"", index);
                }
                if (wire_int(file, "n") != 1)
                        return err_set(e, ERR_INVALID,
                                "element %d of \"image\" holds %lld images; each must be one", index,
                                (long long)wire_int(file, "n"));
                index++;
        }
        if (files && index != r->n)
                return err_set(e, ERR_INVALID, "\"image\" holds %d files; its shape says %d", index, r->n);
        return 0;
}

/* Writes values, a row of best classes, or all. */
struct writer {
        const struct oip_output *output;
        struct str *json, *raw; /* a tensor goes to one of them */
        const struct model_facts *model;
        bool some; /* a value stands before the next */
};

static void add_value(struct writer *w, float v)
{
        if (w->output->binary) {
                str_add_bytes(w->raw, &v, sizeof v);
                return;
        }
        if (w->some)
                str_add(w->json, ",");
        w->some = true;
        str_add_decimal(w->json, (double)v);
}

static void add_text(struct writer *w, const struct prediction *p)
{
        struct str text = {0};
        str_add_decimal(
                &text, w->output->tensor == OIP_LOGITS ? (double)p->logit : (double)(float)p->probability);
        str_addf(&text, ":%d:", p->index);
        str_add(&text, w->model->classes[p->index]);
        if (text.failed) {
                w->json->failed = true;
        } else if (w->output->binary) {
                const uint32_t len = (uint32_t)text.len;
                str_add_bytes(w->raw, &len, sizeof len);
                str_add_bytes(w->raw, text.data, text.len);
        } else {
                if (w->some)
                        str_add(w->json, ",");
                w->some = true;
                str_add_json(w->json, text.data);
        }
        str_free(&text);
}

/* `values` (classes) is for what is written. */
static void add_image(struct writer *w, const float *logits, struct prediction *ranks, float *values)
{
        const int classes = w->model->shape.num_classes;
        const bool plain = w->output->tensor == OIP_LOGITS && !w->output->best;
        if (!plain)
                predictions_rank(logits, classes, w->output->best, ranks);
        for (int i = 0; i < w->output->best; i++)
                add_text(w, &ranks[i]);
        if (w->output->best)
                return;
        for (int i = 0; i < classes && !plain; i++)
                values[ranks[i].index] = (float)ranks[i].probability;
        for (int i = 0; i < classes; i++)
                add_value(w, plain ? logits[i] : values[i]);
}

static void add_output(struct writer *w, const float *logits, int n, struct prediction *ranks, float *values)
{
        const int classes = w->model->shape.num_classes, best = w->output->best;
        const size_t before = w->raw->len;
        str_addf(w->json, "{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[%d,%d],",
                w->output->tensor == OIP_LOGITS ? "logits" : "probabilities", best ? "BYTES" : "FP32", n,
                best ? best : classes);
        if (!w->output->binary)
                str_add(w->json, "\"data\":[");
        for (int i = 0; i < n && !w->json->failed && !w->raw->failed; i++)
                add_image(w, logits + (size_t)i * (size_t)classes, ranks, values);
        if (w->output->binary)
                str_addf(w->json, "\"parameters\":{\"binary_data_size\":%zu}}", w->raw->len - before);
        else
                str_add(w->json, "]}");
}

int oipanswer_write(struct str *out, struct oip_request *r, const struct model_facts *model,
        const cJSON *files, const float *logits, int n, struct err *e)
{
        const size_t classes = (size_t)model->shape.num_classes;
        struct str raw = {0};
        bool binary = false;
        int rc = r->files ? check_files(r, files, n, e) : 0;
        if (rc == 0)
                rc = predictions_check(logits, n, model->shape.num_classes, e);
        if (rc)
                return rc;
        struct prediction *ranks = malloc(classes * sizeof *ranks);
        float *values = malloc(classes * sizeof *values);
        if (!ranks || !values)
                out->failed = true;
        str_add(out, "{\"model_name\":");
        str_add_json(out, model->name);
        str_add(out, ",\"model_version\":\"" OIP_VERSION "\",");
        if (r->has_id) {
                str_add(out, "\"id\":");
                str_add_json(out, r->id);
                str_add(out, ",");
        }
        str_add(out, "\"outputs\":[");
        for (int i = 0; i < r->output_count && !out->failed; i++) {
                struct writer w = {.output = &r->output[i], .json = out, .raw = &raw, .model = model};
                if (i)
                        str_add(out, ",");
                add_output(&w, logits, n, ranks, values);
                binary = binary || w.output->binary;
        }
        str_add(out, "]}");
        if (binary) {
                r->json_bytes = out->len;
                str_add_bytes(out, raw.data, raw.len);
        } else {
                str_add(out, "\n");
        }
        if (out->failed || raw.failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the answer");
        str_free(&raw);
        free(values);
        free(ranks);
        return rc;
}

void oipanswer_describe(struct str *out, const struct model_facts *model)
{
        const struct model_shape *s = &model->shape;
        str_add(out, "{\"name\":");
        str_add_json(out, model->name);
        str_addf(out,
                ",\"versions\":[\"" OIP_VERSION "\"],\"platform\":\"cnnd_safetensors\","
                "\"inputs\":[{\"name\":\"input\",\"datatype\":\"FP32\",\"shape\":[-1,%d,%d,%d]}],"
                "\"outputs\":[{\"name\":\"logits\",\"datatype\":\"FP32\",\"shape\":[-1,%d]},"
                "{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[-1,%d]}]}\n",
                s->c, s->h, s->w, s->num_classes, s->num_classes);
}
