/* Where the images of a data set came from, as its file keeps it. */
#include "check.h"

#include "data/origins.h"

#include <unistd.h>

static char dir[] = "/tmp/cnnd-origins-XXXXXX";
static char path[64];

static int set_up(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/a.cnnd", dir);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        unlink(path);
        return rmdir(dir);
}

enum { TRAIN = 9, VAL = 5 };
static char ice[] = "ice";
static char *class_names[] = {ice};
static const unsigned char pixels[TRAIN + VAL];
static const int32_t labels[TRAIN + VAL];

static const struct {
        enum dataset_split split;
        const char *name;
        uint32_t frames, rows, columns;
} files[] = {{DATASET_TRAIN, "ice/stack.mrc", 2, 2, 2}, {DATASET_TRAIN, "ice/\xc3\xb6.png", 1, 1, 1},
        {DATASET_VAL, "ice/wide.tif", 1, 1, 3}, {DATASET_VAL, "ice/wide.tif", 2, 1, 1}};
enum { FILES = sizeof files / sizeof files[0] };

static void draft(struct origins_draft *o, const char *first)
{
        struct err e = {0};
        CHECK_OK(origins_begin(o, dir, &e), &e);
        for (int i = 0; i < FILES; i++)
                CHECK_OK(origins_put_file(o, files[i].split, i ? files[i].name : first,
                                 (struct origins_file){0, files[i].frames, files[i].rows, files[i].columns},
                                 &e),
                        &e);
        for (int i = 0; i < FILES; i++)
                CHECK_OK(origins_put_name(o, i ? files[i].name : first, &e), &e);
        o->facts.step_y = 8;
        o->facts.step_x = 16;
        CHECK_OK(origins_seal(o, &e), &e);
}

/* With the origins, or without for NULL. */
static void write_set(const struct dataset_origins *origins)
{
        struct err e = {0};
        struct dataset d = {.name = "set", .c = 1, .h = 1, .w = 1, .num_classes = 1, .classes = class_names};
        d.split[DATASET_TRAIN].count = TRAIN;
        d.split[DATASET_TRAIN].images = pixels;
        d.split[DATASET_TRAIN].labels = labels;
        d.split[DATASET_VAL].count = VAL;
        d.split[DATASET_VAL].images = pixels;
        d.split[DATASET_VAL].labels = labels;
        if (origins)
                d.origins = *origins;
        CHECK_OK(dataset_write(&d, path, &e), &e);
}

static void write_draft(const char *first)
{
        struct origins_draft o;
        draft(&o, first);
        write_set(&o.facts);
        origins_finish(&o);
}

static unsigned char version(void)
{
        unsigned char head[9];
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_int_equal(fread(head, 1, sizeof head, f), sizeof head);
        fclose(f);
        return head[8];
}

static void what_is_written_is_read(void **state)
{
        struct err e = {0};
        struct dataset *d = NULL, *looked = NULL;
        (void)state;
        write_draft(files[0].name);
        assert_int_equal(version(), DATASET_VERSION);
        CHECK_OK(dataset_open(path, &d, &e), &e);
        assert_true(d->origins.step_y == 8 && d->origins.step_x == 16);
        for (int s = 0, i = 0; s < DATASET_SPLITS; s++) {
                struct origins o;
                CHECK_OK(origins_open(d, (enum dataset_split)s, &o, &e), &e);
                assert_int_equal(o.count, 2);
                for (int k = 0; k < o.count; k++, i++) {
                        assert_string_equal(origins_name(&o, k), files[i].name);
                        assert_int_equal(o.files[k].frames, files[i].frames);
                        assert_int_equal(o.files[k].rows, files[i].rows);
                        assert_int_equal(o.files[k].columns, files[i].columns);
                        assert_int_equal(origins_images(&o.files[k]),
                                files[i].frames * files[i].rows * files[i].columns);
                }
        }
        CHECK_OK(dataset_look(path, &looked, &e), &e);
        assert_null(looked->origins.section);
        assert_int_equal(looked->origins.at, d->origins.at);
        assert_int_equal(d->origins.at + d->origins.len, d->file_len);
        dataset_close(looked);
        dataset_close(d);
}

static void a_data_set_without_any_is_as_before(void **state)
{
        struct err e = {0};
        struct dataset *d = NULL;
        struct origins o;
        (void)state;
        write_set(NULL);
        assert_int_equal(version(), 1);
        CHECK_OK(dataset_open(path, &d, &e), &e);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                CHECK_OK(origins_open(d, (enum dataset_split)s, &o, &e), &e);
                assert_int_equal(o.count, 0);
        }
        dataset_close(d);
}

