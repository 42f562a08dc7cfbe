/* What children may say to the front, whatever they are asked: nothing crashes it, and what it tells its
   clients stays well-formed.

   The input is lines. "+" first: a device is there already. ">x": a client asks (the table below). "W{…}#64":
   the worker says this head with 64 bytes behind it; so do P the probe, D the decoder, I an import.
   "#64@xyz": behind these come the facts of an image of 8x8 whose first bytes are xyz. "~Wxyz": it sends
   bytes that are no message. "!W9": it dies with that status of waitpid. */
#include "fuzz.h"

#include "base/json.h"
#include "daemon/decoder/imagefacts.h"
#include "house.h"
#include "kids.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* RAW_BYTES is less than what a socket holds. */
enum { MAX_ASKED = 12, RAW_BYTES = 60000, TURNS = 3, LAST_TURNS = 6, LOOKS = 2 };

#define LINEAR "{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":2,\"bias\":false}]}"

struct ask {
        char letter;
        const char *method, *path, *body;
        const char *accept; /* anything, where NULL */
};

static const struct ask asks[] = {
        {'t', "POST", "/v1/jobs",
                "{\"type\":\"train\",\"dataset\":\"tiny\",\"architecture\":" LINEAR ",\"save_as\":\"it\"}",
                NULL},
        {'e', "POST", "/v1/jobs", "{\"type\":\"classify\",\"model\":\"net\",\"dataset\":\"tiny\"}", NULL},
        {'c', "POST", "/v1/models/net/classify", "image", NULL},
        {'a', "POST", "/v1/models/net/activations?layer=net.1", "image", NULL},
        {'f', "GET", "/v1/models/net/filters?layer=net.1", NULL, NULL},
        {'m', "POST", "/v1/models/net/map?window=4&stride=2", "image", NULL},
        {'w', "PUT", "/v1/models/new/weights", "weights", NULL},
        {'i', "PUT", "/v1/datasets/new", "archive", NULL},
        {'s', "GET", "/v1/datasets/tiny/sheet", NULL, NULL},
        {'n', "GET", "/v1/jobs/2/events", NULL, "application/x-ndjson"},
        {'o', "GET", "/v1/jobs/2/events", NULL, "text/event-stream"},
        {'x', "POST", "/v1/jobs/2/cancel", NULL, NULL},
        {'p', "POST", "/v1/jobs/2/pause", NULL, NULL},
        {'r', "POST", "/v1/jobs/2/resume", NULL, NULL},
        /* From here on two are asked at the end of every run. */
        {'d', "GET", "/v1/devices", NULL, NULL},
        {'j', "GET", "/v1/jobs", NULL, NULL},
        {'v', "GET", "/v1/jobs/2/curve", NULL, NULL},
        {'g', "GET", "/v1/jobs/2/result", NULL, NULL},
        {'l', "GET", "/v1/models", NULL, NULL},
        {'b', "GET", "/v1/datasets", NULL, NULL},
        {'q', "GET", "/metrics", NULL, NULL},
};
enum { ASKS = sizeof asks / sizeof asks[0], FIRST_LAST = 14 };

struct client {
        const struct ask *asked;
        int fd;
        struct str got;
};

struct scene {
        struct house *house;
        struct client client[MAX_ASKED + LOOKS];
        int count;
};

static void ask(struct scene *s, const struct ask *a)
{
        char text[600];
        struct client *c = &s->client[s->count++];
        *c = (struct client){.asked = a, .fd = house_connect()};
        int n = snprintf(text, sizeof text, "%s %s HTTP/1.0\r\nAccept: %s\r\nContent-Length: %zu\r\n\r\n%s",
                a->method, a->path, a->accept ? a->accept : "*/*", a->body ? strlen(a->body) : 0,
                a->body ? a->body : "");
        FUZZ_CHECK(send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n);
}

static void turn(struct scene *s, int turns)
{
        for (int i = 0; i < turns; i++)
                house_turn(s->house);
}

/* What a socket holds at the end. */
static void receive(struct client *c)
{
        ssize_t n = 1;
        while (n > 0 && str_reserve(&c->got, 1 << 14)) {
                n = recv(c->fd, c->got.data + c->got.len, 1 << 14, MSG_DONTWAIT);
                c->got.len += n > 0 ? (size_t)n : 0;
                c->got.data[c->got.len] = '\0';
        }
        close(c->fd);
}

/* --- what is said --- */

static struct kid *kid_of(char letter)
{
        const char *role = letter == 'P'   ? "probe"
                           : letter == 'W' ? "worker"
                           : letter == 'D' ? "decoder"
                           : letter == 'I' ? "import"
                                           : NULL;
        return role ? kids_find(role) : NULL;
}

/* `raw_len` zeros follow the head, and the facts where there are some. */
static void say(
        struct kid *k, const char *head, size_t head_len, size_t raw_len, const struct image_facts *facts)
{
        static const uint8_t raw[RAW_BYTES];
        const size_t all = raw_len + (facts ? sizeof *facts : 0);
        uint8_t prefix[16] = {'c', 'n', 'd', '0' + CHAN_VERSION};
        for (int i = 0; i < 4; i++) {
                prefix[4 + i] = (uint8_t)(head_len >> (8 * i));
                prefix[8 + i] = (uint8_t)(all >> (8 * i));
        }
        kids_babble(k, prefix, sizeof prefix);
        kids_babble(k, head, head_len);
        kids_babble(k, raw, raw_len);
        if (facts)
                kids_babble(k, facts, sizeof *facts);
}

