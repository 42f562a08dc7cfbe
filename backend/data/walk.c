#include "data/walk.h"

#include "data/codepage.h"
#include "data/gunzip.h"
#include "data/name.h"
#include "data/unpack.h"

#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { BLOCK_BYTES = 1 << 16, TAR_BLOCK = 512, BEHIND_BYTES = 16 << 20, STEP_BYTES = 1 << 20, SHOWN = 120 };

struct walk {
        struct archive *archive;
        struct gunzip *gunzip; /* owned; NULL for what is not packed as a whole */
        uint64_t len;          /* of the archive, */
        bool zeros_last;       /* and whether its last 512 bytes are zeros */
        uint64_t budget;       /* bytes that may still be unpacked */
        uint64_t size;         /* of the file at hand, */
        uint64_t read;         /* what was read of it, */
        uint64_t from;         /* and where the archive was before it */
        bool inflated;         /* past WALK_DENSE_RATIO */
        bool zip;              /* it begins like one */
        int files;
        char name[SHOWN];
        struct str utf8; /* owned; the name as UTF-8 */
        unsigned char head[WALK_PEEK];
        size_t have; /* bytes in it */
};

static int damaged(struct walk *w, struct err *e)
{
        const char *why = archive_error_string(w->archive);
        if (w->inflated)
                return err_set(e, ERR_TOO_LARGE, "%s unpacks to more than %d MiB, at more than %d to 1",
                        w->name, WALK_DENSE_BYTES >> 20, WALK_DENSE_RATIO);
        if (w->files == 0 && w->zip && why && strstr(why, "Unrecognized"))
                return err_set(e, ERR_SYNTAX,
                        "the archive, a zip, is cut short: the list of its files, at its end, is missing");
        if (w->files == 0 && why && strstr(why, "Unrecognized"))
                return err_set(
                        e, ERR_MEDIA, "the content is neither a zip nor a tar, plain or packed by gzip");
        return err_set(e, ERR_SYNTAX, "the archive: %s", why ? why : "damaged");
}

/* A reader of what these archives may be, for `size` bytes. */
static int create(uint64_t size, uint64_t ratio, struct walk **ret, struct err *e)
{
        if (size == 0)
                return err_set(e, ERR_SYNTAX, "the archive is empty");
        struct walk *w = calloc(1, sizeof *w);
        if (!w || !(w->archive = archive_read_new())) {
                free(w);
                return err_set(e, ERR_NO_MEMORY, "no memory to unpack");
        }
        if (__builtin_mul_overflow(size, ratio, &w->budget))
                w->budget = UINT64_MAX;
        archive_read_support_filter_gzip(w->archive);
        archive_read_support_format_tar(w->archive);
        archive_read_support_format_zip_seekable(w->archive);
        w->len = size;
        *ret = w;
        return 0;
}

/* `status` is libarchive's of the opening. */
static int opened(struct walk *w, int status, struct walk **ret, struct err *e)
{
        if (status != ARCHIVE_OK) {
                int rc = damaged(w, e);
                walk_close(w);
                return rc;
        }
        *ret = w;
        return 0;
}

/* What the beginning and the end of the archive tell. */
static void look(struct walk *w, const unsigned char *head, size_t head_len, const unsigned char *tail,
        size_t tail_len)
{
        w->zip = head_len >= 4 && memcmp(head, "PK\3\4", 4) == 0;
        w->zeros_last = true;
        for (size_t i = 0; i < tail_len; i++)
                w->zeros_last = w->zeros_last && tail[i] == 0;
}

static int open_gzip(struct walk *w, FILE *f, const void *bytes, size_t len, struct walk **ret, struct err *e)
{
        w->gunzip = gunzip_create(f, bytes, len);
        if (!w->gunzip) {
                walk_close(w);
                return err_set(e, ERR_NO_MEMORY, "no memory to unpack");
        }
        return opened(w, archive_read_open(w->archive, w->gunzip, NULL, gunzip_read, NULL), ret, e);
}

