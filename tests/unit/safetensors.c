#include "check.h"

#include "model/safetensors.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/cnnd-safetensors-XXXXXX";
static char path[64];

static int set_up(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/a.safetensors", dir);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        unlink(path);
        return rmdir(dir);
}

static struct safetensors_tensor tensor(const char *name, enum safetensors_type type, int ndim, int64_t d0,
        int64_t d1, const void *data, size_t bytes)
{
        struct safetensors_tensor t = {
                .type = type, .ndim = ndim, .dims = {d0, d1}, .data = data, .bytes = bytes};
        snprintf(t.name, sizeof t.name, "%s", name);
        return t;
}

static const float weights[6] = {1, -2, 3.5f, 1e-30f, 0, 7};
static const int64_t batches[1] = {1 << 20};
static const unsigned char flags[3] = {1, 2, 3};
static const int32_t steps[1] = {-5};

/* Who reads the head alone is told the same as who maps the file. */
static int open_both(struct safetensors **ret, struct err *e)
{
        struct safetensors *head = NULL;
        struct err why = {0};
        int rc = safetensors_open(path, ret, e), fd = open(path, O_RDONLY | O_CLOEXEC);
        const struct safetensors *s = rc ? NULL : *ret;
        assert_true(fd >= 0);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        if (st.st_size == 0) { /* which file_open refuses */
                close(fd);
                return rc;
        }
        assert_int_equal(safetensors_head(fd, &head, &why), rc);
        if (rc)
                assert_string_equal(why.message, e->message + strlen(path) + 2);
        for (int i = 0; s && i < s->count; i++) {
                const struct safetensors_tensor *t = &s->tensors[i], *u = &head->tensors[i];
                assert_string_equal(u->name, t->name);
                assert_int_equal(u->at, (const char *)t->data - (const char *)s->map);
                assert_int_equal(t->at, u->at);
                assert_int_equal(u->bytes, t->bytes);
                assert_null(u->data);
        }
        if (s) {
                assert_int_equal(head->count, s->count);
                assert_memory_equal(head->head, s->map, head->head_len);
        }
        safetensors_close(head);
        close(fd);
        return rc;
}

static void what_is_written_is_read(void **state)
{
        static const char *const metadata[] = {
                "architecture", "{\"name\":\"bn-lenet\"}", "note", "a \"b\"\n\xc3\xa9", "empty", "", NULL};
        struct safetensors_tensor list[] = {
                tensor("net.0.weight", SAFETENSORS_F32, 2, 2, 3, weights, sizeof weights),
                tensor("flags", SAFETENSORS_U8, 1, 3, 0, flags, sizeof flags),
                tensor("net.1.num_batches_tracked", SAFETENSORS_I64, 0, 0, 0, batches, sizeof batches),
                tensor("none", SAFETENSORS_F32, 2, 0, 3, NULL, 0),
                tensor("a/\"quoted\"", SAFETENSORS_I32, 1, 1, 0, steps, sizeof steps),
        };
        struct err e = {0};
        struct safetensors *s = NULL;
        float got[6];
        (void)state;
        CHECK_OK(safetensors_write(path, list, 5, metadata, &e), &e);
        CHECK_OK(open_both(&s, &e), &e);
        assert_int_equal(s->count, 5);
        for (int i = 1; i < s->count; i++)
                assert_true(strcmp(s->tensors[i - 1].name, s->tensors[i].name) < 0);
        for (int i = 0; i < 5; i++) {
                const struct safetensors_tensor *t = safetensors_find(s, list[i].name);
                assert_non_null(t);
                assert_int_equal(t->type, list[i].type);
                assert_int_equal(t->ndim, list[i].ndim);
                assert_memory_equal(t->dims, list[i].dims, (size_t)t->ndim * sizeof t->dims[0]);
                assert_int_equal(t->bytes, list[i].bytes);
                if (t->bytes)
                        assert_memory_equal(t->data, list[i].data, t->bytes);
        }
        assert_int_equal((uintptr_t)safetensors_find(s, "net.1.num_batches_tracked")->data % 8, 0);
        assert_int_equal((uintptr_t)safetensors_find(s, "net.0.weight")->data % 4, 0);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "net.0.weight"), got, 6, &e), &e);
        assert_memory_equal(got, weights, sizeof weights);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "none"), got, 0, &e), &e);
        assert_int_equal(safetensors_read_f32(safetensors_find(s, "net.0.weight"), got, 5, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "net.0.weight"));
        assert_int_equal(safetensors_read_f32(safetensors_find(s, "flags"), got, 3, &e), ERR_INVALID);
        assert_null(safetensors_find(s, "net.0.weigh"));
        assert_null(safetensors_find(s, "zzz"));
        assert_null(safetensors_find(s, ""));
        assert_string_equal(safetensors_metadata(s, "architecture"), metadata[1]);
        assert_string_equal(safetensors_metadata(s, "note"), metadata[3]);
        assert_string_equal(safetensors_metadata(s, "empty"), "");
        assert_null(safetensors_metadata(s, "Architecture"));
        safetensors_close(s);
}