static void say_line(struct kid *k, const char *line)
{
        const char *count = strrchr(line, '#');
        char *rest = NULL;
        struct image_facts p = {.format = "PGM", .frames = 1, .came = {.height = 8, .width = 8}};
        size_t raw_len = 0, head_len = count ? (size_t)(count - line) : strlen(line);
        if (count)
                raw_len = strtoul(count + 1, &rest, 10) % RAW_BYTES;
        const bool told = rest && *rest == '@';
        if (told)
                memcpy(&p, rest + 1, strnlen(rest + 1, sizeof p));
        say(k, line, head_len, raw_len, told ? &p : NULL);
}

static void act(struct scene *s, const char *line)
{
        struct kid *k = kid_of(line[0] == '~' || line[0] == '!' ? line[1] : line[0]);
        if (line[0] == '>') {
                for (int i = 0; i < ASKS && s->count < MAX_ASKED; i++)
                        if (asks[i].letter == line[1])
                                ask(s, &asks[i]);
        } else if (!k) {
                return;
        } else if (line[0] == '~') {
                kids_babble(k, line + 2, strlen(line + 2));
        } else if (line[0] == '!') {
                kids_die(k, (int)(strtoul(line + 2, NULL, 10) & 0xFF7F));
        } else {
                say_line(k, line + 1);
        }
        turn(s, TURNS);
}

/* --- what clients see --- */

static void check_json(const char *text, size_t len)
{
        struct err e = {0};
        cJSON *tree = json_parse(text, len, &e);
        if (!tree)
                fprintf(stderr, "%s: %.*s\n", e.message, (int)len, text);
        FUZZ_CHECK(tree);
        cJSON_Delete(tree);
}

/* The lines of an event stream that are whole; each is a field, or ends an event. */
static void check_fields(const char *body)
{
        for (const char *line = body, *end; (end = strchr(line, '\n')); line = end + 1) {
                bool known = strncmp(line, "id: ", 4) == 0 || strncmp(line, "event: ", 7) == 0 ||
                             strncmp(line, "data: {", 7) == 0 || *line == ':' || line == end;
                if (!known)
                        fprintf(stderr, "%s\n", body);
                FUZZ_CHECK(known && !memchr(line, '\r', (size_t)(end - line)));
        }
}

static void check_lines(const char *body)
{
        for (const char *line = body, *end; (end = strchr(line, '\n')); line = end + 1) {
                struct err e = {0};
                cJSON *tree = json_parse(line, (size_t)(end - line), &e);
                if (!tree)
                        fprintf(stderr, "%s: %s\n", e.message, body);
                FUZZ_CHECK(tree && cJSON_IsNumber(json_field(tree, "id")) &&
                           cJSON_IsString(json_field(tree, "event")) && json_field(tree, "data"));
                cJSON_Delete(tree);
        }
}

static void check_answer(const struct str *got)
{
        int status = 0;
        if (got->len == 0)
                return;
        FUZZ_CHECK(sscanf(got->data, "HTTP/1.%*1[01] %3d ", &status) == 1 && status >= 200 && status < 600);
        char *body = strstr(got->data, "\r\n\r\n"), *type = strstr(got->data, "Content-Type: ");
        char *length = strstr(got->data, "Content-Length: ");
        FUZZ_CHECK(body);
        body += 4;
        size_t have = got->len - (size_t)(body - got->data);
        if (!type || type > body)
                return;
        if (strncmp(type + 14, "application/x-ndjson", 20) == 0)
                check_lines(body);
        if (strncmp(type + 14, "text/event-stream", 17) == 0)
                check_fields(body);
        bool json = strncmp(type + 14, "application/json", 16) == 0 ||
                    strncmp(type + 14, "application/problem+json", 24) == 0;
        if (json && length && strtoul(length + 16, NULL, 10) == have)
                check_json(body, have);
}

/* What clients look at when all is said. Each look costs as much as the lies before it: which two it is hangs
   on the input, so that a run is the same each time. */
static void look(struct scene *s, const uint8_t *bytes, size_t len)
{
        uint32_t sum = 2166136261U; /* FNV-1a */
        for (size_t i = 0; i < len; i++)
                sum = (sum ^ bytes[i]) * 16777619U;
        const int count = ASKS - FIRST_LAST, first = (int)(sum % (unsigned)count),
                  step = 1 + (int)(sum / (unsigned)count % (unsigned)(count - 1));
        ask(s, &asks[FIRST_LAST + first]);
        ask(s, &asks[FIRST_LAST + (first + step) % count]);
        turn(s, LAST_TURNS);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *text = fuzz_text(bytes, len), *next = text;
        struct scene s = {.house = house_open(*text == '+')};
        house_set_honest(s.house, false);
        for (char *line = text; *line; line = next) {
                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                act(&s, line);
        }
        look(&s, bytes, len);
        for (int i = 0; i < s.count; i++) {
                receive(&s.client[i]);
                if (s.client[i].asked->letter != 'm') /* a map is the worker's own text */
                        check_answer(&s.client[i].got);
                str_free(&s.client[i].got);
        }
        house_close(s.house);
        free(text);
        return 0;
}
