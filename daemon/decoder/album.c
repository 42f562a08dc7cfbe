#include "daemon/decoder/album.h"

#include "base/json.h"
#include "daemon/decoder/posted.h"
#include "daemon/common/wire.h"
#include "data/packed.h"
#include "data/walk.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { ZIP_NAME_LENGTH = 26, ZIP_NAME = 30, TAR_MAGIC = 257 };

/* Of a zip's first file. */
static bool begins_with_npy(const unsigned char *zip, size_t len)
{
        if (len < ZIP_NAME)
                return false;
        size_t name = (size_t)zip[ZIP_NAME_LENGTH] | (size_t)zip[ZIP_NAME_LENGTH + 1] << 8;
        return name >= 4 && len >= ZIP_NAME + name && memcmp(zip + ZIP_NAME + name - 4, ".npy", 4) == 0;
}

bool album_is(const void *body, size_t len, const char *media)
{
        static const char *const types[] = {"application/octet-stream", "application/zip",
                "application/x-zip-compressed", "application/x-tar", "application/gzip",
                "application/x-gzip"};
        const unsigned char *b = body;
        bool claimed = !media;
        for (size_t i = 0; !claimed && i < sizeof types / sizeof types[0]; i++)
                claimed = strncasecmp(types[i], media, strcspn(media, "; \t")) == 0 &&
                          strlen(types[i]) == strcspn(media, "; \t");
        if (!claimed)
                return false;
        if (len >= 4 && memcmp(b, "PK\3\4", 4) == 0)
                return !begins_with_npy(b, len);
        return (len >= 2 && b[0] == 0x1f && b[1] == 0x8b) ||
               (len >= TAR_MAGIC + 5 && memcmp(b + TAR_MAGIC, "ustar", 5) == 0);
}

struct album {
        const struct decode_target *to;
        cJSON *files;
        struct str *raw, facts;
        size_t begin; /* of its floats in `raw` */
        int count;
        struct err first; /* why the first file that cannot be read cannot */
};

/* Adds what a file holds, or why it cannot be read. */
static int add_file(struct album *a, const char *name, const void *bytes, size_t len, struct err *e)
{
        struct image im = {0};
        struct image_facts facts;
        struct err why;
        cJSON *file = cJSON_CreateObject();
        cJSON_AddStringToObject(file, "file", name);
        if (posted_read(bytes, len, NULL, a->to, false, &im, &facts, &why)) {
                json_add(file, "error", wire_error_json(&why));
                if (a->first.code == 0) {
                        a->first = why;
                        err_wrap(&a->first, "%s", name);
                }
        } else {
                cJSON_AddNumberToObject(file, "n", im.n);
                str_add_bytes(a->raw, im.pixels, posted_bytes(&im));
                str_add_bytes(&a->facts, &facts, sizeof facts);
        }
        image_finish(&im);
        if (!json_push(a->files, file) || a->raw->failed || a->facts.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for an archive's images");
        return 0;
}

/* Before the file `f` is unpacked. */
static int check_bounds(const struct album *a, const struct walk_file *f, clock_t since, struct err *e)
{
        const char *limit = NULL;
        int value = 0;
        if (a->count > ALBUM_MAX_FILES) {
                limit = "files";
                value = ALBUM_MAX_FILES;
        } else if ((a->raw->len - a->begin) >> 20 >= ALBUM_MAX_MIB || f->size >> 20 >= ALBUM_MAX_MIB) {
                limit = "MiB";
                value = ALBUM_MAX_MIB;
        } else if ((clock() - since) / CLOCKS_PER_SEC >= ALBUM_CPU_SECONDS) {
                limit = "seconds of decoding";
                value = ALBUM_CPU_SECONDS;
        }
        if (!limit)
                return 0;
        return err_set(e, ERR_TOO_LARGE,
                "an archive of more than %d %s: send it in parts, or import it as a data set", value, limit);
}

static int read_files(struct album *a, struct walk *w, struct err *e)
{
        const clock_t since = clock();
        struct walk_file f;
        int rc;
        while ((rc = walk_next(w, &f, e)) > 0) {
                void *bytes = NULL;
                size_t len = 0;
                if (f.folder)
                        continue;
                a->count++;
                rc = check_bounds(a, &f, since, e);
                if (rc == 0)
                        rc = walk_read(w, &bytes, &len, e);
                if (rc == 0)
                        rc = add_file(a, f.name, bytes, len, e);
                free(bytes);
                if (rc)
                        return rc;
        }
        return rc;
}

static int read_album(struct album *a, const void *body, size_t len, struct err *e)
{
        struct walk *w = NULL;
        int rc = walk_open_bytes(body, len, DEFLATE_RATIO, &w, e);
        if (rc == 0)
                rc = read_files(a, w, e);
        walk_close(w);
        if (rc == ERR_MEDIA) /* it began like one */
                return err_set(e, ERR_SYNTAX, "the archive is damaged, or cut short");
        if (rc == 0 && a->count == 0)
                return err_set(e, ERR_INVALID, "the archive holds no files");
        if (rc == 0 && a->facts.len == 0)
                return err_set(e, ERR_INVALID, "no file of the archive can be read: %s", a->first.message);
        return rc;
}

int album_read(const void *body, size_t len, const struct decode_target *to, cJSON **ret, struct str *raw,
        struct err *e)
{
        cJSON *answer = cJSON_CreateObject();
        struct album a = {
                .to = to, .files = cJSON_AddArrayToObject(answer, "files"), .raw = raw, .begin = raw->len};
        int rc = read_album(&a, body, len, e);
        if (rc == 0)
                str_add_bytes(raw, a.facts.data, a.facts.len);
        str_free(&a.facts);
        if (rc == 0)
                *ret = answer;
        else
                cJSON_Delete(answer);
        return rc;
}

int album_count(const cJSON *files, int *ret_images, int *ret_facts, struct err *e)
{
        const cJSON *file;
        int64_t images = 0, facts = 0;
        bool sane = cJSON_IsArray(files);
        cJSON_ArrayForEach(file, files)
        {
                if (json_field(file, "error"))
                        continue;
                const int64_t n = wire_int(file, "n");
                sane = sane && n >= 1 && n <= INT_MAX - images;
                images += sane ? n : 0;
                facts++;
        }
        if (!sane || facts == 0)
                return err_set(e, ERR_INTERNAL, "the decoder's answer cannot be read");
        *ret_images = (int)images;
        *ret_facts = (int)facts;
        return 0;
}
