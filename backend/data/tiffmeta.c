#include "data/tiffmeta.h"

#include "data/span.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
        TAG_WIDTH = 256,
        TAG_DESCRIPTION = 270,
        TAG_X_RESOLUTION = 282,
        TAG_Y_RESOLUTION = 283,
        TAG_RESOLUTION_UNIT = 296,
        TAG_SIS = 33560,
        TAG_ZEISS = 34118,
        TAG_FEI = 34680,
        TAG_FEI_HELIOS = 34682,
        TAG_TVIPS = 37706,
        TAG_DM_X_UNIT = 65003,
        TAG_DM_Y_UNIT = 65004,
        TAG_DM_X_SCALE = 65009,
        TAG_DM_Y_SCALE = 65010
};
enum {
        TEXT_BYTES = 1 << 16,
        ZEISS_WIDTH = 1024,
        TVIPS_PIXEL = 2968,
        TVIPS_BYTES = 6312,
        SIS_HEAD = 60,
        SIS_MAX = 64
};

struct tag {
        uint16_t id, type;
        const unsigned char *values; /* within the file */
        uint64_t count, bytes;
};

struct scan {
        const unsigned char *bytes;
        size_t len;
        bool big, large; /* large: BigTIFF */
        struct tiffmeta *m;
        double width, x_resolution, y_resolution, resolution_unit, dm_x, dm_y;
        char dm_unit[32];
        char *text; /* owned; TEXT_BYTES */
};

static int type_size(uint16_t type)
{
        static const int sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8};
        return type < sizeof sizes / sizeof sizes[0] ? sizes[type] : 0;
}

/* The tag's values as text that ends, cut at TEXT_BYTES. */
static const char *text_of(struct scan *s, const struct tag *t)
{
        size_t n = t->bytes < TEXT_BYTES - 1 ? (size_t)t->bytes : TEXT_BYTES - 1;
        memcpy(s->text, t->values, n);
        s->text[n] = 0;
        return s->text;
}

static double number_of(const struct scan *s, const struct tag *t)
{
        if (t->count == 0)
                return 0;
        if (t->type == 5) {
                double over = (double)span_uint(t->values + 4, 4, s->big);
                return over > 0 ? (double)span_uint(t->values, 4, s->big) / over : 0;
        }
        if (t->type == 11)
                return (double)span_f32(t->values, s->big);
        return t->type == 12 ? span_f64(t->values, s->big)
                             : (double)span_uint(t->values, type_size(t->type), s->big);
}

static void set_pixel(struct tiffmeta *m, double h, double w, const char *unit)
{
        if (!isfinite(h) || !isfinite(w) || h <= 0 || w <= 0)
                return;
        m->pixel_h = h;
        m->pixel_w = w;
        snprintf(m->unit, sizeof m->unit, "%s", unit);
}

/* What follows "KEY=" at the beginning of a line, behind the line "[SECTION]"; NULL where there is none. */
static const char *ini_value(const char *text, const char *section, const char *key)
{
        size_t section_len = strlen(section), key_len = strlen(key);
        bool inside = false;
        for (const char *line = text; *line; line += strspn(line, "\r\n")) {
                if (line[0] == '[')
                        inside = strncmp(line + 1, section, section_len) == 0 && line[1 + section_len] == ']';
                else if (inside && strncmp(line, key, key_len) == 0 && line[key_len] == '=')
                        return line + key_len + 1;
                line += strcspn(line, "\r\n");
        }
        return NULL;
}

static double ini_number(const char *text, const char *section, const char *key)
{
        const char *value = ini_value(text, section, key);
        return value ? strtod(value, NULL) : 0;
}

static void read_fei(struct scan *s, const struct tag *t)
{
        const char *text = text_of(s, t);
        double w = ini_number(text, "Scan", "PixelWidth"), h = ini_number(text, "Scan", "PixelHeight");
        double rows = ini_number(text, "Image", "ResolutionY");
        if (!(w > 0) && ini_number(text, "Image", "ResolutionX") > 0 && rows > 0) {
                /* A navigation camera tells the width of its field only. */
                w = ini_number(text, "IRBeam", "HFW") / ini_number(text, "Image", "ResolutionX");
                h = ini_number(text, "IRBeam", "VFW") / rows;
        }
        set_pixel(s->m, h > 0 ? h : w, w, "m");
        if (rows >= 1 && rows <= IMAGE_MAX_SIDE)
                s->m->image_h = (uint32_t)rows;
}

