#include "check.h"

#include "base/file.h"
#include "data/dataset.h"

#include <dirent.h>
#include <unistd.h>
#include <zlib.h>

static char dir[] = "/tmp/cnnd-dataset-XXXXXX";
static char path[64], bad[64];

static int set_up(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/a.cnnd", dir);
        snprintf(bad, sizeof bad, "%s/bad.cnnd", dir);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        unlink(path);
        unlink(bad);
        return rmdir(dir);
}

static char one[] = "one", twelve[] = "zw\xc3\xb6lf \"quoted\"", three[] = "three", no_name[] = "";
static char *class_names[] = {one, twelve, three};
static unsigned char bytes[5 * 2 * 3 * 4];
static const int32_t labels[] = {0, 2, 2, 1, 0};

static struct dataset sample(void)
{
        struct dataset d = {.name = "sample",
                .source = "a test",
                .c = 2,
                .h = 3,
                .w = 4,
                .type = DATASET_U8,
                .num_classes = 3,
                .classes = class_names};
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (unsigned char)(i * 7);
        d.split[DATASET_TRAIN].count = 3;
        d.split[DATASET_TRAIN].images = bytes;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL].count = 2;
        d.split[DATASET_VAL].images = bytes + 3 * 24;
        d.split[DATASET_VAL].labels = labels + 3;
        return d;
}

/* Who looks at a file sees in it what who maps it does. */
static void check_look(const char *file, const struct dataset *mapped, int rc, const struct err *why)
{
        struct err e = {0};
        struct dataset *d = NULL;
        int32_t seen[3];
        int fd;
        assert_int_equal(dataset_look(file, &d, &e), rc);
        if (rc) {
                assert_string_equal(e.message, why->message);
                assert_null(d);
                return;
        }
        assert_string_equal(d->name, mapped->name);
        assert_int_equal(d->file_len, mapped->file_len);
        assert_null(d->map);
        assert_int_equal(d->num_classes, mapped->num_classes);
        CHECK_OK(dataset_file(d, &fd, &e), &e);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                assert_int_equal(d->split[s].count, mapped->split[s].count);
                assert_null(d->split[s].images);
                assert_int_equal(d->split[s].images_at,
                        (const char *)mapped->split[s].images - (const char *)mapped->map);
                assert_memory_equal(d->split[s].class_counts, mapped->split[s].class_counts,
                        (size_t)d->num_classes * sizeof *d->split[s].class_counts);
                const int n = d->split[s].count < 3 ? d->split[s].count : 3;
                CHECK_OK(dataset_labels(d, (enum dataset_split)s, fd, 0, n, seen, &e), &e);
                assert_memory_equal(seen, mapped->split[s].labels, (size_t)n * sizeof seen[0]);
                for (int first = 0; first <= n; first++) {
                        int64_t a[3], b[3];
                        CHECK_OK(dataset_count(d, (enum dataset_split)s, first, a, &e), &e);
                        CHECK_OK(dataset_count(mapped, (enum dataset_split)s, first, b, &e), &e);
                        assert_memory_equal(a, b, sizeof a);
                        assert_int_equal(a[0] + a[1] + a[2], first);
                }
        }
        close(fd);
        dataset_close(d);
}

static void what_is_written_is_read(void **state)
{
        struct err e = {0};
        struct dataset d = sample(), *got = NULL;
        (void)state;
        CHECK_OK(dataset_write(&d, path, &e), &e);
        CHECK_OK(dataset_open(path, &got, &e), &e);
        assert_string_equal(got->name, "sample");
        assert_string_equal(got->source, "a test");
        assert_int_equal(got->c, 2);
        assert_int_equal(got->h, 3);
        assert_int_equal(got->w, 4);
        assert_int_equal(got->type, DATASET_U8);
        assert_int_equal(got->num_classes, 3);
        for (int i = 0; i < 3; i++)
                assert_string_equal(got->classes[i], class_names[i]);
        assert_int_equal(dataset_image_bytes(got), 24);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                assert_int_equal(got->split[s].count, d.split[s].count);
                assert_memory_equal(got->split[s].images, d.split[s].images, (size_t)d.split[s].count * 24);
                assert_memory_equal(got->split[s].labels, d.split[s].labels, (size_t)d.split[s].count * 4);
                assert_int_equal((uintptr_t)got->split[s].images % 4096, 0);
                assert_int_equal((uintptr_t)got->split[s].labels % 4096, 0);
        }
        assert_int_equal(got->split[DATASET_TRAIN].class_counts[2], 2);
        assert_int_equal(got->split[DATASET_TRAIN].class_counts[1], 0);
        assert_int_equal(got->split[DATASET_VAL].class_counts[1], 1);
        check_look(path, got, 0, &e);
        dataset_close(got);
}

