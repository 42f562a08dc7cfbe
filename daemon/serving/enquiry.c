#include "daemon/serving/enquiry.h"

#include "daemon/serving/solo.h"

#include <stdlib.h>

void enquiry_free(struct enquiry *q)
{
        free(q->model);
        free(q->layer);
        free(q->pixels);
        cJSON_Delete(q->files);
        free(q);
}

static void forget(struct enquiry *q)
{
        struct classify *cl = q->home;
        for (struct enquiry **place = &cl->list; *place; place = &(*place)->next)
                if (*place == q) {
                        *place = q->next;
                        cl->count--;
                        break;
                }
        enquiry_free(q);
}

/* A worker knows no more than that a file is not there. */
static const struct err *reason(const struct enquiry *q, const struct err *e, struct err *missing)
{
        const struct model_facts *f;
        struct err unused;
        bool known = e && models_facts(q->home->models, q->model, &f, &unused) == 0;
        return known && models_look(q->home->models, q->model, missing) ? missing : e;
}

void enquiry_answer(struct enquiry *q, struct str *body, const struct err *e)
{
        struct err missing;
        e = reason(q, e, &missing);
        if (!q->gone)
                q->caller.done(q->caller.ctx, body, e);
        if (body)
                str_free(body);
        forget(q);
}

/* While the decoder works on it, it stays as a gone one: the decoder's callback points to it. */
void enquiry_abandon(struct enquiry *q, const struct err *e)
{
        q->caller.done(q->caller.ctx, NULL, e);
        q->gone = true;
        if (q->phase != ENQUIRY_DECODING || decode_drop(q->home->decode, q))
                forget(q);
}

bool enquiry_caller_left(const struct enquiry *q)
{
        return q->caller.gone && q->caller.gone(q->caller.ctx);
}

bool enquiry_is_long(const struct enquiry *q)
{
        return !q->layer && !q->map.window && q->n > q->home->batches.o.max_images;
}

void enquiry_cancel(struct enquiry *q)
{
        struct err e;
        if (q->phase == ENQUIRY_ON_DEVICE)
                solo_drop(q);
        err_set(&e, ERR_CANCELLED, "nobody waits for this classification any more");
        enquiry_abandon(q, &e);
}

int enquiry_model(const struct enquiry *q, const struct model_facts **ret, struct err *e)
{
        int rc = models_known(q->home->models, q->model, e);
        if (rc == 0)
                rc = models_facts(q->home->models, q->model, ret, e);
        if (rc)
                return rc;
        const struct model_shape *s = &(*ret)->shape;
        if (s->c != q->shape.c || s->h != q->shape.h || s->w != q->shape.w ||
                !recipe_same(&s->recipe, &q->shape.recipe))
                return err_set(e, ERR_UNAVAILABLE, "the model '%s' was just replaced; try again", q->model);
        return 0;
}

cJSON *enquiry_command(const struct enquiry *q, const char *op, int64_t ticket, int64_t generation, int n)
{
        cJSON *head = cJSON_CreateObject();
        char *path = models_path(q->home->models, q->model);
        if (head && path) {
                cJSON_AddStringToObject(head, "op", op);
                cJSON_AddNumberToObject(head, "request", (double)ticket);
                cJSON_AddStringToObject(head, "model", path);
                cJSON_AddNumberToObject(head, "generation", (double)generation);
                cJSON_AddNumberToObject(head, "n", n);
        } else {
                cJSON_Delete(head);
                head = NULL;
        }
        free(path);
        return head;
}
