/* Configuration: one table of options drives the command line, the file, the environment and --help.

   Precedence: option on the command line > variable CNND_<OPTION> > config file > default. The file is JSON
   (an object of options) when its first character is '{', otherwise lines `option = value` with '#' comments,
   values plain or in double quotes. Unknown options are errors everywhere but in the environment, which
   other programs of cnnd share. */
#ifndef CNND_CONF_H
#define CNND_CONF_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* All strings are owned; "" where an option is not set and has no default. */
struct conf {
        char *config; /* the file that was read, "" for none */
        char *listen; /* "HOST:PORT" or "none" */
        char *socket; /* path of a Unix socket, "" for none */
        char *state;  /* folder with everything that survives a restart; absolute */
        char *device; /* "0:0", "type:cpu", "all" */
        char *log_level;
        char *tls_cert, *tls_key;  /* PEM files, "" for none */
        char *operators;           /* users and @groups of this machine, see identity.h */
        bool insecure;             /* listen beyond loopback without TLS, without tokens */
        double watchdog_seconds;   /* a worker is busy without getting on until it is killed */
        double checkpoint_seconds; /* between checkpoints of a running job */
        double slice_seconds;      /* a job runs at least this long before it yields to another user's */
        double half_life_seconds;  /* of device seconds in a user's share */
        double heartbeat_seconds;  /* of an idle event stream */
        double header_seconds;     /* for a whole request header */
        double idle_seconds;       /* a connection may rest, and a reader may stand still */
        int64_t max_json_bytes, max_image_bytes, max_weights_bytes, max_dataset_bytes; /* of one body */
        int64_t body_memory_bytes; /* bodies in memory, all requests together */
        int64_t max_connections;
        int64_t batch_window_us, batch_images; /* of classifications that go to a device together */
        double requests_per_second;            /* of one user, as the next three; 0: no limit */
        int64_t user_connections, queued_jobs, stored_bytes;
};

enum conf_action { CONF_RUN, CONF_CHECK, CONF_TUNE, CONF_HELP, CONF_VERSION };

/* Fills *ret_conf from all sources and *ret_action by what the command line asks for. ERR_INVALID with a
   message that names option and source. On 0 the caller frees with conf_finish; untouched on failure. */
int conf_load(int argc, char **argv, struct conf *ret_conf, enum conf_action *ret_action, struct err *e);
void conf_finish(struct conf *c);

/* Text for --help, and the chosen values as lines `option = value` that a config file may hold. The caller
   frees; NULL when memory is out. */
char *conf_help(void);
char *conf_text(const struct conf *c);

#endif
