/* What clients of the API do, as tables: each flow is a few requests, some of which prepare it. */
#ifndef CNND_FLOWS_H
#define CNND_FLOWS_H

#include "talk.h"

#include <stdbool.h>

/* The method FLOW_WAIT is no request: it waits until the job has the state that stands as the path. */
#define FLOW_WAIT "WAIT"

/* In a path and in headers "{}" stands for the flow's job, the last that an answer showed, "{n}" for a number
   that no other run of a flow had, and "{token}" for a token of anna. */
struct step {
        const char *method, *path, *headers;
        const char *body; /* a string, or '@' and the name of one of flows_blob */
        int status;       /* what it answers where nothing fails */
};

enum { FLOW_STEPS = 4 };

struct flow {
        const char *name;
        struct step before[FLOW_STEPS], during[FLOW_STEPS], after[FLOW_STEPS];
        bool busy; /* with every device at work, so that jobs stay in line */
};

/* Ends with a name of NULL. They go by what flow_world has made. */
extern const struct flow flows[];
extern const struct step flow_world[];
/* A job that holds the device for a long while. */
extern const struct step flow_blocker;

/* A file to send: "set", "weights" or "image". */
const void *flows_blob(const char *name, size_t *ret_len);

#endif
