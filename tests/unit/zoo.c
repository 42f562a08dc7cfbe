/* The architectures: shapes as the course prints them, parameters as PyTorch counts them
 * (tests/golden/course.py). */
#include "check.h"

#include "base/json.h"
#include "zoo/summary.h"
#include "zoo/zoo.h"

static cJSON *summary(const char *architecture, int c, int side, int num_classes)
{
        struct err e = {0};
        cJSON *json = json_parse(architecture, strlen(architecture), &e), *ret = NULL;
        CHECK_OK(json ? 0 : e.code, &e);
        CHECK_OK(summary_build(json, (int[]){c, side, side}, 1, num_classes, &ret, &e), &e);
        cJSON_Delete(json);
        return ret;
}

static void parameters_are_pytorchs(void **state)
{
        (void)state;
        static const struct {
                const char *name;
                int64_t grey10, colour1000; /* of a grey image and 10 classes; of a colour image and 1000 */
        } nets[] = {{"lenet", 61706, 145856}, {"bn-lenet", 62158, 146308}, {"alexnet", 46764746, 50844008},
                {"vgg", 128806154, 132863336}, {"vgg11", 128806154, 132863336},
                {"vgg13", 128990666, 133047848}, {"vgg16", 134300362, 138357544},
                {"vgg19", 139610058, 143667240}, {"nin", 1992166, 7439608}, {"googlenet", 5977530, 6998552},
                {"resnet18", 11178378, 11692520}, {"resnet34", 21290250, 21804392},
                {"resnet50", 23522250, 25557032}, {"resnext50", 22994122, 25028904},
                {"densenet", 758226, 1011008}, {"densenet121", 6957834, 7978856},
                {"densenet169", 12494858, 14149480}, {"densenet201", 18105866, 20013928},
                {"densenet161", 26484682, 28681000}};
        const int count = sizeof nets / sizeof nets[0];
        assert_int_equal(count, zoo_presets_count);
        for (int i = 0; i < count; i++)
                for (int colour = 0; colour < 2; colour++) {
                        char text[64];
                        /* LeNets take 28x28, and stay grey. */
                        const int side = i < 2 ? 28 : 224;
                        snprintf(text, sizeof text, "\"%s\"", nets[i].name);
                        cJSON *s = summary(text, colour && side > 28 ? 3 : 1, side, colour ? 1000 : 10);
                        const double got = json_field(json_field(s, "totals"), "parameters")->valuedouble;
                        const int64_t want = colour ? nets[i].colour1000 : nets[i].grey10;
                        if ((int64_t)got != want)
                                fail_msg("%s: %.0f parameters, PyTorch has %lld", nets[i].name, got,
                                        (long long)want);
                        cJSON_Delete(s);
                }
}

/* The output shapes of the layers of these types, in order. */
static void check_shapes(const char *architecture, int c, int side, const char *types, const char *want)
{
        char got[1024] = "";
        size_t used = 0;
        cJSON *s = summary(architecture, c, side, 10);
        const cJSON *layer;
        cJSON_ArrayForEach(layer, json_field(s, "layers"))
        {
                if (!strstr(types, json_field(layer, "type")->valuestring))
                        continue;
                const cJSON *side_json, *shape = json_field(layer, "output_shape");
                for (side_json = shape->child->next; side_json; side_json = side_json->next)
                        used += (size_t)snprintf(got + used, sizeof got - used, "%s%d",
                                side_json == shape->child->next ? " " : "x", side_json->valueint);
        }
        assert_string_equal(got + 1, want);
        cJSON_Delete(s);
}

