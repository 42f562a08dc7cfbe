#include "daemon/worker/questions.h"

#include "daemon/common/wire.h"
#include "data/grid.h"
#include "train/infer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool is_classify(const struct chan_message *m)
{
        return strcmp(wire_text(m->head, "op"), "classify") == 0;
}

static bool is_long(const struct chan_message *m)
{
        return is_classify(m) && wire_int(m->head, "n") > QUESTIONS_LONG;
}

bool questions_agree(const struct chan_message *a, const struct chan_message *b)
{
        return is_classify(a) && is_classify(b) && !is_long(a) && !is_long(b) &&
               wire_int(a->head, "generation") == wire_int(b->head, "generation") &&
               strcmp(wire_text(a->head, "model"), wire_text(b->head, "model")) == 0;
}

static int get_model(struct loaded *l, const struct chan_message *m, struct infer **ret, struct err *e)
{
        return loaded_get(l, wire_text(m->head, "model"), wire_int(m->head, "generation"), ret, e);
}

/* The images of a message, 0 for bytes that are not what it says. */
static int count_images(const struct chan_message *m, size_t image)
{
        const int64_t n = wire_int(m->head, "n");
        return n > 0 && n <= INT_MAX && m->raw_len % image == 0 && m->raw_len / image == (size_t)n ? (int)n
                                                                                                   : 0;
}

/* All images one behind the other; *ret_own is to be freed, NULL where one message has them all. */
static int gather(struct chan_message *const *m, int count, size_t bytes, const float **ret, float **ret_own,
        struct err *e)
{
        *ret = m[0]->raw;
        *ret_own = NULL;
        if (count == 1)
                return 0;
        char *p = malloc(bytes);
        if (!p)
                return err_set(e, ERR_NO_MEMORY, "no memory for a batch of %zu bytes", bytes);
        *ret = *ret_own = (float *)(void *)p;
        for (int i = 0; i < count; p += m[i]->raw_len, i++)
                memcpy(p, m[i]->raw, m[i]->raw_len);
        return 0;
}

static int run(
        struct loaded *l, struct infer *model, const float *images, int n, float *logits, struct err *e)
{
        int rc;
        do
                rc = infer_run(model, images, n, logits, e);
        while (loaded_make_room(l, model, rc));
        return rc;
}

static int say_classes(
        const struct voice *v, const struct chan_message *m, int classes, const float *logits, struct err *e)
{
        const int64_t n = wire_int(m->head, "n");
        cJSON *head = voice_head("classified", "request", wire_int(m->head, "request"));
        cJSON_AddNumberToObject(head, "n", (double)n);
        cJSON_AddNumberToObject(head, "classes", classes);
        return voice_say(v, head, logits, (size_t)n * (size_t)classes * sizeof *logits, e);
}

int questions_classify(struct loaded *l, const struct voice *v, struct chan_message *const *m, int count,
        int *ret_said, struct err *e)
{
        struct infer *model = NULL;
        int c, h, w, classes, n = 0;
        size_t bytes = 0;
        int rc = get_model(l, m[0], &model, e);
        *ret_said = 0;
        if (rc)
                return rc;
        infer_shape(model, &c, &h, &w, &classes);
        for (int i = 0; i < count; i++) {
                int own = count_images(m[i], (size_t)c * (size_t)h * (size_t)w * sizeof(float));
                if (own == 0 || own > INT_MAX - n)
                        return err_set(e, ERR_INTERNAL, "%lld images of %dx%dx%d in %zu bytes",
                                (long long)wire_int(m[i]->head, "n"), c, h, w, m[i]->raw_len);
                n += own;
                bytes += m[i]->raw_len;
        }
        const float *images = NULL;
        float *own = NULL, *logits = malloc((size_t)n * (size_t)classes * sizeof *logits);
        if (!logits)
                return err_set(e, ERR_NO_MEMORY, "no memory for %d results", n);
        rc = gather(m, count, bytes, &images, &own, e);
        if (rc == 0)
                rc = run(l, model, images, n, logits, e);
        const float *at = logits;
        for (int i = 0; rc == 0 && i < count; i++) {
                rc = say_classes(v, m[i], classes, at, e);
                *ret_said += rc == 0;
                at += wire_int(m[i]->head, "n") * classes;
        }
        free(own);
        free(logits);
        return rc;
}

