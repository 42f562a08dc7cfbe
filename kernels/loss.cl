/* Softmax with cross-entropy; see backend/ops/loss.h. x are the logits (n,classes,1,1), dx their gradient where `train`.
   One work-group does the batch and its sums, in a fixed order.

   With WEIGHTED a sample counts as much as its label's class; a scale_var that is not negative names the word of
   vars that holds the scale.

   With ITEMS (LANES 32): work-items share the classes of a sample: FEW of them where there are few classes, so that several
   blocks go at once, else PARTS.
   Without TILED: GROUP work-items, each takes every GROUP-th sample. With TILED (LANES 16): one work-item, vectors. */

#define LOSS_ARGUMENTS \
        TENSOR(x), TENSOR(dx), global const int *labels_buffer, const ulong labels_offset, VIEW(weights), \
                VIEW(results), global const int *vars_buffer, const ulong vars_offset, const int slot_var, \
                const int n, const int classes, const float fixed_scale, const int scale_var, const int train, \
                const int add

#define SCALE (scale_var < 0 ? fixed_scale : as_float((vars_buffer + vars_offset)[scale_var]))
#if WEIGHTED
#define WEIGHT_OF(label) ((uint)(label) < (uint)classes ? FROM(weights)[label] : 0.0f)
#else
#define WEIGHT_OF(label) 1.0f
#endif

/* Where the sums go. */
static inline void put_sums(global float *slot, const int add, const float loss, const float correct)
{
        slot[0] = add ? slot[0] + loss : loss;
        slot[1] = add ? slot[1] + correct : correct;
}

#ifdef ITEMS
/* Classes that so few share. */
#define FEW 4
#define FEW_CLASSES 64

ITEMS_KERNEL void loss_local(LOSS_ARGUMENTS)
{
        local float scratch[ITEMS];
        local int bests[ITEMS];
        const int sharers = classes > FEW_CLASSES ? PARTS : min(PARTS, FEW), together = PARTS / sharers;
        const int me = get_local_id(0), lane = me % LANES, part = me / LANES % sharers, turn = me / LANES / sharers;
        const int first = turn * sharers * LANES + lane; /* of those that have this sample */
        const int blocks = (n + LANES - 1) / LANES;
        const float scale = SCALE;
        float loss = 0, correct = 0;
        for (int done = 0; done < blocks; done += together) {
                const int b = min(done + turn, blocks - 1), is_there = done + turn < blocks;
                const int sample = b * LANES + lane, inside = is_there && sample < n;
                const int label = inside ? (labels_buffer + labels_offset)[sample] : -1;
                const float weight = WEIGHT_OF(label);
                global const float *x = AT(x, b) + lane;
                global float *dx = AT(dx, b) + lane;
                float top = x[0], sum = 0, all = 0;
                int best = 0;
                for (int k = part; k < classes; k += sharers) {
                        const float v = x[k * LANES];
                        best = v > top ? k : best;
                        top = v > top ? v : top;
                }
                barrier(CLK_LOCAL_MEM_FENCE);
                scratch[me] = top;
                bests[me] = best;
                barrier(CLK_LOCAL_MEM_FENCE);
                for (int i = 0; i < sharers; i++) {
                        const float v = scratch[first + i * LANES];
                        const int other = bests[first + i * LANES], better = v > top || (v == top && other < best);
                        best = better ? other : best;
                        top = better ? v : top;
                }
                for (int k = part; k < classes; k += sharers)
                        sum += f_exp(x[k * LANES] - top);
                barrier(CLK_LOCAL_MEM_FENCE);
                scratch[me] = sum;
                barrier(CLK_LOCAL_MEM_FENCE);
                for (int i = 0; i < sharers; i++)
                        all += scratch[first + i * LANES];
                if (inside && part == 0) {
                        const float mine = (uint)label < (uint)classes ? x[label * LANES] : 0.0f;
                        loss += (log(all) - (mine - top)) * weight;
                        correct += best == label;
                }
                for (int k = part; train && is_there && k < classes; k += sharers) {
                        const float d = f_exp(x[k * LANES] - top) / all - (k == label ? 1.0f : 0.0f);
                        dx[k * LANES] = inside ? d * (weight * scale) : 0.0f;
                }
        }
        loss = sum_items(scratch, loss, ITEMS);
        correct = sum_items(scratch, correct, ITEMS);
        if (me == 0)
                put_sums(FROM(results) + 2 * (vars_buffer + vars_offset)[slot_var], add, loss, correct);
}