/* Lines "AP_IMAGE_PIXEL_SIZE" and then "Image Pixel Size = 1.234 nm", between others. */
static bool zeiss_value(const char *text, const char *key, double *ret, char unit[16])
{
        size_t len = strlen(key);
        for (const char *p = text; (p = strstr(p, key)); p += len) {
                const char *value = p + len + strspn(p + len, "\r\n");
                char *end = NULL;
                if (value == p + len || (p > text && p[-1] != '\n'))
                        continue;
                value += strcspn(value, "=\r\n");
                if (*value != '=')
                        continue;
                *ret = strtod(value + 1, &end);
                end += strspn(end, " ");
                size_t n = strcspn(end, " \r\n");
                if (n == 0 || n >= 16)
                        continue;
                memcpy(unit, end, n);
                unit[n] = 0;
                return true;
        }
        return false;
}

/* The fourth line is the size of a pixel in metres when the picture is 1024 wide, as AP_PIXEL_SIZE with fewer
   digits is; AP_IMAGE_PIXEL_SIZE is that of the picture as stored. */
static void read_zeiss(struct scan *s, const struct tag *t)
{
        char unit[16] = "m";
        double size = 0, width = s->width > 0 ? s->width : ZEISS_WIDTH;
        const char *line = text_of(s, t);
        for (int i = 0; i < 3; i++) {
                line += strcspn(line, "\n");
                line += *line == '\n';
        }
        size = strtod(line, NULL);
        if (!(size > 0) && zeiss_value(s->text, "AP_IMAGE_PIXEL_SIZE", &size, unit))
                width = ZEISS_WIDTH;
        else if (!(size > 0))
                (void)zeiss_value(s->text, "AP_PIXEL_SIZE", &size, unit);
        set_pixel(s->m, size * ZEISS_WIDTH / width, size * ZEISS_WIDTH / width, unit);
}

/* Where a block begins: some tags hold its place in the file as their one number, some the block itself. */
static uint64_t block_of(const struct scan *s, const struct tag *t)
{
        if (t->count == 1 && (t->bytes == 4 || t->bytes == 8))
                return span_uint(t->values, (int)t->bytes, s->big);
        return (uint64_t)(t->values - s->bytes);
}

static void read_tvips(struct scan *s, const struct tag *t)
{
        uint64_t at = block_of(s, t);
        if (!span_holds(s->len, at, TVIPS_BYTES) || span_uint(s->bytes + at, 4, s->big) != 2)
                return;
        const unsigned char *p = s->bytes + at + TVIPS_PIXEL;
        set_pixel(s->m, (double)span_f32(p + 4, s->big), (double)span_f32(p, s->big), "nm");
}

/* Always little-endian; entries point into the file. */
static void read_sis(struct scan *s, const struct tag *t)
{
        uint64_t at = block_of(s, t);
        if (!span_holds(s->len, at, SIS_HEAD) || memcmp(s->bytes + at, "SIS0", 4) != 0)
                return;
        uint64_t count = span_uint(s->bytes + at + 58, 2, false);
        for (uint64_t i = 0; i < count && i < SIS_MAX; i++) {
                uint64_t entry = at + SIS_HEAD + 8 * i;
                if (!span_holds(s->len, entry, 8))
                        return;
                uint64_t block = span_uint(s->bytes + entry + 4, 4, false);
                if (span_uint(s->bytes + entry, 2, false) != 1 || !span_holds(s->len, block, 28))
                        continue;
                const unsigned char *p = s->bytes + block;
                double unit = pow(10, (double)(int16_t)span_uint(p + 10, 2, false));
                set_pixel(s->m, span_f64(p + 20, false) * unit, span_f64(p + 12, false) * unit, "m");
        }
}

