/* Checkpoints of this version and of those before it; the fuzzer's corpus has one of each. */
#include "check.h"

#include "base/json.h"
#include "train/checkpoint.h"

#include <sys/stat.h>
#include <unistd.h>

static const char layers[] = "{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":3},"
                             "{\"type\":\"batch_norm\"},{\"type\":\"flatten\"},"
                             "{\"type\":\"linear\",\"out_features\":2}]}";
static const struct optimizer_spec adam = {.kind = OPTIMIZER_ADAM, .lr = 0.1};

struct place {
        char dir[64], path[128];
        struct net *net;
        struct checkpoint c; /* with best */
};

static int set_up(void **state)
{
        struct place *p = calloc(1, sizeof *p);
        struct err e = {0};
        cJSON *tree = json_parse(layers, sizeof layers - 1, &e);
        assert_non_null(p);
        snprintf(p->dir, sizeof p->dir, "/tmp/cnnd-checkpoint-XXXXXX");
        assert_non_null(mkdtemp(p->dir));
        snprintf(p->path, sizeof p->path, "%s/checkpoint.safetensors", p->dir);
        CHECK_OK(net_create(tree, (struct shape){1, 4, 4}, &p->net, &e), &e);
        cJSON_Delete(tree);
        p->c = (struct checkpoint){.net = p->net,
                .optimizer = &adam,
                .block = calloc(p->net->param_floats, sizeof(float)),
                .state = calloc(2 * p->net->trainable_floats, sizeof(float)),
                .best = calloc(p->net->param_floats, sizeof(float))};
        assert_true(p->c.block && p->c.state && p->c.best);
        *state = p;
        return 0;
}

static int tear_down(void **state)
{
        struct place *p = *state;
        char before[128];
        snprintf(before, sizeof before, "%s/checkpoint.before.safetensors", p->dir);
        unlink(before);
        unlink(p->path);
        rmdir(p->dir);
        net_destroy(p->net);
        free(p->c.block);
        free(p->c.state);
        free(p->c.best);
        free(p);
        return 0;
}

/* Whole numbers, for some are counters; all differ. */
static void fill(const struct place *p, float first)
{
        for (uint64_t i = 0; i < p->net->param_floats; i++) {
                p->c.block[i] = first + (float)i;
                p->c.best[i] = -p->c.block[i];
        }
        for (uint64_t i = 0; i < 2 * p->net->trainable_floats; i++)
                p->c.state[i] = first / 2 + (float)i;
}

/* That is what a block was filled with; between parameters there may be gaps. */
static void check_block(const struct place *p, const float *block, float first, float sign)
{
        for (int i = 0; i < p->net->num_params; i++) {
                const struct net_param *param = &p->net->params[i];
                for (uint64_t k = param->offset; k < param->offset + param->count; k++)
                        assert_true(block[k] == sign * (first + (float)k));
        }
}

static void clear(const struct place *p)
{
        memset(p->c.block, 0, p->net->param_floats * sizeof(float));
        memset(p->c.best, 0, p->net->param_floats * sizeof(float));
        memset(p->c.state, 0, 2 * p->net->trainable_floats * sizeof(float));
}

static long size_of(const struct place *p)
{
        struct stat st;
        assert_int_equal(stat(p->path, &st), 0);
        return (long)st.st_size;
}

/* Reads it, whole, into numbers that were cleared. */
static struct progress read_whole(const struct place *p, const struct checkpoint *c)
{
        struct progress got;
        struct str damage = {0};
        struct err e = {0};
        bool found = false;
        clear(p);
        CHECK_OK(checkpoint_read(p->dir, c, &got, &found, &damage, &e), &e);
        if (!found)
                fail_msg("%s", damage.len ? damage.data : "there is none");
        return got;
}

static void check_damaged(const struct place *p, const struct checkpoint *c)
{
        struct progress got;
        struct str damage = {0};
        struct err e = {0};
        bool found = true;
        CHECK_OK(checkpoint_read(p->dir, c, &got, &found, &damage, &e), &e);
        assert_false(found);
        assert_non_null(strstr(damage.data, "the last checkpoint is damaged ("));
        str_free(&damage);
}

static const struct best best_seen = {8, {0.1, 1.0 / 3, 2, 0.75}};