int walk_open(const char *path, uint64_t ratio, struct walk **ret, struct err *e)
{
        struct stat st;
        struct walk *w = NULL;
        unsigned char head[4], tail[TAR_BLOCK];
        int rc = create(stat(path, &st) == 0 ? (uint64_t)st.st_size : 0, ratio, &w, e);
        if (rc)
                return rc;
        FILE *f = fopen(path, "re");
        size_t n = f ? fread(head, 1, sizeof head, f) : 0;
        long tail_at = st.st_size > TAR_BLOCK ? (long)(st.st_size - TAR_BLOCK) : 0;
        size_t m = f && fseek(f, tail_at, SEEK_SET) == 0 ? fread(tail, 1, sizeof tail, f) : 0;
        look(w, head, n, tail, m);
        if (f && gunzip_is(head, n) && fseek(f, 0, SEEK_SET) == 0)
                return open_gzip(w, f, NULL, 0, ret, e);
        if (f)
                fclose(f);
        return opened(w, archive_read_open_filename(w->archive, path, BLOCK_BYTES), ret, e);
}

int walk_open_bytes(const void *bytes, size_t len, uint64_t ratio, struct walk **ret, struct err *e)
{
        struct walk *w = NULL;
        const size_t tail = len < TAR_BLOCK ? len : TAR_BLOCK;
        int rc = create(len, ratio, &w, e);
        if (rc)
                return rc;
        look(w, bytes, len, (const unsigned char *)bytes + (len - tail), tail);
        if (gunzip_is(bytes, len))
                return open_gzip(w, NULL, bytes, len, ret, e);
        return opened(w, archive_read_open_memory(w->archive, bytes, len), ret, e);
}

void walk_close(struct walk *w)
{
        if (!w)
                return;
        archive_read_free(w->archive);
        gunzip_destroy(w->gunzip);
        str_free(&w->utf8);
        free(w);
}

uint64_t walk_bytes(const struct walk *w)
{
        if (w->gunzip)
                return gunzip_packed(w->gunzip);
        int64_t n = archive_filter_bytes(w->archive, -1);
        return n > 0 ? (uint64_t)n : 0;
}

