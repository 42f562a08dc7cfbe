#include "daemon/models/modelfacts.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

void model_facts_destroy(struct model_facts *f)
{
        if (!f)
                return;
        for (int i = 0; f->classes && i < f->shape.num_classes; i++)
                free(f->classes[i]);
        free(f->classes);
        free(f->name);
        free(f->user);
        free(f);
}

static bool copy_classes(struct model_facts *f, const cJSON *list)
{
        const cJSON *item;
        int n = 0;
        f->shape.num_classes = cJSON_GetArraySize(list);
        f->classes = calloc((size_t)f->shape.num_classes + 1, sizeof *f->classes);
        if (!f->classes)
                return false;
        cJSON_ArrayForEach(item, list)
        {
                f->classes[n] = strdup(cJSON_IsString(item) ? item->valuestring : "");
                if (!f->classes[n++])
                        return false;
        }
        return true;
}

int model_facts_create(const char *name, const char *user, const struct model_shape *shape,
        const char *classes, struct model_facts **ret, struct err *e)
{
        cJSON *list = json_parse(classes, strlen(classes), e);
        if (!list)
                return e->code;
        struct model_facts *f = calloc(1, sizeof *f);
        bool whole = f != NULL;
        if (f) {
                f->shape = *shape;
                f->shape.num_classes = 0;
                f->name = strdup(name);
                f->user = strdup(user);
                whole = f->name && f->user && copy_classes(f, list);
        }
        cJSON_Delete(list);
        if (!whole) {
                model_facts_destroy(f);
                return err_set(e, ERR_NO_MEMORY, "no memory for a model");
        }
        *ret = f;
        return 0;
}

const struct model_facts *model_memory_find(const struct model_memory *m, const char *name)
{
        for (int i = 0; i < MODEL_MEMORY_PLACES; i++)
                if (m->place[i] && strcmp(m->place[i]->name, name) == 0)
                        return m->place[i];
        return NULL;
}

void model_memory_keep(struct model_memory *m, struct model_facts *f)
{
        model_facts_destroy(m->place[m->next]);
        m->place[m->next] = f;
        m->next = (m->next + 1) % MODEL_MEMORY_PLACES;
}

void model_memory_clear(struct model_memory *m)
{
        for (int i = 0; i < MODEL_MEMORY_PLACES; i++)
                model_facts_destroy(m->place[i]);
        *m = (struct model_memory){0};
}
