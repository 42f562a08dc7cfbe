#include "data/decoder.h"
#include "data/packed.h"
#include "data/pngplain.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8 << 20 };

/* libpng leaves by longjmp on error, so all state that must outlive it lies here, not in locals. */
struct reader {
        const unsigned char *bytes;
        size_t len, at;
        png_structp png;
        png_infop info;
        jmp_buf jump;
        int code; /* ERR_… of a failure that is not damage, 0 for damage */
        struct err *e;
        char message[160];
        struct image image;
        unsigned char *rows; /* owned; one row, or all of them when interlaced */
        size_t row_bytes;
        int channels; /* as libpng delivers them, alpha dropped: 1 or 3 */
        int depth;    /* 8 or 16 */
};

static void on_error(png_structp png, png_const_charp text)
{
        struct reader *r = png_get_error_ptr(png);
        snprintf(r->message, sizeof r->message, "%s", text);
        longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
        (void)png;
        (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t len)
{
        struct reader *r = png_get_io_ptr(png);
        if (len > r->len - r->at)
                png_error(png, "ends too early");
        memcpy(out, r->bytes + r->at, len);
        r->at += len;
}

/* Fails with a code of its own instead of "damaged". */
static void stop(struct reader *r, int code)
{
        r->code = code;
        longjmp(r->jump, 1);
}

/* Only what carries pixels is read: text, profiles and other side chunks may be compressed bombs. */
static void ignore_side_chunks(png_structp png)
{
        static const png_byte side[] =
                "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0"
                "sPLT\0sRGB\0sTER\0tEXt\0tIME\0tRNS\0zTXt";
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
        png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, side, (int)(sizeof side / 5));
        png_set_chunk_malloc_max(png, CHUNK_BYTES);
        png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
}

static void read_head(struct reader *r)
{
        png_uint_32 w, h;
        int depth, colour, interlace;
        png_read_info(r->png, r->info);
        png_get_IHDR(r->png, r->info, &w, &h, &depth, &colour, &interlace, NULL, NULL);
        r->channels = colour & PNG_COLOR_MASK_COLOR ? 3 : 1;
        r->depth = depth == 16 ? 16 : 8;
        int rc = image_check(1, (uint64_t)r->channels, h, w, r->e);
        if (rc != 0)
                stop(r, rc);
        /* A deflated stream cannot be shorter than this share of what it holds. */
        if ((uint64_t)h * png_get_rowbytes(r->png, r->info) / DEFLATE_RATIO > r->len)
                png_error(r->png, "too short for its size");
        if (colour == PNG_COLOR_TYPE_PALETTE)
                png_set_palette_to_rgb(r->png);
        else if (depth < 8)
                png_set_expand_gray_1_2_4_to_8(r->png);
        if (colour & PNG_COLOR_MASK_ALPHA)
                png_set_strip_alpha(r->png);
        png_set_interlace_handling(r->png);
        png_read_update_info(r->png, r->info);
        r->row_bytes = png_get_rowbytes(r->png, r->info);
        if (r->row_bytes != (size_t)w * (size_t)r->channels * (size_t)(r->depth / 8))
                png_error(r->png, "rows of an unexpected length");
        rc = image_create(1, (uint64_t)r->channels, h, w, &r->image, r->e);
        if (rc != 0)
                stop(r, rc);
        r->rows = malloc(r->row_bytes * (interlace == PNG_INTERLACE_NONE ? 1 : h));
        if (!r->rows)
                stop(r, err_set(r->e, ERR_NO_MEMORY, "no memory for rows of %zu bytes", r->row_bytes));
}

/* Interleaved samples of one row into the planes. */
static void spread_row(struct reader *r, int y, const unsigned char *row)
{
        size_t w = (size_t)r->image.w, plane = w * (size_t)r->image.h, c = (size_t)r->channels;
        for (size_t k = 0; k < c; k++) {
                float *out = r->image.pixels + k * plane + (size_t)y * w;
                if (r->depth == 8)
                        for (size_t x = 0; x < w; x++)
                                out[x] = (float)row[x * c + k] / 255.0f;
                else
                        for (size_t x = 0; x < w; x++) {
                                const unsigned char *p = row + 2 * (x * c + k);
                                out[x] = (float)(p[0] << 8 | p[1]) / 65535.0f;
                        }
        }
}

static void read_pixels(struct reader *r)
{
        bool interlaced = png_get_interlace_type(r->png, r->info) != PNG_INTERLACE_NONE;
        for (int pass = 0; interlaced && pass < PNG_INTERLACE_ADAM7_PASSES; pass++)
                for (int y = 0; y < r->image.h; y++)
                        png_read_row(r->png, r->rows + (size_t)y * r->row_bytes, NULL);
        for (int y = 0; y < r->image.h; y++) {
                if (!interlaced)
                        png_read_row(r->png, r->rows, NULL);
                spread_row(r, y, r->rows + (interlaced ? (size_t)y * r->row_bytes : 0));
        }
        png_read_end(r->png, NULL);
}

static int read_guarded(struct reader *r)
{
        if (setjmp(r->jump) != 0)
                return r->code ? r->code : err_set(r->e, ERR_SYNTAX, "%s", r->message);
        r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
        if (r->png)
                r->info = png_create_info_struct(r->png);
        if (!r->info)
                return err_set(r->e, ERR_NO_MEMORY, "no memory to decode");
        png_set_read_fn(r->png, r, on_read);
        ignore_side_chunks(r->png);
        read_head(r);
        read_pixels(r);
        return 0;
}

int png_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        if (pngplain_decode(bytes, len, ret))
                return 0;
        struct reader *r = calloc(1, sizeof *r);
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory to decode");
        r->bytes = bytes;
        r->len = len;
        r->e = e;
        int rc = read_guarded(r);
        png_destroy_read_struct(&r->png, &r->info, NULL);
        if (rc == 0)
                *ret = r->image;
        else
                image_finish(&r->image);
        free(r->rows);
        free(r);
        return rc;
}
