/* The fragments that kernels/conv_local.cl multiplies in tf32, held against PTX's own tables of them: on
   devices without its units the kernels' other tests would agree with a wrong layout as long as it is wrong
   everywhere. */
#include "ops.h"
#include "device/buf.h"
#include "device/launch.h"
#include "base/embedded.h"

#include <unistd.h>

enum { ITEMS = 32, M = 16, N = 8, K = 8, FRAGMENTS = 8 /* of n, side by side */ };

struct place {
        int row, column;
};

/* PTX ISA, "Matrix Fragments for mma.m16n8k8", .tf32: where element i of a work-item's fragment stands. */
static struct place place_in_a(int lane, int i)
{
        const int group = lane >> 2, in_group = lane % 4;
        return (struct place){
                i == 0 || i == 2 ? group : group + 8, i == 0 || i == 1 ? in_group : in_group + 4};
}

static struct place place_in_b(int lane, int i)
{
        const int group = lane >> 2, in_group = lane % 4;
        return (struct place){i == 0 ? in_group : in_group + 4, group};
}

static struct place place_in_c(int lane, int i)
{
        const int group = lane >> 2, in_group = lane % 4;
        return (struct place){i < 2 ? group : group + 8, in_group * 2 + (i & 1)};
}

/* Behind the kernels' own source: one product of fragments that come as they are. */
static const char probe[] = "\nTILE_KERNEL void fragments(VIEW(m), VIEW(n), VIEW(out))\n"
                            "{\n"
                            "        EXCHANGE(exchange);\n"
                            "        const int item = get_local_id(0);\n"
                            "        float a[FRAGMENTS_M][4], b[FRAGMENTS_N][2];\n"
                            "        float4 sums[SUMS];\n"
                            "        for (int i = 0; i < 4; i++)\n"
                            "                a[0][i] = FROM(m)[item * 4 + i];\n"
                            "        for (int i = 0; i < 2 * FRAGMENTS_N; i++)\n"
                            "                b[i / 2][i % 2] = FROM(n)[item * 2 * FRAGMENTS_N + i];\n"
                            "        for (int i = 0; i < SUMS; i++)\n"
                            "                sums[i] = vload4(item * SUMS + i, FROM(out));\n"
                            "        multiply_fragments(sums, a, b, exchange, item);\n"
                            "        for (int i = 0; i < SUMS; i++)\n"
                            "                vstore4(sums[i], item * SUMS + i, FROM(out));\n"
                            "}\n";

static void write_source(const char *dir, const char *name, const char *of, const char *more)
{
        char path[128];
        snprintf(path, sizeof path, "%s.cl", of);
        const struct embedded *source = embedded_find(kernel_files, path);
        assert_non_null(source);
        snprintf(path, sizeof path, "%s/%s.cl", dir, name);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(source->text, f) >= 0 && fputs(more, f) >= 0 && fclose(f) == 0);
}

static struct launch begin_probe(struct dev *d)
{
        static const char *const files[] = {"common", "conv_local_units", "fragments"};
        char dir[] = "/tmp/cnnd-fragments-XXXXXX", path[128], options[OP_OPTIONS];
        const bool rounds = dev_info(d)->tf32 == DEV_TF32_ROUNDING_UNITS,
                   units = rounds || dev_info(d)->tf32 == DEV_TF32_UNITS;
        assert_non_null(mkdtemp(dir));
        write_source(dir, "common", "common", "");
        write_source(dir, "conv_local_units", "conv_local_units", "");
        write_source(dir, "fragments", "conv_local", probe);
        setenv("CNND_KERNELS", dir, 1);
        op_options(options, 32,
                "-DTILE_M=%d -DTILE_N=%d -DSUMS_M=4 -DTURNED=0 -DTF32=1 -DTF32_UNITS=%d -DTF32_ROUNDS=%d", M,
                N * FRAGMENTS, units, rounds);
        const struct launch l = launch_begin(d, "fragments", options, "fragments");
        unsetenv("CNND_KERNELS");
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                snprintf(path, sizeof path, "%s/%s.cl", dir, files[i]);
                unlink(path);
        }
        rmdir(dir);
        return l;
}

/* Small whole numbers, which tf32 holds exactly, and so their products and sums. */
static float number(int what, int row, int column)
{
        return (float)((what * 37 + row * 11 + column * 5) % 23 - 11);
}

/* As a work-group holds them: one of m, FRAGMENTS of n, and their sums. */
struct held {
        float a[ITEMS][4], b[ITEMS][FRAGMENTS][2], c[ITEMS][FRAGMENTS][4];
};

static void fill(struct held *h)
{
        for (int lane = 0; lane < ITEMS; lane++)
                for (int i = 0; i < 4; i++)
                        h->a[lane][i] = number(0, place_in_a(lane, i).row, place_in_a(lane, i).column);
        for (int at = 0; at < ITEMS * FRAGMENTS; at++) {
                const int lane = at / FRAGMENTS, k = at % FRAGMENTS;
                for (int i = 0; i < 2; i++)
                        h->b[lane][k][i] = number(1 + k, place_in_b(lane, i).row, place_in_b(lane, i).column);
                for (int i = 0; i < 4; i++)
                        h->c[lane][k][i] =
                                number(20 + k, place_in_c(lane, i).row, place_in_c(lane, i).column);
        }
}

static void check(const struct held *h)
{
        for (int at = 0; at < ITEMS * FRAGMENTS * 4; at++) {
                const int lane = at / 4 / FRAGMENTS, k = at / 4 % FRAGMENTS, i = at % 4;
                const struct place p = place_in_c(lane, i);
                float want = number(20 + k, p.row, p.column);
                for (int q = 0; q < K; q++)
                        want += number(0, p.row, q) * number(1 + k, q, p.column);
                if (h->c[lane][k][i] != want)
                        fail_msg("fragment %d, work-item %d, element %d: %g, wanted %g", k, lane, i,
                                (double)h->c[lane][k][i], (double)want);
        }
}

static void products_are_ptx_s(void **state)
{
        struct ops_fixture *f = *state;
        struct err e = {0};
        struct held h;
        const struct {
                void *host;
                size_t bytes;
        } sides[] = {{h.a, sizeof h.a}, {h.b, sizeof h.b}, {h.c, sizeof h.c}};
        struct buf *bufs[3];
        fill(&h);
        struct launch l = begin_probe(f->dev);
        for (int i = 0; i < 3; i++) {
                CHECK_OK(buf_create(f->dev, sides[i].bytes, "fragments", &bufs[i], &e), &e);
                CHECK_OK(buf_write(bufs[i], 0, sides[i].host, sides[i].bytes, &e), &e);
                launch_view(&l, &(struct view){bufs[i], 0});
        }
        CHECK_OK(launch_grid(&l, 1, (size_t[]){ITEMS}, (size_t[]){ITEMS}, &e), &e);
        CHECK_OK(buf_read(bufs[2], 0, h.c, sizeof h.c, &e), &e);
        check(&h);
        for (int i = 0; i < 3; i++)
                buf_destroy(bufs[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_ptx_s)};
        return OPS_RUN(tests);
}
