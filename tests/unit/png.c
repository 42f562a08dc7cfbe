#include "check.h"

#include "data/image.h"
#include "data/pngplain.h"

#include <png.h>
#include <zlib.h>

struct file {
        unsigned char *bytes;
        size_t len;
};

static void file_append(png_structp png, png_bytep bytes, size_t len)
{
        struct file *f = png_get_io_ptr(png);
        f->bytes = realloc(f->bytes, f->len + len);
        assert_non_null(f->bytes);
        memcpy(f->bytes + f->len, bytes, len);
        f->len += len;
}

static unsigned sample_at(int depth, int x, int y, int channel)
{
        return (unsigned)(x * 7919 + y * 104729 + channel * 1299709 + 12345) & ((1u << depth) - 1);
}

static int channels_of(int colour)
{
        return (colour & PNG_COLOR_MASK_COLOR && colour != PNG_COLOR_TYPE_PALETTE ? 3 : 1) +
               (colour & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

static void fill_row(unsigned char *row, int depth, int channels, int w, int y)
{
        memset(row, 0, (size_t)w * 8 + 8);
        for (int i = 0; i < w * channels; i++) {
                unsigned v = sample_at(depth, i / channels, y, i % channels);
                if (depth == 16) {
                        row[2 * i] = (unsigned char)(v >> 8);
                        row[2 * i + 1] = (unsigned char)v;
                } else {
                        int bit = i * depth;
                        row[bit / 8] = (unsigned char)(row[bit / 8] | v << (8 - depth - bit % 8));
                }
        }
}

static const png_byte side_chunk[] = "never read";

/* A PNG of this kind with palette, transparency, gamma and a text where the kind allows. */
static struct file encode(int w, int h, int depth, int colour, int interlace)
{
        struct file f = {0};
        png_color palette[256];
        png_byte alpha[256];
        png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
        png_infop info = png_create_info_struct(png);
        unsigned char *rows = calloc((size_t)h, (size_t)w * 8 + 8);
        png_bytep *lines = calloc((size_t)h, sizeof *lines);
        png_color_16 clear = {0};
        png_set_write_fn(png, &f, file_append, NULL);
        png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, colour, interlace, 0, 0);
        for (int i = 0; i < 256; i++) {
                palette[i] = (png_color){(png_byte)i, (png_byte)(255 - i), (png_byte)(i * 3)};
                alpha[i] = (png_byte)(i * 5);
        }
        if (colour == PNG_COLOR_TYPE_PALETTE) {
                png_set_PLTE(png, info, palette, 1 << depth);
                png_set_tRNS(png, info, alpha, 1 << depth, NULL);
        } else if (!(colour & PNG_COLOR_MASK_ALPHA)) {
                png_set_tRNS(png, info, NULL, 0, &clear);
        }
        png_set_gAMA(png, info, 0.3);
        png_write_info(png, info);
        png_write_chunk(png, (png_const_bytep) "zzZz", side_chunk, sizeof side_chunk);
        for (int y = 0; y < h; y++) {
                lines[y] = rows + (size_t)y * ((size_t)w * 8 + 8);
                fill_row(lines[y], depth, channels_of(colour), w, y);
        }
        png_write_image(png, lines);
        png_write_end(png, info);
        png_destroy_write_struct(&png, &info);
        free(rows);
        free(lines);
        return f;
}

static float expected(int depth, int colour, int x, int y, int channel)
{
        unsigned v = sample_at(depth, x, y, colour == PNG_COLOR_TYPE_PALETTE ? 0 : channel);
        if (colour == PNG_COLOR_TYPE_PALETTE) {
                const unsigned entry[] = {v, 255 - v, (v * 3) & 255};
                return (float)entry[channel] / 255.0f;
        }
        return (float)v / (float)((1u << depth) - 1);
}

static void reads_every_kind(void **state)
{
        static const struct {
                int colour, depths[5];
        } kinds[] = {{PNG_COLOR_TYPE_GRAY, {1, 2, 4, 8, 16}}, {PNG_COLOR_TYPE_PALETTE, {1, 2, 4, 8}},
                {PNG_COLOR_TYPE_RGB, {8, 16}}, {PNG_COLOR_TYPE_RGBA, {8, 16}}, {PNG_COLOR_TYPE_GA, {8, 16}}};
        static const int sizes[][2] = {{1, 1}, {5, 3}, {19, 17}};
        (void)state;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] * 5 * 3 * 2; i++) {
                int colour = kinds[i / 30].colour, depth = kinds[i / 30].depths[i / 6 % 5];
                int w = sizes[i / 2 % 3][0], h = sizes[i / 2 % 3][1];
                struct err e = {0};
                struct image im = {0};
                if (depth == 0)
                        continue;
                struct file f = encode(w, h, depth, colour, i % 2 ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE);
                CHECK_OK(image_decode(f.bytes, f.len, "image/png", &im, &e), &e);
                assert_int_equal(im.n, 1);
                assert_int_equal(im.c, colour & PNG_COLOR_MASK_COLOR ? 3 : 1);
                assert_int_equal(im.h, h);
                assert_int_equal(im.w, w);
                for (int k = 0; k < im.c * h * w; k++) {
                        float want = expected(depth, colour, k % w, k / w % h, k / (w * h));
                        if (im.pixels[k] != want)
                                fail_msg("colour %d depth %d %dx%d: [%d] is %g, wanted %g", colour, depth, w,
                                        h, k, (double)im.pixels[k], (double)want);
                }
                image_finish(&im);
                free(f.bytes);
        }
}

