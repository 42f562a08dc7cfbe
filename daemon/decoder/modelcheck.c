#include "daemon/decoder/modelcheck.h"

#include "base/json.h"
#include "base/str.h"
#include "daemon/decoder/modelimport.h"
#include "model/safetensors.h"
#include "net/net.h"
#include "train/preprocessing.h"
#include "train/weights.h"
#include "zoo/zoo.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 65536, MAX_CLASS_NAME = 200, MAX_SIDE = 65536, MAX_METADATA = 8 };

static const char *const keys[] = {"architecture", "input", "classes", "preprocessing"};
enum { ARCHITECTURE, INPUT, CLASSES, PREPROCESSING, KEYS };

/* The field from the overrides or the metadata, where text that is no JSON is a plain string. NULL where
 * absent. */
static cJSON *find_field(const struct safetensors *st, const cJSON *overrides, const char *key)
{
        const cJSON *given = overrides ? json_field(overrides, key) : NULL;
        const char *text = safetensors_metadata(st, key);
        if (given)
                return cJSON_Duplicate(given, true);
        if (!text)
                return NULL;
        cJSON *value = json_parse(text, strlen(text), NULL);
        return value ? value : cJSON_CreateString(text);
}

static int read_input(const cJSON *list, struct shape *ret, struct err *e)
{
        int dims[3], n = 0;
        const cJSON *item;
        bool ok = cJSON_GetArraySize(list) == 3 && cJSON_IsArray(list);
        cJSON_ArrayForEach(item, list)
        {
                if (!ok || !cJSON_IsNumber(item) || item->valuedouble != item->valueint ||
                        item->valueint < 1 || item->valueint > MAX_SIDE) {
                        ok = false;
                        break;
                }
                dims[n++] = item->valueint;
        }
        if (!ok)
                return err_at(e, ERR_INVALID, "/input",
                        "\"input\" is three whole numbers: channels, height, width");
        *ret = (struct shape){.c = dims[0], .h = dims[1], .w = dims[2]};
        return 0;
}

/* An answer names a class, so that each has a name of its own. */
static int check_names_differ(const cJSON *list, struct err *e)
{
        const cJSON *item;
        size_t n = 0;
        const char **names = malloc((size_t)cJSON_GetArraySize(list) * sizeof *names);
        int rc = 0;
        if (!names)
                return err_set(e, ERR_NO_MEMORY, "no memory for names of classes");
        cJSON_ArrayForEach(item, list) names[n++] = item->valuestring;
        qsort(names, n, sizeof *names, str_by_text);
        for (size_t i = 1; i < n && rc == 0; i++)
                if (strcmp(names[i], names[i - 1]) == 0)
                        rc = err_at(
                                e, ERR_INVALID, "/classes", "two classes have the name \"%.200s\"", names[i]);
        free(names);
        return rc;
}

static int check_classes(const cJSON *list, struct err *e)
{
        const cJSON *item;
        int count = cJSON_GetArraySize(list);
        if (!cJSON_IsArray(list) || count < 1 || count > MAX_CLASSES)
                return err_at(
                        e, ERR_INVALID, "/classes", "\"classes\" is a list of 1 to %d names", MAX_CLASSES);
        cJSON_ArrayForEach(item, list)
        {
                if (!cJSON_IsString(item) || !*item->valuestring ||
                        strlen(item->valuestring) > MAX_CLASS_NAME)
                        return err_at(e, ERR_INVALID, "/classes", "a class's name is text of 1 to %d bytes",
                                MAX_CLASS_NAME);
        }
        return check_names_differ(list, e);
}

static int check_finite(const struct net *net, const float *block, struct err *e)
{
        for (int i = 0; i < net->num_params; i++) {
                const struct net_param *p = &net->params[i];
                for (uint64_t k = 0; k < p->count; k++)
                        if (!isfinite(block[p->offset + k]))
                                return err_set(e, ERR_INVALID,
                                        "tensor \"%s\" holds a number that is not finite, at %llu", p->name,
                                        (unsigned long long)k);
        }
        return 0;
}

/* Every parameter in its shape and finite, and nothing else. */
static int check_tensors(const struct safetensors *st, const struct net *net, struct err *e)
{
        float *block = malloc((net->param_floats + 1) * sizeof *block);
        if (!block)
                return err_set(e, ERR_NO_MEMORY, "no memory for %llu parameters",
                        (unsigned long long)net->parameters);
        int rc = weights_load(net, st, block, e);
        if (rc == 0)
                rc = check_finite(net, block, e);
        free(block);
        return rc;
}

static int check_preprocessing(const cJSON *json, struct shape input, struct err *e)
{
        struct normalize normalize = {0};
        int rc = preprocessing_parse(json, input, &normalize, e);
        normalize_finish(&normalize);
        return rc;
}

