#include "data/tiffpage.h"

#include "data/packed.h"
#include "data/sample.h"
#include "data/span.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No single buffer of libtiff's may be larger; what it needs for a directory grows with the file. */
enum { ALLOC_BASE = 16 << 20, TILE_MAX_BYTES = 256 << 20 };

static tmsize_t on_read(thandle_t ctx, void *to, tmsize_t len)
{
        struct tiffpage_file *f = ctx;
        size_t left = f->at < f->len ? f->len - f->at : 0, n = len < 0 ? 0 : (size_t)len;
        n = n < left ? n : left;
        memcpy(to, f->bytes + (f->at < f->len ? f->at : 0), n);
        f->at += n;
        return (tmsize_t)n;
}

static tmsize_t on_write(thandle_t ctx, void *from, tmsize_t len)
{
        (void)ctx;
        (void)from;
        (void)len;
        return -1;
}

static toff_t on_seek(thandle_t ctx, toff_t to, int whence)
{
        struct tiffpage_file *f = ctx;
        uint64_t base = whence == SEEK_CUR ? f->at : whence == SEEK_END ? f->len : 0;
        if (to > SIZE_MAX - base)
                return (toff_t)-1;
        f->at = (size_t)(base + to);
        return (toff_t)f->at;
}

static int on_close(thandle_t ctx)
{
        (void)ctx;
        return 0;
}

static toff_t on_size(thandle_t ctx)
{
        return (toff_t)((struct tiffpage_file *)ctx)->len;
}

static int on_map(thandle_t ctx, void **base, toff_t *size)
{
        const struct tiffpage_file *f = ctx;
        /* libtiff reads only: the file is open for reading. */
        memcpy(base, &f->bytes, sizeof *base);
        *size = (toff_t)f->len;
        return 1;
}

static void on_unmap(thandle_t ctx, void *base, toff_t size)
{
        (void)ctx;
        (void)base;
        (void)size;
}

__attribute__((format(printf, 4, 0))) static int on_error(
        TIFF *tif, void *ctx, const char *module, const char *fmt, va_list args)
{
        struct tiffpage_file *f = ctx;
        (void)tif;
        (void)module;
        if (!f->message[0])
                vsnprintf(f->message, sizeof f->message, fmt, args);
        return 1;
}

/* Damage that is painted over with a warning: by libjpeg; by PackBits, where a run that is longer than its
   row is cut off and all that follows moves; by a palette that cannot be read, whose indices become grey. */
__attribute__((format(printf, 4, 0))) static int on_warning(
        TIFF *tif, void *ctx, const char *module, const char *fmt, va_list args)
{
        struct tiffpage_file *f = ctx;
        char text[sizeof f->message];
        (void)tif;
        vsnprintf(text, sizeof text, fmt, args);
        bool decoding = module && (strcmp(module, "JPEGLib") == 0 || strcmp(module, "PackBitsDecode") == 0);
        if ((decoding || strstr(text, "\"ColorMap\"")) && !f->message[0])
                memcpy(f->message, text, sizeof text);
        return 1;
}

int tiffpage_damaged(const struct tiffpage_file *f, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "%s", f->message[0] ? f->message : "damaged");
}

int tiffpage_open(const unsigned char *bytes, size_t len, struct tiffpage_file *f, struct err *e)
{
        TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
        *f = (struct tiffpage_file){.bytes = bytes, .len = len};
        if (!options)
                return err_set(e, ERR_NO_MEMORY, "no memory to decode");
        TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, f);
        TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, f);
        TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)(len + ALLOC_BASE));
        f->tif = TIFFClientOpenExt(
                "image", "r", f, on_read, on_write, on_seek, on_close, on_size, on_map, on_unmap, options);
        TIFFOpenOptionsFree(options);
        return f->tif ? 0 : tiffpage_damaged(f, e);
}

void tiffpage_close(struct tiffpage_file *f)
{
        if (f->tif)
                TIFFClose(f->tif);
        f->tif = NULL;
}