static void floats_and_an_empty_split(void **state)
{
        static const float pixels[] = {0.5f, -1, 1e30f, 0, 1, 2};
        struct err e = {0};
        struct dataset d = sample(), *got = NULL;
        (void)state;
        d.type = DATASET_F32;
        d.c = d.h = 1;
        d.w = 2;
        d.split[DATASET_TRAIN].images = pixels;
        d.split[DATASET_VAL].count = 0;
        CHECK_OK(dataset_write(&d, path, &e), &e);
        CHECK_OK(dataset_open(path, &got, &e), &e);
        assert_int_equal(dataset_image_bytes(got), 8);
        assert_memory_equal(got->split[DATASET_TRAIN].images, pixels, sizeof pixels);
        assert_int_equal(got->split[DATASET_VAL].count, 0);
        dataset_close(got);
}

static void nothing_unreadable_is_written(void **state)
{
        static const int32_t high[] = {0, 3, 0}, low[] = {0, -1, 0};
        static char *unnamed[] = {one, no_name, three}, *huge[] = {one, NULL, three};
        char text[300];
        struct err e = {0};
        (void)state;
        unlink(path);
        memset(text, '\xff', sizeof text - 1);
        text[199] = '\0';
        struct dataset d = sample();
        d.split[DATASET_TRAIN].labels = high;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "label 3 of train image 1"));
        d.split[DATASET_TRAIN].labels = low;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        d = sample();
        d.classes = unnamed;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        huge[1] = text; /* 199 bytes, but 597 in UTF-8 */
        d.classes = huge;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        d = sample();
        d.h = 0;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        d = sample();
        d.split[0].count = d.split[1].count = 0;
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        d = sample();
        d.name[0] = '\0';
        assert_int_equal(dataset_write(&d, path, &e), ERR_INVALID);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(dataset_write(&d, "/nowhere/at/all", &e), ERR_INVALID);
        d = sample();
        assert_int_equal(dataset_write(&d, "/nowhere/at/all", &e), ERR_NOT_FOUND);
}

static size_t load(unsigned char *out, size_t size)
{
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        size_t n = fread(out, 1, size, f);
        fclose(f);
        return n;
}

static int open_bytes(const unsigned char *file, size_t len, struct err *e)
{
        struct dataset *got = NULL;
        FILE *f = fopen(bad, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(file, 1, len, f), len);
        fclose(f);
        int rc = dataset_open(bad, &got, e);
        if (rc != 0)
                assert_null(got);
        check_look(bad, got, rc, e);
        dataset_close(got);
        return rc;
}

/* Checksums that agree with whatever was done to the rest. */
static void seal(unsigned char *file)
{
        uint32_t len, crc;
        memcpy(&len, file + 12, 4);
        crc = (uint32_t)crc32(0, file + 64, len);
        memcpy(file + 24, &crc, 4);
        crc = (uint32_t)crc32(0, file, 28);
        memcpy(file + 28, &crc, 4);
}