bool questions_take_long(struct questions_long *q, struct commands *from)
{
        if (!is_long(&from->first->m))
                return false;
        commands_push(&q->waiting, commands_pop(from));
        if (!q->c)
                q->c = commands_pop(&q->waiting);
        return true;
}

void questions_drop(struct questions_long *q, int64_t request)
{
        atomic_store(&q->dropped[q->drops++ % QUESTIONS_DROPS], request);
}

static bool is_dropped(struct questions_long *q)
{
        const int64_t request = wire_int(q->c->m.head, "request");
        bool any = false;
        for (int i = 0; i < QUESTIONS_DROPS; i++)
                any = any || atomic_load(&q->dropped[i]) == request;
        return any;
}

static void end_long(struct questions_long *q)
{
        command_free(q->c);
        free(q->logits);
        q->c = commands_pop(&q->waiting);
        q->logits = NULL;
        q->done = 0;
}

void questions_fail(struct questions_long *q, const struct voice *v, const struct err *why)
{
        voice_fail(v, "classify_failed", "request", wire_int(q->c->m.head, "request"), why);
        end_long(q);
}

/* Where another model's file took the place of the one it began with, it has another shape. */
static int begin_or_match(struct questions_long *q, int n, int classes, struct err *e)
{
        if (q->logits && q->classes != classes)
                return err_set(e, ERR_UNAVAILABLE, "the model was just replaced; try again");
        if (!q->logits)
                q->logits = malloc((size_t)n * (size_t)classes * sizeof *q->logits);
        q->classes = classes;
        return q->logits ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for %d results", n);
}

int questions_work(struct questions_long *q, struct loaded *l, const struct voice *v, struct err *e)
{
        const struct chan_message *m = &q->c->m;
        struct infer *model = NULL;
        int c, h, w, classes;
        if (is_dropped(q)) {
                end_long(q);
                return 0;
        }
        int rc = get_model(l, m, &model, e);
        if (rc)
                return rc;
        infer_shape(model, &c, &h, &w, &classes);
        const size_t values = (size_t)c * (size_t)h * (size_t)w;
        const int n = count_images(m, values * sizeof(float)), most = infer_part(model);
        if (!n && q->logits)
                return err_set(e, ERR_UNAVAILABLE, "the model was just replaced; try again");
        rc = n ? begin_or_match(q, n, classes, e)
               : err_set(e, ERR_INTERNAL, "images of %dx%dx%d in %zu bytes", c, h, w, m->raw_len);
        if (rc)
                return rc;
        const int part = n - q->done < most ? n - q->done : most;
        rc = run(l, model, (const float *)m->raw + (size_t)q->done * values, part,
                q->logits + (size_t)q->done * (size_t)classes, e);
        q->done += part;
        if (rc == 0 && q->done == n)
                rc = say_classes(v, m, classes, q->logits, e);
        if (rc == 0 && q->done == n)
                end_long(q);
        return rc;
}

/* A layer's filters where no image came, else what it makes of the image, as a picture. */
int questions_look(struct loaded *l, const struct voice *v, const struct chan_message *m, struct err *e)
{
        struct infer *model = NULL;
        struct infer_maps maps = {0};
        const char *layer = wire_text(m->head, "layer");
        int c, h, w, classes;
        int rc = get_model(l, m, &model, e);
        if (rc)
                return rc;
        infer_shape(model, &c, &h, &w, &classes);
        if (m->raw_len == 0)
                rc = infer_filters(model, layer, &maps, e);
        else if (m->raw_len == (size_t)c * (size_t)h * (size_t)w * sizeof(float))
                do
                        rc = infer_activations(model, m->raw, layer, &maps, e);
                while (loaded_make_room(l, model, rc));
        else
                rc = err_set(e, ERR_INTERNAL, "an image of %dx%dx%d in %zu bytes", c, h, w, m->raw_len);
        if (rc)
                return rc;
        struct str png = {0};
        rc = grid_png(maps.data, maps.count, maps.channels, maps.h, maps.w, &png, e);
        free(maps.data);
        if (rc == 0)
                rc = voice_say(v, voice_head("looked", "request", wire_int(m->head, "request")), png.data,
                        png.len, e);
        str_free(&png);
        return rc;
}
