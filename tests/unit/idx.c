#include "check.h"

#include "base/clock.h"
#include "data/dataset.h"
#include "data/idx.h"

#include <math.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char dir[] = "/tmp/cnnd-idx-XXXXXX";
static char out[64];
static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static const char *const classes[] = {"a", "b", "c"};

/* Two train images of 2x3, one test image. */
static const char *const good[] = {
        ("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03"
         "abcdefghijkl"),
        "\0\0\x08\x01\0\0\0\x02\x02\x01",
        "\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x03mnopqr",
        "\0\0\x08\x01\0\0\0\x01\0",
};
static const size_t good_len[] = {28, 10, 22, 9};

static const char *path_of(int i, const char *end)
{
        static char path[2][128];
        static int turn;
        turn ^= 1;
        snprintf(path[turn], sizeof path[turn], "%s/%s%s", dir, names[i], end);
        return path[turn];
}

static void put(int i, const void *bytes, size_t len, bool packed)
{
        unlink(path_of(i, ""));
        unlink(path_of(i, ".gz"));
        gzFile f = gzopen(path_of(i, packed ? ".gz" : ""), packed ? "wb9" : "wbT");
        assert_non_null(f);
        assert_int_equal(gzwrite(f, bytes, (unsigned)len), len);
        assert_int_equal(gzclose(f), Z_OK);
}

static void put_good(bool packed)
{
        for (int i = 0; i < 4; i++)
                put(i, good[i], good_len[i], packed);
}

static int import(struct err *e)
{
        return idx_import(dir, "tiny", classes, 3, out, e);
}

static void expect(int code, const char *text)
{
        struct err e = {0};
        int rc = import(&e);
        if (rc != code || !strstr(e.message, text))
                fail_msg("wanted %s with \"%s\", got %d: %s", err_name(code), text, rc, e.message);
        assert_int_equal(access(out, F_OK), -1);
}

static int set_up(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(out, sizeof out, "%s/out.cnnd", dir);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        for (int i = 0; i < 4; i++) {
                unlink(path_of(i, ""));
                unlink(path_of(i, ".gz"));
        }
        unlink(out);
        return rmdir(dir);
}

static void plain_and_packed(void **state)
{
        (void)state;
        for (int packed = 0; packed < 2; packed++) {
                struct err e = {0};
                struct dataset *d = NULL;
                put_good(packed);
                CHECK_OK(import(&e), &e);
                CHECK_OK(dataset_open(out, &d, &e), &e);
                assert_int_equal(d->c, 1);
                assert_int_equal(d->h, 2);
                assert_int_equal(d->w, 3);
                assert_int_equal(d->split[DATASET_TRAIN].count, 2);
                assert_memory_equal(d->split[DATASET_TRAIN].images, "abcdefghijkl", 12);
                assert_int_equal(d->split[DATASET_TRAIN].labels[0], 2);
                assert_int_equal(d->split[DATASET_TRAIN].labels[1], 1);
                assert_memory_equal(d->split[DATASET_VAL].images, "mnopqr", 6);
                assert_string_equal(d->classes[2], "c");
                dataset_close(d);
                unlink(out);
        }
}

static void damage_is_refused(void **state)
{
        char bytes[32];
        (void)state;
        for (int packed = 0; packed < 2; packed++) {
                put_good(packed);
                for (size_t n = 0; n < good_len[0]; n++) {
                        put(0, good[0], n, packed);
                        expect(ERR_SYNTAX, "");
                }
                memcpy(bytes, good[0], 28);
                bytes[28] = 'x';
                put(0, bytes, 29, packed);
                expect(ERR_SYNTAX, "more data than its header tells");
                for (int i = 0; i < 4; i++) {
                        memcpy(bytes, good[0], 28);
                        bytes[i] ^= 1;
                        put(0, bytes, 28, packed);
                        expect(ERR_SYNTAX, i < 2 ? "not an IDX file" : "wanted bytes in 3");
                }
                memcpy(bytes, good[0], 28);
                bytes[11] = 0;
                put(0, bytes, 28, packed);
                expect(ERR_SYNTAX, "dimension 1 is 0");
        }
}

static void a_header_is_not_believed(void **state)
{
        static const char huge[] = "\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
        static const char large[] = "\0\0\x08\x03\0\0\xff\xff\0\0\0\xff\0\0\0\xffxx";
        (void)state;
        put_good(true);
        put(0, huge, 16, true);
        expect(ERR_TOO_LARGE, "holds more than");
        put(0, large, 18, true);
        expect(ERR_SYNTAX, "cannot hold");
        put(0, large, 18, false);
        expect(ERR_SYNTAX, "cannot hold");
}

