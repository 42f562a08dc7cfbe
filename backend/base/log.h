/* Structured lines on standard error: "2026-11-23T08:00:00.123Z info job 7 started device=0:0".
   Under systemd "<6>front: job 7 started device=0:0", which the journal takes as level and text.
   Only the daemon's processes log; libraries return errors. Never log tokens or bodies. */
#ifndef CNND_LOG_H
#define CNND_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below `level` are dropped; `role` ("front", "worker 0:0") stands in every line. Call once, before
   threads start; `role` is copied. */
void log_init(enum log_level level, const char *role);
/* One line; control characters in it become '?'. Any thread. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "debug", "info", "warn" or "error" to its level; -1 for anything else. */
int log_level_parse(const char *name);

#endif
