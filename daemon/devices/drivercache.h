/* Where an OpenCL driver keeps what it has compiled for a device: a folder of the state folder, by which
   neither another program nor another device can do harm. A driver may abort on a damaged file in there (PoCL
   does, at every start), so the front puts the whole folder aside when workers keep dying. */
#ifndef CNND_DRIVERCACHE_H
#define CNND_DRIVERCACHE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* In a child, before it loads a driver and before it has threads: makes the folder of device `id` and lets
   drivers use it, those excepted that the environment names another one for. */
int drivercache_use(const char *state_dir, const char *id, struct err *e);
/* In a worker, before it opens its device: where what is kept for the device, or what cnnd itself keeps for
   all of them, takes more than `most` bytes of the disk, it is begun anew, with an empty folder. Nothing else
   ends its growth where a driver sets no bound, as PoCL; and of its folder no part can be told from the rest.
   *ret_freed is set to bytes. */
enum { DRIVERCACHE_MOST = 2000000000 };
int drivercache_trim(
        const char *state_dir, const char *id, uint64_t most, uint64_t *ret_freed, struct err *e);
/* Whether workers for device `id` have nothing compiled to begin with, and may write it there for each other:
   false where the environment names another folder. */
bool drivercache_empty(const char *state_dir, const char *id);
/* In the front, while the device has no worker: renames the folder to "….bad", in place of an earlier one,
   moves there the programs that cnnd itself keeps, all devices' alike, and sets ret_moved. Nothing to move is
   no error. */
int drivercache_put_aside(const char *state_dir, const char *id, int *ret_moved, struct err *e);

#endif
