/* Does wrong what the sanitizers of this build must see: `sanitized overrun|overflow|leak`. Expected to fail.
 */
#include <limits.h>
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

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "overrun") == 0)
                overrun();
        else if (argc == 2 && strcmp(argv[1], "overflow") == 0)
                overflow();
        else if (argc == 2 && strcmp(argv[1], "leak") == 0)
                leak();
        return 0;
}
