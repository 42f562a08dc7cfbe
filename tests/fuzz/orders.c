/* What the front may order of its children, also one of another build: nothing crashes them or goes without
   an answer.

   The input is lines. "W{…}#64": the worker gets this head with 64 bytes behind it, zeros; so do D the
   decoder and I the import. "#64@xyz": they begin with xyz, where \0, \n and \\ stand for one byte.
   "=image/png@xyz": the message before has an image body of that media type more. "W~xyz": these bytes are no
   message. "W-5": the channel ends 5 bytes early.

   Paths are names in a folder: "tiny" is a data set, "net" a model that fits it, "arrays" can be imported
   (stock.h), "job" is an empty folder. What takes seconds, or makes the fake engine misbehave, is not passed
   on. */
#include "answers.h"
#include "fuzz.h"
#include "stock.h"

#include "base/chan.h"
#include "base/json.h"
#include "base/str.h"
#include "daemon/decoder/decoder_role.h"
#include "daemon/common/wire.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* MAX_BYTES are fewer than what a socket holds. */
enum { WORKER, DECODER, IMPORT, ROLES, MAX_BYTES = 60000 };
static const char letters[] = "WDI";

struct message {
        int role;
        char *head; /* owned; NULL: none yet */
        struct str raw;
};

static struct str channel[ROLES];

/* The folder as it is at the start of every run. */
static void lay_out(void)
{
        static const struct {
                const char *file, *place;
                void (*write)(const char *path);
        } stock[] = {{"tiny.cnnd", "room/tiny", stock_dataset}, {"net.safetensors", "room/net", stock_model},
                {"arrays.safetensors", "room/arrays", stock_arrays}};
        char path[STOCK_PATH_BYTES];
        stock_path(path, "room");
        if (mkdir(path, 0700) == 0)
                for (int i = 0; i < 3; i++) {
                        stock_path(path, stock[i].file);
                        stock[i].write(path);
                }
        stock_path(path, "room");
        stock_clear(path);
        for (int i = 0; i < 3; i++)
                stock_link(stock[i].file, stock[i].place);
        stock_path(path, "room/job");
        FUZZ_CHECK(mkdir(path, 0700) == 0);
}

/* --- what is passed on --- */

/* Names become paths; false for one outside the folder. */
static bool place(cJSON *head)
{
        static const char *const keys[] = {"model", "dataset", "dir", "init", "path", "upload", "output"};
        char path[STOCK_PATH_BYTES];
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                const cJSON *v = json_field(head, keys[i]);
                if (!cJSON_IsString(v))
                        continue;
                if (strchr(v->valuestring, '/') || strlen(v->valuestring) > 20 || v->valuestring[0] == '.')
                        return false;
                stock_path(path, "room/");
                strcat(path, v->valuestring);
                cJSON_ReplaceItemInObjectCaseSensitive(head, keys[i], cJSON_CreateString(path));
        }
        return true;
}

/* Numbers that make pictures of a gigabyte; larger ones are refused. */
static bool is_costly(const cJSON *tree)
{
        const cJSON *item;
        if (cJSON_IsNumber(tree) && tree->valuedouble > 256 && tree->valuedouble <= 65536)
                return true;
        if (cJSON_IsString(tree) && strspn(tree->valuestring, "0123456789") > 2)
                return true;
        cJSON_ArrayForEach(item, tree)
        {
                if (is_costly(item))
                        return true;
        }
        return false;
}

/* See fake_engine.c. */
static bool is_hook(const cJSON *head)
{
        const char *name = wire_text(json_field(head, "request"), "name");
        return strncmp(name, "abort", 5) == 0 || strncmp(name, "rest", 4) == 0;
}

/* The head as it is sent, the caller's; NULL where it is not. What is no JSON goes as it is. */
static char *head_of(int role, const char *text, size_t len)
{
        cJSON *head = json_parse(text, len, NULL);
        if (!head)
                return strndup(text, len);
        bool fine = place(head) && (role == WORKER || !is_costly(head)) && !is_hook(head) &&
                    wire_int(head, "request") != ANSWERS_MARK;
        char *out = fine ? json_text(head) : NULL;
        cJSON_Delete(head);
        return out;
}

/* --- lines --- */