static int check_fit(const struct safetensors *st, cJSON *const fields[KEYS], struct err *e)
{
        struct shape input;
        struct net *net = NULL;
        for (int k = 0; k < PREPROCESSING; k++)
                if (!fields[k])
                        return err_set(e, ERR_INVALID,
                                "the file's metadata has no \"%s\": add it to the query as %s=… (JSON text)",
                                keys[k], keys[k]);
        int rc = read_input(fields[INPUT], &input, e);
        if (rc == 0)
                rc = check_classes(fields[CLASSES], e);
        if (rc)
                return rc;
        rc = check_preprocessing(fields[PREPROCESSING], input, e);
        if (rc)
                return rc;
        rc = zoo_net(fields[ARCHITECTURE], cJSON_GetArraySize(fields[CLASSES]), input, &net, e);
        if (rc)
                err_prefix(e, "/architecture");
        else
                rc = check_tensors(st, net, e);
        if (rc == 0 && net->values[net->output].s.c != cJSON_GetArraySize(fields[CLASSES]))
                rc = err_at(e, ERR_INVALID, "/classes",
                        "the architecture has %d outputs, %d classes are named", net->values[net->output].s.c,
                        cJSON_GetArraySize(fields[CLASSES]));
        net_destroy(net);
        return rc;
}

/* Half types are widened: the writer knows none of them. `floats` takes what was allocated. */
static int widen(struct safetensors_tensor *t, float **floats, struct err *e)
{
        size_t count = 1;
        if (t->type == SAFETENSORS_F32 || t->type == SAFETENSORS_I64)
                return 0;
        for (int i = 0; i < t->ndim; i++)
                count *= (size_t)t->dims[i];
        *floats = malloc((count + 1) * sizeof **floats);
        if (!*floats)
                return err_set(e, ERR_NO_MEMORY, "no memory for tensor '%s'", t->name);
        int rc = safetensors_read_f32(t, *floats, count, e);
        t->type = SAFETENSORS_F32;
        t->data = *floats;
        t->bytes = count * sizeof **floats;
        return rc;
}

/* The file again, telling itself what the overrides told. */
static int rewrite(const char *path, const struct safetensors *st, cJSON *const fields[KEYS], struct err *e)
{
        const char *metadata[2 * MAX_METADATA + 1] = {NULL};
        char *texts[KEYS] = {NULL};
        int n = 0, rc = 0;
        float **floats = calloc((size_t)st->count + 1, sizeof *floats);
        struct safetensors_tensor *tensors = malloc(((size_t)st->count + 1) * sizeof *tensors);
        if (!floats || !tensors)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for %d tensors", st->count);
        for (int k = 0; rc == 0 && k < KEYS; k++) {
                if (!fields[k])
                        continue;
                texts[k] = json_text(fields[k]);
                if (!texts[k])
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for metadata");
                metadata[n++] = keys[k];
                metadata[n++] = texts[k];
        }
        for (int i = 0; rc == 0 && i < st->count; i++) {
                tensors[i] = st->tensors[i];
                rc = widen(&tensors[i], &floats[i], e);
        }
        if (rc == 0)
                rc = safetensors_write(path, tensors, st->count, metadata, e);
        for (int i = 0; floats && i < st->count; i++)
                free(floats[i]);
        for (int k = 0; k < KEYS; k++)
                free(texts[k]);
        free(floats);
        free(tensors);
        return rc;
}

/* Who sent the file does not know it by the name it has here. */
static void hide_path(const char *path, struct err *e)
{
        size_t n = strlen(path);
        if (strncmp(e->message, path, n) == 0) {
                char rest[sizeof e->message];
                memcpy(rest, e->message + n, sizeof rest - n);
                snprintf(e->message, sizeof e->message, "the file%.600s", rest);
        }
}

int modelcheck_file(const char *path, const cJSON *overrides, cJSON **ret, struct err *e)
{
        struct safetensors *st = NULL;
        cJSON *fields[KEYS] = {NULL};
        int rc = overrides ? json_only(overrides, "architecture input classes preprocessing", "", e) : 0;
        if (rc == 0)
                rc = modelimport_file(path, overrides, e);
        if (rc == 0)
                rc = safetensors_open(path, &st, e);
        if (rc) {
                hide_path(path, e);
                return rc;
        }
        for (int k = 0; k < KEYS; k++)
                fields[k] = find_field(st, overrides, keys[k]);
        rc = check_fit(st, fields, e);
        if (rc == 0)
                rc = rewrite(path, st, fields, e);
        cJSON *model = rc == 0 ? cJSON_CreateObject() : NULL;
        if (rc == 0 && !model)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a model");
        for (int k = 0; k < KEYS; k++) {
                if (model)
                        json_add(model, keys[k], fields[k] ? fields[k] : cJSON_CreateNull());
                else
                        cJSON_Delete(fields[k]);
        }
        safetensors_close(st);
        if (rc == 0)
                *ret = model;
        return rc;
}
