#include "client/args.h"
#include "client/command.h"
#include "client/rest.h"

#include <stdio.h>
#include <string.h>

static int delete_one(struct ctl *c, const char *folder, const char *name, struct err *e)
{
        struct str path = {0};
        struct fetch_request q = {.method = "DELETE", .headers = {"Accept: application/json"}};
        str_addf(&path, "/v1/%s/", folder);
        fetch_escape(&path, name);
        q.path = path.data;
        int rc = path.failed ? err_set(e, ERR_NO_MEMORY, "no memory for a request")
                             : rest_call(c->http, &q, NULL, NULL, e);
        str_free(&path);
        return rc;
}

int cmd_delete(struct ctl *c, const struct args *a, struct err *e)
{
        static const char *const kinds[][3] = {
                {"model", "models", "model"}, {"dataset", "datasets", "data set"}, {"job", "jobs", "job"}};
        int status = STATUS_DONE;
        size_t k = 0, count = sizeof kinds / sizeof kinds[0];
        while (k < count && strcmp(a->words[0], kinds[k][0]) != 0)
                k++;
        if (k == count)
                return command_misused(
                        "delete takes model, dataset or job, and names of them, not \"%s\"", a->words[0]);
        for (int i = 1; i < a->word_count; i++) {
                int rc = delete_one(c, kinds[k][1], a->words[i], e);
                if (rc == ERR_CLOSED)
                        return rc;
                if (rc != 0)
                        status = command_failed(e);
                else if (!c->json)
                        printf("%s %s: deleted\n", kinds[k][2], a->words[i]);
        }
        return status;
}
