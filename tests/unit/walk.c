#include "check.h"

#include "data/walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/cnnd-walk-XXXXXX";

struct put {
        const char *name, *content; /* no content: a folder */
        const char *link, *hardlink;
};

static void write_archive(int format, int filter, const struct put *puts)
{
        struct archive *a = archive_write_new();
        assert_int_equal(archive_write_set_format(a, format), ARCHIVE_OK);
        if (filter)
                assert_int_equal(archive_write_add_filter(a, filter), ARCHIVE_OK);
        assert_int_equal(archive_write_set_bytes_in_last_block(a, 1), ARCHIVE_OK);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        for (; puts->name; puts++) {
                struct archive_entry *en = archive_entry_new();
                size_t len = puts->content ? strlen(puts->content) : 0;
                archive_entry_set_pathname(en, puts->name);
                archive_entry_set_perm(en, 0644);
                archive_entry_set_filetype(en, puts->link                        ? AE_IFLNK
                                               : puts->content || puts->hardlink ? AE_IFREG
                                                                                 : AE_IFDIR);
                archive_entry_set_size(en, (la_int64_t)len);
                if (puts->link)
                        archive_entry_set_symlink(en, puts->link);
                if (puts->hardlink)
                        archive_entry_set_hardlink(en, puts->hardlink);
                assert_int_equal(archive_write_header(a, en), ARCHIVE_OK);
                if (len)
                        assert_int_equal(archive_write_data(a, puts->content, len), len);
                archive_entry_free(en);
        }
        assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

/* The names and contents that a walk, opened with `rc`, finds: "name=content;folder/;…". It is closed. */
static int text_of(struct walk *w, int rc, char *out, size_t size, struct err *e)
{
        struct walk_file f;
        size_t n = 0;
        out[0] = '\0';
        while (rc == 0 && (rc = walk_next(w, &f, e)) > 0) {
                void *bytes = NULL;
                size_t len = 0;
                const void *head = NULL;
                if (f.folder) {
                        n += (size_t)snprintf(out + n, size - n, "%s/;", f.name);
                        rc = 0;
                        continue;
                }
                rc = walk_peek(w, &head, &len, e);
                if (rc == 0)
                        rc = walk_read(w, &bytes, &len, e);
                if (rc == 0 && len)
                        assert_memory_equal(head, bytes, len < WALK_PEEK ? len : WALK_PEEK);
                if (rc == 0) {
                        assert_int_equal(len, f.size);
                        n += (size_t)snprintf(
                                out + n, size - n, "%s=%.*s;", f.name, (int)len, (const char *)bytes);
                }
                free(bytes);
        }
        walk_close(w);
        return rc;
}

/* Of the file, and the same of its bytes. */
static int walk_text(uint64_t ratio, char *out, size_t size, struct err *e)
{
        char *again = malloc(size);
        struct err why = {0};
        struct walk *w = NULL;
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        void *bytes = malloc((size_t)st.st_size + 1);
        FILE *f = fopen(path, "r");
        assert_true(bytes && f && again);
        assert_int_equal(fread(bytes, 1, (size_t)st.st_size, f), st.st_size);
        fclose(f);
        int rc = walk_open_bytes(bytes, (size_t)st.st_size, ratio, &w, &why);
        const int same = text_of(w, rc, again, size, &why);
        free(bytes);
        w = NULL;
        rc = walk_open(path, ratio, &w, e);
        rc = text_of(w, rc, out, size, e);
        assert_int_equal(same, rc);
        assert_string_equal(again, out);
        if (rc)
                assert_string_equal(why.message, e->message);
        free(again);
        return rc;
}

static const struct put mixed[] = {
        {.name = "./a//b/1.png", .content = "one"},
        {.name = "a/b/2.png", .content = "two"},
        {.name = "/abs/3.png", .content = ""},
        {.name = "a/../../up.png", .content = "never"},
        {.name = "..", .content = "never"},
        {.name = "a/.hidden", .content = "never"},
        {.name = "__MACOSX/a/1.png", .content = "never"},
        {.name = "a/Thumbs.db", .content = "never"},
        {.name = "a/THUMBS.DB", .content = "never"},
        {.name = "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", .content = "never"},
        {.name = "a/folder/"},
        {.name = "new\nline\x7f/4.png", .content = "four"},
        {0},
};

static void test_names_and_contents(void **state)
{
        static const int formats[][2] = {{ARCHIVE_FORMAT_TAR_USTAR, 0},
                {ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_GZIP}, {ARCHIVE_FORMAT_TAR_GNUTAR, 0},
                {ARCHIVE_FORMAT_ZIP, 0}};
        char got[512];
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
                write_archive(formats[i][0], formats[i][1], mixed);
                assert_int_equal(walk_text(1032, got, sizeof got, &e), 0);
                assert_string_equal(
                        got, "a/b/1.png=one;a/b/2.png=two;abs/3.png=;a/folder/;new?line?/4.png=four;");
        }
}

