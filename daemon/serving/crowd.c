#include "daemon/serving/crowd.h"

#include "base/json.h"
#include "daemon/serving/predictions.h"
#include "daemon/common/wire.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 << 20 }; /* of more than one request */

/* --- answers --- */

/* `logits` (q->n,classes). What went in parts may be of two models. */
static void answer_logits(struct enquiry *q, const struct batch *b, const float *logits, int classes)
{
        const struct model_facts *f;
        struct str body = {0};
        struct err e;
        int rc = models_facts(q->home->models, q->model, &f, &e);
        if (rc == 0 &&
                (f->shape.num_classes != classes || (b->aside && f->shape.generation != b->generation)))
                rc = err_set(&e, ERR_UNAVAILABLE, "the model '%s' was just replaced; try again", q->model);
        if (rc == 0 && q->caller.write)
                rc = q->caller.write(q->caller.ctx, &body, f, q->files, logits, q->n, &e);
        else if (rc == 0 && q->files)
                rc = predictions_write_files(
                        &body, f, q->files, (char *)q->pixels + q->bytes, logits, q->top, &e);
        else if (rc == 0)
                rc = predictions_write(&body, f, &q->facts, logits, q->n, q->top, &e);
        if (rc == 0)
                q->home->images += (uint64_t)q->n;
        enquiry_answer(q, &body, rc ? &e : NULL);
}

static bool is_in(const struct enquiry *q, const struct batch *b)
{
        return q->phase == ENQUIRY_ON_DEVICE && q->batch == b->ticket;
}

void crowd_answer(struct classify *cl, const struct batch *b, const struct chan_message *m)
{
        const cJSON *count = json_field(m->head, "classes");
        const int classes = cJSON_IsNumber(count) && count->valueint > 0 ? count->valueint : 0;
        const float *logits = m->raw;
        struct err e;
        int rc = 0;
        if (json_field(m->head, "error"))
                rc = wire_error_read(json_field(m->head, "error"), &e);
        else if (classes == 0 || m->raw_len != (size_t)b->images * (size_t)classes * sizeof(float))
                rc = err_set(&e, ERR_INTERNAL, "the worker's answer cannot be read");
        for (struct enquiry *q = cl->list, *next; q; q = next) {
                next = q->next;
                if (!is_in(q, b))
                        continue;
                if (rc == 0) {
                        answer_logits(q, b, logits + (size_t)q->at * (size_t)classes, classes);
                } else if (b->requests == 1) {
                        enquiry_answer(q, NULL, &e);
                } else { /* it may be the fault of one: the others are not to share it */
                        q->alone = true;
                        q->phase = ENQUIRY_WAITING;
                }
        }
}

/* --- gathering --- */

static bool goes_in_batches(const struct enquiry *q)
{
        return !q->layer && !q->map.window && !q->gone;
}

/* Whether it may go with `first`, which waits. */
static bool belongs(const struct enquiry *q, const struct enquiry *first)
{
        if (q == first)
                return true;
        return q->phase == ENQUIRY_WAITING && goes_in_batches(q) && !first->alone && !q->alone &&
               !enquiry_is_long(first) && !enquiry_is_long(q) && strcmp(q->model, first->model) == 0;
}

/* Marks what could go together with `first` by cl->turn. */
static void gather(struct classify *cl, const struct enquiry *first, struct batch_crowd *c)
{
        const int most = cl->batches.o.max_images;
        size_t bytes = 0;
        *c = (struct batch_crowd){.generation = first->shape.generation,
                .since_us = first->since_us,
                .alone = first->alone,
                .aside = enquiry_is_long(first)};
        cl->turn++;
        for (struct enquiry *q = cl->list; q; q = q->next) {
                if (q->phase == ENQUIRY_DECODING && goes_in_batches(q) && strcmp(q->model, first->model) == 0)
                        c->coming++;
                if (!belongs(q, first))
                        continue;
                c->full =
                        c->full || (c->requests && (c->images + q->n > most || bytes + q->bytes > MAX_BYTES));
                if (c->full)
                        continue;
                q->turn = cl->turn;
                c->requests++;
                c->images += q->n;
                bytes += q->bytes;
        }
        c->full = c->full || c->images >= most;
}

/* A ready device that takes `q`, an idle one before one that trains; -1 for none. `full`: nobody can join it.
 */