/* Three colours of two bits with a transparent one, as Pillow 9.4 writes them. */
static void reads_what_pillow_writes(void **state)
{
        static const char bytes[] = "\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00"
                                    "\x00\x03\x00\x00\x00\x02"
                                    "\x02\x03\x00\x00\x00\xe0\x1a\x8e\x89\x00\x00\x00\x0c\x50\x4c\x54\x45\xff"
                                    "\x00\x00\x00\xff\x00\x00"
                                    "\x00\xff\x0a\x14\x1e\x22\x88\x29\x04\x00\x00\x00\x02\x74\x52\x4e\x53\xff"
                                    "\x00\xe5\xb7\x30\x4a\x00"
                                    "\x00\x00\x0c\x49\x44\x41\x54\x78\x9c\x63\x90\x60\x38\x02\x00\x01\x10\x00"
                                    "\xdd\x11\xe5\x0f\x22\x00"
                                    "\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
        static const double want[] = {
                1, 0, 0, 10.0 / 255, 1, 0, 0, 1, 0, 20.0 / 255, 0, 1, 0, 0, 1, 30.0 / 255, 0, 0};
        struct err e = {0};
        struct image im = {0};
        (void)state;
        CHECK_OK(image_decode(bytes, sizeof bytes - 1, NULL, &im, &e), &e);
        assert_int_equal(im.c * 100 + im.h * 10 + im.w, 323);
        CHECK_CLOSE(im.pixels, want, 18, 1e-7, 0);
        image_finish(&im);
}

