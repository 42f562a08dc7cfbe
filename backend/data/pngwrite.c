#include "data/pngwrite.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>

static void on_write(png_structp png, png_bytep bytes, size_t len)
{
        str_add_bytes(png_get_io_ptr(png), bytes, len);
}

static void on_flush(png_structp png)
{
        (void)png;
}

static void on_error(png_structp png, png_const_charp text)
{
        (void)text;
        longjmp(*(jmp_buf *)png_get_error_ptr(png), 1);
}

struct picture {
        int width, height, channels;
        pngwrite_row draw;
        const void *ctx;
};

static int write_rows(const struct picture *p, unsigned char *row, struct str *out, struct err *e)
{
        jmp_buf jump;
        png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &jump, on_error, NULL);
        png_infop info = png ? png_create_info_struct(png) : NULL;
        if (!info || setjmp(jump)) {
                png_destroy_write_struct(&png, &info);
                return err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        }
        png_set_write_fn(png, out, on_write, on_flush);
        png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, 8,
                p->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        /* Micrographs are noise: more effort takes seconds and saves little. */
        png_set_compression_level(png, 2);
        png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
        png_write_info(png, info);
        for (int y = 0; y < p->height; y++) {
                p->draw(p->ctx, y, row);
                png_write_row(png, row);
        }
        png_write_end(png, info);
        png_destroy_write_struct(&png, &info);
        return out->failed ? err_set(e, ERR_NO_MEMORY, "no memory for a picture") : 0;
}

int pngwrite(int width, int height, int channels, pngwrite_row draw, const void *ctx, struct str *out,
        struct err *e)
{
        const struct picture p = {width, height, channels, draw, ctx};
        unsigned char *row = malloc((size_t)width * (size_t)channels);
        if (!row)
                return err_set(e, ERR_NO_MEMORY, "no memory for a picture");
        int rc = write_rows(&p, row, out, e);
        free(row);
        return rc;
}
