/* cnnctl: the command line of cnnd. */
#include "client/args.h"
#include "client/command.h"
#include "client/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_url[] = "http://127.0.0.1:7420";

static const char *setting(
        const struct args *a, const char *option, const char *variable, const char *otherwise)
{
        const char *given = args_get(a, option), *env = getenv(variable);
        return given ? given : env && env[0] ? env : otherwise;
}

static int run(const struct args *a, struct err *e)
{
        struct ctl c = {.json = args_has(a, "json")};
        const struct command *command = a->command;
        term_init(&c.term);
        if (args_has(a, "help") || !command || command->run == cmd_help)
                return cmd_help(&c, a, e);
        if (fetch_create(setting(a, "url", "CNND_URL", default_url), setting(a, "token", "CNND_TOKEN", NULL),
                    &c.http, e) != 0)
                return command_misused("%s", e->message);
        int status = command->run(&c, a, e);
        fetch_destroy(c.http);
        return status;
}

/* What was printed must have arrived; a reader that has seen enough is no failure worth words, nor is what
   the command has told of itself. */
static int finish_output(int status)
{
        if (fflush(stdout) == 0 && !ferror(stdout))
                return status;
        if (errno != EPIPE && status == STATUS_DONE)
                fprintf(stderr, "cnnctl: standard output: %s\n", strerror(errno));
        return status == STATUS_DONE ? STATUS_FAILED : status;
}

int main(int argc, char **argv)
{
        struct args a;
        struct err e = {0};
        port_begin();
        int status = args_parse(argc, argv, &a, &e);
        if (status != 0) {
                command_misused("%s", e.message);
                fprintf(stderr, "        cnnctl help%s%s shows what there is\n", a.command ? " " : "",
                        a.command ? a.command->name : "");
                status = STATUS_USAGE;
        } else if (args_has(&a, "version")) {
                puts("cnnctl " CNND_VERSION);
        } else if (!a.command && !args_has(&a, "help")) {
                command_misused("a command is missing; cnnctl help lists them");
                status = STATUS_USAGE;
        } else {
                status = run(&a, &e);
                if (status < 0)
                        status = command_failed(&e);
        }
        args_finish(&a);
        return finish_output(status);
}
