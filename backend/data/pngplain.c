#include "data/pngplain.h"

#include "data/decoder.h"
#include "data/packed.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNATURE = 8, CHUNK = 12, HEAD = 13 };

/* A chunk's data; the file goes on at `next`. */
struct chunk {
        const unsigned char *type, *data;
        size_t len;
        const unsigned char *next;
};

static uint32_t big32(const unsigned char *p)
{
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool next_chunk(const unsigned char *p, const unsigned char *end, struct chunk *ret)
{
        if (end - p < CHUNK || big32(p) > (size_t)(end - p) - CHUNK)
                return false;
        *ret = (struct chunk){.type = p + 4, .data = p + 8, .len = big32(p)};
        ret->next = ret->data + ret->len + 4;
        return true;
}

static bool is(const struct chunk *c, const char *type)
{
        return memcmp(c->type, type, 4) == 0;
}

static bool is_whole(const struct chunk *c)
{
        return libdeflate_crc32(0, c->type, c->len + 4) == big32(c->data + c->len);
}

/* Side chunks have a small first letter; they carry no pixels. */
static bool is_side(const struct chunk *c)
{
        for (int i = 0; i < 4; i++)
                if (!((c->type[i] >= 'a' && c->type[i] <= 'z') ||
                            (i && c->type[i] >= 'A' && c->type[i] <= 'Z')))
                        return false;
        return true;
}

/* What a header of 8 bits a sample without interlacing says; false for any other. */
static bool read_head(const struct chunk *c, size_t file, int *ret_c, uint32_t *ret_h, uint32_t *ret_w)
{
        static const unsigned char grey[] = {8, 0, 0, 0, 0}, rgb[] = {8, 2, 0, 0, 0};
        if (!is(c, "IHDR") || c->len != HEAD || !is_whole(c))
                return false;
        *ret_c = memcmp(c->data + 8, grey, sizeof grey) == 0 ? 1 : 3;
        if (*ret_c == 3 && memcmp(c->data + 8, rgb, sizeof rgb) != 0)
                return false;
        *ret_w = big32(c->data);
        *ret_h = big32(c->data + 4);
        return image_check(1, (uint64_t)*ret_c, *ret_h, *ret_w, NULL) == 0 &&
               (uint64_t)*ret_h * (1 + (uint64_t)*ret_w * (uint64_t)*ret_c) / DEFLATE_RATIO <= file;
}

/* The one stretch of compressed pixels between the header and the end; false where there is another. */
static bool find_pixels(const unsigned char *p, const unsigned char *end, struct chunk *ret)
{
        struct chunk c;
        *ret = (struct chunk){0};
        while (next_chunk(p, end, &c)) {
                if (is(&c, "IEND"))
                        return ret->data && c.len == 0 && is_whole(&c);
                if (is(&c, "IDAT") ? ret->data || !is_whole(&c) : !is_side(&c))
                        return false;
                if (is(&c, "IDAT"))
                        *ret = c;
                p = c.next;
        }
        return false;
}

static bool inflate_all(const struct chunk *c, unsigned char *rows, size_t bytes)
{
        struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
        bool good =
                d && libdeflate_zlib_decompress(d, c->data, c->len, rows, bytes, NULL) == LIBDEFLATE_SUCCESS;
        libdeflate_free_decompressor(d);
        return good;
}

static unsigned char paeth(int a, int b, int c)
{
        const int pa = abs(b - c), pb = abs(a - c), pc = abs(a + b - 2 * c);
        return (unsigned char)(pa <= pb && pa <= pc ? a : pb <= pc ? b : c);
}

/* Undoes a row's filter in place. `up` is the row above, zeros at the top; c bytes a pixel. */
static bool unfilter(int filter, unsigned char *row, const unsigned char *up, size_t len, size_t c)
{
        for (size_t i = 0; i < len && filter; i++) {
                const unsigned char left = i < c ? 0 : row[i - c], corner = i < c ? 0 : up[i - c];
                if (filter == 1)
                        row[i] = (unsigned char)(row[i] + left);
                else if (filter == 2)
                        row[i] = (unsigned char)(row[i] + up[i]);
                else if (filter == 3)
                        row[i] = (unsigned char)(row[i] + (left + up[i]) / 2);
                else
                        row[i] = (unsigned char)(row[i] + paeth(left, up[i], corner));
        }
        return filter <= 4;
}

/* Rows of a filter's number and samples, unfiltered in place, into the planes. */
static bool spread(unsigned char *rows, const unsigned char *zeros, struct image *im)
{
        const size_t c = (size_t)im->c, w = (size_t)im->w, len = w * c, plane = w * (size_t)im->h;
        const unsigned char *up = zeros;
        float *out = im->pixels;
        for (int y = 0; y < im->h; y++, out += w) {
                unsigned char *row = rows + (size_t)y * (len + 1) + 1;
                if (!unfilter(row[-1], row, up, len, c))
                        return false;
                for (size_t k = 0; k < c; k++)
                        for (size_t x = 0; x < w; x++)
                                out[k * plane + x] = (float)row[x * c + k] / 255.0f;
                up = row;
        }
        return true;
}

bool pngplain_decode(const unsigned char *bytes, size_t len, struct image *ret)
{
        const unsigned char *end = bytes + len;
        struct image im = {0};
        struct chunk head, pixels;
        uint32_t h, w;
        int c;
        if (!next_chunk(bytes + SIGNATURE, end, &head) || !read_head(&head, len, &c, &h, &w) ||
                !find_pixels(head.next, end, &pixels))
                return false;
        const size_t row = (size_t)w * (size_t)c, all = (row + 1) * h;
        unsigned char *rows = malloc(all + row); /* and a row of zeros */
        bool good =
                rows && image_create(1, (uint64_t)c, h, w, &im, NULL) == 0 && inflate_all(&pixels, rows, all);
        if (good) {
                memset(rows + all, 0, row);
                good = spread(rows, rows + all, &im);
        }
        free(rows);
        if (good)
                *ret = im;
        else
                image_finish(&im);
        return good;
}