static void append_chunk(struct file *f, const char *type, const void *data, size_t len)
{
        unsigned char *p = realloc(f->bytes, f->len + len + 12);
        assert_non_null(p);
        f->bytes = p;
        p += f->len;
        f->len += len + 12;
        memcpy(p + 4, type, 4);
        if (len)
                memcpy(p + 8, data, len);
        uint32_t crc = (uint32_t)crc32(0, p + 4, (uInt)len + 4);
        for (int i = 0; i < 4; i++) {
                p[i] = (unsigned char)(len >> (24 - 8 * i));
                p[8 + len + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        }
}

/* What PNG predicts of byte i of a row from those before and above it. */
static int predict(int filter, const unsigned char *row, const unsigned char *up, int i, int c)
{
        const int left = i < c ? 0 : row[i - c], above = up[i], corner = i < c ? 0 : up[i - c];
        const int p = left + above - corner;
        const int to_left = abs(p - left), to_above = abs(p - above), to_corner = abs(p - corner);
        const int nearest = to_left <= to_above && to_left <= to_corner ? left
                            : to_above <= to_corner                     ? above
                                                                        : corner;
        const int all[] = {0, left, above, (left + above) / 2, nearest};
        return all[filter];
}

/* 8 bits a sample, the filters by turns. */
static struct file encode_filters(int w, int h, int c, int first_filter)
{
        const int len = w * c;
        struct file f = {.bytes = malloc(8), .len = 8};
        unsigned char *rows = malloc((size_t)h * (size_t)(len + 1)), *row = calloc(2, (size_t)len);
        unsigned char head[13] = {
                [3] = (unsigned char)w, [7] = (unsigned char)h, [8] = 8, [9] = c == 3 ? 2 : 0};
        unsigned char *up = row + len;
        uLongf packed_len = compressBound((uLong)(h * (len + 1)));
        unsigned char *packed = malloc(packed_len);
        assert_true(f.bytes && rows && row && packed);
        memcpy(f.bytes, "\x89PNG\r\n\x1a\n", 8);
        for (int y = 0; y < h; y++) {
                unsigned char *out = rows + (size_t)y * (size_t)(len + 1);
                out[0] = (unsigned char)((first_filter + y) % 5);
                for (int i = 0; i < len; i++) {
                        row[i] = (unsigned char)sample_at(8, i / c, y, i % c);
                        out[1 + i] = (unsigned char)(row[i] - predict(out[0], row, up, i, c));
                }
                memcpy(up, row, (size_t)len);
        }
        assert_int_equal(compress(packed, &packed_len, rows, (uLong)(h * (len + 1))), Z_OK);
        append_chunk(&f, "IHDR", head, sizeof head);
        append_chunk(&f, "tEXt", "a\0b", 3);
        append_chunk(&f, "IDAT", packed, packed_len);
        append_chunk(&f, "IEND", NULL, 0);
        free(rows);
        free(row);
        free(packed);
        return f;
}

static void plain_files_are_read_without_libpng(void **state)
{
        (void)state;
        for (int i = 0; i < 2 * 5 * 3; i++) {
                const int c = i % 2 ? 3 : 1, w = 1 + i % 3 * 9, h = 7;
                struct file f = encode_filters(w, h, c, i % 5);
                struct image im = {0};
                assert_true(pngplain_decode(f.bytes, f.len, &im));
                assert_int_equal(
                        im.n * 100000 + im.c * 10000 + im.h * 100 + im.w, 100000 + c * 10000 + h * 100 + w);
                for (int k = 0; k < c * h * w; k++) {
                        float want = expected(8, c == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, k % w,
                                k / w % h, k / (w * h));
                        if (im.pixels[k] != want)
                                fail_msg("%d channels, %dx%d, filter %d: [%d] is %g, wanted %g", c, w, h,
                                        i % 5, k, (double)im.pixels[k], (double)want);
                }
                image_finish(&im);
                free(f.bytes);
        }
}

/* Every byte but those of the text counts. */
static void libpng_tells_what_is_wrong(void **state)
{
        struct file f = encode_filters(9, 7, 1, 0);
        struct image im = {0};
        (void)state;
        for (size_t n = 8; n < f.len; n++) {
                unsigned char *cut = malloc(n);
                assert_non_null(cut);
                memcpy(cut, f.bytes, n);
                assert_false(pngplain_decode(cut, n, &im));
                free(cut);
        }
        for (size_t n = 8; n < f.len; n++) {
                if (n >= 33 && n < 33 + 15)
                        continue;
                f.bytes[n] ^= 4;
                assert_false(pngplain_decode(f.bytes, f.len, &im));
                f.bytes[n] ^= 4;
        }
        assert_null(im.pixels);
        free(f.bytes);
}

static int decode_copy(const unsigned char *bytes, size_t len, struct err *e)
{
        struct image im = {0};
        unsigned char *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, bytes, len);
        int rc = image_decode(copy, len, "image/png", &im, e);
        if (rc != 0)
                assert_null(im.pixels);
        image_finish(&im);
        free(copy);
        return rc;
}

