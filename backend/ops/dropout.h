/* dropout's hyperparameters, and the numbers that it draws.

   The element i (C*H*W of them) of sample s of the step's batch is dropped where philox_uniform of word i % 4
   of Philox under the job's seed with counter (i / 4, s, step, PHILOX_DROPOUT | layer << 8) is less than p.
   Nothing is stored: backward draws the same numbers again. They do not depend on micro-batches nor on how
   samples lie in memory. */
#ifndef CNND_DROPOUT_H
#define CNND_DROPOUT_H

struct dropout_args {
        double p;
};

#endif
