#include "client/args.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_MAX = 4, SIDE_MAX = 1 << 20, DIGITS_MAX = 15 };

static bool is_whole(const char *text)
{
        size_t n = strspn(text, "0123456789");
        return n > 0 && n <= DIGITS_MAX && text[n] == '\0';
}

int args_shape(const char *text, int *ret, int most)
{
        int count = 0;
        for (const char *p = text; count < most; p++) {
                size_t n = strspn(p, "0123456789");
                long v = n > 0 && n < 8 ? strtol(p, NULL, 10) : 0;
                if (v < 1 || v > SIDE_MAX)
                        return 0;
                ret[count++] = (int)v;
                p += n;
                if (*p == '\0')
                        return count;
                if (*p != 'x')
                        return 0;
        }
        return 0;
}

static int check_value(const struct command_option *o, const char *value, struct err *e)
{
        int shape[SHAPE_MAX];
        char *end;
        if (value[0] == '\0')
                return err_set(e, ERR_INVALID, "--%s is empty", o->name);
        if (o->kind == OPTION_INT && !is_whole(value))
                return err_set(e, ERR_INVALID, "--%s takes a whole number, not \"%s\"", o->name, value);
        if (o->kind == OPTION_NUMBER) {
                double v = strtod(value, &end);
                if (*end || !isfinite(v) || strpbrk(value, "xX \t"))
                        return err_set(e, ERR_INVALID, "--%s takes a number, not \"%s\"", o->name, value);
        }
        if (o->kind == OPTION_SHAPE && args_shape(value, shape, SHAPE_MAX) == 0)
                return err_set(
                        e, ERR_INVALID, "--%s takes sizes like %s, not \"%s\"", o->name, o->value, value);
        return 0;
}

static const struct command_option *find_in(
        const struct command_option *list, const char *name, size_t len, char letter)
{
        for (const struct command_option *o = list; o && o->name; o++)
                if (letter ? o->letter == letter : strlen(o->name) == len && strncmp(o->name, name, len) == 0)
                        return o;
        return NULL;
}

/* The option that argv[*at] begins, its value included; moves *at to the last word used. */
static int take_option(struct args *a, int argc, char **argv, int *at, struct err *e)
{
        const char *word = argv[*at], *value = NULL;
        bool is_long = word[1] == '-';
        const char *name = word + (is_long ? 2 : 1);
        size_t len = is_long ? strcspn(name, "=") : 1;
        char letter = is_long ? '\0' : name[0];
        const struct command_option *o = a->command ? find_in(a->command->options, name, len, letter) : NULL;
        if (!o)
                o = find_in(command_globals, name, len, letter);
        if (!o)
                return err_set(e, ERR_INVALID, "unknown option %s", word);
        if (name[len])
                value = name + len + (is_long ? 1 : 0);
        if (o->kind == OPTION_FLAG && value)
                return err_set(e, ERR_INVALID, "--%s takes no value", o->name);
        if (o->kind != OPTION_FLAG && !value) {
                if (*at + 1 >= argc)
                        return err_set(
                                e, ERR_INVALID, "--%s needs a value: --%s %s", o->name, o->name, o->value);
                value = argv[++*at];
        }
        if (a->given_count == ARGS_MAX_OPTIONS)
                return err_set(e, ERR_INVALID, "too many options");
        int rc = value ? check_value(o, value, e) : 0;
        if (rc == 0) {
                a->given[a->given_count].option = o;
                a->given[a->given_count++].value = value ? value : "";
        }
        return rc;
}

static int check_words(const struct args *a, struct err *e)
{
        const struct command *c = a->command;
        if (!c || args_has(a, "help"))
                return 0;
        if (a->word_count < c->min_words)
                return err_set(e, ERR_INVALID, "%s needs %s", c->name, c->words);
        if (a->word_count > c->max_words)
                return err_set(e, ERR_INVALID, "%s does not take \"%s\"", c->name, a->words[c->max_words]);
        for (int i = 0; i < a->word_count; i++) {
                if (a->words[i][0] == '\0')
                        return err_set(e, ERR_INVALID, "%s: an empty word for %s", c->name, c->words);
                if (c->ids && !is_whole(a->words[i]))
                        return err_set(e, ERR_INVALID, "\"%s\" is not the number of a job", a->words[i]);
        }
        return 0;
}

/* The first word that is neither an option nor a global option's value. */
static int find_command(int argc, char **argv, struct args *a, int *ret_at, struct err *e)
{
        *ret_at = argc;
        for (int i = 1; i < argc; i++) {
                const struct command_option *o = NULL;
                if (argv[i][0] == '-' && argv[i][1] == '-')
                        o = find_in(command_globals, argv[i] + 2, strlen(argv[i] + 2), 0);
                if (o && o->kind != OPTION_FLAG)
                        i++;
                if (argv[i] == NULL || argv[i][0] == '-' || o)
                        continue;
                *ret_at = i;
                a->command = command_find(argv[i]);
                return a->command ? 0 : err_set(e, ERR_INVALID, "there is no command \"%s\"", argv[i]);
        }
        return 0;
}

int args_parse(int argc, char **argv, struct args *ret, struct err *e)
{
        int command_at = argc;
        bool only_words = false;
        *ret = (struct args){.words = calloc((size_t)argc + 1, sizeof *ret->words)};
        if (!ret->words)
                return err_set(e, ERR_NO_MEMORY, "no memory for the command line");
        int rc = find_command(argc, argv, ret, &command_at, e);
        for (int i = 1; rc == 0 && i < argc; i++) {
                if (i == command_at)
                        continue;
                if (!only_words && strcmp(argv[i], "--") == 0)
                        only_words = true;
                else if (!only_words && argv[i][0] == '-' && argv[i][1])
                        rc = take_option(ret, argc, argv, &i, e);
                else
                        ret->words[ret->word_count++] = argv[i];
        }
        return rc ? rc : check_words(ret, e);
}

void args_finish(struct args *a)
{
        free(a->words);
        *a = (struct args){0};
}

const char *args_get(const struct args *a, const char *name)
{
        for (int i = a->given_count - 1; i >= 0; i--)
                if (strcmp(a->given[i].option->name, name) == 0)
                        return a->given[i].value;
        return NULL;
}

bool args_has(const struct args *a, const char *name)
{
        return args_get(a, name) != NULL;
}

int64_t args_int(const struct args *a, const char *name, int64_t otherwise)
{
        const char *v = args_get(a, name);
        return v ? strtoll(v, NULL, 10) : otherwise;
}

int64_t args_id(const struct args *a, int word)
{
        return strtoll(a->words[word], NULL, 10);
}
