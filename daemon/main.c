#include "base/log.h"
#include "daemon/admin.h"
#include "daemon/conf.h"
#include "daemon/role.h"
#include "daemon/server.h"
#include "daemon/tune.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2 };

static int print(char *text)
{
        int status = text && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        free(text);
        return status;
}

static int serve(const struct conf *conf)
{
        struct server *server = NULL;
        struct err e = {0};
        log_init((enum log_level)log_level_parse(conf->log_level), "front");
        int rc = server_create(conf, &server, &e);
        if (rc == 0) {
                log_line(LOG_INFO, "cnnd " CNND_VERSION " listening on %s, state in %s",
                        server_address(server), conf->state);
                printf("listening on %s\n", server_address(server));
                fflush(stdout);
                rc = server_run(server, &e);
        }
        if (rc)
                log_line(LOG_ERROR, "%s", e.message);
        server_destroy(server);
        return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int tune(const struct conf *conf)
{
        struct err e = {0};
        if (tune_main(conf, &e) == 0)
                return EXIT_SUCCESS;
        fprintf(stderr, "cnnd: %s\n", e.message);
        return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        struct conf conf = {0};
        enum conf_action action = CONF_RUN;
        struct err e = {0};
        umask(077); /* the state is nobody else's, whoever made its folder */
        if (role_requested(argc, argv))
                return role_main(argc, argv);
        if (admin_requested(argc, argv))
                return admin_main(argc, argv);
        bool wrong = conf_load(argc, argv, &conf, &action, &e) != 0;
        if (!wrong && action == CONF_CHECK)
                wrong = server_check(&conf, &e) != 0;
        if (wrong) {
                fprintf(stderr, "cnnd: %s\n", e.message);
                conf_finish(&conf);
                return EXIT_USAGE;
        }
        int status = EXIT_SUCCESS;
        if (action == CONF_HELP)
                status = print(conf_help());
        else if (action == CONF_VERSION)
                status = puts("cnnd " CNND_VERSION) < 0;
        else if (action == CONF_CHECK)
                status = print(conf_text(&conf));
        else if (action == CONF_TUNE)
                status = tune(&conf);
        else
                status = serve(&conf);
        conf_finish(&conf);
        return status;
}
