#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Set once by log_init before any other thread runs, read-only after. */
static enum log_level least = LOG_INFO;
static char role_name[32] = "cnnd";
/* The journal has its own times, and takes levels as syslog's numbers. */
static bool journal;
static const char journal_levels[] = "7643";

void log_init(enum log_level level, const char *role)
{
        least = level;
        snprintf(role_name, sizeof role_name, "%s", role);
        journal = getenv("JOURNAL_STREAM") != NULL;
}

static size_t begin(char *line, size_t size, enum log_level level)
{
        struct timespec now;
        struct tm utc;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
        return n + (size_t)snprintf(line + n, size - n, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                           level_names[level], role_name);
}

void log_line(enum log_level level, const char *fmt, ...)
{
        char line[2048];
        if (level < least)
                return;
        size_t n = journal ? (size_t)snprintf(line, sizeof line, "<%c>%s: ", journal_levels[level], role_name)
                           : begin(line, sizeof line, level);
        size_t from = n;
        va_list ap;
        va_start(ap, fmt);
        int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
        va_end(ap);
        if (m > 0)
                n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
        for (size_t i = from; i < n; i++)
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
                        line[i] = '?';
        line[n++] = '\n';
        /* One write a line keeps lines of several processes whole; a closed stderr must not stop work. */
        ssize_t rc = write(STDERR_FILENO, line, n);
        (void)rc;
}

int log_level_parse(const char *name)
{
        for (int i = 0; i < (int)(sizeof level_names / sizeof level_names[0]); i++)
                if (strcmp(name, level_names[i]) == 0)
                        return i;
        return -1;
}
