/* The worker role: one process, one device. The main thread speaks with the front and sends a heartbeat a
   second; the engine thread owns the device.

   Front to worker (JSON heads; raw bytes where said):
     {"op":"train","job":7,"request":{…},"dataset":PATH,"dir":PATH,"init":PATH|null,"checkpoint_seconds":30,
      "checkpoint_step":5,"strategies":{…}}              strategies where the job is bound to some
     {"op":"evaluate","job":8,"model":PATH,"name":"m","dataset":PATH,"dir":PATH,"limit":0}
                                                         writes dir/result.json
     {"op":"stop"|"cancel","job":7}                       stop at the next step with a checkpoint; cancel
   without, within a step and a validation too
     {"op":"synced","mark":5}                             all events before that sync are committed
     {"op":"classify","request":3,"model":PATH,"generation":5,"n":2}     raw: n*c*h*w floats
     {"op":"look","request":4,"model":PATH,"generation":5,"layer":"net.0","n":0|1}   raw: the image, or none
   for filters
     {"op":"map","request":5,"model":PATH,"generation":5,"name":"m","classes":[…],"c":1,"h":4096,"w":4096,"window":128,
      "stride":64,"threshold":0.5,"picture":true,"image":{…}}         raw: c*h*w floats
     {"op":"drop","request":5}                            nobody waits for this map or long one any more
   Worker to front:
     {"op":"hello","selftest":{…},"memory_free":…}                        the device is open and its kernels
   are right
     {"op":"failed","error":{…}}                          it cannot be used; the process ends
     {"op":"heartbeat","progress":99,"busy":true,"compiling":false,"device_bytes":…,"memory_free":…} progress
   moves whenever the engine does; compiling while the driver has a program in hand; memory_free of vram.h,
   where it is known; while it makes a map, with "map":{"done":512,"windows":3969}
     {"op":"event","job":7,"event":"train","data":"{…}"}
     {"op":"sync","job":7,"mark":5}                       a checkpoint waits for the events before it
     {"op":"done","job":7,"end":"done"|"stopped"|"cancelled"|"diverged","step":12,"device_bytes":…,
      "stopped_early":false,"epoch":3,"best":{…},"error":{…}}   best with save_best, error of what diverged:
   train_outcome's
     {"op":"job_failed","job":7,"error":{…}}
     {"op":"classified","request":3,"n":2,"classes":10}   raw: n*classes floats
     {"op":"classify_failed","request":3,"error":{…}}     of any of these
     {"op":"looked","request":4}                          raw: a PNG
     {"op":"mapped","request":5}                          raw: the body for the client, JSON or PNG
     {"op":"unkept","programs":[{"file":"conv","options":"…"}]}          of keeping.h
   One job at a time; classifications are answered between two of its steps, and a batch of the first map that
   waits goes there too, and a run of a classification of many images; without a job, maps are made one by
   one. At the end of the channel the process ends at once: what is not in a checkpoint is computed again. */
#ifndef CNND_WORKER_H
#define CNND_WORKER_H

#include "base/err.h"

/* Test hooks: with CNND_TEST_HANG_STEP=n and CNND_TEST_HANG_FILE=path in the environment, the engine thread
   stops for ever at the n-th look between two steps of a job, once: where the file exists, which is deleted
   first. */

/* Runs until the front closes the channel. `uuid` as in struct dev_options. Returns only errors from before
   the first command. */
int worker_main(const char *device, const char *uuid, const char *state_dir, struct err *e);

/* The compiler role, beside a worker whose driver has nothing compiled yet: selftest_compile for the kernels'
   sake. Says nothing to the front, and goes on beside the first job. */
int worker_compile(const char *device, const char *state_dir, struct err *e);

#endif
