/* Whose image the slow decoder takes next, against a clock of the test's own. */
#include "check.h"

#include "daemon/decoder/decodeturns.h"

#include <stdio.h>

static void seconds_fade(void **state)
{
        struct decode_turns t = {0};
        (void)state;
        assert_float_equal(decode_turns_of(&t, "anna", 0), 0, 0);
        decode_turns_add(&t, "anna", 8, 1000);
        assert_float_equal(decode_turns_of(&t, "anna", 1000), 8, 1e-9);
        assert_float_equal(decode_turns_of(&t, "anna", 61000), 4, 1e-9);
        decode_turns_add(&t, "anna", 1, 61000);
        assert_float_equal(decode_turns_of(&t, "anna", 61000), 5, 1e-9);
        assert_float_equal(decode_turns_of(&t, "bert", 61000), 0, 0);
        decode_turns_finish(&t);
        assert_float_equal(decode_turns_of(&t, "anna", 61000), 0, 0);
}

/* Of more users than are remembered those who had least are forgotten. */
static void the_heaviest_are_remembered(void **state)
{
        struct decode_turns t = {0};
        (void)state;
        decode_turns_add(&t, "heavy", 1e6, 0);
        for (int i = 0; i < 10 * DECODE_TURNS_USERS; i++) {
                char user[16];
                snprintf(user, sizeof user, "user-%d", i);
                decode_turns_add(&t, user, i + 1, 0);
                assert_true(decode_turns_of(&t, user, 0) == i + 1);
        }
        assert_float_equal(decode_turns_of(&t, "heavy", 0), 1e6, 0);
        assert_float_equal(decode_turns_of(&t, "user-0", 0), 0, 0);
        decode_turns_finish(&t);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(seconds_fade),
                cmocka_unit_test(the_heaviest_are_remembered),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
