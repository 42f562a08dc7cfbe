/* The devices of the machine and one worker process for each. The front itself never loads an OpenCL driver:
   a child for each driver (`--role probe`, probe.h) lists its devices, a child each (`--role worker`,
   device.h) owns one. Children see one driver alone (device/vendors.h), so that a driver that crashes or
   hangs costs its own devices and no others. Hardware that two drivers show is one device, and GPUs
   come before others, to get jobs first: so each waits a moment for all drivers' answers.

   A worker is restarted when it died, with a back-off that doubles from 100 ms; killed when its heartbeat
   stopped for SUPERVISOR_HEARTBEAT_LOST_MS, or when it was busy for `watchdog_seconds` without its engine
   thread's progress counter moving, the time not counted in which it waited for a processor; and after
   SUPERVISOR_FAILURES of these in a row, without a training step or an answered request between, its device
   is quarantined: tried again after ten minutes and ever longer pauses, for a card may be reset or a driver
   be repaired meanwhile. One whose worker was killed and does not end, for the kernel holds it, is
   quarantined until it does. Before the last try what was compiled is put aside (drivercache.h). A device
   that another program has (NVIDIA's exclusive compute mode), or whose memory others have, has not failed: it
   is tried again every 15 s. One thread. */
#ifndef CNND_SUPERVISOR_H
#define CNND_SUPERVISOR_H

#include "base/chan.h"
#include "base/err.h"
#include "daemon/common/children.h"
#include "device/dev.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum { SUPERVISOR_FAILURES = 3, SUPERVISOR_HEARTBEAT_LOST_MS = 10000, SUPERVISOR_MAX_DEVICES = 64 };
/* Time for which the front itself stood still counts against no worker: from this long on. */
enum { SUPERVISOR_AWAY_MS = 2000 };
/* While a device is opened and its kernels are tested, and while a program is compiled: this many times the
   watchdog's patience. Intel's compiler has been seen at one for some minutes. */
enum { SUPERVISOR_STARTING_PATIENCE = 5 };

enum device_state { DEVICE_STARTING, DEVICE_READY, DEVICE_QUARANTINED };

struct supervisor;

struct supervisor_options {
        const char *state_dir;   /* copied */
        const char *device_spec; /* "all", "type:gpu", "0:0"; copied */
        const char *log_level;   /* of the children; copied */
        double watchdog_seconds;
        struct children *kids; /* borrowed */
};

/* Called from service_run. `device` is an index that stays the same while the front lives. */
struct supervisor_hooks {
        void *ctx;
        void (*ready)(void *ctx); /* a worker is */
        /* What a worker said beyond hello and heartbeat; the callee may take parts of the message. */
        int (*message)(void *ctx, int device, struct chan_message *m); /* as child_hooks' */
        /* Its worker is gone, with all it had in hand. `why` is for people; `unread`: it came upon a
           file that cannot be read. */
        void (*lost)(void *ctx, int device, const char *why, bool unread);
};

/* Starts the probes. ERR_INVALID for a device_spec of no known form. */
int supervisor_create(const struct supervisor_options *o, struct supervisor **ret, struct err *e);
/* Kills the workers (by way of children_destroy). */
void supervisor_destroy(struct supervisor *sv);
void supervisor_set_hooks(struct supervisor *sv, const struct supervisor_hooks *hooks);

/* Whether a driver has not answered yet: there may be more devices than now. */
bool supervisor_looking(const struct supervisor *sv);
/* Whether it is known which devices there are; or there is one that works, whatever another driver says. */
bool supervisor_probed(const struct supervisor *sv);
/* What keeps it from having any device, for people ("OpenCL driver … failed when asked for its devices …");
   "" if none. */
const char *supervisor_problem(const struct supervisor *sv);
/* Devices in use, 0 before a probe has ended; more may come. */
int supervisor_count(const struct supervisor *sv);
const struct dev_info *supervisor_info(const struct supervisor *sv, int device);
enum device_state supervisor_state(const struct supervisor *sv, int device);
/* Whether a job had better wait for a GPU, which is being started and has not failed. Of GPUs never. */
bool supervisor_yields(const struct supervisor *sv, int device);
/* device_room: how large a job may be to start on the device now, in bytes. */
uint64_t supervisor_room(const struct supervisor *sv, int device);
/* Whether there are devices and all of them are quarantined. */
bool supervisor_all_quarantined(const struct supervisor *sv);

/* An array of device objects for GET /v1/devices: {"id","name","vendor","driver","version","platform","type",
   "memory","memory_free" where it is
   known,"max_buffer","compute_units","state":"starting"|"ready"|"busy"|"quarantined","job":7|null,"map":{"done","windows"}|null,
   "device_bytes","worker_pid","failures","reason":null|"why there is no worker","selftest":{…}|null}. */
cJSON *supervisor_json(const struct supervisor *sv);
/* An array of what came of asking each driver: probe_json. */
cJSON *supervisor_platforms(const struct supervisor *sv);
/* One of the devices. All three may lack what there was no memory for: json_fell_short. */
cJSON *supervisor_device_json(const struct supervisor *sv, int device);

/* --- what sched.c and classify.c call --- */

/* Queues a command for a device's worker; ERR_UNAVAILABLE where none is ready. */
int supervisor_send(
        struct supervisor *sv, int device, const cJSON *head, const void *raw, size_t raw_len, struct err *e);
/* The job a device works on, 0 for none: set by the scheduler, cleared when the worker is lost. */
void supervisor_set_job(struct supervisor *sv, int device, int64_t job);
int64_t supervisor_job(const struct supervisor *sv, int device);
/* For metrics: time with a job, and what the worker says that it has allocated. */
double supervisor_busy_seconds(const struct supervisor *sv, int device, int64_t now_ms);
double supervisor_used_bytes(const struct supervisor *sv, int device);
/* Ends a worker that goes on with what nobody wants, or does not do as it should: `lost` follows. */
void supervisor_end_worker(struct supervisor *sv, int device, const char *why);
/* Something came out: the row of failures is broken. */
void supervisor_progress(struct supervisor *sv, int device);

/* Asks drivers without a device, and tries quarantined devices, again now. */
void supervisor_again(struct supervisor *sv);
/* Looks at heartbeats and back-offs. */
void supervisor_tick(struct supervisor *sv, int64_t now_ms);
int supervisor_timeout_ms(const struct supervisor *sv, int64_t now_ms);

#endif
