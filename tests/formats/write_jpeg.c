/* Writes a JPEG to standard output: write-jpeg grey|rgb|same|cmyk HEIGHT WIDTH QUALITY
   [progressive|arithmetic]. Sample k of pixel (y,x) is (3x + 5y + 40k) mod 256; "same" repeats grey as RGB.
 */
#include <stdio.h>

#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
        struct jpeg_compress_struct j;
        struct jpeg_error_mgr errors;
        if (argc < 5)
                return 2;
        int channels = strcmp(argv[1], "grey") == 0 ? 1 : strcmp(argv[1], "cmyk") == 0 ? 4 : 3;
        int apart = strcmp(argv[1], "same") == 0 ? 0 : 40;
        j.err = jpeg_std_error(&errors);
        jpeg_create_compress(&j);
        jpeg_stdio_dest(&j, stdout);
        j.image_height = (JDIMENSION)atoi(argv[2]);
        j.image_width = (JDIMENSION)atoi(argv[3]);
        j.input_components = channels;
        j.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
        jpeg_set_defaults(&j);
        jpeg_set_quality(&j, atoi(argv[4]), TRUE);
        if (argc > 5 && strcmp(argv[5], "progressive") == 0)
                jpeg_simple_progression(&j);
        if (argc > 5 && strcmp(argv[5], "arithmetic") == 0)
                j.arith_code = TRUE;
        jpeg_start_compress(&j, TRUE);
        JSAMPLE *row = malloc((size_t)j.image_width * (size_t)channels);
        if (!row)
                return 1;
        while (j.next_scanline < j.image_height) {
                for (unsigned x = 0; x < j.image_width; x++)
                        for (int k = 0; k < channels; k++)
                                row[x * (unsigned)channels + (unsigned)k] =
                                        (JSAMPLE)(3 * x + 5 * j.next_scanline + (unsigned)(apart * k));
                jpeg_write_scanlines(&j, &row, 1);
        }
        jpeg_finish_compress(&j);
        jpeg_destroy_compress(&j);
        free(row);
        return 0;
}
