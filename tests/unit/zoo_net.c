/* Where an error of a network points: into the user's own layers, but not into a preset's. */
#include "check.h"

#include "base/json.h"
#include "net/net.h"
#include "zoo/zoo.h"

static void make(const char *text, struct shape input, struct err *e)
{
        struct net *net = NULL;
        cJSON *architecture = json_parse(text, strlen(text), e);
        assert_non_null(architecture);
        *e = (struct err){0};
        if (zoo_net(architecture, 10, input, &net, e) == 0)
                assert_int_equal(net->values[net->output].s.c, 10);
        net_destroy(net);
        cJSON_Delete(architecture);
}

static void a_preset_that_fits_is_made(void **state)
{
        struct err e;
        (void)state;
        make("\"lenet\"", (struct shape){1, 28, 28}, &e);
        assert_int_equal(e.code, 0);
        make("{\"name\":\"bn-lenet\",\"num_classes\":10}", (struct shape){1, 28, 28}, &e);
        assert_int_equal(e.code, 0);
}

static void a_preset_that_does_not_fit_is_named_with_its_layer(void **state)
{
        static const char *const asked[] = {"\"lenet\"", "{\"name\":\"lenet\"}"};
        struct err e;
        (void)state;
        for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
                make(asked[i], (struct shape){1, 4, 4}, &e);
                assert_int_equal(e.code, ERR_INVALID);
                assert_string_equal(e.pointer, "");
                assert_non_null(strstr(e.message, "lenet on 1x4x4, layer 3 (conv2d): "));
        }
}

static void errors_in_what_the_user_wrote_point_there(void **state)
{
        static const struct {
                const char *architecture, *pointer;
        } cases[] = {
                {"\"lenot\"", ""},
                {"{\"name\":\"lenot\"}", "/name"},
                {"{\"name\":\"lenet\",\"depth\":3}", "/depth"},
                {"{\"name\":\"lenet\",\"num_classes\":9}", "/num_classes"},
                {"{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":-1}]}",
                        "/layers/1/out_features"},
                {"{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":9}]}",
                        "/layers/0/kernel_size"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e;
                make(cases[i].architecture, (struct shape){1, 4, 4}, &e);
                assert_int_equal(e.code, ERR_INVALID);
                assert_string_equal(e.pointer, cases[i].pointer);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_preset_that_fits_is_made),
                cmocka_unit_test(a_preset_that_does_not_fit_is_named_with_its_layer),
                cmocka_unit_test(errors_in_what_the_user_wrote_point_there),
        };
        return cmocka_run_group_tests_name("zoo_net", tests, NULL, NULL);
}
