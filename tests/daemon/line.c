/* The order of the line: by hand where it is short, by a slow double where it is long. */
#include "check.h"

#include "daemon/jobs/line.h"

#include <stdlib.h>

static void one_user_goes_by_age(void **state)
{
        struct line_job jobs[] = {{3, 0, 0, 0}, {5, 0, 0, 0}, {9, 0, 0, 0}};
        double seconds[] = {100};
        (void)state;
        line_order(jobs, 3, seconds, 60);
        for (int i = 0; i < 3; i++)
                assert_int_equal(jobs[i].position, i + 1);
}

static void users_take_turns(void **state)
{
        /* User 0 came first with three, user 1 with two. */
        struct line_job jobs[] = {{1, 0, 0, 0}, {2, 0, 0, 0}, {3, 0, 0, 0}, {4, 0, 1, 0}, {5, 0, 1, 0}};
        double seconds[] = {0, 0};
        const int want[] = {1, 3, 5, 2, 4};
        (void)state;
        line_order(jobs, 5, seconds, 60);
        for (int i = 0; i < 5; i++)
                assert_int_equal(jobs[i].position, want[i]);
}

static void who_had_more_waits_longer(void **state)
{
        struct line_job jobs[] = {{1, 0, 0, 0}, {2, 0, 0, 0}, {3, 0, 1, 0}, {4, 0, 1, 0}, {5, 0, 1, 0}};
        double seconds[] = {130, 0};
        const int want[] = {4, 5, 1, 2, 3};
        (void)state;
        line_order(jobs, 5, seconds, 60);
        for (int i = 0; i < 5; i++)
                assert_int_equal(jobs[i].position, want[i]);
}

static void priority_goes_before_shares(void **state)
{
        struct line_job jobs[] = {{7, 10, 0, 0}, {1, 0, 1, 0}, {2, -5, 1, 0}};
        double seconds[] = {1e6, 0};
        (void)state;
        line_order(jobs, 3, seconds, 60);
        for (int i = 0; i < 3; i++)
                assert_int_equal(jobs[i].position, i + 1);
}

enum { MANY = 600, USERS = 7 };

static int by_rule(const void *a, const void *b)
{
        const struct line_job *x = a, *y = b;
        if (x->priority != y->priority)
                return y->priority - x->priority;
        if (x->user != y->user)
                return x->user - y->user;
        return (x->id > y->id) - (x->id < y->id);
}

/* The next one, looked for among all. */
static struct line_job *slow_next(struct line_job *jobs, const double *seconds)
{
        struct line_job *best = NULL;
        for (int i = 0; i < MANY; i++) {
                struct line_job *j = &jobs[i];
                if (j->position)
                        continue;
                if (!best || j->priority > best->priority ||
                        (j->priority == best->priority &&
                                (seconds[j->user] < seconds[best->user] ||
                                        (seconds[j->user] == seconds[best->user] && j->id < best->id))))
                        best = j;
        }
        return best;
}

static void many_go_as_the_rule_says(void **state)
{
        struct line_job jobs[MANY], slow[MANY];
        double seconds[USERS], slow_seconds[USERS];
        (void)state;
        srand(5);
        for (int i = 0; i < MANY; i++)
                jobs[i] = (struct line_job){i + 1, rand() % 3 - 1, rand() % USERS, 0};
        for (int i = 0; i < USERS; i++)
                slow_seconds[i] = seconds[i] = rand() % 500;
        qsort(jobs, MANY, sizeof *jobs, by_rule);
        memcpy(slow, jobs, sizeof slow);
        line_order(jobs, MANY, seconds, 60);
        for (int position = 1; position <= MANY; position++) {
                struct line_job *j = slow_next(slow, slow_seconds);
                j->position = position;
                slow_seconds[j->user] += 60;
        }
        for (int i = 0; i < MANY; i++)
                assert_int_equal(jobs[i].position, slow[i].position);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_user_goes_by_age),
                cmocka_unit_test(users_take_turns),
                cmocka_unit_test(who_had_more_waits_longer),
                cmocka_unit_test(priority_goes_before_shares),
                cmocka_unit_test(many_go_as_the_rule_says),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
