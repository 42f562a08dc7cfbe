/* Dropout: to = from * mask / (1 - p), forward on x and backward on dy; which elements are dropped is said in
   backend/ops/dropout.h. Tensors of one shape, maybe the same one. `vars` are the step's variables: words seed_var and
   the one after it the job's seed, step_var the step, first_var the batch's sample that is first here. `stream` is the
   counter's last word, `least` the smallest kept number times 2^24, `scale` 1 / (1 - p), `count` the number of floats in
   a block.

   Without TILED, and on GPUs: grid (ceil(elements / 4) * LANES or more, blocks), a work-item four elements of a sample.
   With TILED (LANES 16): elementwise.h. */
#define MASK_ARGUMENTS \
        TENSOR(source), TENSOR(target), global const int *vars_buffer, const ulong vars_offset, const int seed_var, \
                const int step_var, const int first_var, const int stream, const int least, const float scale, \
                const int count, const int accumulate
#define VAR(i) ((uint)(vars_buffer + vars_offset)[i])

#if !TILED || LANES == 32
GROUP_KERNEL void dropout_mask(MASK_ARGUMENTS)
{
        const int lane = get_global_id(0) % LANES, group = get_global_id(0) / LANES, b = get_global_id(1);
        global const float *source = AT(source, b) + lane;
        global float *target = AT(target, b) + lane;
        const uint sample = VAR(first_var) + (uint)(b * LANES + lane);
        const uint4 drawn = philox(
                (uint2)(VAR(seed_var), VAR(seed_var + 1)), (uint4)((uint)group, sample, VAR(step_var), (uint)stream));
        const uint words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
        for (int k = 0; k < 4 && 4 * group + k < count / LANES; k++) {
                const ulong at = (ulong)(4 * group + k) * LANES;
                const float v = source[at] * ((int)(words[k] >> 8) < least ? 0.0f : scale);
                target[at] = accumulate ? target[at] + v : v;
        }
}
#elif LANES == 16
typedef struct {
        uint16 v[4];
} words;

/* The high words of the products. */
static inline uint16 high(const uint a, const uint16 b)
{
        return convert_uint16((convert_ulong16(b) * (ulong16)a) >> 32);
}

/* Philox for the samples of a block. */
static inline words draw(const uint2 seed, const uint group, const uint16 samples, const uint step, const uint stream)
{
        uint2 key = seed;
        words c = {{(uint16)group, samples, (uint16)step, (uint16)stream}};
        for (int i = 0; i < 10; i++) {
                const uint16 a = c.v[0], b = c.v[2];
                c.v[0] = high(0xCD9E8D57u, b) ^ c.v[1] ^ key.x;
                c.v[1] = 0xCD9E8D57u * b;
                c.v[2] = high(0xD2511F53u, a) ^ c.v[3] ^ key.y;
                c.v[3] = 0xD2511F53u * a;
                key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
        }
        return c;
}

ITEM_KERNEL void dropout_mask_tiled(MASK_ARGUMENTS)
{
        global const float16 *source = VECTORS_OF(source);
        global float16 *target = VECTORS_OF(target);
        const uint16 samples = VAR(first_var) + (uint)get_global_id(1) * LANES +
                               (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const uint2 seed = (uint2)(VAR(seed_var), VAR(seed_var + 1));
        const uint step = VAR(step_var);
        RANGE;
        for (int i = from; i < to; i += 4) { /* PER_ITEM is a multiple of 4 */
                const words drawn = draw(seed, (uint)i / 4, samples, step, (uint)stream);
                for (int k = 0; k < 4 && i + k < to; k++) {
                        const float16 v = source[i + k] * (convert_int16(drawn.v[k] >> 8) < least ? (float16)0 : (float16)scale);
                        target[i + k] = accumulate ? target[i + k] + v : v;
                }
        }
}
#endif