static void test_names_of_before_utf8(void **state)
{
        static const struct put dos[] = {{.name = "K\x94ln/\xe1\xb0.png", .content = "x"},
                {.name = "K\x84ln/1.png", .content = "y"}, {0}},
                                latin1[] = {{.name = "K\xf6ln/1.png", .content = "x"},
                                        {.name = "K\xc3\xb6ln/2.png", .content = "y"}, {0}};
        char got[512];
        struct err e = {0};
        (void)state;
        write_archive(ARCHIVE_FORMAT_ZIP, 0, dos);
        CHECK_OK(walk_text(1032, got, sizeof got, &e), &e);
        assert_string_equal(got, "K\xc3\xb6ln/\xc3\x9f\xe2\x96\x91.png=x;K\xc3\xa4ln/1.png=y;");
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, 0, latin1);
        CHECK_OK(walk_text(1032, got, sizeof got, &e), &e);
        assert_string_equal(got, "K\xc3\xb6ln/1.png=x;K\xc3\xb6ln/2.png=y;");
}

/* Three names that are made safe to one, and one of them again in other words. */
static void test_ids_tell_apart_what_is_made_alike(void **state)
{
        char first[] = "/a/x\ny", same[] = "./a//x\ny", other[] = "a/x\ty", plain[] = "a/x?y";
        char *const paths[] = {first, same, other, plain};
        struct walk_file f[4];
        (void)state;
        for (int i = 0; i < 4; i++) {
                assert_true(walk_clean(paths[i], &f[i]));
                assert_string_equal(f[i].name, "a/x?y");
        }
        assert_true(f[0].id == f[1].id && f[0].id != f[2].id && f[0].id != f[3].id && f[2].id != f[3].id);
        char up[] = "a/../x", dots[] = "./.", hidden[] = "a/.x";
        assert_false(walk_clean(up, &f[0]) || walk_clean(dots, &f[0]) || walk_clean(hidden, &f[0]));
}

static void test_long_names_lose_their_middle(void **state)
{
        char name[2][3 * WALK_NAME_MAX];
        struct walk_file f[2];
        (void)state;
        for (int i = 0; i < 2; i++) {
                memset(name[i], 'x', sizeof name[i]);
                memcpy(name[i], "class/", 6);
                name[i][WALK_NAME_MAX] = (char)('0' + i);
                memcpy(name[i] + sizeof name[i] - 5, ".png", 5);
                assert_true(walk_clean(name[i], &f[i]));
                assert_int_equal(strlen(f[i].name), WALK_NAME_MAX);
                assert_memory_equal(f[i].name, "class/xxx", 9);
                assert_string_equal(f[i].name + WALK_NAME_MAX - 7, "xxx.png");
        }
        assert_string_equal(f[0].name, f[1].name);
        assert_true(f[0].id != f[1].id);
}

static void test_links_are_passed_over(void **state)
{
        static const struct put links[] = {{.name = "a/x", .content = "x"},
                {.name = "a/soft", .link = "/etc/passwd"}, {.name = "a/hard", .hardlink = "/etc/passwd"},
                {.name = "a/y", .content = "y"}, {0}};
        char got[512];
        struct err e = {0};
        (void)state;
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, 0, links);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), 0);
        assert_string_equal(got, "a/x=x;a/y=y;");
}

static void test_what_is_refused(void **state)
{
        static const struct put one[] = {{.name = "a/x", .content = "content that is stored"}, {0}};
        char got[512], *zeros = calloc(1, 4000001);
        struct err e = {0};
        struct stat st;
        (void)state;
        /* Past the ratio. */
        assert_non_null(zeros);
        memset(zeros, ' ', 4000000);
        const struct put big[] = {{.name = "a/x", .content = zeros}, {0}};
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, big);
        assert_int_equal(walk_text(10, got, sizeof got, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "too short"));
        free(zeros);
        /* Cut at every length: an error or fewer files, never more than was there. */
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, 0, one);
        assert_int_equal(stat(path, &st), 0);
        for (off_t len = 600; len >= 0; len -= 50) {
                assert_int_equal(truncate(path, len), 0);
                int rc = walk_text(1032, got, sizeof got, &e);
                assert_true(rc == ERR_SYNTAX || rc == ERR_MEDIA || (rc == 0 && strlen(got) <= 30));
                assert_true(len > 522 || rc != 0);
        }
        /* Nothing of the kind. */
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs("neither a zip nor a tar", f);
        fclose(f);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_MEDIA);
        f = fopen(path, "w");
        assert_non_null(f);
        fputs("PK\003\004 and no list of its files", f);
        fclose(f);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "a zip, is cut short"));
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_SYNTAX);
}

