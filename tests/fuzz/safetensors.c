#include "fuzz.h"

#include "model/safetensors.h"

#include <string.h>
#include <unistd.h>

/* Every byte of every tensor is read; a place outside the file would fault. */
static void check_tensor(const struct safetensors *s, const struct safetensors_tensor *t)
{
        struct err e = {0};
        size_t count = 1;
        FUZZ_CHECK(safetensors_find(s, t->name) == t);
        for (int i = 0; i < t->ndim; i++)
                count = t->dims[i] == 0 ? 0 : count * (size_t)t->dims[i];
        for (int i = 0; i < t->ndim; i++)
                count = t->dims[i] == 0 ? 0 : count;
        FUZZ_CHECK(count <= t->bytes);
        float *out = malloc((count + 1) * sizeof *out);
        int rc = safetensors_read_f32(t, out, count, &e);
        FUZZ_CHECK(rc == 0 || (rc == ERR_INVALID && t->type > SAFETENSORS_F64));
        free(out);
        uint8_t *copy = malloc(t->bytes + 1);
        if (t->bytes)
                memcpy(copy, t->data, t->bytes);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char path[FUZZ_PATH_BYTES];
        struct err e = {0};
        struct safetensors *s = NULL;
        int fd = fuzz_file(bytes, len, path);
        int rc = safetensors_open(path, &s, &e);
        FUZZ_CHECK(rc == e.code);
        FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
        FUZZ_CHECK((rc == 0) == (s != NULL));
        for (int i = 0; s && i < s->count; i++)
                check_tensor(s, &s->tensors[i]);
        struct safetensors *head = NULL;
        FUZZ_CHECK(len == 0 || safetensors_head(fd, &head, &e) == rc);
        for (int i = 0; s && i < s->count; i++)
                FUZZ_CHECK(head->count == s->count && head->tensors[i].at == s->tensors[i].at);
        safetensors_close(head);
        for (int i = 0; s && i < s->metadata_count; i++)
                FUZZ_CHECK(safetensors_metadata(s, s->metadata[i].key) == s->metadata[i].value);
        safetensors_close(s);
        close(fd);
        return 0;
}
