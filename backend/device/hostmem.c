#include "device/hostmem.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "max", no number, or no such file is no limit; nor is version 1's, of all pages there could be. */
static uint64_t read_limit(const char *folder, const char *name)
{
        char path[PATH_MAX], text[32] = "", *end;
        if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
                return UINT64_MAX;
        FILE *f = fopen(path, "re");
        if (!f)
                return UINT64_MAX;
        const char *line = fgets(text, sizeof text, f);
        fclose(f);
        const unsigned long long bytes = line ? strtoull(text, &end, 10) : 0;
        return line && end != text && bytes > 0 && bytes < LLONG_MAX / 2 ? bytes : UINT64_MAX;
}

static uint64_t least_of(const char *folder)
{
        static const char *const names[] = {"memory.max", "memory.high", "memory.limit_in_bytes"};
        uint64_t least = UINT64_MAX;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                const uint64_t bytes = read_limit(folder, names[i]);
                least = bytes < least ? bytes : least;
        }
        return least;
}

/* Of the group `path` below `root`, and of all above it. */
static uint64_t least_above(const char *root, const char *path)
{
        char folder[PATH_MAX];
        uint64_t least = UINT64_MAX;
        if (snprintf(folder, sizeof folder, "%s%s", root, path) >= (int)sizeof folder)
                return least;
        for (char *slash = folder + strlen(folder);; *slash = '\0') {
                const uint64_t bytes = least_of(folder);
                least = bytes < least ? bytes : least;
                slash = strrchr(folder, '/');
                if (!slash || strlen(folder) <= strlen(root))
                        return least;
        }
}

/* Whether a list by commas has it. */
static bool has_memory(const char *controllers)
{
        static const char word[] = "memory";
        for (const char *at = controllers; (at = strstr(at, word)) != NULL; at += sizeof word - 1)
                if ((at == controllers || at[-1] == ',') &&
                        (at[sizeof word - 1] == ',' || !at[sizeof word - 1]))
                        return true;
        return false;
}

/* A line is "number:controllers:/path", of version 2 "0::/path". */
uint64_t hostmem_limit(const char *self, const char *root)
{
        char line[PATH_MAX], memory[PATH_MAX];
        uint64_t least = UINT64_MAX;
        FILE *f = fopen(self, "re");
        while (f && fgets(line, sizeof line, f)) {
                char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
                if (!path)
                        continue;
                *path++ = '\0';
                path[strcspn(path, "\n")] = '\0';
                const bool second = list[1] == '\0';
                if (!second && !has_memory(list + 1))
                        continue;
                snprintf(memory, sizeof memory, "%.*s%s", PATH_MAX / 2, root, second ? "" : "/memory");
                const uint64_t bytes = least_above(memory, path);
                least = bytes < least ? bytes : least;
        }
        if (f)
                fclose(f);
        return least;
}