static const char *why_not(const struct tiffpage *p)
{
        if (p->w == 0 || p->h == 0 || p->samples == 0)
                return "a page without pixels";
        if (p->format == SAMPLEFORMAT_COMPLEXIEEEFP || p->format == SAMPLEFORMAT_COMPLEXINT)
                return "complex numbers cannot be classified; send their magnitude or real part";
        if (p->compression != COMPRESSION_NONE && p->compression != COMPRESSION_LZW &&
                p->compression != COMPRESSION_PACKBITS && p->compression != COMPRESSION_DEFLATE &&
                p->compression != COMPRESSION_ADOBE_DEFLATE && p->compression != COMPRESSION_JPEG)
                return "this compression is not read; none, PackBits, LZW, deflate and JPEG are";
        if (p->photometric != PHOTOMETRIC_MINISBLACK && p->photometric != PHOTOMETRIC_MINISWHITE &&
                p->photometric != PHOTOMETRIC_RGB && p->photometric != PHOTOMETRIC_PALETTE &&
                !(p->photometric == PHOTOMETRIC_YCBCR && p->compression == COMPRESSION_JPEG))
                return "this colour space is not read; grey, RGB and palettes are";
        if (p->photometric == PHOTOMETRIC_PALETTE && (p->samples != 1 || p->bits > 8))
                return "a palette of more than 8 bits is not read";
        if (p->format == SAMPLEFORMAT_IEEEFP)
                return p->bits == 16 || p->bits == 32 || p->bits == 64
                               ? NULL
                               : "floats of 16, 32 and 64 bits are read";
        if (p->format == SAMPLEFORMAT_INT)
                return p->bits == 8 || p->bits == 16 || p->bits == 32 || p->bits == 64
                               ? NULL
                               : "signed samples of 8, 16, 32 and 64 bits are read";
        return p->bits >= 1 && (p->bits <= 16 || p->bits == 32 || p->bits == 64)
                       ? NULL
                       : "unsigned samples of 1 to 16, 32 and 64 bits are read";
}

/* Alpha is no pixel; nor is what follows red, green and blue. */
static int pixel_channels(TIFF *tif, const struct tiffpage *p)
{
        uint16_t count = 0, *kinds = NULL;
        int channels = p->samples;
        if (p->photometric == PHOTOMETRIC_RGB || p->photometric == PHOTOMETRIC_YCBCR)
                return p->samples < 3 ? 0 : 3;
        if (TIFFGetField(tif, TIFFTAG_EXTRASAMPLES, &count, &kinds))
                for (uint16_t i = 0; i < count && channels > 1; i++)
                        channels -= kinds[i] == EXTRASAMPLE_ASSOCALPHA || kinds[i] == EXTRASAMPLE_UNASSALPHA;
        return channels;
}

void tiffpage_describe(struct tiffpage_file *f, struct tiffpage *ret)
{
        uint32_t kind = 0;
        *ret = (struct tiffpage){
                .offset = TIFFCurrentDirOffset(f->tif), .photometric = PHOTOMETRIC_MINISBLACK};
        TIFFGetField(f->tif, TIFFTAG_IMAGEWIDTH, &ret->w);
        TIFFGetField(f->tif, TIFFTAG_IMAGELENGTH, &ret->h);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_SAMPLESPERPIXEL, &ret->samples);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_BITSPERSAMPLE, &ret->bits);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_SAMPLEFORMAT, &ret->format);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_COMPRESSION, &ret->compression);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_PLANARCONFIG, &ret->planar);
        TIFFGetField(f->tif, TIFFTAG_PHOTOMETRIC, &ret->photometric);
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_SUBFILETYPE, &kind);
        ret->thumbnail = kind & FILETYPE_REDUCEDIMAGE;
        ret->channels = pixel_channels(f->tif, ret);
        ret->why = why_not(ret);
        if (!ret->why && ret->channels == 0)
                ret->why = "RGB of fewer than three samples";
}

bool tiffpage_alike(const struct tiffpage *a, const struct tiffpage *b)
{
        return !b->why && a->w == b->w && a->h == b->h && a->samples == b->samples && a->bits == b->bits &&
               a->format == b->format && a->photometric == b->photometric && a->channels == b->channels &&
               a->thumbnail == b->thumbnail &&
               (a->compression == COMPRESSION_JPEG) == (b->compression == COMPRESSION_JPEG);
}

int tiffpage_channels(const struct tiffpage *p)
{
        return p->photometric == PHOTOMETRIC_PALETTE ? 3 : p->channels;
}

uint64_t tiffpage_bytes(const struct tiffpage *p)
{
        return ((uint64_t)p->w * p->bits * p->samples + 7) / 8 * p->h;
}

/* The best that each compression can do: 12 bits of LZW stand for at most 4096 bytes, 2 bytes of PackBits for
   128, one bit of JPEG for a block of 32x32. */