static void long_names_are_cut(void **state)
{
        char name[3 * ORIGINS_NAME_MAX];
        struct err e = {0};
        struct dataset *d = NULL;
        struct origins o;
        (void)state;
        memset(name, 'n', sizeof name);
        name[0] = '<';
        memcpy(name + sizeof name - 2, ">", 2);
        write_draft(name);
        CHECK_OK(dataset_open(path, &d, &e), &e);
        CHECK_OK(origins_open(d, DATASET_TRAIN, &o, &e), &e);
        assert_int_equal(strlen(origins_name(&o, 0)), ORIGINS_NAME_MAX);
        assert_int_equal(origins_name(&o, 0)[0], '<');
        assert_int_equal(origins_name(&o, 0)[ORIGINS_NAME_MAX - 1], '>');
        assert_string_equal(origins_name(&o, 1), files[1].name);
        dataset_close(d);
}

/* Bytes of the section are changed: the data set is still read, its origins never are. */
static int open_changed(uint64_t at, const void *bytes, size_t len, struct err *e)
{
        struct dataset *d = NULL;
        struct origins o;
        write_draft(files[0].name);
        CHECK_OK(dataset_look(path, &d, e), e);
        const long place = (long)(d->origins.at + at);
        dataset_close(d);
        d = NULL;
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, place, SEEK_SET), 0);
        assert_int_equal(fwrite(bytes, 1, len, f), len);
        fclose(f);
        CHECK_OK(dataset_open(path, &d, e), e);
        int rc = origins_open(d, DATASET_TRAIN, &o, e);
        assert_int_equal(o.count, 0);
        dataset_close(d);
        return rc;
}

static void damage_is_found(void **state)
{
        static const struct {
                uint64_t at;
                uint32_t value;
                const char *said;
        } lies[] = {{0, 1000, "without a name"}, {4, 0, "not those"}, {4, UINT32_MAX, "not those"},
                {8, UINT32_MAX, "not those"}, {12, 1, "images without a file"}, {12, 3, "not those"},
                {20, 2, "not those"}, {40, 7, "checksum"}};
        struct origins_draft o;
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                assert_int_equal(open_changed(lies[i].at, &lies[i].value, 4, &e), ERR_SYNTAX);
                if (!strstr(e.message, lies[i].said))
                        fail_msg("%zu: %s", i, e.message);
        }
        draft(&o, files[0].name);
        const uint64_t len = o.facts.len;
        origins_finish(&o);
        assert_int_equal(open_changed(len - 1, "x", 1, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "no end"));
        assert_int_equal(open_changed(16 * FILES, "", 1, &e), ERR_SYNTAX);
        assert_non_null(strstr(e.message, "without a name"));
        for (uint64_t at = 0; at < len; at++) {
                const unsigned char byte = 0xA5;
                assert_int_equal(open_changed(at, &byte, 1, &e), ERR_SYNTAX);
        }
}

static void the_description_is_not_trusted(void **state)
{
        static const char *const lies[] = {"{}", "[]",
                "{\"files\":[1,1],\"step\":[0,0],\"bytes\":32,\"crc\":0}",
                "{\"files\":[-1,1],\"step\":[0,0],\"bytes\":99,\"crc\":0}",
                "{\"files\":[1.5,1],\"step\":[0,0],\"bytes\":99,\"crc\":0}",
                "{\"files\":[1e300,1],\"step\":[0,0],\"bytes\":99,\"crc\":0}",
                "{\"files\":[1],\"step\":[0,0],\"bytes\":99,\"crc\":0}",
                "{\"files\":[1,1],\"step\":[0,0],\"bytes\":99}",
                "{\"files\":[1,1],\"step\":[0,0],\"bytes\":99,\"crc\":0,\"more\":0}",
                "{\"files\":[1,1],\"step\":[0,0],\"bytes\":99,\"crc\":4294967296}"};
        static const char good[] = "{\"files\":[1,1],\"step\":[0,3],\"bytes\":33,\"crc\":4294967295}";
        struct dataset_origins o;
        struct err e = {0};
        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                cJSON *json = cJSON_Parse(lies[i]);
                assert_non_null(json);
                if (origins_parse(json, &o, &e) != ERR_INVALID || o.len)
                        fail_msg("%s", lies[i]);
                cJSON_Delete(json);
        }
        cJSON *json = cJSON_Parse(good);
        CHECK_OK(origins_parse(json, &o, &e), &e);
        assert_true(o.step_x == 3 && o.len == 33 && o.crc == UINT32_MAX);
        cJSON_Delete(json);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read),
                cmocka_unit_test(a_data_set_without_any_is_as_before),
                cmocka_unit_test(long_names_are_cut),
                cmocka_unit_test(damage_is_found),
                cmocka_unit_test(the_description_is_not_trusted),
        };
        return cmocka_run_group_tests_name("origins", tests, set_up, tear_down);
}
