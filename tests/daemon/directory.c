/* The machine's directory of users where it fails, or tells of large groups: nobody becomes somebody else. */
#include "check.h"

#include "daemon/people/access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ANNA = 4711, STAFF = 815, GROUP_BYTES = 100000, MINUTE_S = 61 };

static int fault; /* errno of each look at a user; 0: it is found */
static int asked; /* such looks */
static int group_fault;
static int ahead_s; /* so far the steady clock goes */

/* In place of libc's, all four. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
        const int rc = (int)syscall(SYS_clock_gettime, clock, ret);
        ret->tv_sec += clock == CLOCK_MONOTONIC ? ahead_s : 0;
        return rc;
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t size, struct passwd **ret)
{
        asked++;
        *ret = NULL;
        if (fault || uid != ANNA)
                return fault;
        snprintf(text, size, "anna");
        *entry = (struct passwd){.pw_name = text, .pw_uid = uid, .pw_gid = 1};
        *ret = entry;
        return 0;
}

int getgrnam_r(const char *name, struct group *entry, char *text, size_t size, struct group **ret)
{
        *ret = NULL;
        if (group_fault || strcmp(name, "staff") != 0)
                return group_fault;
        if (size < GROUP_BYTES) /* it has many members */
                return ERANGE;
        snprintf(text, size, "staff");
        *entry = (struct group){.gr_name = text, .gr_gid = STAFF};
        *ret = entry;
        return 0;
}

int getgrouplist(const char *user, gid_t first, gid_t *groups, int *count)
{
        groups[0] = first;
        groups[1] = STAFF;
        return *count = strcmp(user, "anna") == 0 ? 2 : 1;
}

static struct access *make(const char *operators)
{
        const struct access_options o = {.operators = operators, .loopback = true};
        struct access *a = NULL;
        struct err e;
        CHECK_OK(access_create(&o, &a, &e), &e);
        return a;
}

static void an_operator_of_a_large_group_is_one(void **state)
{
        struct identity who = {0};
        struct err e;
        (void)state;
        CHECK_OK(identity_of_uid(ANNA, "@staff", &who, &e), &e);
        assert_string_equal(who.user, "anna");
        assert_true(who.operator);
        CHECK_OK(identity_of_uid(ANNA, "@others", &who, &e), &e);
        assert_false(who.operator);
        group_fault = EIO; /* an operator does not become another, and who is named otherwise is one */
        assert_int_equal(identity_of_uid(ANNA, "@staff", &who, &e), ERR_UNAVAILABLE);
        CHECK_OK(identity_of_uid(ANNA, "@staff,anna", &who, &e), &e);
        assert_true(who.operator);
        group_fault = 0;
}

static void who_is_not_known_is_nobody_else(void **state)
{
        static const int faults[] = {EIO, EMFILE, ETIMEDOUT};
        struct identity who = {0};
        struct err e;
        (void)state;
        for (int i = 0; i < 3; i++) {
                struct access *a = make("");
                fault = faults[i];
                assert_int_equal(access_admit(a, true, ANNA, NULL, &who, &e), ERR_UNAVAILABLE);
                assert_non_null(strstr(e.message, "uid 4711"));
                asked = 0; /* the answer holds for some seconds */
                assert_int_equal(access_admit(a, true, ANNA, NULL, &who, &e), ERR_UNAVAILABLE);
                assert_int_equal(asked, 0);
                ahead_s += MINUTE_S;
                fault = 0;
                CHECK_OK(access_admit(a, true, ANNA, NULL, &who, &e), &e);
                assert_string_equal(who.user, "anna");
                ahead_s += MINUTE_S;
                fault = faults[i];
                asked = 0; /* and what was known stays so */
                CHECK_OK(access_admit(a, true, ANNA, NULL, &who, &e), &e);
                assert_int_equal(asked, 1);
                assert_string_equal(who.user, "anna");
                access_destroy(a);
        }
        fault = 0;
}

static void a_user_without_a_name_has_a_number(void **state)
{
        static const int answers[] = {0, ENOENT, ESRCH};
        struct identity who = {0};
        struct err e;
        (void)state;
        for (int i = 0; i < 3; i++) {
                fault = answers[i];
                CHECK_OK(identity_of_uid(ANNA + 1, "", &who, &e), &e);
                assert_string_equal(who.user, "uid-4712");
        }
        fault = 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(an_operator_of_a_large_group_is_one),
                cmocka_unit_test(who_is_not_known_is_nobody_else),
                cmocka_unit_test(a_user_without_a_name_has_a_number)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