static int choose_device(const struct classify *cl, const struct enquiry *q, bool full)
{
        int best = -1;
        for (int i = 0; i < supervisor_count(cl->supervisor); i++) {
                bool trains = supervisor_job(cl->supervisor, i) != 0;
                const bool room = enquiry_is_long(q) ? batches_room_aside(&cl->batches, i)
                                                     : batches_room(&cl->batches, i, trains, q->alone, full);
                if (supervisor_state(cl->supervisor, i) != DEVICE_READY || !room)
                        continue;
                if (!trains)
                        return i;
                best = best < 0 ? i : best;
        }
        return best;
}

/* --- sending --- */

/* Ends those of the crowd that need no device any more and counts the others anew. */
static void weed(struct classify *cl, struct batch_crowd *c)
{
        const struct model_facts *f;
        struct err e;
        c->requests = c->images = 0;
        for (struct enquiry *q = cl->list, *next; q; q = next) {
                next = q->next;
                if (q->turn != cl->turn)
                        continue;
                if (enquiry_caller_left(q)) {
                        enquiry_cancel(q);
                } else if (enquiry_model(q, &f, &e)) {
                        enquiry_answer(q, NULL, &e);
                } else {
                        q->at = c->images;
                        c->generation = f->shape.generation;
                        c->requests++;
                        c->images += q->n;
                }
        }
}

static struct enquiry *next_member(const struct classify *cl, struct enquiry *q)
{
        while (q && q->turn != cl->turn)
                q = q->next;
        return q;
}

/* The crowd's images as one message; of a single request its own memory is used. */
static int post(struct classify *cl, const struct batch_crowd *c, int64_t ticket, int device, struct err *e)
{
        struct enquiry *first = next_member(cl, cl->list);
        const size_t image = first->bytes / (size_t)first->n, bytes = image * (size_t)c->images;
        char *packed = c->requests > 1 ? malloc(bytes) : NULL;
        cJSON *head = enquiry_command(first, "classify", ticket, c->generation, c->images);
        int rc = head && (packed || c->requests == 1)
                         ? 0
                         : err_set(e, ERR_NO_MEMORY, "no memory for a batch of %d images", c->images);
        for (struct enquiry *q = first; rc == 0 && packed && q; q = next_member(cl, q->next))
                memcpy(packed + (size_t)q->at * image, q->pixels, q->bytes);
        if (rc == 0)
                rc = supervisor_send(
                        cl->supervisor, device, head, packed ? (void *)packed : first->pixels, bytes, e);
        free(packed);
        cJSON_Delete(head);
        return rc;
}

static void send(struct classify *cl, struct batch_crowd *c, int device)
{
        struct err e;
        weed(cl, c);
        if (c->requests == 0)
                return;
        const int64_t ticket = ++cl->next_ticket;
        int rc = post(cl, c, ticket, device, &e);
        if (rc == 0 && !batches_begin(&cl->batches, ticket, device, c))
                rc = err_set(&e, ERR_NO_MEMORY, "no memory for a batch");
        for (struct enquiry *q = next_member(cl, cl->list), *next; q; q = next) {
                next = next_member(cl, q->next);
                if (rc) {
                        enquiry_answer(q, NULL, &e);
                        continue;
                }
                q->phase = ENQUIRY_ON_DEVICE;
                q->device = device;
                q->batch = ticket;
        }
}

/* The first crowd that should go now and its device; false for none. */
static bool find_crowd(struct classify *cl, int64_t now_us, struct batch_crowd *c, int *ret_device)
{
        const uint64_t before = cl->turn;
        for (const struct enquiry *q = cl->list; q; q = q->next) {
                if (q->phase != ENQUIRY_WAITING || !goes_in_batches(q) || q->turn > before)
                        continue;
                *ret_device = choose_device(cl, q, false);
                if (*ret_device < 0 && q->alone)
                        return false; /* or those behind it would keep the device from being empty */
                const bool if_full = *ret_device < 0;
                if (if_full)
                        *ret_device = choose_device(cl, q, true);
                if (*ret_device < 0)
                        continue;
                gather(cl, q, c);
                if (if_full && !c->full)
                        continue;
                const bool trains = supervisor_job(cl->supervisor, *ret_device) != 0;
                int64_t wait = trains ? 0 : batches_wait_us(&cl->batches, c, now_us);
                if (wait == 0)
                        return true;
                cl->due_us = now_us + wait < cl->due_us ? now_us + wait : cl->due_us;
        }
        return false;
}

void crowd_send(struct classify *cl, int64_t now_us)
{
        struct batch_crowd c;
        int device;
        cl->due_us = INT64_MAX;
        while (find_crowd(cl, now_us, &c, &device))
                send(cl, &c, device);
}