static void cut_and_flipped_files_are_damaged(void **state)
{
        (void)state;
        for (int interlace = 0; interlace < 2; interlace++) {
                struct file f = encode(9, 7, 8, PNG_COLOR_TYPE_RGBA, interlace);
                struct err e = {0};
                for (size_t n = 8; n < f.len; n++)
                        assert_int_equal(decode_copy(f.bytes, n, &e), ERR_SYNTAX);
                for (size_t n = 8; n < 33; n++) { /* the header chunk with its CRC */
                        f.bytes[n] ^= 4;
                        assert_int_equal(decode_copy(f.bytes, f.len, &e), ERR_SYNTAX);
                        f.bytes[n] ^= 4;
                }
                CHECK_OK(decode_copy(f.bytes, f.len, &e), &e);
                free(f.bytes);
        }
}

/* A header chunk alone, with its right CRC: 45 bytes in all with an empty IDAT. */
static int decode_claim(uint32_t w, uint32_t h, int depth, int colour, int interlace, struct err *e)
{
        unsigned char b[45] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", idat[] = "\0\0\0\0IDAT\x35\xaf\x06\x1e";
        for (int i = 0; i < 4; i++) {
                b[16 + i] = (unsigned char)(w >> (24 - 8 * i));
                b[20 + i] = (unsigned char)(h >> (24 - 8 * i));
        }
        b[24] = (unsigned char)depth;
        b[25] = (unsigned char)colour;
        b[28] = (unsigned char)interlace;
        uint32_t crc = (uint32_t)crc32(0, b + 12, 17);
        for (int i = 0; i < 4; i++)
                b[29 + i] = (unsigned char)(crc >> (24 - 8 * i));
        memcpy(b + 33, idat, 12);
        return decode_copy(b, sizeof b, e);
}

static void claims_are_bounded_before_memory_is_taken(void **state)
{
        struct err e = {0};
        (void)state;
        assert_int_equal(decode_claim(65535, 65535, 8, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_TOO_LARGE);
        assert_non_null(strstr(e.message, "65535"));
        assert_int_equal(decode_claim(65535, 65535, 16, PNG_COLOR_TYPE_RGBA, 1, &e), ERR_TOO_LARGE);
        assert_int_equal(decode_claim(16000, 16000, 8, PNG_COLOR_TYPE_RGB, 0, &e), ERR_TOO_LARGE);
        assert_int_equal(decode_claim(16000, 16000, 1, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "too short for its size"));
        assert_int_equal(decode_claim(65537, 1, 8, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
        assert_int_equal(decode_claim(0x7fffffff, 0x7fffffff, 8, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
        assert_int_equal(decode_claim(0, 1, 8, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
        assert_int_equal(decode_claim(8, 8, 3, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
        assert_int_equal(decode_claim(8, 8, 8, PNG_COLOR_TYPE_PALETTE, 0, &e), ERR_SYNTAX);
        assert_int_equal(decode_claim(8, 8, 8, PNG_COLOR_TYPE_GRAY, 0, &e), ERR_SYNTAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_every_kind),
                cmocka_unit_test(reads_what_pillow_writes),
                cmocka_unit_test(plain_files_are_read_without_libpng),
                cmocka_unit_test(libpng_tells_what_is_wrong),
                cmocka_unit_test(cut_and_flipped_files_are_damaged),
                cmocka_unit_test(claims_are_bounded_before_memory_is_taken),
        };
        return cmocka_run_group_tests_name("png", tests, NULL, NULL);
}