#elif !TILED
GROUP_KERNEL void loss_naive(LOSS_ARGUMENTS)
{
        local float losses[GROUP], rights[GROUP];
        const int me = get_local_id(0);
        const float scale = SCALE;
        global const int *labels = labels_buffer + labels_offset;
        float loss = 0, correct = 0;
        for (int i = me; i < (n + LANES - 1) / LANES * LANES; i += GROUP) {
                global const float *x = AT(x, i / LANES) + i % LANES;
                global float *dx = AT(dx, i / LANES) + i % LANES;
                if (i >= n) {
                        for (int k = 0; train && k < classes; k++)
                                dx[k * LANES] = 0;
                        continue;
                }
                const int label = labels[i];
                const float weight = WEIGHT_OF(label);
                float top = x[0], mine = 0, sum = 0;
                int best = 0;
                for (int k = 0; k < classes; k++) {
                        const float v = x[k * LANES];
                        best = v > top ? k : best;
                        top = v > top ? v : top;
                        mine = k == label ? v : mine;
                }
                for (int k = 0; k < classes; k++)
                        sum += f_exp(x[k * LANES] - top);
                loss += (log(sum) - (mine - top)) * weight;
                correct += best == label;
                for (int k = 0; train && k < classes; k++)
                        dx[k * LANES] = (f_exp(x[k * LANES] - top) / sum - (k == label ? 1.0f : 0.0f)) * (weight * scale);
        }
        losses[me] = loss;
        rights[me] = correct;
        barrier(CLK_LOCAL_MEM_FENCE);
        if (me == 0) {
                for (int i = 1; i < GROUP; i++) {
                        loss += losses[i];
                        correct += rights[i];
                }
                put_sums(FROM(results) + 2 * (vars_buffer + vars_offset)[slot_var], add, loss, correct);
        }
}

#elif LANES == 16
ITEM_KERNEL void loss_tiled(LOSS_ARGUMENTS)
{
        global const int *labels = labels_buffer + labels_offset;
        const float scale = SCALE;
        const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        float16 loss = 0, correct = 0;
        for (int i = 0; i < n; i += LANES) {
                global const float16 *x = (global const float16 *)AT(x, i / LANES);
                global float16 *dx = (global float16 *)AT(dx, i / LANES);
                const int16 inside = lane < (int16)(n - i);
                int label_of[LANES];
                float weight_of[LANES];
                for (int j = 0; j < LANES; j++) {
                        label_of[j] = i + j < n ? labels[i + j] : -1;
                        weight_of[j] = WEIGHT_OF(label_of[j]);
                }
                const int16 label = vload16(0, label_of);
                const float16 weight = vload16(0, weight_of);
                float16 top = x[0], mine = 0, sum = 0;
                int16 best = 0;
                for (int k = 0; k < classes; k++) {
                        const float16 v = x[k];
                        best = v > top ? (int16)k : best;
                        top = v > top ? v : top;
                        mine = label == k ? v : mine;
                }
                for (int k = 0; k < classes; k++) {
                        const float16 v = f_exp_lanes(x[k] - top);
                        sum += v;
                        if (train)
                                dx[k] = v;
                }
                loss += inside ? (log(sum) - (mine - top)) * weight : (float16)0;
                correct += inside && best == label ? (float16)1 : (float16)0;
                for (int k = 0; train && k < classes; k++) {
                        const float16 v = (dx[k] / sum - (label == k ? (float16)1 : (float16)0)) * (weight * scale);
                        dx[k] = inside ? v : (float16)0;
                }
        }
        put_sums(FROM(results) + 2 * (vars_buffer + vars_offset)[slot_var], add, sum_lanes(loss), sum_lanes(correct));
}
#endif