uint64_t tiffpage_most_bytes(const struct tiffpage *p, size_t len)
{
        switch (p->compression) {
        case COMPRESSION_NONE:
                return len;
        case COMPRESSION_PACKBITS:
                return 64 * (uint64_t)len;
        case COMPRESSION_LZW:
                return 2731 * (uint64_t)len;
        case COMPRESSION_JPEG:
                return 8192 * (uint64_t)len * p->samples;
        default:
                return DEFLATE_RATIO * (uint64_t)len;
        }
}

/* Where the samples of one stretch of a row go. */
struct spread {
        const struct tiffpage *page;
        const uint16_t *palette[3];
        int palette_shift;  /* what is below the bits that its colours have, */
        float palette_most; /* and the largest of these */
        bool big_endian;    /* the samples: what libtiff decodes is in this machine's order */
        float *pixels;
};

static void palette_row(const struct spread *s, const unsigned char *from, size_t at, size_t count)
{
        size_t plane = (size_t)s->page->w * s->page->h;
        int bits = s->page->bits;
        for (size_t x = 0; x < count; x++) {
                size_t bit = x * (size_t)bits, shift = 16 - bit % 8 - (size_t)bits;
                unsigned two = (unsigned)from[bit / 8] << 8;
                if (bit % 8 + (size_t)bits > 8)
                        two |= from[bit / 8 + 1];
                unsigned index = two >> shift & ((1u << bits) - 1);
                for (size_t k = 0; k < 3; k++)
                        s->pixels[k * plane + at + x] =
                                (float)(s->palette[k][index] >> s->palette_shift) / s->palette_most;
        }
}

/* Colours of 8 bits stand in the upper byte of 16 (ImageJ, Pillow), or, against the rules, in the lower. */
static int find_palette(struct tiffpage_file *f, struct spread *s, struct err *e)
{
        uint16_t *colours[3] = {NULL, NULL, NULL}, all = 0;
        bool upper = true;
        if (s->page->photometric != PHOTOMETRIC_PALETTE)
                return 0;
        if (!TIFFGetField(f->tif, TIFFTAG_COLORMAP, &colours[0], &colours[1], &colours[2]))
                return err_set(e, ERR_SYNTAX, "a palette is missing");
        for (size_t k = 0; k < 3; k++) {
                for (size_t i = 0; i < (size_t)1 << s->page->bits; i++) {
                        all |= colours[k][i];
                        upper = upper && colours[k][i] % 256 == 0;
                }
                s->palette[k] = colours[k];
        }
        s->palette_shift = upper ? 8 : 0;
        s->palette_most = upper || all < 256 ? 255.0f : 65535.0f;
        return 0;
}

static struct sample sample_of(const struct tiffpage *p, bool big_endian)
{
        enum sample_kind kind = p->format == SAMPLEFORMAT_IEEEFP ? SAMPLE_FLOAT
                                : p->format == SAMPLEFORMAT_INT  ? SAMPLE_INT
                                                                 : SAMPLE_UINT;
        return (struct sample){kind, p->bits / 8, big_endian};
}

/* As if the samples had been inverted before they were scaled, to the last bit. */
static void invert(float *to, size_t count, int bits)
{
        const float most = (float)((1 << bits) - 1);
        for (size_t i = 0; i < count; i++)
                to[i] = (most - rintf(to[i] * most)) / most;
}

/* `count` pixels from `from` (its row of samples) to pixel (y,x); `sample` is the one plane it holds, or -1
   for all of them side by side. */
static void spread_row(
        const struct spread *s, const unsigned char *from, size_t y, size_t x, size_t count, int sample)
{
        const struct tiffpage *p = s->page;
        size_t plane = (size_t)p->w * p->h, at = y * p->w + x;
        const struct sample kind = sample_of(p, s->big_endian);
        if (p->photometric == PHOTOMETRIC_PALETTE) {
                palette_row(s, from, at, count);
                return;
        }
        int first = sample < 0 ? 0 : sample, last = sample < 0 ? p->channels - 1 : sample;
        size_t step = sample < 0 ? p->samples : 1;
        for (int k = first; k <= last; k++) {
                float *to = s->pixels + (size_t)k * plane + at;
                size_t skip = sample < 0 ? (size_t)k : 0;
                if (p->bits % 8 != 0)
                        sample_unpack(from, p->bits, skip, step, count, to);
                else
                        sample_read(&kind, from + skip * (size_t)kind.bytes, step * (size_t)kind.bytes, count,
                                to);
                if (p->photometric == PHOTOMETRIC_MINISWHITE && kind.kind == SAMPLE_UINT && p->bits <= 16)
                        invert(to, count, p->bits);
        }
}

