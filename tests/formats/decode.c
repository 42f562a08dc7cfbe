/* Decodes image files given as lines of standard input: a line of JSON for each on standard output, followed
   by the pixels as n*c*h*w floats of this machine. For comparisons with other readers. */
#include "data/image.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *read_file(const char *path, size_t *ret_len)
{
        FILE *f = fopen(path, "rb");
        unsigned char *bytes = NULL;
        long len = -1;
        if (f && fseek(f, 0, SEEK_END) == 0 && (len = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0)
                bytes = malloc((size_t)len + 1);
        if (bytes && fread(bytes, 1, (size_t)len, f) != (size_t)len) {
                free(bytes);
                bytes = NULL;
        }
        if (f)
                fclose(f);
        *ret_len = bytes ? (size_t)len : 0;
        return bytes;
}

static void tell(cJSON *o, const struct image *im)
{
        static const char *const units[] = {"", "m", "1/m"};
        cJSON_AddStringToObject(o, "format", im->format);
        cJSON_AddNumberToObject(o, "n", im->n);
        cJSON_AddNumberToObject(o, "c", im->c);
        cJSON_AddNumberToObject(o, "h", im->h);
        cJSON_AddNumberToObject(o, "w", im->w);
        cJSON_AddStringToObject(o, "unit", units[im->unit]);
        cJSON_AddNumberToObject(o, "pixel_h", im->pixel_h);
        cJSON_AddNumberToObject(o, "pixel_w", im->pixel_w);
        cJSON_AddNumberToObject(o, "databar_h", im->databar_h);
}

static int answer(const char *path)
{
        struct err e = {0};
        struct image im = {0};
        size_t len = 0;
        unsigned char *bytes = read_file(path, &len);
        cJSON *o = cJSON_CreateObject();
        int rc = bytes ? image_decode(bytes, len, NULL, &im, &e)
                       : err_set(&e, ERR_IO, "%s cannot be read", path);
        if (rc == 0) {
                tell(o, &im);
        } else {
                cJSON_AddStringToObject(o, "refused", err_name(rc));
                cJSON_AddStringToObject(o, "why", e.message);
        }
        char *line = cJSON_PrintUnformatted(o);
        size_t count = (size_t)im.n * (size_t)im.c * (size_t)im.h * (size_t)im.w;
        int ok = line && printf("%s\n", line) > 0 &&
                 (count == 0 || fwrite(im.pixels, sizeof(float), count, stdout) == count) &&
                 fflush(stdout) == 0;
        free(line);
        free(bytes);
        cJSON_Delete(o);
        image_finish(&im);
        return ok ? 0 : 1;
}

int main(void)
{
        char path[4096];
        while (fgets(path, sizeof path, stdin)) {
                path[strcspn(path, "\n")] = 0;
                if (answer(path) != 0)
                        return 1;
        }
        return 0;
}
