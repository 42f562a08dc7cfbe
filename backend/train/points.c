#include "train/points.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

double points_mean(double sum, int64_t count)
{
        return count ? sum / (double)count : 0;
}

static void add_number(struct str *s, const char *key, double v)
{
        str_addf(s, ",\"%s\":", key);
        str_add_float(s, (float)v);
}

static void add_epoch(struct str *s, const struct setup *setup, int64_t step)
{
        str_add_double(s, (double)step / (double)setup->steps_per_epoch);
}

void points_train(struct str *s, const struct setup *setup, const struct progress *p, double lr,
        double images_per_second)
{
        str_addf(s, "{\"step\":%" PRId64, p->step);
        str_add(s, ",\"epoch\":");
        add_epoch(s, setup, p->step);
        add_number(s, "loss", points_mean(p->window.loss, p->window.count));
        add_number(s, "acc", points_mean((double)p->window.correct, p->window.count));
        add_number(s, "epoch_loss", points_mean(p->epoch.loss, p->epoch.count));
        add_number(s, "epoch_acc", points_mean((double)p->epoch.correct, p->epoch.count));
        add_number(s, "lr", lr);
        str_addf(s, ",\"images_per_second\":%.0f}", images_per_second);
}

void points_validation(struct str *s, const struct setup *setup, int64_t step, const double metrics[METRICS],
        const struct best *best)
{
        str_add(s, "{\"epoch\":");
        add_epoch(s, setup, step);
        str_addf(s, ",\"step\":%" PRId64, step);
        if (setup->count[DATASET_VAL]) {
                add_number(s, "loss", metrics[METRIC_VAL_LOSS - 1]);
                add_number(s, "acc", metrics[METRIC_VAL_ACC - 1]);
        }
        add_number(s, "train_loss", metrics[METRIC_TRAIN_LOSS - 1]);
        add_number(s, "train_acc", metrics[METRIC_TRAIN_ACC - 1]);
        if (best->step) {
                str_add(s, ",\"best_epoch\":");
                add_epoch(s, setup, best->step);
        }
        str_add(s, "}");
}

int points_best(char ret[TRAIN_POINT_MAX], const struct setup *setup, const struct best *best, struct err *e)
{
        struct str s = {0};
        points_validation(&s, setup, best->step, best->metrics, best);
        const int rc = s.failed || s.len >= TRAIN_POINT_MAX
                               ? err_set(e, ERR_NO_MEMORY, "no memory for the best epoch's metrics")
                               : 0;
        if (rc == 0)
                memcpy(ret, s.data, s.len + 1);
        str_free(&s);
        return rc;
}

int points_diverged(
        const struct setup *setup, const struct best *kept, const char *what, int64_t step, struct err *e)
{
        char model[80] = "the model is not saved";
        if (kept->step)
                snprintf(model, sizeof model, "the model has the weights of its best epoch, %g",
                        (double)kept->step / (double)setup->steps_per_epoch);
        return err_set(e, ERR_INVALID,
                "%s step %" PRId64
                "; %s. Try a smaller lr, a schedule with warmup_epochs, or gradient_clip in the optimizer",
                what, step, model);
}

void points_note(struct str *s, const struct str *text)
{
        str_add(s, "{\"text\":");
        str_add_json(s, text->data ? text->data : "");
        str_add(s, "}");
        s->failed = s->failed || text->failed;
}
