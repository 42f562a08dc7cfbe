#include "train/result.h"
#include "base/json.h"
#include "model/safetensors.h"
#include "train/preprocessing.h"
#include "train/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *classes_text(const struct dataset *data)
{
        cJSON *list = cJSON_CreateStringArray((const char *const *)data->classes, data->num_classes);
        char *text = json_text(list);
        cJSON_Delete(list);
        return text;
}

/* What stands in the file beside the weights. */
struct description {
        char *architecture, *classes, *preprocessing; /* owned */
        char input[80];
        const char *metadata[9]; /* of these, for safetensors_write */
};

static void description_finish(struct description *d)
{
        free(d->architecture);
        free(d->classes);
        free(d->preprocessing);
        *d = (struct description){0};
}

/* Filled in place, for it points to itself; description_finish frees it also after an error. */
static int description_init(struct description *d, const struct train_request *r, const struct dataset *data,
        const struct net *net, struct err *e)
{
        struct shape in = net->values[0].s;
        *d = (struct description){.architecture = json_text(r->architecture),
                .classes = classes_text(data),
                .preprocessing = preprocessing_text(&data->recipe, &r->normalize, in)};
        if (!d->architecture || !d->classes || !d->preprocessing)
                return err_set(e, ERR_NO_MEMORY, "no memory to describe the model");
        snprintf(d->input, sizeof d->input, "[%d,%d,%d]", in.c, in.h, in.w);
        const char *const metadata[] = {"architecture", d->architecture, "input", d->input, "classes",
                d->classes, "preprocessing", d->preprocessing, NULL};
        memcpy(d->metadata, metadata, sizeof metadata);
        return 0;
}

int result_write(const struct train_job *job, const struct net *net, const float *block, struct err *e)
{
        char path[4096];
        struct description d;
        struct safetensors_tensor *tensors = malloc((size_t)net->num_params * sizeof *tensors);
        int64_t *counters = malloc((size_t)net->num_params * sizeof *counters);
        int rc = description_init(&d, job->request, job->data, net, e);
        if (rc == 0 && (!tensors || !counters))
                rc = err_set(e, ERR_NO_MEMORY, "no memory to save the model");
        if (rc == 0) {
                weights_tensors(net, block, counters, tensors);
                snprintf(path, sizeof path, "%s/model.safetensors", job->dir);
                rc = safetensors_write(path, tensors, net->num_params, d.metadata, e);
        }
        description_finish(&d);
        free(tensors);
        free(counters);
        return rc;
}

int result_bytes(const struct train_request *r, const struct dataset *data, const struct net *net,
        uint64_t *ret, struct err *e)
{
        struct description d;
        struct safetensors_tensor *tensors = malloc((size_t)net->num_params * sizeof *tensors);
        int rc = description_init(&d, r, data, net, e);
        if (rc == 0 && !tensors)
                rc = err_set(e, ERR_NO_MEMORY, "no memory to measure the model");
        if (rc == 0) {
                weights_shapes(net, tensors);
                rc = safetensors_size(tensors, net->num_params, d.metadata, ret, e);
        }
        description_finish(&d);
        free(tensors);
        return rc;
}
