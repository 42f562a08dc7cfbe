/* NVIDIA's compiler is told how many registers the products in fp32 may have, no other program and no other
   compiler: on a device whose compiler takes it (tests/card.c). */
#include "ops.h"
#include "ops/conv.h"
#include "ops/kinds.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/cnnd-options-XXXXXX";

static void run(struct ops_fixture *f, const struct op_kind *kind, const void *args)
{
        struct op *op = ops_layer(kind, args, (struct shape){3, 6, 5});
        const struct trial t = {.dev = f->dev,
                .op = op,
                .n = 33,
                .lanes = 32,
                .variant = OP_TILED,
                .training = true,
                .backward = true};
        ops_check(&t, f->seed, 1e-4);
        op_destroy(op);
}

static void products_are_limited(void **state)
{
        char line[1024];
        int products = 0, others = 0;
        struct ops_fixture *f = *state;
        assert_true(dev_info(f->dev)->limits_registers);
        run(f, &op_conv2d, &(struct conv_args){5, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 1, true});
        run(f, &op_relu, NULL);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
                const bool is_product = strstr(line, "-DTILE_M=") != NULL;
                assert_true((strstr(line, " -cl-nv-maxrregcount=128") != NULL) == is_product);
                products += is_product;
                others += !is_product;
        }
        fclose(file);
        assert_true(products > 0 && others > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_limited)};
        const int fd = mkstemp(path);
        if (fd < 0)
                return 1;
        close(fd);
        setenv("CNND_CARD_OPTIONS", path, 1);
        const int rc = OPS_RUN(tests);
        unlink(path);
        return rc;
}
