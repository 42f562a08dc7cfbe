/* Class and split of an archive's files. The input is their names up to an empty line, '!' before one that is
   no image; what follows is a labels.csv, and without it the folders tell. */
#include "fuzz.h"

#include "data/folders.h"

#include <string.h>

enum { MAX_SOURCES = 64 };

static char *take_names(char *text, struct intake *in)
{
        char *next = text;
        for (char *line = text; *line && in->count < MAX_SOURCES; line = next) {
                next = line + strcspn(line, "\n");
                if (*next)
                        *next++ = '\0';
                if (!*line)
                        break;
                struct intake_source *s = &in->sources[in->count++];
                *s = (struct intake_source){.label = -1, .split = INTAKE_OPEN};
                s->problem = *line == '!' ? strdup("no image") : NULL;
                s->name = strdup(line + (*line == '!'));
        }
        return next;
}

static void check_sources(const struct intake *in)
{
        for (size_t i = 0; i < in->count; i++) {
                const struct intake_source *s = &in->sources[i];
                FUZZ_CHECK(s->split >= INTAKE_TRAIN && s->split <= INTAKE_OUT);
                if (s->split == INTAKE_OUT)
                        continue;
                FUZZ_CHECK(!s->problem && s->class_name && s->class_name[0]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        struct intake in = {.sources = calloc(MAX_SOURCES, sizeof *in.sources)};
        char *text = fuzz_text(bytes, len), *csv = take_names(text, &in);
        struct folders folders = {0};
        struct err e = {0};
        char *copy = fuzz_text((const uint8_t *)csv, strlen(csv)); /* by itself, for the sanitizer */
        int rc = *copy ? folders_read_csv(&in, "set/labels.csv", copy, &e) : folders_read(&in, &folders, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0 || rc == ERR_INVALID));
        if (rc == 0)
                check_sources(&in);
        for (size_t i = 0; i < in.count; i++) {
                free(in.sources[i].name);
                free(in.sources[i].problem);
        }
        free(in.sources);
        folders_finish(&folders);
        free(copy);
        free(text);
        return 0;
}
