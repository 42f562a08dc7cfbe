/* Optimizers as a user writes them. Names, fields, defaults and arithmetic are those of torch.optim; yogi is
   Zaheer et al.: Adaptive methods for nonconvex optimization, 2018, with bias correction as in adam (so in
   d2l.ai, section 12.10): v += (1 - beta2) sign(g^2 - v) g^2. The device's side is update.h. */
#ifndef CNND_OPTIMIZER_H
#define CNND_OPTIMIZER_H

#include "base/err.h"
#include "train/schedule.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_ADAGRAD, OPTIMIZER_ADAM, OPTIMIZER_ADAMW, OPTIMIZER_YOGI };

struct optimizer_spec {
        enum optimizer_kind kind;
        double lr, weight_decay;
        double momentum, dampening; /* of sgd, as the next */
        bool nesterov;
        double lr_decay, initial_accumulator_value; /* of adagrad */
        double betas[2];                            /* of adam, adamw, yogi */
        double eps;                                 /* of all but sgd */
        double gradient_clip; /* largest norm of all gradients together; 0: as they are */
        struct schedule_spec schedule;
};

/* Fills *ret from a job's "optimizer", NULL where it has none. `epochs` is the job's. *ret is untouched on
   error.

   Field                       of                  default                 allowed
   name                        all                 sgd                     sgd, adagrad, adam, adamw, yogi
   lr                          all                 sgd 0.1, adagrad and    1e-12 to 1e6
                                                   yogi 0.01, else 0.001
   weight_decay                all                 0, adamw 0.01           0 to 1000
   gradient_clip               all                 none                    1e-12 to 1e9
   schedule                    all                 constant                see schedule.h
   momentum, dampening         sgd                 0                       0 to 1
   nesterov                    sgd                 false                   true with momentum, no dampening
   lr_decay                    adagrad             0                       0 to 1e6
   initial_accumulator_value   adagrad             0                       0 to 1e6
   betas                       adam, adamw, yogi   [0.9, 0.999]            each from 0 to below 1
   eps                         all but sgd         1e-8, adagrad 1e-10,    1e-30 to 1; with 0, a weight that
                                                   yogi 1e-3               no gradient reaches would be NaN

   Parameters that are not trained (running statistics, frozen layers) are not decayed either. gradient_clip
   scales all gradients together as torch.nn.utils.clip_grad_norm_ does, before the decay of weights is added.
 */
int optimizer_parse(const cJSON *json, int epochs, struct optimizer_spec *ret, struct err *e);

/* Numbers that an optimizer keeps for each parameter, by PyTorch's names: ret[0 … count-1]. Returns count. */
enum { OPTIMIZER_MAX_STATES = 2 };
int optimizer_states(const struct optimizer_spec *o, const char *ret[OPTIMIZER_MAX_STATES]);

#endif