static void shapes_are_the_courses(void **state)
{
        (void)state;
        check_shapes("\"alexnet\"", 1, 224, "conv2d max_pool2d flatten linear",
                "96x54x54 96x26x26 256x26x26 256x12x12 384x12x12 384x12x12 256x12x12 256x5x5 6400 4096 4096 "
                "10");
        check_shapes("\"vgg11\"", 1, 224, "max_pool2d flatten linear",
                "64x112x112 128x56x56 256x28x28 512x14x14 512x7x7 25088 4096 4096 10");
        check_shapes("\"nin\"", 1, 224, "conv2d max_pool2d adaptive_avg_pool2d flatten",
                "96x54x54 96x54x54 96x54x54 96x26x26 256x26x26 256x26x26 256x26x26 256x12x12 384x12x12 "
                "384x12x12 "
                "384x12x12 384x5x5 10x5x5 10x5x5 10x5x5 10x1x1 10");
        check_shapes("{\"layers\":[{\"type\":\"dense\",\"layers\":["
                     "{\"type\":\"conv2d\",\"out_channels\":10,\"kernel_size\":3,\"padding\":1},"
                     "{\"type\":\"conv2d\",\"out_channels\":10,\"kernel_size\":3,\"padding\":1}]},"
                     "{\"type\":\"relu\"},{\"type\":\"conv2d\",\"out_channels\":10,\"kernel_size\":1},"
                     "{\"type\":\"avg_pool2d\",\"kernel_size\":2},{\"type\":\"flatten\"},"
                     "{\"type\":\"linear\",\"out_features\":10}]}",
                3, 8, "relu avg_pool2d", "23x8x8 10x4x4");
        /* Features of joins within joins, and features that become pixels again. */
        check_shapes("{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":3},"
                     "{\"type\":\"concat\",\"branches\":[[{\"type\":\"dense\",\"layers\":["
                     "{\"type\":\"linear\",\"out_features\":2}]}]]},{\"type\":\"relu\"},"
                     "{\"type\":\"conv2d\",\"out_channels\":4,\"kernel_size\":1,\"padding\":1},"
                     "{\"type\":\"tanh\"},{\"type\":\"adaptive_avg_pool2d\",\"output_size\":1}]}",
                3, 8, "relu tanh adaptive_avg_pool2d", "5 4x3x3 4x1x1");
}

static void check_refused(const char *architecture, const char *pointer, const char *word)
{
        struct err e = {0};
        cJSON *json = json_parse(architecture, strlen(architecture), &e), *ret = NULL;
        assert_non_null(json);
        assert_int_equal(summary_build(json, (int[]){1, 28, 28}, 1, 10, &ret, &e), ERR_INVALID);
        assert_string_equal(e.pointer, pointer);
        if (!strstr(e.message, word))
                fail_msg("\"%s\" does not say \"%s\"", e.message, word);
        cJSON_Delete(json);
}

static void parameters_are_checked(void **state)
{
        (void)state;
        check_refused("{\"name\":\"vgg\",\"arch\":[]}", "/arch", "list");
        check_refused("{\"name\":\"vgg\",\"arch\":[[1,16],[2]]}", "/arch/1", "2 whole numbers");
        check_refused("{\"name\":\"vgg\",\"arch\":[[1,16],[0,4]]}", "/arch/1", "1 to");
        check_refused("{\"name\":\"vgg\",\"arch\":[16]}", "/arch/0", "2 whole numbers");
        check_refused("{\"name\":\"vgg\",\"growth_rate\":3}", "/growth_rate", "growth_rate");
        check_refused("{\"name\":\"densenet\",\"growth_rate\":\"x\"}", "/growth_rate", "growth_rate");
        check_refused("{\"name\":\"densenet\",\"arch\":[4,1.5]}", "/arch/1", "whole");
        check_refused("{\"name\":\"lenet\",\"activation\":\"conv2d\"}", "/activation", "sigmoid");
        check_refused("{\"name\":\"lenet\",\"dropout\":1}", "/dropout", "dropout");
        check_refused("\"vgg99\"", "", "vgg19");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(parameters_are_pytorchs),
                cmocka_unit_test(shapes_are_the_courses),
                cmocka_unit_test(parameters_are_checked),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
