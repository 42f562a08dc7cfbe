#include "client/args.h"
#include "base/json.h"
#include "client/command.h"
#include "client/transfer.h"

#include <stdlib.h>
#include <string.h>

enum { ARCHITECTURE_MAX = 4 << 20 };

/* A preset's name, or the content of a .json file. NULL with *e set where that is none. */
static cJSON *architecture(const char *arch, struct err *e)
{
        struct str text = {0};
        size_t len = strlen(arch);
        if (len < 6 || strcmp(arch + len - 5, ".json") != 0)
                return cJSON_CreateString(arch);
        if (transfer_read(arch, ARCHITECTURE_MAX, &text, e) != 0)
                return NULL;
        cJSON *tree = json_parse(text.data ? text.data : "", text.len, e);
        if (!tree)
                err_wrap(e, "%s", arch);
        str_free(&text);
        return tree;
}

static cJSON *value_of(const struct command_option *o, const char *value)
{
        int shape[2];
        switch (o->kind) {
        case OPTION_FLAG: /* those with a field say what not to do */
                return cJSON_CreateFalse();
        case OPTION_TEXT:
                return cJSON_CreateString(value);
        case OPTION_SHAPE:
                return args_shape(value, shape, 2) == 2 ? cJSON_CreateIntArray(shape, 2) : NULL;
        default:
                return cJSON_CreateNumber(strtod(value, NULL));
        }
}

/* Puts `value` (taken) at "field" or "object/field" or deeper. */
static void put(cJSON *job, const char *path, cJSON *value)
{
        cJSON *where = job;
        for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
                char name[32];
                size_t len = (size_t)(slash - path);
                memcpy(name, path, len);
                name[len] = '\0';
                cJSON *inside = cJSON_GetObjectItemCaseSensitive(where, name);
                where = inside ? inside : cJSON_AddObjectToObject(where, name);
        }
        cJSON_DeleteItemFromObjectCaseSensitive(where, path);
        cJSON_AddItemToObject(where, path, value);
}

/* A data set with nothing but its name is written as the name. */
static void shorten(cJSON *job)
{
        cJSON *dataset = cJSON_GetObjectItemCaseSensitive(job, "dataset");
        if (cJSON_GetArraySize(dataset) == 1)
                cJSON_ReplaceItemInObjectCaseSensitive(
                        job, "dataset", cJSON_CreateString(json_field(dataset, "name")->valuestring));
}

static int make_job(const struct args *a, cJSON **ret, struct err *e)
{
        cJSON *job = cJSON_CreateObject();
        cJSON_AddStringToObject(job, "type", "train");
        cJSON *arch = architecture(args_get(a, "arch"), e);
        if (!arch) {
                cJSON_Delete(job);
                return e->code ? e->code : err_set(e, ERR_NO_MEMORY, "no memory for a job");
        }
        cJSON_AddItemToObject(job, "architecture", arch);
        if (args_has(a, "lr"))
                put(job, "optimizer/name", cJSON_CreateString("sgd"));
        if (args_has(a, "warmup"))
                put(job, "optimizer/schedule/name", cJSON_CreateString("constant"));
        if (args_has(a, "step-epochs"))
                put(job, "optimizer/schedule/name", cJSON_CreateString("step"));
        for (int i = 0; i < a->given_count; i++)
                if (a->given[i].option->field)
                        put(job, a->given[i].option->field, value_of(a->given[i].option, a->given[i].value));
        shorten(job);
        *ret = job;
        return 0;
}

/* STATUS_DONE where the options go together. */
static int check(const struct args *a)
{
        int sides[2];
        const char *schedule = args_get(a, "schedule");
        if (!args_has(a, "arch") || !args_has(a, "dataset"))
                return command_misused("train needs --arch and --dataset; cnnctl help train");
        if (args_has(a, "resize") && args_shape(args_get(a, "resize"), sides, 2) != 2)
                return command_misused("--resize takes a height and a width, like 224x224");
        if (args_has(a, "init") && args_has(a, "init-from"))
                return command_misused("weights begin either by --init or by --init-from");
        if (args_has(a, "no-strict") && !args_has(a, "init-from"))
                return command_misused("--no-strict goes with --init-from");
        if (args_has(a, "save-best") && !args_has(a, "save-as"))
                return command_misused("--save-best goes with --save-as");
        if (strcmp(schedule ? schedule : "", "step") == 0 && !args_has(a, "step-epochs"))
                return command_misused("--schedule step needs --step-epochs");
        return STATUS_DONE;
}

int cmd_train(struct ctl *c, const struct args *a, struct err *e)
{
        cJSON *job = NULL;
        int status = check(a);
        if (status != STATUS_DONE)
                return status;
        if (make_job(a, &job, e) != 0)
                return command_misused("%s", e->message);
        char *text = json_text(job);
        cJSON_Delete(job);
        if (!text)
                return err_set(e, ERR_NO_MEMORY, "no memory for a job");
        status = command_submit(c, a, text, strlen(text), e);
        free(text);
        return status;
}