static void nothing_at_all_is_a_file_too(void **state)
{
        static const char *const none[] = {NULL};
        struct err e = {0};
        struct safetensors *s = NULL;
        (void)state;
        CHECK_OK(safetensors_write(path, NULL, 0, none, &e), &e);
        CHECK_OK(open_both(&s, &e), &e);
        assert_int_equal(s->count, 0);
        assert_int_equal(s->metadata_count, 0);
        assert_null(safetensors_find(s, "x"));
        safetensors_close(s);
        safetensors_close(NULL);
}

static void put(const char *head, size_t head_len, const void *data, size_t len)
{
        FILE *f = fopen(path, "wb");
        uint64_t n = head_len;
        assert_non_null(f);
        fwrite(&n, 8, 1, f);
        fwrite(head, 1, strlen(head), f);
        if (len)
                fwrite(data, 1, len, f);
        fclose(f);
}

static void reads_every_float(void **state)
{
        static const unsigned char data[] = {
                0, 0, 0, 0, 0, 0, 0xf8, 0x3f, /* F64 1.5 */
                0, 0, 0, 0, 0, 0, 0, 0x80,    /* F64 -0 */
                0x00, 0x3c, 0x01, 0x00, 0xff, 0x03, 0xff, 0xfb, 0x00,
                0xfc,                   /* F16 1, 2^-24, 1023*2^-24, -65504, -inf */
                0x80, 0x3f, 0x49, 0xc0, /* BF16 1, -3.140625 */
        };
        static const char head[] = "{\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                                   "\"h\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[16,26]},"
                                   "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[26,30]}}   ";
        struct err e = {0};
        struct safetensors *s = NULL;
        float got[5];
        (void)state;
        put(head, strlen(head), data, sizeof data);
        CHECK_OK(open_both(&s, &e), &e);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "d"), got, 2, &e), &e);
        assert_true(got[0] == 1.5f && got[1] == 0 && signbit(got[1]));
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "h"), got, 5, &e), &e);
        assert_true(got[0] == 1 && got[1] == 0x1p-24f && got[2] == 1023 * 0x1p-24f && got[3] == -65504);
        assert_true(isinf(got[4]) && got[4] < 0);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "b"), got, 2, &e), &e);
        assert_true(got[0] == 1 && got[1] == -3.140625f);
        safetensors_close(s);
}

/* As version 0.8.0 of the Python package writes {"net.0.weight", "net.1.num_batches_tracked", "half"}. */
static void reads_what_python_writes(void **state)
{
        static const char head[] =
                "{\"__metadata__\":{\"format\":\"pt\"},\"net.1.num_batches_tracked\":{\"dtype\":\"I64\","
                "\"shape\":[],"
                "\"data_offsets\":[0,8]},\"net.0.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_"
                "offsets\":[8,16]},"
                "\"half\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[16,18]}}       ";
        static const char data[] = "\x07\0\0\0\0\0\0\0\0\0\xc0\x3f\0\0\0\xc0\0\x38";
        struct err e = {0};
        struct safetensors *s = NULL;
        float got[2];
        (void)state;
        put(head, sizeof head - 1, data, 18);
        CHECK_OK(open_both(&s, &e), &e);
        assert_int_equal(s->count, 3);
        assert_string_equal(safetensors_metadata(s, "format"), "pt");
        assert_int_equal(*(const int64_t *)safetensors_find(s, "net.1.num_batches_tracked")->data, 7);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "net.0.weight"), got, 2, &e), &e);
        assert_true(got[0] == 1.5f && got[1] == -2);
        CHECK_OK(safetensors_read_f32(safetensors_find(s, "half"), got, 1, &e), &e);
        assert_true(got[0] == 0.5f);
        safetensors_close(s);
}