static void every_flipped_byte_before_the_data_is_found(void **state)
{
        static unsigned char file[20000];
        struct err e = {0};
        struct dataset d = sample();
        uint32_t len;
        (void)state;
        CHECK_OK(dataset_write(&d, path, &e), &e);
        size_t n = load(file, sizeof file);
        memcpy(&len, file + 12, 4);
        for (size_t i = 0; i < 64 + len; i++) {
                if (i >= 32 && i < 64)
                        continue; /* the header's zeros */
                file[i] ^= 0x10;
                int rc = open_bytes(file, n, &e);
                if (rc != ERR_SYNTAX && rc != ERR_STATE)
                        fail_msg("byte %zu flipped: %d", i, rc);
                file[i] ^= 0x10;
        }
        for (size_t cut = 0; cut < n; cut += cut < 100 ? 1 : 997)
                assert_int_equal(open_bytes(file, cut, &e), ERR_SYNTAX);
        file[n] = 0;
        assert_int_equal(open_bytes(file, n + 1, &e), ERR_SYNTAX);
        CHECK_OK(open_bytes(file, n, &e), &e);
}

static void the_description_is_not_trusted(void **state)
{
        static const struct {
                const char *from, *to; /* of one length */
        } lies[] = {{"\"val\":2", "\"val\":9"}, {"\"channels\":2", "\"channels\":0"},
                {"\"height\":3", "\"height\":0"}, {"\"val\":2", "\"val\":0"}, {"\"train\":3", "\"trail\":3"},
                {"\"type\":\"u8\"", "\"type\":\"u9\""}, {"\"width\":4", "\"width\":-"}, {"\"one\"", "12345"},
                {"\"classes\":[", "\"klasses\":["}, {"\"width\":4", "\"width\":\""},
                {"\"sample\"", "\"\"      "}};
        static unsigned char file[20000], copy[20000];
        struct err e = {0};
        struct dataset d = sample();
        (void)state;
        CHECK_OK(dataset_write(&d, path, &e), &e);
        size_t n = load(file, sizeof file);
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                memcpy(copy, file, n);
                char *at = memmem(copy + 64, 300, lies[i].from, strlen(lies[i].from));
                assert_non_null(at);
                memcpy(at, lies[i].to, strlen(lies[i].to));
                seal(copy);
                int rc = open_bytes(copy, n, &e);
                if (rc != ERR_SYNTAX)
                        fail_msg("%s: %d %s", lies[i].to, rc, e.message);
        }
        memcpy(copy, file, n);
        int32_t label = 3;
        memcpy(copy + 8192 + 4, &label, 4); /* the train labels */
        assert_int_equal(open_bytes(copy, n, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "label 3"));
        memcpy(copy, file, n);
        copy[8] = DATASET_VERSION + 1;
        seal(copy);
        assert_int_equal(open_bytes(copy, n, &e), ERR_STATE);
        assert_non_null(strstr(e.message, "import it again"));
        memcpy(copy, file, n);
        memset(copy + 12, 0xff, 4);
        uint32_t crc = (uint32_t)crc32(0, copy, 28);
        memcpy(copy + 28, &crc, 4);
        assert_int_equal(open_bytes(copy, n, &e), ERR_SYNTAX);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
        struct err e = {0};
        struct dataset d = sample(), *got = NULL;
        struct file_new *f = NULL;
        int entries = 0;
        (void)state;
        CHECK_OK(dataset_write(&d, path, &e), &e);
        CHECK_OK(file_create(path, &f, &e), &e);
        CHECK_OK(file_write(f, "half", 4, &e), &e);
        file_abandon(f);
        CHECK_OK(dataset_open(path, &got, &e), &e);
        dataset_close(got);
        unlink(bad);
        DIR *list = opendir(dir);
        assert_non_null(list);
        for (struct dirent *entry; (entry = readdir(list));)
                entries += entry->d_name[0] != '.' || entry->d_name[1] == 'n';
        closedir(list);
        assert_int_equal(entries, 1);
        assert_int_equal(dataset_open(dir, &got, &e), ERR_INVALID);
        assert_int_equal(dataset_open(bad, &got, &e), ERR_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read),
                cmocka_unit_test(floats_and_an_empty_split),
                cmocka_unit_test(nothing_unreadable_is_written),
                cmocka_unit_test(every_flipped_byte_before_the_data_is_found),
                cmocka_unit_test(the_description_is_not_trusted),
                cmocka_unit_test(a_failed_write_leaves_the_old_file),
        };
        return cmocka_run_group_tests_name("dataset", tests, set_up, tear_down);
}