static int read_rows(struct tiffpage_file *f, const struct spread *s, unsigned char *buffer, struct err *e)
{
        const struct tiffpage *p = s->page;
        bool separate = p->planar == PLANARCONFIG_SEPARATE || p->samples == 1;
        int planes = separate ? p->channels : 1;
        for (int k = 0; k < planes; k++)
                for (uint32_t y = 0; y < p->h; y++) {
                        if (TIFFReadScanline(f->tif, buffer, y, (uint16_t)k) < 0)
                                return tiffpage_damaged(f, e);
                        spread_row(s, buffer, y, 0, p->w, separate ? k : -1);
                }
        return 0;
}

static uint32_t strip_height(const struct tiffpage_file *f, const struct tiffpage *p)
{
        uint32_t rows = 0;
        TIFFGetFieldDefaulted(f->tif, TIFFTAG_ROWSPERSTRIP, &rows);
        return rows >= 1 && rows < p->h ? rows : p->h;
}

/* Strip by strip: some writers let a run of PackBits go on into the next row. */
static int read_strips(struct tiffpage_file *f, const struct spread *s, unsigned char *buffer, struct err *e)
{
        const struct tiffpage *p = s->page;
        bool separate = p->planar == PLANARCONFIG_SEPARATE || p->samples == 1;
        const size_t row = (size_t)TIFFScanlineSize(f->tif);
        const uint32_t height = strip_height(f, p);
        for (int k = 0; k < (separate ? p->channels : 1); k++)
                for (uint64_t y = 0; y < p->h; y += height) {
                        const uint64_t rows = p->h - y < height ? p->h - y : height;
                        const uint32_t strip = TIFFComputeStrip(f->tif, (uint32_t)y, (uint16_t)k);
                        if (TIFFReadEncodedStrip(f->tif, strip, buffer, (tmsize_t)(rows * row)) !=
                                (tmsize_t)(rows * row))
                                return tiffpage_damaged(f, e);
                        for (uint64_t i = 0; i < rows; i++)
                                spread_row(s, buffer + i * row, y + i, 0, p->w, separate ? k : -1);
                }
        return 0;
}

/* Of one that is cut off libtiff says nothing. */
static int tile_damaged(const struct tiffpage_file *f, uint64_t y, uint64_t x, struct err *e)
{
        return f->message[0] ? tiffpage_damaged(f, e)
                             : err_set(e, ERR_SYNTAX, "the tile at row %llu, column %llu is cut off",
                                       (unsigned long long)y, (unsigned long long)x);
}

static int read_tiles(struct tiffpage_file *f, const struct spread *s, unsigned char *buffer, struct err *e)
{
        const struct tiffpage *p = s->page;
        uint32_t tw = 0, th = 0;
        size_t row = (size_t)TIFFTileRowSize(f->tif);
        bool separate = p->planar == PLANARCONFIG_SEPARATE || p->samples == 1;
        TIFFGetField(f->tif, TIFFTAG_TILEWIDTH, &tw);
        TIFFGetField(f->tif, TIFFTAG_TILELENGTH, &th);
        for (int k = 0; k < (separate ? p->channels : 1); k++)
                for (uint64_t y = 0; y < p->h; y += th)
                        for (uint64_t x = 0; x < p->w; x += tw) {
                                if (TIFFReadTile(f->tif, buffer, (uint32_t)x, (uint32_t)y, 0, (uint16_t)k) <
                                        0)
                                        return tile_damaged(f, y, x, e);
                                uint64_t rows = p->h - y < th ? p->h - y : th,
                                         cols = p->w - x < tw ? p->w - x : tw;
                                for (uint64_t i = 0; i < rows; i++)
                                        spread_row(s, buffer + i * row, y + i, x, cols, separate ? k : -1);
                        }
        return 0;
}

