#include "daemon/decoder/modelimport.h"

#include "base/file.h"
#include "base/json.h"
#include "model/onnx_graph.h"
#include "model/onnx_import.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Three whole numbers, as far as they are; what is wrong with them modelcheck tells. */
static bool given_input(const cJSON *overrides, int ret[3])
{
        const cJSON *list = overrides ? json_field(overrides, "input") : NULL, *item;
        int n = 0;
        if (cJSON_GetArraySize(list) != 3)
                return false;
        cJSON_ArrayForEach(item, list)
        {
                if (!cJSON_IsNumber(item) || item->valuedouble != item->valueint || item->valueint < 1)
                        return false;
                ret[n++] = item->valueint;
        }
        return true;
}

/* JSON of the file's metadata; NULL where it is none. */
static cJSON *parse(const char *text)
{
        return text ? json_parse(text, strlen(text), NULL) : NULL;
}

static cJSON *classes(const struct onnx_model *m, const cJSON *overrides)
{
        const cJSON *given = overrides ? json_field(overrides, "classes") : NULL;
        cJSON *list = given ? cJSON_Duplicate(given, true) : parse(m->classes);
        if (given || cJSON_IsArray(list))
                return list;
        cJSON_Delete(list);
        list = cJSON_CreateArray();
        for (int i = 0; i < m->outputs; i++) {
                char name[16];
                snprintf(name, sizeof name, "%d", i);
                json_push(list, cJSON_CreateString(name));
        }
        return list;
}

/* The numbers of the metadata are those that were given once, those of the graph their floats. */
static cJSON *preprocessing(const struct onnx_model *m, const cJSON *overrides)
{
        const cJSON *given = overrides ? json_field(overrides, "preprocessing") : NULL;
        cJSON *json = given ? cJSON_Duplicate(given, true) : parse(m->preprocessing);
        if (given)
                return json;
        if (!cJSON_IsObject(json)) {
                cJSON_Delete(json);
                json = cJSON_CreateObject();
        }
        if (!m->normalize)
                cJSON_DeleteItemFromObjectCaseSensitive(json, "normalize");
        else if (!json_field(json, "normalize"))
                json_add(json, "normalize", cJSON_Duplicate(m->normalize, true));
        return json;
}

static int write_model(const char *path, const struct onnx_model *m, const cJSON *overrides, struct err *e)
{
        static const char *const keys[] = {"architecture", "input", "classes", "preprocessing"};
        cJSON *fields[] = {cJSON_Duplicate(m->architecture, true), cJSON_CreateIntArray(m->input, 3),
                classes(m, overrides), preprocessing(m, overrides)};
        const char *metadata[9] = {NULL};
        char *texts[4] = {NULL};
        int rc = 0;
        for (int i = 0; i < 4; i++) {
                texts[i] = fields[i] ? json_text(fields[i]) : NULL;
                if (!texts[i])
                        rc = err_set(e, ERR_NO_MEMORY, "no memory for metadata");
                metadata[2 * i] = keys[i];
                metadata[2 * i + 1] = texts[i];
        }
        if (rc == 0)
                rc = safetensors_write(path, m->tensors, m->count, metadata, e);
        for (int i = 0; i < 4; i++) {
                free(texts[i]);
                cJSON_Delete(fields[i]);
        }
        return rc;
}

int modelimport_file(const char *path, const cJSON *overrides, struct err *e)
{
        struct onnx_model m = {0};
        void *map;
        size_t len;
        int input[3];
        int rc = file_map(path, &map, &len, e);
        if (rc)
                return rc;
        if (onnx_graph_looks(map, len)) {
                if (overrides && json_field(overrides, "architecture"))
                        rc = err_at(e, ERR_INVALID, "/architecture",
                                "an ONNX file tells its architecture: leave it out");
                else
                        rc = onnx_import(map, len, given_input(overrides, input) ? input : NULL, &m, e);
                if (rc == 0)
                        rc = write_model(path, &m, overrides, e);
                onnx_model_finish(&m);
        }
        file_unmap(map, len);
        return rc;
}
