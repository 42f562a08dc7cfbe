/* The multiply-adds that a device can do at most: nothing but these, on numbers in registers. What a matrix product could
   reach if its operands were always there. Each work-item does rounds * CHAINS * 16 of them; CHAINS independent ones hide
   their latency. One work-item a work-group on CPU devices. */
#ifndef CHAINS
#define CHAINS 12
#endif

#if LANES == 16
ITEM_KERNEL void peak(VIEW(out), const int rounds, const float factor)
{
        const int i = get_global_id(0);
        float16 sums[CHAINS];
#pragma unroll
        for (int k = 0; k < CHAINS; k++)
                sums[k] = (float16)(i + k);
        for (int r = 0; r < rounds; r++)
#pragma unroll
                for (int k = 0; k < CHAINS; k++)
                        sums[k] = fma(sums[k], (float16)(factor), (float16)(factor));
        float16 sum = 0.0f;
#pragma unroll
        for (int k = 0; k < CHAINS; k++)
                sum += sums[k];
        vstore16(sum, i, FROM(out));
}
#else
kernel void peak(VIEW(out), const int rounds, const float factor)
{
        const int i = get_global_id(0);
        float sums[16 * CHAINS];
#pragma unroll
        for (int k = 0; k < 16 * CHAINS; k++)
                sums[k] = (float)(i + k);
        for (int r = 0; r < rounds; r++)
#pragma unroll
                for (int k = 0; k < 16 * CHAINS; k++)
                        sums[k] = fma(sums[k], factor, factor);
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < 16 * CHAINS; k++)
                sum += sums[k];
        FROM(out)[i] = sum;
}
#endif