static void add_bytes(struct str *out, const char *text)
{
        for (; *text; text++) {
                const char *escaped = *text == '\\' && text[1] ? strchr("0n\\", text[1]) : NULL;
                str_add_bytes(out, escaped ? &"\0\n\\"[escaped - "0n\\"] : text, 1);
                text += escaped != NULL;
        }
}

/* An image's first pixel of exactly 1 aborts the fake engine. */
static void spare_engine(struct str *raw)
{
        const float one = 1, two = 2;
        for (size_t i = 0; i + sizeof one <= raw->len; i += sizeof one)
                if (memcmp(raw->data + i, &one, sizeof one) == 0)
                        memcpy(raw->data + i, &two, sizeof two);
}

static void send_message(struct message *m)
{
        uint8_t prefix[16] = {'c', 'n', 'd', '0' + CHAN_VERSION};
        const size_t head_len = m->head ? strlen(m->head) : 0, all = sizeof prefix + head_len + m->raw.len;
        struct str *out = &channel[m->role];
        if (m->role == WORKER)
                spare_engine(&m->raw);
        for (int i = 0; i < 4; i++) {
                prefix[4 + i] = (uint8_t)(head_len >> (8 * i));
                prefix[8 + i] = (uint8_t)(m->raw.len >> (8 * i));
        }
        if (m->head && out->len + all <= MAX_BYTES) {
                str_add_bytes(out, prefix, sizeof prefix);
                str_add_bytes(out, m->head, head_len);
                str_add_bytes(out, m->raw.data, m->raw.len);
        }
        free(m->head);
        str_free(&m->raw);
        *m = (struct message){0};
}

static void begin_message(struct message *m, int role, const char *line)
{
        static const char zeros[MAX_BYTES];
        const char *count = strrchr(line, '#');
        char *rest = NULL;
        const size_t raw_len = count ? strtoul(count + 1, &rest, 10) % MAX_BYTES : 0;
        m->role = role;
        m->head = head_of(role, line, count ? (size_t)(count - line) : strlen(line));
        if (rest && *rest == '@')
                add_bytes(&m->raw, rest + 1);
        if (m->raw.len < raw_len)
                str_add_bytes(&m->raw, zeros, raw_len - m->raw.len);
        m->raw.len = raw_len;
}

static void add_body(struct message *m, const char *line)
{
        struct decoder_body b = {0};
        const char *at = strchr(line, '@');
        struct str body = {0};
        if (!at || !m->head)
                return;
        snprintf(b.media_type, sizeof b.media_type, "%.*s", (int)(at - line), line);
        add_bytes(&body, at + 1);
        b.len = body.len;
        str_add_bytes(&m->raw, &b, sizeof b);
        str_add_bytes(&m->raw, body.data, body.len);
        str_free(&body);
}

static void read_line(struct message *m, const char *line)
{
        const char *letter = *line ? strchr(letters, *line) : NULL;
        if (*line == '=') {
                add_body(m, line + 1);
                return;
        }
        if (!letter)
                return;
        send_message(m);
        const int role = (int)(letter - letters);
        struct str *out = &channel[role];
        if (line[1] == '~' && out->len + strlen(line) < MAX_BYTES)
                str_add(out, line + 2);
        else if (line[1] == '-')
                out->len -= strtoul(line + 2, NULL, 10) % (out->len + 1);
        else if (line[1] != '~')
                begin_message(m, role, line + 1);
}

/* All that a child will hear, and the end of its channel. */
static void run(int role)
{
        static void (*const roles[])(int fd, const char *dir) = {
                answers_of_worker, answers_of_decoder, answers_of_import};
        char dir[STOCK_PATH_BYTES];
        int pair[2];
        stock_path(dir, "room");
        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        FUZZ_CHECK(send(pair[0], channel[role].data, channel[role].len, 0) == (ssize_t)channel[role].len);
        shutdown(pair[0], SHUT_WR);
        roles[role](pair[1], dir);
        close(pair[0]);
        close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *text = fuzz_text(bytes, len), *next = text;
        struct message m = {0};
        lay_out();
        for (char *line = text; *line; line = next) {
                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                read_line(&m, line);
        }
        send_message(&m);
        for (int role = 0; role < ROLES; role++) {
                if (channel[role].len)
                        run(role);
                str_clear(&channel[role]);
        }
        free(text);
        return 0;
}
