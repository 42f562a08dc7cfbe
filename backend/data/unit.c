#include "data/unit.h"

#include "data/span.h"

#include <string.h>

static const struct {
        const char *name;
        double metres;
} units[] = {
        {"m", 1},
        {"cm", 1e-2},
        {"mm", 1e-3},
        {"um", 1e-6},
        {"\xc2\xb5m", 1e-6}, /* U+00B5 */
        {"\xce\xbcm", 1e-6}, /* U+03BC */
        {"\xb5m", 1e-6},     /* Latin-1 */
        {"micron", 1e-6},
        {"microns", 1e-6},
        {"micrometer", 1e-6},
        {"nm", 1e-9},
        {"nanometer", 1e-9},
        {"A", 1e-10},
        {"\xc3\x85", 1e-10},     /* U+00C5 */
        {"\xe2\x84\xab", 1e-10}, /* U+212B */
        {"\xc5", 1e-10},         /* Latin-1 */
        {"angstrom", 1e-10},
        {"pm", 1e-12},
};

/* Without blanks, brackets and the underscore of "[n_m]". */
static void strip(const char *text, char out[UNIT_BYTES])
{
        size_t n = 0;
        for (; *text && n < UNIT_BYTES - 1; text++)
                if (!strchr(" \t\r\n[]()_", *text))
                        out[n++] = *text;
        out[n] = 0;
}

enum image_unit unit_parse(const char *text, double *ret_factor)
{
        static const char *const inverse[] = {"^-1", "-1", "\xe2\x81\xbb\xc2\xb9"};
        char bare[UNIT_BYTES], *name = bare;
        bool per = false;
        strip(text ? text : "", bare);
        if (strncmp(name, "1/", 2) == 0) {
                per = true;
                name += 2;
        }
        for (size_t i = 0; !per && i < sizeof inverse / sizeof inverse[0]; i++) {
                size_t len = strlen(name), tail = strlen(inverse[i]);
                if (len > tail && strcmp(name + len - tail, inverse[i]) == 0) {
                        per = true;
                        name[len - tail] = 0;
                }
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
                if (strcmp(name, units[i].name) == 0) {
                        *ret_factor = per ? 1 / units[i].metres : units[i].metres;
                        return per ? IMAGE_PER_METRE : IMAGE_METRES;
                }
        return IMAGE_UNKNOWN;
}

void unit_from_utf16(const unsigned char *from, size_t count, bool big_endian, char out[UNIT_BYTES])
{
        size_t n = 0;
        for (size_t i = 0; i < count && n + 3 < UNIT_BYTES; i++) {
                unsigned v = (unsigned)span_uint(from + 2 * i, 2, big_endian);
                if (v == 0)
                        break;
                v = v == 0x3BC ? 0xB5 : v == 0x212B ? 0xC5 : v;
                if (v < 0x80) {
                        out[n++] = (char)v;
                } else {
                        v = v > 0xFF ? 0xBF : v;
                        out[n++] = (char)(0xC0 | v >> 6);
                        out[n++] = (char)(0x80 | (v & 0x3F));
                }
        }
        out[n] = 0;
}