/* "ImageJ=1.51\nimages=3\nunit=nm\n": the resolution then counts pixels per unit. */
static void read_imagej(struct scan *s, const char *text)
{
        const char *unit = strstr(text, "\nunit="), *images = strstr(text, "\nimages=");
        char name[32] = "";
        if (images) {
                long n = strtol(images + 8, NULL, 10);
                s->m->frames = n > 1 && n <= IMAGE_MAX_COUNT ? (uint32_t)n : 0;
        }
        if (!unit || !(s->x_resolution > 0) || !(s->y_resolution > 0))
                return;
        size_t n = strcspn(unit + 6, "\r\n");
        /* Java writes the micro sign as an escape. */
        if (strncmp(unit + 6, "\\u00B5m", 7) == 0)
                snprintf(name, sizeof name, "um");
        else if (n < sizeof name)
                memcpy(name, unit + 6, n);
        set_pixel(s->m, 1 / s->y_resolution, 1 / s->x_resolution, name);
}

/* What "<KEY>" within "<SECTION>" holds, up to the next "<"; "" where there is none. */
static const char *xml_value(const char *text, const char *section, const char *key)
{
        char open[64], close[64];
        snprintf(open, sizeof open, "<%s>", section);
        snprintf(close, sizeof close, "</%s>", section);
        const char *begin = strstr(text, open), *end = begin ? strstr(begin, close) : NULL;
        snprintf(open, sizeof open, "<%s>", key);
        const char *value = end ? strstr(begin, open) : NULL;
        return value && value < end ? value + strlen(open) : "";
}

static bool xml_is(const char *text, const char *section, const char *key, const char *value)
{
        const char *is = xml_value(text, section, key);
        return strncmp(is, value, strlen(value)) == 0 && is[strlen(value)] == '<';
}

/* Of electrons behind so many volts, in metres. */
static double wave_length(double volts)
{
        const double planck = 6.62607015e-34, mass = 9.1093837e-31, charge = 1.602176634e-19,
                     light = 299792458;
        return planck / sqrt(2 * mass * charge * volts * (1 + charge * volts / (2 * mass * light * light)));
}

/* SightX: the resolution counts pixels on the camera, which are divided by the magnification, or of a
   diffraction pattern by the camera length and the wave length. Scanned pictures do not tell. */
static void read_jeol(struct scan *s, const char *text)
{
        static const char *const imaging = "ImageFormingSystem";
        double by = strtod(xml_value(text, imaging, "SelectorValue"), NULL);
        const double side = s->resolution_unit == 2 ? 0.0254 : 0.01;
        bool pattern = xml_is(text, imaging, "ModeString", "DIFF");
        if (!xml_is(text, "Eos", "EosMode", "eosTEM") ||
                (!pattern && !xml_is(text, imaging, "ModeString", "MAG")))
                return;
        if (pattern) {
                by *= xml_is(text, imaging, "SelectorUnitString", "mm")   ? 1e-3
                      : xml_is(text, imaging, "SelectorUnitString", "cm") ? 1e-2
                                                                          : 1;
                by *= wave_length(strtod(xml_value(text, "ElectronGun", "AccelerationVoltage"), NULL));
        }
        set_pixel(s->m, side / s->y_resolution / by, side / s->x_resolution / by, pattern ? "1/m" : "m");
}

/* What the attribute KEY="…" of the element at `element` holds, in `out`; "" where there is none. */
static void xml_attribute(const char *element, const char *key, char out[32])
{
        const char *end = strchr(element, '>'), *at = element;
        size_t len = strlen(key), n = 0;
        while ((at = strstr(at, key)) && end && at < end) {
                if (strchr(" \t\r\n", at[-1]) && at[len] == '=' && at[len + 1] == '"') {
                        at += len + 2;
                        n = strcspn(at, "\"");
                        break;
                }
                at += len;
        }
        n = n < 32 ? n : 0;
        memcpy(out, n ? at : "", n);
        out[n] = 0;
}

/* https://www.openmicroscopy.org/Schemas/OME/2016-06: micrometres where nothing is said. */
static void read_ome(struct scan *s, const char *text)
{
        const char *pixels = strstr(text, "<Pixels ");
        char h[32], w[32], unit_h[32], unit_w[32];
        if (!pixels)
                return;
        xml_attribute(pixels, "PhysicalSizeY", h);
        xml_attribute(pixels, "PhysicalSizeX", w);
        xml_attribute(pixels, "PhysicalSizeYUnit", unit_h);
        xml_attribute(pixels, "PhysicalSizeXUnit", unit_w);
        if (strcmp(unit_h, unit_w) == 0)
                set_pixel(s->m, strtod(h, NULL), strtod(w, NULL), unit_w[0] ? unit_w : "um");
}

