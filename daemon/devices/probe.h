/* Asking one OpenCL driver for its devices in a process of its own (`--role probe`), so that one that
   crashes, hangs or fails affects no other. It is asked again until it has a device: a card may wake up, a
   driver may be repaired or loaded late. One thread. */
#ifndef CNND_PROBE_H
#define CNND_PROBE_H

#include "daemon/devices/supervisor.h"

enum probe_state { PROBE_LOOKING, PROBE_FOUND, PROBE_FAILED };

struct probe {
        const struct supervisor_options *options; /* borrowed, as the driver */
        const char *driver;                       /* its file; "" for all that the loader shows at once */
        int platform;                             /* its number in device ids */
        void *ctx;
        /* It has answered, for the first time or with a device: an array of wire_device_json. Or it has
           failed, and `reason` says why. */
        void (*found)(void *ctx, const struct probe *p, const cJSON *devices);
        void (*failed)(void *ctx);
        enum probe_state state;
        struct child *child; /* NULL: not running */
        int tries, devices;
        int64_t due_ms;   /* the deadline of the child that runs, else of the answer: now */
        bool at_once;     /* it is asked again without a pause */
        bool told;        /* of the child that runs: why it fails is in `reason` */
        char reason[700]; /* of the last failure, for people */
};

/* Starts the first process; the caller has filled what comes before `state`. */
int probe_start(struct probe *p, struct err *e);
/* {"platform":0|null,"driver":"/etc/OpenCL/vendors/pocl.icd"|null,"state":"looking"|"found"|"failed",
   "devices":1,"reason":null|"why it failed"}; NULL when memory is out. */
cJSON *probe_json(const struct probe *p);

/* When probe_tick has something to do though nothing is heard; INT64_MAX for never. `urgent`: there is no
   other device. */
int64_t probe_due_ms(const struct probe *p, bool urgent);
/* Asks it again now, unless it has told of a device. */
void probe_again(struct probe *p);
void probe_tick(struct probe *p, bool urgent, int64_t now_ms);

#endif
