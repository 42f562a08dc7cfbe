#include "daemon/conf.h"

#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/people/identity.h"
#include "daemon/http/listen.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONF_FILE_MAX = 1 << 20 };

enum conf_type { CONF_STRING, CONF_REAL, CONF_INT, CONF_BYTES, CONF_BOOL };

struct option {
        const char *name;
        enum conf_type type;
        size_t offset;
        const char *fallback; /* the default, as text */
        double min, max;      /* of numbers */
        const char *help;
};

/* clang-format off */
#define STRING(name, fallback, help) {#name, CONF_STRING, offsetof(struct conf, name), fallback, 0, 0, help}
#define BOOL(name, help)             {#name, CONF_BOOL, offsetof(struct conf, name), "false", 0, 0, help}
#define NUMBER(name, type, fallback, min, max, help)                                                         \
        {#name, type, offsetof(struct conf, name), fallback, min, max, help}
/* clang-format on */

static const struct option options[] = {
        STRING(config, "", "file with these options: JSON, or lines `option = value`"),
        STRING(listen, "127.0.0.1:7420", "HOST:PORT to listen on, with port 0 for a free one; or none"),
        STRING(socket, "", "path of a Unix socket to listen on as well"),
        STRING(state, "",
                "folder for jobs, models and caches [$STATE_DIRECTORY, $XDG_STATE_HOME/cnnd or "
                "~/.local/state/cnnd]"),
        STRING(device, "all", "devices to use: PLATFORM:DEVICE, type:cpu, type:gpu or all"),
        STRING(log_level, "info", "what is logged: debug, info, warn or error"),
        STRING(tls_cert, "", "PEM file with the server's certificate and its chain: HTTPS on TCP"),
        STRING(tls_key, "", "PEM file with its private key"),
        STRING(operators, "",
                "users and @groups of this machine, separated by commas, who see and change "
                "everything, as root does"),
        BOOL(insecure, "allow an address beyond loopback without TLS and, while there is no token, without "
                       "authentication"),
        NUMBER(watchdog_seconds, CONF_REAL, "60", 0.2, 86400,
                "kill a worker that is busy for this long without progress"),
        NUMBER(checkpoint_seconds, CONF_REAL, "30", 0.1, 86400, "longest time between a job's checkpoints"),
        NUMBER(slice_seconds, CONF_REAL, "60", 0.1, 86400,
                "a training job runs at least this long before it yields to another user's"),
        NUMBER(half_life_seconds, CONF_REAL, "86400", 1, 1e9, "time after which a device second counts half"),
        NUMBER(heartbeat_seconds, CONF_REAL, "15", 0.1, 3600, "time between heartbeats of an event stream"),
        NUMBER(header_seconds, CONF_REAL, "20", 0.1, 3600, "longest time for the whole header of a request"),
        NUMBER(idle_seconds, CONF_REAL, "75", 1, 3600, "a connection that is idle for longer is closed"),
        NUMBER(max_json_bytes, CONF_BYTES, "1M", 1024, 64 << 20, "largest JSON body"),
        NUMBER(max_image_bytes, CONF_BYTES, "256M", 1024, 1 << 30, "largest image body"),
        NUMBER(max_weights_bytes, CONF_BYTES, "2G", 1024, 1e15, "largest weights body"),
        NUMBER(max_dataset_bytes, CONF_BYTES, "16G", 1024, 1e15, "largest body of a data set"),
        NUMBER(body_memory_bytes, CONF_BYTES, "512M", 1 << 20, 1e15, "memory for bodies of all requests"),
        NUMBER(max_connections, CONF_INT, "12000", 4, 1e6,
                "connections open at once on each listener; on the Unix socket the last 64 are for "
                "operators"),
        NUMBER(batch_window_us, CONF_INT, "500", 0, 1e6,
                "most microseconds that a classification waits for others that are on the way, to go to the "
                "device with them; 0 for none"),
        NUMBER(batch_images, CONF_INT, "64", 1, 256,
                "most images of classifications that go to a device together"),
        NUMBER(requests_per_second, CONF_REAL, "100", 0, 1e6,
                "requests of one user, on average; 0 for no limit. Operators have no limit, here and below"),
        NUMBER(user_connections, CONF_INT, "1000", 0, 1e6,
                "connections of one user, open at once; 0 for no limit"),
        NUMBER(queued_jobs, CONF_INT, "1000", 0, 1e9, "jobs of one user, queued or paused; 0 for no limit"),
        NUMBER(stored_bytes, CONF_BYTES, "50G", 0, 1e18,
                "size of one user's models and data sets, and of requests, events and results of jobs; 0 "
                "for no limit"),
};
enum { OPTION_COUNT = sizeof options / sizeof options[0] };

static const struct option *find_option(const char *name, size_t len)
{
        for (int i = 0; i < OPTION_COUNT; i++) {
                const char *p = options[i].name;
                size_t n = 0;
                /* --log-level and --log_level are the same. */
                while (n < len && p[n] && (p[n] == name[n] || (p[n] == '_' && name[n] == '-')))
                        n++;
                if (n == len && !p[n])
                        return &options[i];
        }
        return NULL;
}

static void *field(const struct conf *c, const struct option *o)
{
        return (char *)(uintptr_t)c + o->offset;
}

/* Nothing that conf_text could not print. */
static int set_string(
        struct conf *c, const struct option *o, const char *value, const char *where, struct err *e)
{
        for (const char *p = value; *p; p++)
                if ((unsigned char)*p < ' ' || *p == '"' || *p == 0x7F)
                        return err_set(e, ERR_INVALID, "%s: %s holds a quote or a control character", where,
                                o->name);
        char **at = field(c, o), *copy = strdup(value);
        if (!copy)
                return err_set(e, ERR_NO_MEMORY, "no memory for option %s", o->name);
        free(*at);
        *at = copy;
        return 0;
}

static int set_bool(
        struct conf *c, const struct option *o, const char *value, const char *where, struct err *e)
{
        bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
                return err_set(e, ERR_INVALID, "%s: %s is true or false, not \"%s\"", where, o->name, value);
        *(bool *)field(c, o) = yes;
        return 0;
}

/* What k, M, G or T behind a number is worth, with iB or without, in either case; 0 for anything else. */
static double unit_of(const char *text)
{
        static const char letters[] = "kmgt";
        const char *at = *text ? strchr(letters, tolower((unsigned char)*text)) : NULL;
        bool ends = at && (text[1] == '\0' || strcmp(text + 1, "iB") == 0);
        return ends ? pow(1024, (double)(at - letters + 1)) : 0;
}

static int set_number(
        struct conf *c, const struct option *o, const char *value, const char *where, struct err *e)
{
        char *end;
        double v = strtod(value, &end);
        bool bytes = o->type == CONF_BYTES;
        if (end != value && bytes && unit_of(end) > 0) {
                v *= unit_of(end);
                end += strlen(end);
        }
        if (end == value || *end || !isdigit((unsigned char)value[0]))
                return err_set(e, ERR_INVALID, "%s: %s is a number%s, not \"%s\"", where, o->name,
                        bytes ? " of bytes, such as 500000, 500k, 2M, 1G, 1T or 1GiB" : "", value);
        if (!(v >= o->min && v <= o->max))
                return err_set(e, ERR_INVALID, "%s: %s is %s, allowed is %.10g to %.10g", where, o->name,
                        value, o->min, o->max);
        if (o->type == CONF_REAL)
                *(double *)field(c, o) = v;
        else if (v != floor(v))
                return err_set(e, ERR_INVALID, "%s: %s is a whole number, not %s", where, o->name, value);
        else
                *(int64_t *)field(c, o) = (int64_t)v;
        return 0;
}

static int set_option(
        struct conf *c, const struct option *o, const char *value, const char *where, struct err *e)
{
        if (o->type == CONF_STRING)
                return set_string(c, o, value, where, e);
        if (o->type == CONF_BOOL)
                return set_bool(c, o, value, where, e);
        return set_number(c, o, value, where, e);
}

static int set_defaults(struct conf *c, struct err *e)
{
        for (int i = 0; i < OPTION_COUNT; i++) {
                int rc = set_option(c, &options[i], options[i].fallback, "default", e);
                if (rc)
                        return rc;
        }
        return 0;
}

static int set_from_environment(struct conf *c, struct err *e)
{
        for (int i = 0; i < OPTION_COUNT; i++) {
                char name[80] = "CNND_";
                for (size_t n = 0; options[i].name[n]; n++)
                        name[5 + n] = (char)toupper((unsigned char)options[i].name[n]);
                const char *value = getenv(name);
                int rc = value && *value ? set_option(c, &options[i], value, name, e) : 0;
                if (rc)
                        return rc;
        }
        return 0;
}

static int set_from_json(struct conf *c, const char *text, size_t len, const char *path, struct err *e)
{
        cJSON *tree = json_parse(text, len, e);
        const cJSON *item;
        int rc = 0;
        if (!tree)
                return err_wrap(e, "%s", path);
        cJSON_ArrayForEach(item, tree)
        {
                const struct option *o = find_option(item->string, strlen(item->string));
                char *value = cJSON_IsString(item) ? strdup(item->valuestring) : json_text(item);
                if (!o || o->offset == offsetof(struct conf, config))
                        rc = err_set(e, ERR_INVALID, "%s: unknown option \"%s\"", path, item->string);
                else if (!value)
                        rc = err_set(e, ERR_NO_MEMORY, "%s: no memory", path);
                else if (o->type == CONF_STRING && !cJSON_IsString(item))
                        rc = err_set(e, ERR_INVALID, "%s: %s is a string", path, o->name);
                else
                        rc = set_option(c, o, value, path, e);
                free(value);
                if (rc)
                        break;
        }
        cJSON_Delete(tree);
        return rc;
}

/* Cuts blanks at both ends, and for a value the comment behind it and its quotes. */
static char *trim(char *text)
{
        while (isspace((unsigned char)*text))
                text++;
        for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
                text[n - 1] = '\0';
        return text;
}

static char *trim_value(char *text)
{
        text = trim(text);
        if (*text == '"') {
                char *end = strchr(text + 1, '"');
                if (!end)
                        return NULL;
                char *rest = trim(end + 1);
                if (*rest && *rest != '#')
                        return NULL;
                *end = '\0';
                return text + 1;
        }
        text[strcspn(text, "#")] = '\0';
        return trim(text);
}

static int set_from_lines(struct conf *c, char *text, const char *path, struct err *e)
{
        int number = 0;
        for (char *next, *line = text; line; line = next) {
                char where[300];
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                number++;
                line = trim(line);
                if (!*line || *line == '#')
                        continue;
                snprintf(where, sizeof where, "%s line %d", path, number);
                char *equals = strchr(line, '=');
                if (!equals)
                        return err_set(e, ERR_INVALID, "%s: not of the form `option = value`", where);
                *equals = '\0';
                char *name = trim(line), *value = trim_value(equals + 1);
                const struct option *o = find_option(name, strlen(name));
                if (!o || o->offset == offsetof(struct conf, config))
                        return err_set(e, ERR_INVALID, "%s: unknown option \"%s\"", where, name);
                if (!value)
                        return err_set(e, ERR_INVALID, "%s: the quotes do not match", where);
                int rc = set_option(c, o, value, where, e);
                if (rc)
                        return rc;
        }
        return 0;
}

static int read_file(const char *path, struct str *text, struct err *e)
{
        FILE *f = fopen(path, "re");
        if (!f)
                return err_errno(e, errno, "config file %s", path);
        int rc = 0;
        while (!feof(f) && text->len <= CONF_FILE_MAX && str_reserve(text, 4096)) {
                text->len += fread(text->data + text->len, 1, 4096, f);
                text->data[text->len] = '\0';
                if (ferror(f)) {
                        rc = err_errno(e, errno, "config file %s", path);
                        break;
                }
        }
        fclose(f);
        if (rc == 0 && text->failed)
                rc = err_set(e, ERR_NO_MEMORY, "config file %s: no memory", path);
        if (rc == 0 && text->len > CONF_FILE_MAX)
                rc = err_set(e, ERR_TOO_LARGE, "config file %s is larger than %d bytes", path, CONF_FILE_MAX);
        if (rc == 0 && memchr(text->data, '\0', text->len))
                rc = err_set(e, ERR_INVALID, "config file %s holds a NUL byte", path);
        return rc;
}

static int set_from_file(struct conf *c, const char *path, struct err *e)
{
        struct str text = {0};
        int rc = read_file(path, &text, e);
        if (rc == 0) {
                const char *first = text.data + strspn(text.data, " \t\r\n");
                if (*first == '{')
                        rc = set_from_json(c, text.data, text.len, path, e);
                else
                        rc = set_from_lines(c, text.data, path, e);
        }
        if (rc == 0)
                rc = set_string(c, find_option("config", 6), path, "--config", e);
        str_free(&text);
        return rc;
}

/* One word of the command line (two for `--option value`); `c` may be NULL to look only for `config`. */
static int take_word(struct conf *c, int argc, char **argv, int *at, const char **config,
        enum conf_action *action, struct err *e)
{
        const char *word = argv[(*at)++];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
                *action = CONF_HELP;
        else if (strcmp(word, "--version") == 0)
                *action = CONF_VERSION;
        else if (strcmp(word, "--check") == 0)
                *action = CONF_CHECK;
        else if (strcmp(word, "--tune") == 0)
                *action = CONF_TUNE;
        else {
                size_t len = strcspn(word, "=");
                const struct option *o = strncmp(word, "--", 2) == 0 ? find_option(word + 2, len - 2) : NULL;
                const char *value = word[len] ? word + len + 1 : NULL;
                if (!o)
                        return err_set(e, ERR_INVALID, "unknown option %s; --help lists them", word);
                if (!value && o->type == CONF_BOOL)
                        value = "true";
                if (!value && *at < argc)
                        value = argv[(*at)++];
                if (!value)
                        return err_set(e, ERR_INVALID, "%s needs a value", word);
                if (o->offset == offsetof(struct conf, config))
                        *config = value;
                else if (c)
                        return set_option(c, o, value, word, e);
        }
        return 0;
}

static int set_from_words(
        struct conf *c, int argc, char **argv, const char **config, enum conf_action *action, struct err *e)
{
        int rc = 0;
        for (int at = 1; at < argc && rc == 0;)
                rc = take_word(c, argc, argv, &at, config, action, e);
        return rc;
}

/* The state folder where none was given. */
static int choose_state(struct conf *c, struct err *e)
{
        const char *systemd = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME"),
                   *home = getenv("HOME");
        char path[4096], cwd[2048] = "";
        int n = 0;
        if (c->state[0] == '/')
                return 0;
        if (c->state[0] && getcwd(cwd, sizeof cwd))
                n = snprintf(path, sizeof path, "%s/%s", cwd, c->state);
        else if (!c->state[0] && systemd && *systemd) /* a list with ':' when the unit names several */
                n = snprintf(path, sizeof path, "%.*s", (int)strcspn(systemd, ":"), systemd);
        else if (!c->state[0] && xdg && *xdg)
                n = snprintf(path, sizeof path, "%s/cnnd", xdg);
        else if (!c->state[0] && home && *home)
                n = snprintf(path, sizeof path, "%s/.local/state/cnnd", home);
        if (n <= 0 || n >= (int)sizeof path)
                return err_set(e, ERR_INVALID, "no state folder: give --state");
        return set_string(c, find_option("state", 5), path, "default", e);
}

static int check(const struct conf *c, struct err *e)
{
        struct listen_address address;
        if (log_level_parse(c->log_level) < 0)
                return err_set(
                        e, ERR_INVALID, "log_level is debug, info, warn or error, not \"%s\"", c->log_level);
        if (!c->tls_cert[0] != !c->tls_key[0])
                return err_set(e, ERR_INVALID, "tls_cert and tls_key go together");
        if (identity_check_operators(c->operators, e))
                return e->code;
        if (strcmp(c->listen, "none") == 0) {
                if (!c->socket[0])
                        return err_set(e, ERR_INVALID,
                                "listen is none and there is no socket: nobody could connect");
                return 0;
        }
        int rc = listen_parse(c->listen, &address, e);
        if (rc == 0 && !address.loopback && !c->insecure && !c->tls_cert[0])
                rc = err_set(e, ERR_INVALID,
                        "%s is reached from other machines: give tls_cert and tls_key, or listen on "
                        "127.0.0.1 and "
                        "tunnel (ssh -L), or give --insecure",
                        c->listen);
        return rc;
}

int conf_load(int argc, char **argv, struct conf *ret_conf, enum conf_action *ret_action, struct err *e)
{
        struct conf c = {0};
        enum conf_action action = CONF_RUN;
        const char *config = getenv("CNND_CONFIG");
        int rc = set_from_words(NULL, argc, argv, &config, &action, e);
        if (rc == 0)
                rc = set_defaults(&c, e);
        if (rc == 0 && action != CONF_HELP && action != CONF_VERSION) {
                if (config && *config)
                        rc = set_from_file(&c, config, e);
                if (rc == 0)
                        rc = set_from_environment(&c, e);
                if (rc == 0)
                        rc = set_from_words(&c, argc, argv, &config, &action, e);
                if (rc == 0)
                        rc = choose_state(&c, e);
                if (rc == 0)
                        rc = check(&c, e);
        }
        if (rc) {
                conf_finish(&c);
                return rc;
        }
        *ret_conf = c;
        *ret_action = action;
        return 0;
}

void conf_finish(struct conf *c)
{
        for (int i = 0; i < OPTION_COUNT; i++)
                if (options[i].type == CONF_STRING)
                        free(*(char **)field(c, &options[i]));
        *c = (struct conf){0};
}

char *conf_help(void)
{
        struct str s = {0};
        str_add(&s, "cnnd " CNND_VERSION
                    ": trains and runs convolutional networks on OpenCL devices, over HTTP\n\n"
                    "usage: cnnd [--OPTION VALUE]...\n"
                    "       cnnd token add USER [--operator] [--days N] | list | revoke ID\n"
                    "       cnnd dataset give NAME USER | share NAME\n"
                    "       cnnd model give NAME USER\n       cnnd backup FILE\n\n"
                    "Each option is also a key of the config file and a variable CNND_<OPTION>.\n"
                    "Command line before variable before file before [default].\n\n");
        for (int i = 0; i < OPTION_COUNT; i++) {
                char name[64];
                snprintf(name, sizeof name, "--%s", options[i].name);
                for (char *p = name; *p; p++)
                        if (*p == '_')
                                *p = '-';
                str_addf(&s, "  %-22s %s", name, options[i].help);
                if (options[i].fallback[0] && options[i].type != CONF_BOOL)
                        str_addf(&s, " [%s]", options[i].fallback);
                str_add(&s, "\n");
        }
        str_add(&s, "  --check                check the configuration, print the values in force, and end\n"
                    "  --tune                 measure how the layers of known networks run fastest, keep the "
                    "results, and end\n"
                    "  --help, --version\n");
        return str_take(&s);
}

char *conf_text(const struct conf *c)
{
        struct str s = {0};
        for (int i = 0; i < OPTION_COUNT; i++) {
                const void *at = field(c, &options[i]);
                if (options[i].offset == offsetof(struct conf, config))
                        continue;
                str_addf(&s, "%s = ", options[i].name);
                if (options[i].type == CONF_STRING)
                        str_addf(&s, "\"%s\"", *(char *const *)at);
                else if (options[i].type == CONF_BOOL)
                        str_add(&s, *(const bool *)at ? "true" : "false");
                else if (options[i].type == CONF_REAL)
                        str_add_double(&s, *(const double *)at);
                else
                        str_addf(&s, "%lld", (long long)*(const int64_t *)at);
                str_add(&s, "\n");
        }
        return str_take(&s);
}