static void take_tag(struct scan *s, const struct tag *t, int pass)
{
        /* First what others refer to. */
        if (pass == 0) {
                if (t->id == TAG_WIDTH)
                        s->width = number_of(s, t);
                else if (t->id == TAG_X_RESOLUTION)
                        s->x_resolution = number_of(s, t);
                else if (t->id == TAG_Y_RESOLUTION)
                        s->y_resolution = number_of(s, t);
                else if (t->id == TAG_RESOLUTION_UNIT)
                        s->resolution_unit = number_of(s, t);
                else if (t->id == TAG_DM_X_SCALE)
                        s->dm_x = number_of(s, t);
                else if (t->id == TAG_DM_Y_SCALE)
                        s->dm_y = number_of(s, t);
                else if (t->id == TAG_DM_X_UNIT)
                        snprintf(s->dm_unit, sizeof s->dm_unit, "%.31s", text_of(s, t));
                return;
        }
        switch (t->id) {
        case TAG_DESCRIPTION:
                if (strncmp(text_of(s, t), "ImageJ=", 7) == 0)
                        read_imagej(s, s->text);
                else if (strstr(s->text, "<TemReporter"))
                        read_jeol(s, s->text);
                else if (strstr(s->text, "<OME"))
                        read_ome(s, s->text);
                break;
        case TAG_SIS:
                read_sis(s, t);
                break;
        case TAG_ZEISS:
                read_zeiss(s, t);
                break;
        case TAG_FEI:
        case TAG_FEI_HELIOS:
                read_fei(s, t);
                break;
        case TAG_TVIPS:
                read_tvips(s, t);
                break;
        case TAG_DM_Y_UNIT:
                if (strcmp(s->dm_unit, text_of(s, t)) == 0)
                        set_pixel(s->m, s->dm_y, s->dm_x, s->dm_unit);
                break;
        default:
                break;
        }
}

/* One entry of the directory; false where its values do not lie in the file. */
static bool read_tag(const struct scan *s, const unsigned char *p, struct tag *t)
{
        int word = s->large ? 8 : 4;
        t->id = (uint16_t)span_uint(p, 2, s->big);
        t->type = (uint16_t)span_uint(p + 2, 2, s->big);
        t->count = span_uint(p + 4, word, s->big);
        uint64_t size = (uint64_t)type_size(t->type), at = (uint64_t)(p - s->bytes) + 4 + (uint64_t)word;
        if (size == 0 || t->count > s->len / size)
                return false;
        t->bytes = t->count * size;
        if (t->bytes > (uint64_t)word)
                at = span_uint(p + 4 + word, word, s->big);
        if (!span_holds(s->len, at, t->bytes))
                return false;
        t->values = s->bytes + at;
        return true;
}

void tiffmeta_read(const unsigned char *bytes, size_t len, uint64_t offset, struct tiffmeta *m)
{
        struct scan s = {.bytes = bytes, .len = len, .m = m, .text = malloc(TEXT_BYTES)};
        s.big = len > 3 && bytes[0] == 'M';
        s.large = len > 3 && bytes[s.big ? 3 : 2] == 43;
        uint64_t head = s.large ? 8 : 2, entry = s.large ? 20 : 12;
        if (!s.text || !span_holds(len, offset, head)) {
                free(s.text);
                return;
        }
        uint64_t count = span_uint(bytes + offset, (int)head, s.big);
        count = count < TIFFMETA_MAX_TAGS ? count : TIFFMETA_MAX_TAGS;
        for (int pass = 0; pass < 2; pass++)
                for (uint64_t i = 0; i < count && span_holds(len, offset + head + i * entry, entry); i++) {
                        struct tag t;
                        if (read_tag(&s, bytes + offset + head + i * entry, &t))
                                take_tag(&s, &t, pass);
                }
        free(s.text);
}
