/* Everything that configures the daemon. The input is lines up to an empty one, "NAME=value" for a variable
   CNND_NAME and "--option" for words of the command line, and then a config file. */
#include "fuzz.h"

#include "daemon/conf.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MAX_WORDS = 24, MAX_VARIABLES = 24 };

struct given {
        char *words[MAX_WORDS + 2];
        int count;
        char names[MAX_VARIABLES][64];
        int variables;
};

/* Other files than the target's own are not opened. */
static bool opens_file(const char *line)
{
        return strncasecmp(line, "config", 6) == 0 || strncmp(line, "--config", 8) == 0;
}

static void take_line(struct given *g, char *line)
{
        char *value = strchr(line, '=');
        if (opens_file(line))
                return;
        if (line[0] == '-' && g->count < MAX_WORDS) {
                g->words[g->count++] = line;
        } else if (value && g->variables < MAX_VARIABLES) {
                snprintf(g->names[g->variables], sizeof g->names[0], "CNND_%.*s", (int)(value - line), line);
                setenv(g->names[g->variables++], value + 1, 1);
        }
}

/* Returns where the file begins. */
static char *take_lines(struct given *g, char *text)
{
        char *next = text;
        for (char *line = text; *line; line = next) {
                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                if (!*line)
                        break;
                take_line(g, line);
        }
        return next;
}

/* What is printed is a config file, and means the same. */
static void check_text(const struct conf *c)
{
        char path[FUZZ_PATH_BYTES], *words[] = {(char[]){"cnnd"}, (char[]){"--config"}, path, NULL};
        struct conf again = {0};
        enum conf_action action;
        struct err e = {0};
        char *text = conf_text(c);
        FUZZ_CHECK(text);
        int fd = fuzz_file((const uint8_t *)text, strlen(text), path);
        int rc = conf_load(3, words, &again, &action, &e);
        if (rc)
                fprintf(stderr, "%s\n%s\n", e.message, text);
        FUZZ_CHECK(rc == 0);
        char *same = conf_text(&again);
        FUZZ_CHECK(same && strcmp(text, same) == 0);
        free(same);
        conf_finish(&again);
        close(fd);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char *text = fuzz_text(bytes, len), path[FUZZ_PATH_BYTES], option[FUZZ_PATH_BYTES + 16];
        struct given g = {.words = {(char[]){"cnnd"}}, .count = 1};
        struct conf c = {0};
        enum conf_action action = CONF_RUN;
        struct err e = {0};
        char *file = take_lines(&g, text);
        size_t head = (size_t)(file - text);
        int fd = fuzz_file(bytes + head, len - head, path);
        snprintf(option, sizeof option, "--config=%s", path);
        g.words[g.count++] = option;
        int rc = conf_load(g.count, g.words, &c, &action, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0) == (c.state != NULL));
        FUZZ_CHECK(rc == 0 || e.message[0]);
        for (int i = 0; i < g.variables; i++)
                unsetenv(g.names[i]);
        if (rc == 0 && action == CONF_RUN) {
                FUZZ_CHECK(c.state[0] == '/' && c.max_json_bytes >= 1024 && c.max_connections >= 4);
                check_text(&c);
        }
        conf_finish(&c);
        close(fd);
        free(text);
        return 0;
}
