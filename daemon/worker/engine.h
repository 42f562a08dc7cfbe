/* The worker's engine thread: opens the device, tests it, and works on what the channel's thread hands it. */
#ifndef CNND_ENGINE_H
#define CNND_ENGINE_H

#include "base/chan.h"
#include "base/err.h"
#include "daemon/worker/voice.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* Starts the thread. `voice` is called by it with each message to the front (borrowed for the call) and must
   be safe to call from there; an error of it ends the job in hand. Strings are copied. */
struct engine_options {
        const char *device, *uuid, *state_dir; /* uuid: as in struct dev_options */
        struct voice voice;
        /* On the engine's thread, before it opens the device; NULL for nothing. */
        void (*prepare)(const char *device, const char *state_dir);
};
int engine_start(const struct engine_options *o, struct engine **ret, struct err *e);

/* Any thread: hands over a command, which is taken. */
int engine_post(struct engine *en, struct chan_message *m, struct err *e);

struct engine_pulse {
        uint64_t progress; /* moves whenever the engine thread gets somewhere */
        uint64_t device_bytes;
        int map_done, map_windows; /* of the class map in hand; 0 windows for none */
        bool busy;
        bool compiling;  /* the driver has a program in hand, which may take it minutes */
        bool tells_free; /* whether free_bytes is known: of the device's memory what nobody uses, vram.h */
        uint64_t free_bytes;
};
/* Any thread. */
void engine_pulse(struct engine *en, struct engine_pulse *ret);

#endif
