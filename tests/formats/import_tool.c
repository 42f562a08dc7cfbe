/* Imports archives given as lines of standard input: a line of JSON for each on standard output. The result
   goes where the first argument says. For measuring what a refusal takes. */
#include "data/import.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int answer(const char *path, const char *folder)
{
        const struct import_hooks hooks = {0};
        struct import_options options;
        struct err e = {0};
        char out[1024];
        snprintf(out, sizeof out, "%s/set", folder);
        const struct import_place place = {.name = "set", .out_path = out, .tmp_dir = folder};
        import_defaults(&options);
        int rc = import_archive(path, &options, &place, &hooks, &e);
        cJSON *o = cJSON_CreateObject();
        if (rc != 0) {
                cJSON_AddStringToObject(o, "refused", err_name(rc));
                cJSON_AddStringToObject(o, "why", e.message);
        }
        char *line = cJSON_PrintUnformatted(o);
        int ok = line && printf("%s\n", line) > 0 && fflush(stdout) == 0;
        free(line);
        cJSON_Delete(o);
        return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
        char path[4096];
        if (argc != 2)
                return 2;
        while (fgets(path, sizeof path, stdin)) {
                path[strcspn(path, "\n")] = 0;
                if (answer(path, argv[1]) != 0)
                        return 1;
        }
        return 0;
}
