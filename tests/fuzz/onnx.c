#include "fuzz.h"

#include "model/onnx_import.h"

#include <string.h>

/* Every byte of every tensor is read; a place outside the file would fault. */
static void check_model(const struct onnx_model *m)
{
        FUZZ_CHECK(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(m->architecture, "layers")));
        FUZZ_CHECK(m->input[0] > 0 && m->input[1] > 0 && m->input[2] > 0 && m->outputs > 0);
        for (int i = 0; i < m->count; i++) {
                const struct safetensors_tensor *t = &m->tensors[i];
                FUZZ_CHECK(strncmp(t->name, "net.", 4) == 0);
                uint8_t *copy = malloc(t->bytes + 1);
                if (t->bytes)
                        memcpy(copy, t->data, t->bytes);
                free(copy);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        static const int size[3] = {3, 8, 8};
        for (int given = 0; given < 2; given++) {
                struct err e = {0};
                struct onnx_model m;
                int rc = onnx_import(bytes, len, given ? size : NULL, &m, &e);
                FUZZ_CHECK(rc == e.code);
                FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_NO_MEMORY);
                if (rc == 0)
                        check_model(&m);
                FUZZ_CHECK(rc == 0 || (m.tensors == NULL && m.reading == NULL));
                onnx_model_finish(&m);
        }
        return 0;
}