#define T(dtype, shape, from, to)                                                                            \
        "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void refuses_what_is_wrong(void **state)
{
        static const struct {
                const char *head;
                int code;
                const char *text;
        } cases[] = {
                /* each before 8 bytes of data */
                {"", ERR_SYNTAX, "begin with {"},
                {"[]", ERR_SYNTAX, "begin with {"},
                {" {}", ERR_SYNTAX, "begin with {"},
                {"{}", ERR_SYNTAX, "belong to no tensor"},
                {"{", ERR_SYNTAX, ""},
                {"{\"a\":" T("F32", "[2]", 0, 8) ",\"a\":" T("F32", "[2]", 0, 8) "}", ERR_SYNTAX, "twice"},
                {"{\"a\":1}", ERR_SYNTAX, "not described"},
                {"{\"a\":{}}", ERR_SYNTAX, "not described"},
                {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", ERR_SYNTAX,
                        "not described"},
                {"{\"a\":{\"dtype\":1,\"shape\":[2],\"data_offsets\":[0,8]}}", ERR_SYNTAX, "not described"},
                {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", ERR_SYNTAX, "no shape"},
                {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", ERR_SYNTAX, "not two numbers"},
                {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", ERR_SYNTAX,
                        "not two numbers"},
                {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"a\":0,\"b\":8}}}", ERR_SYNTAX,
                        "not two numbers"},
                {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", ERR_SYNTAX,
                        "not two numbers"},
                {"{\"a\":" T("F31", "[2]", 0, 8) "}", ERR_INVALID, "unknown type F31"},
                {"{\"a\":" T("f32", "[2]", 0, 8) "}", ERR_INVALID, "unknown type f32"},
                {"{\"a\":" T("F32", "[3]", 0, 8) "}", ERR_SYNTAX, "not those of its shape"},
                {"{\"a\":" T("F32", "[-2]", 0, 8) "}", ERR_SYNTAX, "not a whole number"},
                {"{\"a\":" T("F32", "[1.5]", 0, 8) "}", ERR_SYNTAX, "not a whole number"},
                {"{\"a\":" T("F32", "[\"2\"]", 0, 8) "}", ERR_SYNTAX, "not a whole number"},
                {"{\"a\":" T("F32", "[4294967296,4294967296]", 0, 8) "}", ERR_SYNTAX, "not those"},
                {"{\"a\":" T("F32", "[4611686018427387904,2]", 0, 8) "}", ERR_SYNTAX, "2^53"},
                {"{\"a\":" T("F32", "[9007199254740992,9007199254740992,0]", 0, 8) "}", ERR_SYNTAX,
                        "not those"},
                {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,2]", 0, 8) "}", ERR_INVALID, "more than 8"},
                {"{\"a\":" T("F32", "[2]", 8, 0) "}", ERR_SYNTAX, "do not lie"},
                {"{\"a\":" T("F32", "[3]", 0, 12) "}", ERR_SYNTAX, "do not lie"},
                {"{\"a\":" T("F32", "[2]", -8, 0) "}", ERR_SYNTAX, "do not lie"},
                {"{\"a\":" T("F32", "[2]", 0.5, 8) "}", ERR_SYNTAX, "do not lie"},
                {"{\"a\":" T("F32", "[1]", 0, 4) "}", ERR_SYNTAX, "4 bytes of data belong to no tensor"},
                {"{\"a\":" T("F32", "[1]", 4, 8) "}", ERR_SYNTAX, "leaves a hole"},
                {"{\"a\":" T("U8", "[3]", 0, 3) ",\"b\":" T("F32", "[1]", 4, 8) "}", ERR_SYNTAX,
                        "leaves a hole"},
                {"{\"a\":" T("U8", "[5]", 0, 5) ",\"b\":" T("F32", "[1]", 4, 8) "}", ERR_SYNTAX, "overlaps"},
                {"{\"a\":" T("F32", "[2]", 0, 8) ",\"b\":" T("F32", "[2]", 0, 8) "}", ERR_SYNTAX, "overlaps"},
                {"{\"a\":" T("F32", "[2]", 0, 8) ",\"__metadata__\":[]}", ERR_SYNTAX,
                        "metadata is not an object"},
                {"{\"a\":" T("F32", "[2]", 0, 8) ",\"__metadata__\":{\"k\":1}}", ERR_SYNTAX, "is not a text"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct safetensors *s = NULL;
                put(cases[i].head, strlen(cases[i].head), "12345678", 8);
                int rc = open_both(&s, &e);
                if (rc != cases[i].code || !strstr(e.message, cases[i].text) || s)
                        fail_msg("%s: %d %s", cases[i].head, rc, e.message);
        }
}

static void refuses_wrong_lengths(void **state)
{
        static const char head[] = "{\"a\":" T("F32", "[2]", 0, 8) "}";
        static const uint64_t lens[] = {UINT64_MAX, UINT64_MAX - 7, 1ull << 63, SAFETENSORS_MAX_HEAD, 0,
                sizeof head - 2, sizeof head + 8, 1};
        static char name[SAFETENSORS_NAME_MAX + 100];
        struct err e = {0};
        struct safetensors *s = NULL;
        (void)state;
        for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
                put(head, lens[i], "12345678", 8);
                assert_int_equal(open_both(&s, &e), ERR_SYNTAX);
        }
        for (off_t n = 0; n < (off_t)sizeof head - 1 + 16; n++) {
                put(head, sizeof head - 1, "12345678", 8);
                assert_int_equal(truncate(path, n), 0);
                assert_int_equal(open_both(&s, &e), ERR_SYNTAX);
        }
        put(head, sizeof head - 1, "123456789", 9);
        assert_int_equal(open_both(&s, &e), ERR_SYNTAX);
        memset(name, 'n', SAFETENSORS_NAME_MAX + 1);
        char long_head[sizeof name + 100];
        snprintf(long_head, sizeof long_head, "{\"%s\":" T("F32", "[2]", 0, 8) "}", name);
        put(long_head, strlen(long_head), "12345678", 8);
        assert_int_equal(open_both(&s, &e), ERR_INVALID);
        assert_int_equal(safetensors_open("/nowhere", &s, &e), ERR_NOT_FOUND);
        assert_null(s);
}

/* 100 MB of commas would make a tree of gigabytes. */
static void a_head_of_very_many_things_is_refused(void **state)
{
        size_t n = 3 << 20;
        char *head = malloc(n + 8);
        struct err e = {0};
        struct safetensors *s = NULL;
        (void)state;
        assert_non_null(head);
        strcpy(head, "{\"a\":[");
        for (size_t i = 6; i < n - 3; i += 2)
                memcpy(head + i, "1,", 3);
        strcat(head, "1]}");
        put(head, strlen(head), "", 0);
        assert_int_equal(open_both(&s, &e), ERR_TOO_LARGE);
        free(head);
}

static void nothing_unreadable_is_written(void **state)
{
        struct safetensors_tensor good = tensor("a", SAFETENSORS_F32, 2, 2, 3, weights, sizeof weights);
        struct safetensors_tensor bad[] = {good, good, good, good, good, good, good};
        struct err e = {0};
        (void)state;
        unlink(path);
        bad[0].bytes = 20;
        bad[1].dims[0] = -2;
        bad[2].name[0] = '\0';
        bad[3].type = SAFETENSORS_F16;
        strcpy(bad[4].name, "__metadata__");
        bad[5].dims[0] = bad[5].dims[1] = INT64_MAX / 2;
        bad[6].ndim = SAFETENSORS_MAX_DIMS + 1;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_int_equal(safetensors_write(path, &bad[i], 1, NULL, &e), ERR_INVALID);
        bad[0] = bad[1] = good;
        assert_int_equal(safetensors_write(path, bad, 2, NULL, &e), ERR_INVALID);
        assert_non_null(strstr(e.message, "two tensors are named a"));
        assert_int_equal(access(path, F_OK), -1);
}

/* A write that fails half way: the limit on file sizes stands in for a full disk. */
static void a_failed_write_leaves_the_old_file(void **state)
{
        static float large[1 << 16];
        struct safetensors_tensor small = tensor("a", SAFETENSORS_F32, 2, 2, 3, weights, sizeof weights);
        struct safetensors_tensor huge = tensor("b", SAFETENSORS_F32, 1, 1 << 16, 0, large, sizeof large);
        struct rlimit before, limit;
        struct err e = {0};
        struct safetensors *s = NULL;
        (void)state;
        CHECK_OK(safetensors_write(path, &small, 1, NULL, &e), &e);
        getrlimit(RLIMIT_FSIZE, &before);
        limit = (struct rlimit){65536, before.rlim_max};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        int rc = safetensors_write(path, &huge, 1, NULL, &e);
        setrlimit(RLIMIT_FSIZE, &before);
        signal(SIGXFSZ, SIG_DFL);
        assert_int_equal(rc, ERR_DISK);
        CHECK_OK(open_both(&s, &e), &e);
        assert_non_null(safetensors_find(s, "a"));
        safetensors_close(s);
        unlink(path);
        assert_int_equal(rmdir(dir), 0); /* nothing is left beside it */
        assert_int_equal(mkdir(dir, 0700), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_written_is_read),
                cmocka_unit_test(nothing_at_all_is_a_file_too),
                cmocka_unit_test(reads_every_float),
                cmocka_unit_test(reads_what_python_writes),
                cmocka_unit_test(refuses_what_is_wrong),
                cmocka_unit_test(refuses_wrong_lengths),
                cmocka_unit_test(a_head_of_very_many_things_is_refused),
                cmocka_unit_test(nothing_unreadable_is_written),
                cmocka_unit_test(a_failed_write_leaves_the_old_file),
        };
        return cmocka_run_group_tests_name("safetensors", tests, set_up, tear_down);
}
