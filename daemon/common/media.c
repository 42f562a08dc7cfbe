#include "daemon/common/media.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool token_char(char c)
{
        return isalnum((unsigned char)c) || (c && strchr("!#$&^_.+-*", c));
}

bool media_parse(const char *header, char out[MEDIA_MAX + 1])
{
        size_t n = 0;
        int slashes = 0;
        header += strspn(header, " \t");
        for (; token_char(*header) || *header == '/'; header++) {
                if (n == MEDIA_MAX || (*header == '/' && (n == 0 || slashes++)))
                        return false;
                out[n++] = (char)tolower((unsigned char)*header);
        }
        out[n] = '\0';
        header += strspn(header, " \t");
        return slashes == 1 && out[n - 1] != '/' && (!*header || *header == ';' || *header == ',');
}

bool media_is_json(const char *type)
{
        static const char *const known[] = {"application/json", "text/json",
                "application/x-www-form-urlencoded", "application/octet-stream"};
        size_t n = strlen(type);
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (strcmp(type, known[i]) == 0)
                        return true;
        return n > 17 && strncmp(type, "application/", 12) == 0 && strcmp(type + n - 5, "+json") == 0;
}

/* How exactly a range of Accept fits: 3 the type itself, 2 its kind, 1 anything, 0 not. */
static int fit(const char *range, const char *offer)
{
        if (strcmp(range, offer) == 0)
                return 3;
        if (strcmp(range, "*/*") == 0)
                return 1;
        size_t kind = strcspn(offer, "/") + 1;
        return strncmp(range, offer, kind) == 0 && strcmp(range + kind, "*") == 0 ? 2 : 0;
}

/* The q of one member of Accept; 1 where it has none. */
static double quality(const char *member, size_t len)
{
        for (size_t i = 0; i + 2 < len; i++)
                if (member[i] == ';') {
                        size_t at = i + 1 + strspn(member + i + 1, " \t");
                        if (at + 2 < len && tolower((unsigned char)member[at]) == 'q' &&
                                member[at + 1] == '=')
                                return strtod(member + at + 2, NULL);
                }
        return 1;
}

static double wanted(const char *accept, const char *offer)
{
        char range[MEDIA_MAX + 1];
        double q = 0;
        int best = 0;
        for (const char *p = accept; *p; p += strspn(p, " \t,")) {
                size_t len = strcspn(p, ",");
                int how = media_parse(p, range) ? fit(range, offer) : 0;
                if (how > best) {
                        best = how;
                        q = quality(p, len);
                }
                p += len;
        }
        return q;
}

const char *media_choose(const char *accept, const char *const *offers)
{
        const char *best = offers[0];
        double best_q = 0;
        for (int i = 0; accept && offers[i]; i++) {
                double q = wanted(accept, offers[i]);
                if (q > best_q) {
                        best_q = q;
                        best = offers[i];
                }
        }
        return best;
}
