/* The front process in one piece: listeners, service, HTTP, feed, and the loop that turns them. */
#ifndef CNND_SERVER_H
#define CNND_SERVER_H

#include "base/err.h"
#include "daemon/conf.h"

struct server;

/* What of a configuration can be found out without starting anything: that the certificate and its key are
 * there and fit, and what precheck.h has.
 */
int server_check(const struct conf *conf, struct err *e);
/* Opens the listeners, the state folder and all behind it. SIGTERM, SIGINT and SIGHUP are blocked from here
   on and taken by server_run; SIGPIPE and SIGXFSZ are ignored. `conf` is
   borrowed. */
int server_create(const struct conf *conf, struct server **ret, struct err *e);
/* NULL accepted. */
void server_destroy(struct server *s);
/* "http://127.0.0.1:7420" or "unix:PATH": where it listens. Borrowed. */
const char *server_address(const struct server *s);
/* Serves until SIGTERM or SIGINT, then until the running jobs have stopped with a checkpoint, at most 10 s; a
   second of these ends it at once. SIGHUP has the certificate's files read again,
   and devices looked for (supervisor_again). */
int server_run(struct server *s, struct err *e);

#endif
