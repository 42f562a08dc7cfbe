/* Does wrong what the sanitizers of this build must see: `sanitized overrun|overflow|leak|race`. Expected to
 * fail.
 */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int one = 1;

static void overrun(void)
{
        volatile char *p = calloc(16, 1);
        if (p)
                printf("%d\n", p[15 + one]);
        free((void *)(uintptr_t)p);
}

static void overflow(void)
{
        int sum = INT_MAX;
        sum += one;
        printf("%d\n", sum);
}

static void leak(void)
{
        void *volatile lost = malloc(1000);
        lost = NULL;
        printf("%p\n", lost);
}

static int shared;

static void *add(void *unused)
{
        (void)unused;
        shared += one;
        return NULL;
}

static void race(void)
{
        pthread_t other;
        if (pthread_create(&other, NULL, add, NULL) != 0)
                return;
        add(NULL);
        pthread_join(other, NULL);
        printf("%d\n", shared);
}

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "overrun") == 0)
                overrun();
        else if (argc == 2 && strcmp(argv[1], "overflow") == 0)
                overflow();
        else if (argc == 2 && strcmp(argv[1], "leak") == 0)
                leak();
        else if (argc == 2 && strcmp(argv[1], "race") == 0)
                race();
        return 0;
}