static void test_what_is_cut_off_between_files(void **state)
{
        static const struct put two[] = {
                {.name = "a/x", .content = "x"}, {.name = "a/y", .content = "y"}, {0}};
        char got[512];
        struct err e = {0};
        (void)state;
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, 0, two);
        assert_int_equal(truncate(path, 2 * 1024), 0);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "cut short after file 2"));
        assert_int_equal(truncate(path, 2 * 1024 + 512), 0);
        CHECK_OK(walk_text(1032, got, sizeof got, &e), &e);
        assert_string_equal(got, "a/x=x;a/y=y;");
}

/* Each byte of what gzip packed, but its name and time, and where it says what packed it. */
static void test_sums_of_gzip(void **state)
{
        static const struct put two[] = {
                {.name = "a/x", .content = "one and another"}, {.name = "a/y", .content = "third"}, {0}};
        char got[512];
        struct err e = {0};
        struct stat st;
        (void)state;
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP, two);
        assert_int_equal(stat(path, &st), 0);
        for (off_t at = 10; at < st.st_size; at++) {
                FILE *f = fopen(path, "r+");
                assert_non_null(f);
                for (int turn = 0; turn < 2; turn++) {
                        fseek(f, at, SEEK_SET);
                        int byte = fgetc(f);
                        fseek(f, at, SEEK_SET);
                        fputc(byte ^ 0x40, f);
                        fflush(f);
                        int rc = walk_text(1032, got, sizeof got, &e);
                        assert_true(turn ? rc == 0 : rc != 0);
                }
                fclose(f);
        }
}

/* Refused before all of it is unpacked, where it is read and where it only stands in the way. */
static void test_what_is_packed_too_well(void **state)
{
        static const int formats[][2] = {
                {ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_GZIP}, {ARCHIVE_FORMAT_ZIP, 0}};
        const size_t len = WALK_DENSE_BYTES + (4 << 20);
        char *text = calloc(1, len + 1), *got = malloc(len + 64);
        struct err e = {0};
        (void)state;
        assert_true(text && got);
        for (int kept = 0; kept < 2; kept++)
                for (size_t i = 0; i < 2; i++) {
                        const struct put puts[] = {{.name = kept ? "a/x" : "a/.x", .content = text},
                                {.name = "a/y", .content = "y"}, {0}};
                        bool skips = !kept && formats[i][0] == ARCHIVE_FORMAT_ZIP;
                        memset(text, ' ', len);
                        write_archive(formats[i][0], formats[i][1], puts);
                        assert_int_equal(walk_text(1032, got, len + 64, &e), skips ? 0 : ERR_TOO_LARGE);
                        assert_true(skips || strstr(e.message, "at more than 512 to 1"));
                        for (size_t k = 0; k < len; k += 50)
                                text[k] = (char)('0' + k / 50 * 2654435761u % 64);
                        write_archive(formats[i][0], formats[i][1], puts);
                        assert_int_equal(walk_text(1032, got, len + 64, &e), 0);
                }
        free(got);
        free(text);
}

static void test_packings_that_are_not_read(void **state)
{
        char got[512];
        struct err e = {0};
        (void)state;
        write_archive(ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_XZ, mixed);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_MEDIA);
        /* Gzip around gzip. */
        struct archive *a = archive_write_new();
        struct archive_entry *en = archive_entry_new();
        archive_write_set_format_ustar(a);
        archive_write_add_filter_gzip(a);
        archive_write_add_filter_gzip(a);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        archive_entry_set_pathname(en, "a/x");
        archive_entry_set_filetype(en, AE_IFREG);
        archive_entry_set_size(en, 0);
        assert_int_equal(archive_write_header(a, en), ARCHIVE_OK);
        archive_entry_free(en);
        assert_int_equal(archive_write_free(a), ARCHIVE_OK);
        assert_int_equal(walk_text(1032, got, sizeof got, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "more than once"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_and_contents),
                cmocka_unit_test(test_names_of_before_utf8),
                cmocka_unit_test(test_ids_tell_apart_what_is_made_alike),
                cmocka_unit_test(test_long_names_lose_their_middle),
                cmocka_unit_test(test_links_are_passed_over),
                cmocka_unit_test(test_what_is_refused),
                cmocka_unit_test(test_what_is_cut_off_between_files),
                cmocka_unit_test(test_sums_of_gzip),
                cmocka_unit_test(test_what_is_packed_too_well),
                cmocka_unit_test(test_packings_that_are_not_read),
        };
        int fd = mkstemp(path);
        if (fd < 0)
                return 1;
        close(fd);
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        unlink(path);
        return failed;
}