/* 64 MiB of zeros in 64 kB of gzip, behind a header that tells of twelve bytes. */
static void a_bomb_is_not_unpacked(void **state)
{
        size_t n = 64 << 20;
        char *bomb = calloc(1, n);
        (void)state;
        assert_non_null(bomb);
        memcpy(bomb, good[0], 16);
        put_good(true);
        put(0, bomb, n, true);
        free(bomb);
        expect(ERR_SYNTAX, "more data than its header tells");
}

static void a_damaged_stream_is_refused(void **state)
{
        unsigned char bytes[256];
        (void)state;
        put_good(true);
        FILE *f = fopen(path_of(0, ".gz"), "rb");
        assert_non_null(f);
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        for (size_t cut = 1; cut <= 8; cut++) { /* the trailer: CRC-32 and length */
                f = fopen(path_of(0, ".gz"), "wb");
                assert_non_null(f);
                bytes[n - cut] ^= 1;
                fwrite(bytes, 1, n, f);
                bytes[n - cut] ^= 1;
                fclose(f);
                expect(ERR_SYNTAX, "");
                assert_int_equal(truncate(path_of(0, ".gz"), (off_t)(n - cut)), 0);
                expect(ERR_SYNTAX, "");
        }
}

static void files_must_fit_together(void **state)
{
        struct err e = {0};
        (void)state;
        put_good(false);
        put(1, "\0\0\x08\x01\0\0\0\x03\0\0\0", 11, false);
        expect(ERR_INVALID, "2 images, but 3 labels");
        put(1, "\0\0\x08\x01\0\0\0\x02\0\x03", 10, false);
        expect(ERR_INVALID, "label 3 of image 1, but there are 3 classes");
        put_good(false);
        put(2, "\0\0\x08\x03\0\0\0\x01\0\0\0\x03\0\0\0\x02mnopqr", 22, false);
        expect(ERR_INVALID, "train images are 2x3, t10k images 3x2");
        put_good(false);
        unlink(path_of(3, ""));
        expect(ERR_NOT_FOUND, names[3]);
        assert_int_equal(mkdir(path_of(3, ""), 0700), 0);
        expect(ERR_INVALID, "not a regular file");
        rmdir(path_of(3, ""));
        put_good(false);
        assert_int_equal(idx_import(dir, "", classes, 3, out, &e), ERR_INVALID);
        assert_int_equal(idx_import(dir, "x", classes, 0, out, &e), ERR_INVALID);
        assert_int_equal(idx_import("/nowhere", "x", classes, 3, out, &e), ERR_NOT_FOUND);
}

/* Counts and first labels as its publishers print them: every class has 6000 and 1000 images, the first train
   image is an ankle boot. */
static void fashion_mnist_as_debian_packs_it(void **state)
{
        const struct dataset_known *k = &dataset_known[0];
        struct err e = {0};
        struct dataset *d = NULL;
        (void)state;
        if (access(k->dir, F_OK) != 0) {
                print_message("skipped: Debian's dataset-fashion-mnist is not installed\n");
                skip();
        }
        double before = clock_now_s();
        CHECK_OK(idx_import(k->dir, k->name, k->classes, k->num_classes, out, &e), &e);
        double imported = clock_now_s();
        CHECK_OK(dataset_open(out, &d, &e), &e);
        double opened = clock_now_s();
        print_message(
                "imported in %.2f s, opened in %.1f ms\n", imported - before, (opened - imported) * 1e3);
        assert_string_equal(d->name, "fashion-mnist");
        assert_int_equal(d->c * 10000 + d->h * 100 + d->w, 12828);
        assert_int_equal(d->num_classes, 10);
        for (int i = 0; i < 10; i++) {
                assert_int_equal(d->split[DATASET_TRAIN].class_counts[i], 6000);
                assert_int_equal(d->split[DATASET_VAL].class_counts[i], 1000);
        }
        assert_string_equal(d->classes[d->split[DATASET_TRAIN].labels[0]], "Ankle boot");
        assert_string_equal(d->classes[d->split[DATASET_VAL].labels[0]], "Ankle boot");
        uint64_t sum = 0;
        const unsigned char *p = d->split[DATASET_TRAIN].images;
        for (size_t i = 0; i < (size_t)60000 * 784; i++)
                sum += p[i];
        /* The mean that everybody normalises with. */
        assert_true(fabs((double)sum / (60000.0 * 784 * 255) - 0.2860) < 5e-5);
        dataset_close(d);
        unlink(out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_and_packed),
                cmocka_unit_test(damage_is_refused),
                cmocka_unit_test(a_header_is_not_believed),
                cmocka_unit_test(a_bomb_is_not_unpacked),
                cmocka_unit_test(a_damaged_stream_is_refused),
                cmocka_unit_test(files_must_fit_together),
                cmocka_unit_test(fashion_mnist_as_debian_packs_it),
        };
        return cmocka_run_group_tests_name("idx", tests, set_up, tear_down);
}
