/* What cnnctl makes of a server's answers: it prints no control characters, whatever they hold. The input is
   a letter for a command of the table, a line "STATUS TYPE", and the body of every answer. */
#include "fuzz.h"

#include "client/args.h"
#include "client/command.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A stream that broke is asked for again; not for ever. */
enum { MAX_ANSWERS = 4, MAX_WORDS = 4 };

static const char *const commands[][MAX_WORDS] = {
        {"cnnctl", "jobs", NULL},
        {"cnnctl", "show", "1", NULL},
        {"cnnctl", "models", NULL},
        {"cnnctl", "datasets", NULL},
        {"cnnctl", "devices", NULL},
        {"cnnctl", "summary", "lenet", NULL},
        {"cnnctl", "follow", "1", NULL},
        {"cnnctl", "cancel", "1", NULL},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* What the server says. */
static struct {
        const char *body;
        size_t len;
        int status, answers;
        char type[96];
} server;

int __wrap_fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e);
int __wrap_fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e)
{
        (void)h;
        if (sent)
                *sent = 1;
        if (server.answers++ == MAX_ANSWERS)
                return err_set(e, ERR_INVALID, "enough");
        ret->status = server.status;
        snprintf(ret->type, sizeof ret->type, "%s", server.type);
        size_t half = server.len / 2;
        if (q->sink && server.status / 100 == 2) {
                int rc = q->sink(q->sink_data, server.body, half);
                return rc ? rc : q->sink(q->sink_data, server.body + half, server.len - half);
        }
        str_add_bytes(&ret->body, server.body, server.len);
        return 0;
}

/* Sleeping moves the clock, and takes no time. */
static struct timespec slept;

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
        int rc = __real_clock_gettime(id, ret);
        ret->tv_sec += slept.tv_sec + (ret->tv_nsec + slept.tv_nsec) / 1000000000;
        ret->tv_nsec = (ret->tv_nsec + slept.tv_nsec) % 1000000000;
        return rc;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
        (void)rest;
        slept.tv_sec += time->tv_sec + (slept.tv_nsec + time->tv_nsec) / 1000000000;
        slept.tv_nsec = (slept.tv_nsec + time->tv_nsec) % 1000000000;
        return 0;
}

/* Standard output and error, in a file of memory. */
static int out_fd = -1;

static void begin_output(int kept[2])
{
        char path[FUZZ_PATH_BYTES];
        if (out_fd < 0)
                out_fd = fuzz_file(NULL, 0, path);
        fflush(stdout);
        for (int i = 0; i < 2; i++) {
                kept[i] = dup(i + 1);
                FUZZ_CHECK(kept[i] >= 0 && dup2(out_fd, i + 1) == i + 1);
        }
        FUZZ_CHECK(ftruncate(out_fd, 0) == 0 && lseek(out_fd, 0, SEEK_SET) == 0);
}

static void end_output(const int kept[2], struct str *out)
{
        ssize_t n;
        fflush(stdout);
        for (int i = 0; i < 2; i++) {
                dup2(kept[i], i + 1);
                close(kept[i]);
        }
        FUZZ_CHECK(lseek(out_fd, 0, SEEK_SET) == 0);
        while (str_reserve(out, 4096) && (n = read(out_fd, out->data + out->len, 4096)) > 0)
                out->len += (size_t)n;
}

static void check_output(const struct str *out)
{
        for (size_t i = 0; i < out->len; i++) {
                const unsigned char c = (unsigned char)out->data[i];
                bool good = (c >= ' ' && c != 0x7F) || c == '\n' || c == '\t';
                if (!good)
                        fprintf(stderr, "byte %u at %zu of %.*s\n", c, i, (int)out->len, out->data);
                FUZZ_CHECK(good);
        }
}

static int run(const char *const *words, struct err *e)
{
        struct args a;
        struct ctl c = {0};
        int count = 0;
        while (words[count])
                count++;
        FUZZ_CHECK(args_parse(count, (char **)(uintptr_t)words, &a, e) == 0 && a.command);
        FUZZ_CHECK(fetch_create("http://127.0.0.1:1", NULL, &c.http, e) == 0);
        term_init(&c.term);
        int status = a.command->run(&c, &a, e);
        if (status < 0)
                status = command_failed(e);
        fetch_destroy(c.http);
        args_finish(&a);
        return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *text = fuzz_text(bytes, len), *body = strchr(text, '\n');
        struct str out = {0};
        struct err e = {0};
        int kept[2];
        if (body && text[0] >= 'a' && text[0] < 'a' + COMMANDS) {
                *body++ = '\0';
                server.status = 200;
                server.type[0] = '\0';
                sscanf(text + 1, "%3d %95s", &server.status, server.type);
                server.body = body;
                server.len = strlen(body);
                server.answers = 0;
                begin_output(kept);
                int status = run(commands[text[0] - 'a'], &e);
                end_output(kept, &out);
                FUZZ_CHECK(status >= STATUS_DONE && status <= STATUS_NO_SERVER);
                check_output(&out);
        }
        str_free(&out);
        free(text);
        return 0;
}
