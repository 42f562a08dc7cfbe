#include "train/result.h"
#include "base/json.h"
#include "model/safetensors.h"
#include "train/preprocessing.h"
#include "train/weights.h"

#include <stdio.h>
#include <stdlib.h>

static char *classes_text(const struct dataset *data)
{
        cJSON *list = cJSON_CreateStringArray((const char *const *)data->classes, data->num_classes);
        char *text = list ? json_text(list) : NULL;
        cJSON_Delete(list);
        return text;
}

int result_write(const struct train_job *job, const struct net *net, const float *block, struct err *e)
{
        char path[4096], input[80];
        char *preprocessing =
                preprocessing_text(&job->data->recipe, &job->request->normalize, net->values[0].s);
        struct safetensors_tensor *tensors = malloc((size_t)net->num_params * sizeof *tensors);
        int64_t *counters = malloc((size_t)net->num_params * sizeof *counters);
        char *architecture = json_text(job->request->architecture), *classes = classes_text(job->data);
        int rc = 0;
        if (!tensors || !counters || !architecture || !classes || !preprocessing)
                rc = err_set(e, ERR_NO_MEMORY, "no memory to save the model");
        if (rc == 0) {
                struct shape in = net->values[0].s;
                weights_tensors(net, block, counters, tensors);
                snprintf(path, sizeof path, "%s/model.safetensors", job->dir);
                snprintf(input, sizeof input, "[%d,%d,%d]", in.c, in.h, in.w);
                const char *metadata[] = {"architecture", architecture, "input", input, "classes", classes,
                        "preprocessing", preprocessing, NULL};
                rc = safetensors_write(path, tensors, net->num_params, metadata, e);
        }
        free(tensors);
        free(counters);
        free(architecture);
        free(classes);
        free(preprocessing);
        return rc;
}
