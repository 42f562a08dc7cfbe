#include "base/philox.h"
#include "check.h"

/* The known answers of the authors' library Random123 (kat_vectors, philox 4x32 10). */
static void known_answers(void **state)
{
        static const struct {
                uint32_t counter[4], key[2], want[4];
        } cases[] = {
                {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
                        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
                        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const uint32_t *c = cases[i].counter, *k = cases[i].key;
                uint32_t got[4];
                philox(k[0] | (uint64_t)k[1] << 32, (enum philox_purpose)c[3], c[2],
                        c[0] | (uint64_t)c[1] << 32, got);
                assert_memory_equal(got, cases[i].want, sizeof got);
        }
}

static void uniform_range(void **state)
{
        (void)state;
        assert_true(philox_uniform(0) == 0.0f);
        assert_true(philox_uniform(0xffffffff) < 1.0f);
        assert_true(philox_uniform(0x80000000) == 0.5f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_answers),
                cmocka_unit_test(uniform_range),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
