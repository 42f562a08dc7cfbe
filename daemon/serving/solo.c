#include "daemon/serving/solo.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/serving/maporder.h"
#include "daemon/common/wire.h"

#include <stdlib.h>

void solo_drop(struct enquiry *q)
{
        struct err e;
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "drop");
        cJSON_AddNumberToObject(head, "request", (double)(q->batch ? q->batch : q->ticket));
        if (q->batch) /* there will be no answer that ends it */
                free(batches_end(&q->home->batches, q->batch, q->device, clock_now_us()));
        if (supervisor_send(q->home->supervisor, q->device, head, NULL, 0, &e))
                log_line(LOG_WARN, "a request that nobody waits for goes on: %s", e.message);
        cJSON_Delete(head);
}

/* A picture or a class map, which is the body as it is. */
static int hand_on(const struct chan_message *m, struct str *body, struct err *e)
{
        if (m->raw_len == 0)
                return err_set(e, ERR_INTERNAL, "the worker's answer cannot be read");
        str_add_bytes(body, m->raw, m->raw_len);
        return 0;
}

void solo_answer(struct enquiry *q, const struct chan_message *m)
{
        struct err e;
        struct str body = {0};
        int rc;
        if (json_field(m->head, "error"))
                rc = wire_error_read(json_field(m->head, "error"), &e);
        else
                rc = hand_on(m, &body, &e);
        enquiry_answer(q, &body, rc ? &e : NULL);
}

/* An idle device before one that trains; -1 for none. */
static int least_busy(const struct classify *cl)
{
        int best = -1, best_load = 0;
        for (int i = 0; i < supervisor_count(cl->supervisor); i++) {
                if (supervisor_state(cl->supervisor, i) != DEVICE_READY)
                        continue;
                int load = batches_on(&cl->batches, i) + (supervisor_job(cl->supervisor, i) ? 4 : 0);
                for (const struct enquiry *q = cl->list; q; q = q->next)
                        load += q->phase == ENQUIRY_ON_DEVICE && q->device == i &&
                                (!q->batch || enquiry_is_long(q));
                if (best < 0 || load < best_load) {
                        best = i;
                        best_load = load;
                }
        }
        return best;
}

int solo_send(struct enquiry *q, struct err *e)
{
        const struct model_facts *f;
        int device = least_busy(q->home);
        if (device < 0)
                return 0;
        if (enquiry_caller_left(q)) {
                enquiry_cancel(q);
                return 0;
        }
        int rc = enquiry_model(q, &f, e);
        if (rc)
                return rc;
        cJSON *head = enquiry_command(q, q->layer ? "look" : "map", q->ticket, f->shape.generation, q->n);
        if (!head)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        if (q->layer)
                cJSON_AddStringToObject(head, "layer", q->layer);
        if (q->map.window)
                rc = maporder_fill(&q->map, q->home->models, q->model, &q->facts, f->shape.c, head, e);
        if (rc == 0)
                rc = supervisor_send(q->home->supervisor, device, head, q->pixels, q->bytes, e);
        cJSON_Delete(head);
        if (rc)
                return rc;
        q->phase = ENQUIRY_ON_DEVICE;
        q->device = device;
        q->batch = 0;
        return 0;
}
