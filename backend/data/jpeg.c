#include "data/decoder.h"

#include <stdio.h> /* jpeglib.h needs it */

#include <jpeglib.h>
#include <jerror.h>
#include <setjmp.h>
#include <stdlib.h>

/* Sampling factors of up to 4 let one bit stand for a block of 32x32 pixels; a shorter stream has no such
 * picture. */
enum { PIXELS_PER_BYTE = 8192, MAX_SCANS = 100, MEMORY_BYTES = 1 << 30 };

/* libjpeg leaves by longjmp on error, so all state that must outlive it lies here, not in locals. */
struct reader {
        struct jpeg_error_mgr errors; /* its callbacks find the reader here: the first member */
        struct jpeg_progress_mgr progress;
        struct jpeg_decompress_struct jpeg;
        jmp_buf jump;
        int code; /* ERR_… of a failure that is not damage, 0 for damage */
        struct err *e;
        char message[JMSG_LENGTH_MAX];
        struct image image;
        JSAMPLE *row; /* owned */
};

static void on_error(j_common_ptr jpeg)
{
        struct reader *r = (struct reader *)jpeg->err;
        jpeg->err->format_message(jpeg, r->message);
        longjmp(r->jump, 1);
}

/* Fails with a code of its own instead of "damaged". */
static void stop(struct reader *r, int code)
{
        r->code = code;
        longjmp(r->jump, 1);
}

/* libjpeg paints over damage with grey and warns; only warnings that leave every pixel right are let pass. */
static void on_message(j_common_ptr jpeg, int level)
{
        int code = jpeg->err->msg_code;
        if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
                on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
        (void)jpeg;
}

/* A progressive file may ask for the whole picture's work again with every few bytes. */
static void on_progress(j_common_ptr jpeg)
{
        struct reader *r = (struct reader *)jpeg->err;
        if (jpeg->is_decompressor && r->jpeg.input_scan_number > MAX_SCANS)
                stop(r, err_set(r->e, ERR_TOO_LARGE, "more than %d scans", MAX_SCANS));
}

static void read_head(struct reader *r, size_t len)
{
        struct jpeg_decompress_struct *j = &r->jpeg;
        jpeg_read_header(j, TRUE);
        int channels = j->jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
        if (j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK || j->num_components == 4)
                stop(r, err_set(r->e, ERR_INVALID, "CMYK colours are not read; send grey or RGB"));
        if (j->arith_code)
                stop(r, err_set(r->e, ERR_INVALID, "arithmetic coding is not read"));
        int rc = image_check(1, (uint64_t)channels, j->image_height, j->image_width, r->e);
        if (rc != 0)
                stop(r, rc);
        if ((uint64_t)j->image_height * j->image_width / PIXELS_PER_BYTE > len)
                stop(r, err_set(r->e, ERR_SYNTAX, "too short for its size"));
        j->out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
        j->dct_method = JDCT_ISLOW;
}

static void read_pixels(struct reader *r)
{
        struct jpeg_decompress_struct *j = &r->jpeg;
        jpeg_calc_output_dimensions(j);
        size_t c = (size_t)j->output_components, w = j->output_width, plane = w * j->output_height;
        int rc = image_create(1, c, j->output_height, w, &r->image, r->e);
        if (rc != 0)
                stop(r, rc);
        r->row = malloc(w * c * sizeof *r->row);
        if (!r->row)
                stop(r, err_set(r->e, ERR_NO_MEMORY, "no memory for a row"));
        jpeg_start_decompress(
                j); /* of several scans it reads all: whether the image may be is known by now */
        while (j->output_scanline < j->output_height) {
                float *out = r->image.pixels + (size_t)j->output_scanline * w;
                if (jpeg_read_scanlines(j, &r->row, 1) != 1)
                        continue;
                for (size_t k = 0; k < c; k++)
                        for (size_t x = 0; x < w; x++)
                                out[k * plane + x] = (float)r->row[x * c + k] / 255.0f;
        }
        jpeg_finish_decompress(j);
}

static int read_guarded(struct reader *r, const unsigned char *bytes, size_t len)
{
        if (setjmp(r->jump) != 0)
                return r->code ? r->code : err_set(r->e, ERR_SYNTAX, "%s", r->message);
        jpeg_create_decompress(&r->jpeg);
        r->jpeg.mem->max_memory_to_use = MEMORY_BYTES;
        r->progress.progress_monitor = on_progress;
        r->jpeg.progress = &r->progress;
        jpeg_mem_src(&r->jpeg, bytes, len);
        read_head(r, len);
        read_pixels(r);
        return 0;
}

int jpeg_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct reader *r = calloc(1, sizeof *r);
        if (!r)
                return err_set(e, ERR_NO_MEMORY, "no memory to decode");
        r->e = e;
        r->jpeg.err = jpeg_std_error(&r->errors);
        r->errors.error_exit = on_error;
        r->errors.emit_message = on_message;
        r->errors.output_message = on_output;
        int rc = read_guarded(r, bytes, len);
        jpeg_destroy_decompress(&r->jpeg);
        if (rc == 0) {
                image_merge_grey(&r->image);
                *ret = r->image;
        } else {
                image_finish(&r->image);
        }
        free(r->row);
        free(r);
        return rc;
}
