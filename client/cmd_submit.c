#include "client/rest.h"
#include "client/args.h"
#include "client/command.h"
#include "client/transfer.h"

#include <inttypes.h>
#include <stdio.h>

enum { JOB_MAX = 16 << 20 };

int command_submit(struct ctl *c, const struct args *a, const char *job, size_t len, struct err *e)
{
        struct fetch_reply reply = {0};
        int64_t id = 0;
        bool follow = args_has(a, "follow");
        int rc = rest_submit(c->http, job, len, &reply, &id, e);
        if (rc != 0)
                return rc;
        if (c->json)
                command_print_json(&reply);
        else if (!follow)
                printf("job %" PRId64 "\n", id);
        else if (!c->term.live)
                printf("job=%" PRId64 "\n", id);
        fflush(stdout);
        fetch_reply_finish(&reply);
        if (!c->json && args_has(a, "arch") && !args_has(a, "save-as"))
                command_say("this job keeps no model; --save-as NAME keeps it");
        if (follow)
                return command_follow(c, a, id, e);
        if (!c->json && c->term.tty)
                fprintf(stderr, "cnnctl follow %" PRId64 " shows its curve\n", id);
        return STATUS_DONE;
}

int cmd_submit(struct ctl *c, const struct args *a, struct err *e)
{
        struct str job = {0};
        if (transfer_read(a->words[0], JOB_MAX, &job, e) != 0)
                return command_misused("%s", e->message);
        int status = command_submit(c, a, job.data ? job.data : "", job.len, e);
        str_free(&job);
        return status;
}