const char *walk_kind(const struct walk *w)
{
        return (archive_format(w->archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_ZIP ? "zip" : "tar";
}

static bool is_litter(const char *part, size_t len)
{
        static const char *const known[] = {"__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir"};
        if (part[0] == '.')
                return true;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
                if (strlen(known[i]) == len && strncasecmp(part, known[i], len) == 0)
                        return true;
        return false;
}

/* Some packers of Windows part folders by backslashes. libarchive turns those of names that it can read. */
static void turn_slashes(char *name)
{
        if (!name || strchr(name, '/'))
                return;
        for (char *p = name; (p = strchr(p, '\\')) != NULL;)
                *p = '/';
}

/* FNV-1a. http://www.isthe.com/chongo/tech/comp/fnv/ */
static void add_to_id(uint64_t *id, char c)
{
        *id = (*id ^ (unsigned char)c) * 0x100000001b3u;
}

bool walk_clean(char *path, struct walk_file *ret)
{
        char *to = path; /* never ahead of what is read */
        uint64_t id = 0xcbf29ce484222325u;
        for (const char *from = path; *from; from += *from == '/') {
                size_t len = strcspn(from, "/");
                bool nothing = len == 0 || (len == 1 && from[0] == '.');
                if (!nothing && is_litter(from, len))
                        return false;
                if (!nothing && to > path) {
                        add_to_id(&id, '/');
                        *to++ = '/';
                }
                for (size_t i = 0; !nothing && i < len; i++) {
                        add_to_id(&id, from[i]);
                        *to++ = (unsigned char)from[i] < ' ' || from[i] == 127 ? '?' : from[i];
                }
                from += len;
        }
        *to = '\0';
        name_cut(path, WALK_NAME_MAX, ret->name);
        ret->id = id;
        return to > path;
}

/* What may not be unpacked at all. */
static int check_entry(struct walk *w, struct archive_entry *entry, struct err *e)
{
        const char *how = archive_format_name(w->archive);
        bool zip = walk_kind(w)[0] == 'z';
        if (archive_filter_count(w->archive) > 1)
                return err_set(e, ERR_INVALID, "an archive that is packed more than once");
        if (archive_entry_is_encrypted(entry))
                return err_set(e, ERR_INVALID, "%s is encrypted", w->name);
        if (zip && how && !strstr(how, "deflation") && !strstr(how, "uncompressed"))
                return err_set(e, ERR_INVALID, "%s: %.80s: files are read stored or deflated", w->name, how);
        if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
                return err_set(e, ERR_SYNTAX, "%s has no size", w->name);
        uint64_t size = (uint64_t)archive_entry_size(entry);
        if (size > WALK_MAX_BYTES)
                return err_set(e, ERR_TOO_LARGE, "%s has %llu bytes, at most %llu are read", w->name,
                        (unsigned long long)size, (unsigned long long)WALK_MAX_BYTES);
        if (size > w->budget)
                return err_set(e, ERR_SYNTAX, "%s: the archive is too short for %llu bytes more", w->name,
                        (unsigned long long)size);
        w->budget -= size;
        w->size = size;
        return 0;
}

/* As unpack_read, counted: -1 for what is packed too well, too. */
static ssize_t read_counted(struct walk *w, unsigned char *to, size_t len)
{
        size_t have = 0;
        while (have < len) {
                size_t want = len - have < STEP_BYTES ? len - have : STEP_BYTES;
                ssize_t n = unpack_read(w->archive, to + have, want);
                if (n < 0)
                        return -1;
                have += (size_t)n;
                w->read += (uint64_t)n;
                w->inflated =
                        w->read > WALK_DENSE_BYTES && w->read / WALK_DENSE_RATIO > walk_bytes(w) - w->from;
                if (w->inflated)
                        return -1;
                if ((size_t)n < want)
                        break;
        }
        return (ssize_t)have;
}

/* The rest of a file in a packed tar, which has to be unpacked to come to the next one. */
static int drain(struct walk *w, struct err *e)
{
        unsigned char block[BLOCK_BYTES];
        ssize_t n = 1;
        while (n > 0 && w->read < w->size && w->gunzip)
                n = read_counted(w, block, sizeof block);
        return n < 0 ? damaged(w, e) : 0;
}

/* Behind the last file: the sums of a packed archive, and the zeros that end a tar. What was cut off between
   two files has none. */
static int check_end(struct walk *w, struct err *e)
{
        const void *block = NULL;
        ssize_t n = 1;
        for (size_t behind = 0; w->gunzip && n > 0 && behind < BEHIND_BYTES; behind += (size_t)n)
                n = gunzip_read(w->archive, w->gunzip, &block);
        if (n < 0)
                return damaged(w, e);
        if (w->gunzip && n > 0)
                return err_set(e, ERR_TOO_LARGE, "more than %d MiB after the last file of the archive",
                        BEHIND_BYTES >> 20);
        const uint64_t len = w->gunzip ? gunzip_unpacked(w->gunzip) : w->len;
        bool zeros = w->gunzip ? gunzip_ends_in_zeros(w->gunzip) : w->zeros_last;
        if (walk_kind(w)[0] == 't' && !zeros && (uint64_t)archive_filter_bytes(w->archive, 0) >= len)
                return err_set(e, ERR_SYNTAX,
                        "the archive, a tar, is cut short after file %d: the zeros at its end are missing",
                        w->files);
        return 0;
}

/* 1 with a file or folder, 0 for an entry to pass over. Its name is in w->utf8. */
static int take_entry(struct walk *w, struct archive_entry *entry, struct walk_file *ret, struct err *e)
{
        bool folder = archive_entry_filetype(entry) == AE_IFDIR;
        bool plain = archive_entry_filetype(entry) == AE_IFREG && !archive_entry_hardlink(entry);
        snprintf(w->name, sizeof w->name, "%.100s", w->utf8.data ? w->utf8.data : "");
        bool named = (plain || folder) && w->utf8.data && walk_clean(w->utf8.data, ret);
        if (plain)
                snprintf(w->name, sizeof w->name, "%.100s", named ? ret->name : "a file that is passed over");
        int rc = plain ? check_entry(w, entry, e) : 0;
        ret->size = w->size;
        ret->folder = folder;
        return rc ? rc : named;
}

int walk_next(struct walk *w, struct walk_file *ret, struct err *e)
{
        for (;;) {
                struct archive_entry *entry = NULL;
                int rc = drain(w, e);
                if (rc != 0)
                        return rc;
                w->have = 0;
                w->size = w->read = 0;
                rc = archive_read_next_header(w->archive, &entry);
                if (rc == ARCHIVE_EOF)
                        return check_end(w, e);
                if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
                        return damaged(w, e);
                w->from = walk_bytes(w);
                if (++w->files > WALK_MAX_FILES)
                        return err_set(e, ERR_TOO_LARGE, "more than %d files", WALK_MAX_FILES);
                const char *raw = archive_entry_pathname_utf8(entry);
                raw = raw ? raw : archive_entry_pathname(entry);
                if (!raw)
                        return err_set(e, ERR_SYNTAX, "file %d has a name that cannot be read", w->files);
                str_clear(&w->utf8);
                codepage_add(&w->utf8, raw, walk_kind(w)[0] == 'z' ? CODEPAGE_DOS : CODEPAGE_LATIN1);
                if (w->utf8.failed)
                        return err_set(e, ERR_NO_MEMORY, "no memory for a file's name");
                if (walk_kind(w)[0] == 'z')
                        turn_slashes(w->utf8.data);
                rc = take_entry(w, entry, ret, e);
                if (rc)
                        return rc;
        }
}

int walk_peek(struct walk *w, const void **ret, size_t *ret_len, struct err *e)
{
        size_t want = w->size < sizeof w->head ? (size_t)w->size : sizeof w->head;
        if (w->have < want) {
                ssize_t n = read_counted(w, w->head + w->have, want - w->have);
                if (n < 0)
                        return damaged(w, e);
                w->have += (size_t)n;
        }
        if (w->have < want)
                return err_set(e, ERR_SYNTAX, "%s is not as long as the archive tells", w->name);
        *ret = w->head;
        *ret_len = w->have;
        return 0;
}

/* Grows *io to `len` bytes and reads on behind the *have that are there. */
static int fill(struct walk *w, unsigned char **io, size_t *have, size_t len, struct err *e)
{
        unsigned char *more = realloc(*io, len);
        if (!more)
                return err_set(e, ERR_NO_MEMORY, "no memory for %zu bytes of %s", len, w->name);
        *io = more;
        ssize_t n = read_counted(w, more + *have, len - *have);
        if (n < 0)
                return damaged(w, e);
        *have += (size_t)n;
        return 0;
}

int walk_read(struct walk *w, void **ret, size_t *ret_len, struct err *e)
{
        /* One byte more would be too much. No more memory than a bomb may fill before it is known for one. */
        const size_t size = (size_t)w->size, all = size + 1, first = WALK_DENSE_BYTES + STEP_BYTES;
        size_t have = w->have;
        unsigned char *bytes = malloc(sizeof w->head);
        if (!bytes)
                return err_set(e, ERR_NO_MEMORY, "no memory for %s", w->name);
        memcpy(bytes, w->head, have);
        int rc = fill(w, &bytes, &have, all < first ? all : first, e);
        if (rc == 0 && have == first && all > first)
                rc = fill(w, &bytes, &have, all, e);
        if (rc == 0 && have != size)
                rc = err_set(e, ERR_SYNTAX, "%s is not as long as the archive tells", w->name);
        if (rc != 0) {
                free(bytes);
                return rc;
        }
        *ret = bytes;
        *ret_len = size;
        return 0;
}