static void what_is_written_is_read(void **state)
{
        struct place *p = *state;
        const struct progress seen = {.step = 12,
                .window = {1.5, 3, 4},
                .epoch = {8, 30, 64},
                .stopping = {0.5, 2, 1},
                .best = best_seen};
        struct err e = {0};
        fill(p, 100);
        CHECK_OK(checkpoint_write(p->dir, &p->c, &seen, &e), &e);
        const struct progress got = read_whole(p, &p->c);
        assert_memory_equal(&got, &seen, sizeof got);
        check_block(p, p->c.block, 100, 1);
        check_block(p, p->c.best, 100, -1);
}

/* The weights of the epoch that has just ended are the network's: they are there once. */
static void the_best_just_now_takes_no_room(void **state)
{
        struct place *p = *state;
        struct progress seen = {.step = 12, .best = best_seen};
        struct err e = {0};
        fill(p, 7);
        CHECK_OK(checkpoint_write(p->dir, &p->c, &seen, &e), &e);
        const long apart = size_of(p);
        seen.best.step = 12;
        CHECK_OK(checkpoint_write(p->dir, &p->c, &seen, &e), &e);
        assert_true(apart - size_of(p) > (long)(p->net->trainable_floats * sizeof(float)));
        read_whole(p, &p->c);
        check_block(p, p->c.block, 7, 1);
        check_block(p, p->c.best, 7, 1);
}

/* The sum is over the best weights and over what is said of them. */
static void damage_of_the_best_is_seen(void **state)
{
        struct place *p = *state;
        const struct progress seen = {.step = 12, .best = best_seen};
        struct err e = {0};
        for (int i = 0; i < 2; i++) {
                char head[4096] = "";
                fill(p, 100);
                unlink(p->path);
                CHECK_OK(checkpoint_write(p->dir, &p->c, &seen, &e), &e);
                char before[128];
                snprintf(before, sizeof before, "%s/checkpoint.before.safetensors", p->dir);
                unlink(before);
                FILE *f = fopen(p->path, "r+b");
                assert_non_null(f);
                assert_int_equal(fread(head, 1, sizeof head, f) > 1000, true);
                const char *said = memmem(head, sizeof head, "\"best\":\"8 ", 10);
                assert_non_null(said);
                fseek(f, i ? said - head + 8 : -3, i ? SEEK_SET : SEEK_END);
                fputc('7', f); /* an epoch sooner, or another weight */
                assert_int_equal(fclose(f), 0);
                check_damaged(p, &p->c);
        }
}

static void copy_in(const struct place *p, const char *name)
{
        char path[400], bytes[8192];
        snprintf(path, sizeof path, "%s/%s", getenv("CNND_TEST_CHECKPOINTS"), name);
        FILE *from = fopen(path, "rb"), *to = fopen(p->path, "wb");
        assert_true(from && to);
        const size_t len = fread(bytes, 1, sizeof bytes, from);
        assert_int_equal(fwrite(bytes, 1, len, to), len);
        fclose(from);
        assert_int_equal(fclose(to), 0);
}

/* Of versions 2, 3 and 4, with the same weights; jobs of the first two keep their last. */
static void older_ones_are_read(void **state)
{
        static const char *const names[] = {"whole", "sum", "best"};
        struct place *p = *state;
        struct checkpoint last = p->c;
        float first = 0;
        last.best = NULL;
        for (int i = 0; i < 3; i++) {
                copy_in(p, names[i]);
                const struct progress got = read_whole(p, i < 2 ? &last : &p->c);
                assert_true(got.step == 12 && got.epoch.count == 64 && got.stopping.waited == 1);
                assert_int_equal(got.best.step, i < 2 ? 0 : 8);
                assert_true(p->c.block[0] != 0 && (i == 0 || p->c.block[0] == first));
                first = p->c.block[0];
        }
        assert_memory_equal(p->c.best, p->c.block, p->net->param_floats * sizeof(float));
        check_damaged(p, &last); /* of a job that keeps its best epoch, it is none of one that does not */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(the_best_just_now_takes_no_room, set_up, tear_down),
                cmocka_unit_test_setup_teardown(damage_of_the_best_is_seen, set_up, tear_down),
                cmocka_unit_test_setup_teardown(older_ones_are_read, set_up, tear_down),
        };
        return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