/* Bytes of a row or a tile, held against what this code takes out of it. */
static int buffer_bytes(struct tiffpage_file *f, const struct tiffpage *p, uint64_t *ret, struct err *e)
{
        uint64_t per = p->planar == PLANARCONFIG_SEPARATE ? 1 : p->samples, width = p->w, rows = 1;
        bool tiled = TIFFIsTiled(f->tif);
        if (tiled) {
                uint32_t tw = 0, th = 0;
                TIFFGetField(f->tif, TIFFTAG_TILEWIDTH, &tw);
                TIFFGetField(f->tif, TIFFTAG_TILELENGTH, &th);
                if (tw == 0 || th == 0 || tw > 2 * IMAGE_MAX_SIDE || th > 2 * IMAGE_MAX_SIDE)
                        return err_set(e, ERR_SYNTAX, "tiles of %ux%u", th, tw);
                width = tw;
                rows = th;
        }
        uint64_t row = (width * per * p->bits + 7) / 8, need = row * rows;
        int64_t told = (int64_t)(tiled ? TIFFTileSize64(f->tif) : TIFFScanlineSize64(f->tif));
        int64_t told_row = tiled ? (int64_t)TIFFTileRowSize64(f->tif) : told;
        if (told <= 0 || told_row <= 0 || (uint64_t)told < need || (uint64_t)told_row < row)
                return f->message[0] ? tiffpage_damaged(f, e)
                                     : err_set(e, ERR_SYNTAX, "rows of an unexpected length");
        if (need > TILE_MAX_BYTES || (uint64_t)told > TILE_MAX_BYTES)
                return err_set(e, ERR_TOO_LARGE, "tiles of %lld bytes", (long long)told);
        if (tiled && (uint64_t)told > tiffpage_most_bytes(p, f->len))
                return err_set(e, ERR_SYNTAX, "too short for its tiles");
        *ret = (uint64_t)told;
        return 0;
}

/* Places that the directory lacks are 0 to libtiff, which would read the file's own head as pixels. */
static int check_places(struct tiffpage_file *f, struct err *e)
{
        bool tiled = TIFFIsTiled(f->tif);
        uint32_t count = tiled ? TIFFNumberOfTiles(f->tif) : TIFFNumberOfStrips(f->tif);
        for (uint32_t i = 0; i < count; i++)
                if (TIFFGetStrileOffset(f->tif, i) == 0)
                        return err_set(e, ERR_SYNTAX, "%s %u of %u has no place in the file",
                                tiled ? "tile" : "strip", i, count);
        return 0;
}

int tiffpage_read(struct tiffpage_file *f, const struct tiffpage *p, float *pixels, struct err *e)
{
        struct spread s = {.page = p, .pixels = pixels};
        struct tiffpage now;
        uint64_t bytes = 0;
        f->message[0] = 0;
        if (!TIFFSetSubDirectory(f->tif, p->offset))
                return tiffpage_damaged(f, e);
        tiffpage_describe(f, &now);
        if (!tiffpage_alike(p, &now) || now.planar != p->planar || now.compression != p->compression)
                return err_set(e, ERR_SYNTAX, "a page differs when it is read again");
        if (p->photometric == PHOTOMETRIC_YCBCR)
                TIFFSetField(f->tif, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        int rc = find_palette(f, &s, e);
        if (rc == 0)
                rc = buffer_bytes(f, p, &bytes, e);
        if (rc == 0)
                rc = check_places(f, e);
        bool tiled = TIFFIsTiled(f->tif), strips = !tiled && p->compression == COMPRESSION_PACKBITS &&
                                                   bytes <= TILE_MAX_BYTES / strip_height(f, p);
        bytes *= strips ? strip_height(f, p) : 1;
        unsigned char *buffer = rc == 0 ? malloc(bytes) : NULL;
        if (rc == 0 && !buffer)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a row");
        if (rc == 0)
                rc = (tiled ? read_tiles : strips ? read_strips : read_rows)(f, &s, buffer, e);
        /* A strip or a tile of PackBits is full whatever its last run was. */
        if (rc == 0 && f->message[0] &&
                (p->compression == COMPRESSION_JPEG ||
                        (p->compression == COMPRESSION_PACKBITS && !tiled && !strips)))
                rc = tiffpage_damaged(f, e);
        free(buffer);
        return rc;
}

int tiffpage_read_run(
        struct tiffpage_file *f, const struct tiffpage *p, uint64_t frames, float *pixels, struct err *e)
{
        struct spread s = {.page = p, .big_endian = TIFFIsBigEndian(f->tif), .pixels = pixels};
        const uint64_t at = TIFFGetStrileOffset(f->tif, 0), rows = frames * p->h;
        const size_t row = (size_t)p->w * p->samples * (p->bits / 8);
        int rc = find_palette(f, &s, e);
        if (rc == 0 && !span_holds(f->len, at, rows * row))
                rc = err_set(e, ERR_SYNTAX, "ends within its %llu frames", (unsigned long long)frames);
        for (uint64_t i = 0; rc == 0 && i < rows; i++) {
                s.pixels = pixels + i / p->h * (size_t)tiffpage_channels(p) * p->h * p->w;
                spread_row(&s, f->bytes + at + i * row, i % p->h, 0, p->w, p->samples > 1 ? -1 : 0);
        }
        return rc;
}
