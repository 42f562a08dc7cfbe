/* One device and the worker process that owns it: started, watched, killed, started again or given up by the
   rules of supervisor.h. One thread. */
#ifndef CNND_DEVICE_H
#define CNND_DEVICE_H

#include "daemon/devices/second.h"
#include "daemon/devices/supervisor.h"

struct device {
        const struct supervisor_options *options; /* borrowed, as the hooks and the driver */
        const struct supervisor_hooks *hooks;
        const char *driver; /* its file, "" where the loader shows all at once */
        int index;          /* what the hooks are told */
        struct dev_info info;
        enum device_state state;
        struct child *worker; /* NULL between two of them */
        struct second second;
        int failures;       /* in a row */
        bool waits;         /* until another program lets go of the device */
        int64_t restart_ms; /* when the next worker is due, where there is none */
        int64_t job;
        int64_t busy_since_ms, busy_ms; /* with a job */
        /* Of the worker that runs: */
        int64_t started_ms;
        int64_t heard_ms, moved_ms; /* the last message; the last change of the progress counter */
        double progress, device_bytes;
        bool tells_free;
        double free_bytes;             /* on the device, where it tells_free */
        int64_t map_done, map_windows; /* of the class map in hand; 0 windows for none */
        bool busy, compiling;
        bool stuck;       /* it was killed and does not end */
        bool barred;      /* it said that another program has the device, or its memory */
        char reason[700]; /* why it was killed or what it said before it died; "" where unknown */
        cJSON *selftest;  /* owned; of the last hello */
};

/* Starts the first worker. The caller has filled options, hooks, driver, index and info; workers point to
   `d`, which stays where it is. */
void device_start(struct device *d);
/* When its worker is gone already. */
void device_finish(struct device *d);

/* The object of supervisor_json; NULL when memory is out. */
cJSON *device_json(const struct device *d);
/* How large a job may be to be started there now: the device's memory, less what other programs use of it
   where that is known. */
uint64_t device_room(const struct device *d);
/* 0 for no job. From here to there its time counts as busy. */
void device_set_job(struct device *d, int64_t job);
/* ERR_UNAVAILABLE where no worker is ready. */
int device_send(struct device *d, const cJSON *head, const void *raw, size_t raw_len, struct err *e);

/* Kills the worker, if there is one. */
void device_end_worker(struct device *d, const char *why);

/* When device_tick has something to do though nothing is heard; INT64_MAX for never. */
int64_t device_due_ms(const struct device *d);
/* Tries it again now where it is quarantined, or another program had it. */
void device_again(struct device *d);
void device_tick(struct device *d, int64_t now_ms);

/* Milliseconds after so many failures in a row: 100, doubled each time, 10 s at most. */
int64_t device_backoff_ms(int failures);

#endif
