#include "data/decoder.h"

#include <string.h>
#include <strings.h>

struct format {
        const char *name, *magic;
        size_t magic_len;
        const char *types; /* media types, separated and ended by blanks */
        int (*decode)(const unsigned char *bytes, size_t len, struct image *ret, struct err *e);
        bool (*is)(const unsigned char *bytes, size_t len); /* where a magic does not tell */
};

#define PNM_TYPES  "image/x-portable-graymap image/x-portable-pixmap image/x-portable-anymap "
#define TIFF_TYPES "image/tiff "
/* The weaker a sign, the later it is asked. */
static const struct format formats[] = {
        {"PNG", "\x89PNG\r\n\x1a\n", 8, "image/png ", png_decode, NULL},
        {"JPEG", "\xff\xd8\xff", 3, "image/jpeg ", jpeg_decode, NULL},
        {"PGM", "P2", 2, PNM_TYPES, pnm_decode, NULL},
        {"PPM", "P3", 2, PNM_TYPES, pnm_decode, NULL},
        {"PGM", "P5", 2, PNM_TYPES, pnm_decode, NULL},
        {"PPM", "P6", 2, PNM_TYPES, pnm_decode, NULL},
        {"NPY", "\x93NUMPY", 6, "application/x-npy ", npy_decode, NULL},
        {"NPZ", "PK\3\4", 4, "application/x-npz application/zip ", npz_decode, NULL},
        {"TIFF", "II*\0", 4, TIFF_TYPES, tiff_decode, NULL},
        {"TIFF", "MM\0*", 4, TIFF_TYPES, tiff_decode, NULL},
        {"TIFF", "II+\0", 4, TIFF_TYPES, tiff_decode, NULL},
        {"TIFF", "MM\0+", 4, TIFF_TYPES, tiff_decode, NULL},
        {"EMD", "\x89HDF\r\n\x1a\n", 8, "application/x-emd application/x-hdf5 ", emd_decode, NULL},
        {"SER", "II\x97\1", 4, "application/x-ser ", ser_decode, NULL},
        {"DM", "", 0, "application/x-dm ", dm_decode, dm_is},
        {"MRC", "", 0, "application/x-mrc ", mrc_decode, mrc_is},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static const struct format *format_of(const unsigned char *bytes, size_t len)
{
        for (int i = 0; i < FORMATS; i++)
                if (formats[i].is ? formats[i].is(bytes, len)
                                  : len >= formats[i].magic_len &&
                                            memcmp(bytes, formats[i].magic, formats[i].magic_len) == 0)
                        return &formats[i];
        return NULL;
}

/* Whether `types` lists the media type of `len` bytes at `type`, in any case. */
static bool lists(const char *types, const char *type, size_t len)
{
        for (const char *p = types; *p; p = strchr(p, ' ') + 1)
                if ((size_t)(strchr(p, ' ') - p) == len && strncasecmp(p, type, len) == 0)
                        return true;
        return false;
}

static int check_claim(const char *claim, const struct format *found, struct err *e)
{
        size_t len = claim ? strcspn(claim, "; \t") : 0;
        bool known = false;
        if (len == 0 || lists("application/octet-stream ", claim, len))
                return 0;
        if (found && lists(found->types, claim, len))
                return 0;
        for (int i = 0; i < FORMATS; i++)
                known = known || lists(formats[i].types, claim, len);
        if (strncasecmp(claim, "multipart/", 10) == 0)
                return err_set(e, ERR_MEDIA,
                        "%.80s is not read here: the body is the file itself, as curl sends it by "
                        "--data-binary @FILE",
                        claim);
        if (!known)
                return err_set(e, ERR_MEDIA, "the media type %.80s is not read here", claim);
        return err_set(
                e, ERR_MEDIA, "the content is %s, not %.80s", found ? found->name : "something else", claim);
}

const char *image_format(const void *head, size_t len)
{
        const struct format *f = format_of(head, len);
        return f ? f->name : NULL;
}

int image_decode(const void *bytes, size_t len, const char *media_type, struct image *ret, struct err *e)
{
        const struct format *f = format_of(bytes, len);
        int rc = check_claim(media_type, f, e);
        if (rc != 0)
                return rc;
        if (len == 0)
                return err_set(e, ERR_SYNTAX, "the image is empty");
        if (!f)
                return err_set(e, ERR_MEDIA,
                        "the content is not PNG, JPEG, PGM, PPM, NPY, NPZ, TIFF, MRC, DM3, DM4, SER or EMD");
        struct err local = {0};
        rc = f->decode(bytes, len, ret, &local);
        if (rc != 0)
                return err_set(e, rc, "%s: %s", f->name, local.message);
        ret->format = f->name;
        return 0;
}
