#include "base/philox.h"

void philox(uint64_t seed, enum philox_purpose purpose, uint32_t stream, uint64_t index, uint32_t ret[4])
{
        uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
        uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), stream, (uint32_t)purpose};
        for (int round = 0; round < 10; round++) {
                uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
                uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ key[0], (uint32_t)p1,
                        (uint32_t)(p0 >> 32) ^ c[3] ^ key[1], (uint32_t)p0};
                for (int i = 0; i < 4; i++)
                        c[i] = next[i];
                key[0] += 0x9E3779B9u;
                key[1] += 0xBB67AE85u;
        }
        for (int i = 0; i < 4; i++)
                ret[i] = c[i];
}

float philox_uniform(uint32_t word)
{
        return (float)(word >> 8) * (1.0f / 16777216.0f);
}
