#include "client/args.h"
#include "client/command.h"
#include "client/text.h"

#include <stdio.h>
#include <string.h>

enum { NAME_COLUMNS = 26 };

/* What is too long for its column has the text on a line below. */
static void print_entry(const char *name, const char *help)
{
        bool wide = strlen(name) > NAME_COLUMNS;
        printf("%-*s%s%*s %s\n", NAME_COLUMNS, name, wide ? "\n" : "", wide ? NAME_COLUMNS : 0, "", help);
}

static void print_option(const struct term *t, const struct command_option *o)
{
        char text[80];
        int n = snprintf(
                text, sizeof text, "  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        if (o->letter)
                snprintf(text + n, sizeof text - (size_t)n, ", -%c", o->letter);
        struct str s = {0};
        text_add_clean(&s, o->help, t->utf8);
        print_entry(text, s.data ? s.data : "");
        str_free(&s);
}

static void print_options(const struct term *t, const char *title, const struct command_option *list)
{
        printf("\n%s%s%s\n", term_style(t, STYLE_BOLD), title, term_style(t, STYLE_PLAIN));
        for (const struct command_option *o = list; o && o->name; o++)
                print_option(t, o);
}

static void print_command(const struct term *t, const struct command *c)
{
        printf("%sUsage%s: cnnctl %s%s%s%s\n\n%s\n", term_style(t, STYLE_BOLD), term_style(t, STYLE_PLAIN),
                c->name, c->words[0] ? " " : "", c->words, c->options ? " [options]" : "", c->help);
        if (c->more)
                printf("%s\n", c->more);
        if (c->options)
                print_options(t, "Options", c->options);
        print_options(t, "Options of every command", command_globals);
}

static void print_all(const struct term *t)
{
        printf("cnnctl talks to cnnd, the daemon that trains and runs convolutional networks.\n\n"
               "%sUsage%s: cnnctl COMMAND [options]\n\n%sCommands%s\n",
                term_style(t, STYLE_BOLD), term_style(t, STYLE_PLAIN), term_style(t, STYLE_BOLD),
                term_style(t, STYLE_PLAIN));
        for (const struct command *c = command_table; c->name; c++) {
                char text[80];
                snprintf(text, sizeof text, "  %s %s", c->name, c->words);
                print_entry(text, c->help);
        }
        print_options(t, "Options of every command", command_globals);
        printf("\n%sEnvironment%s\n"
               "  CNND_URL                 the server; without it http://127.0.0.1:7420\n"
               "  CNND_TOKEN               your token\n"
               "  SSL_CERT_FILE            PEM file of authorities to trust (not on Windows)\n"
               "  NO_COLOR                 if set, no colours\n\n"
               "Exit status: 0 done, 1 the job failed or the server refused, 2 wrong usage, 3 no server.\n",
                term_style(t, STYLE_BOLD), term_style(t, STYLE_PLAIN));
}

int cmd_help(struct ctl *c, const struct args *a, struct err *e)
{
        (void)e;
        const struct command *about = a->command && a->command->run != cmd_help ? a->command : NULL;
        if (!about && a->command && a->word_count) {
                about = command_find(a->words[0]);
                if (!about)
                        return command_misused(
                                "there is no command \"%s\"; cnnctl help lists them", a->words[0]);
        }
        if (about)
                print_command(&c->term, about);
        else
                print_all(&c->term);
        return STATUS_DONE;
}
