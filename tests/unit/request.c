#include "check.h"

#include "base/json.h"
#include "train/request.h"

#define DATA(normalize)                                                                                      \
        "{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"normalize\":" normalize "}}"
#define BASE "\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":\"fashion-mnist\""

static int parse(const char *text, struct train_request *ret, struct err *e)
{
        cJSON *json = json_parse(text, strlen(text), e);
        if (!json)
                fail_msg("%s: %s", text, e->message);
        int rc = train_request_parse(json, ret, e);
        cJSON_Delete(json);
        return rc;
}

static void the_least_has_defaults(void **state)
{
        struct err e = {0};
        struct train_request r = {0};
        (void)state;
        CHECK_OK(parse("{" BASE "}", &r, &e), &e);
        assert_string_equal(r.title, "");
        assert_string_equal(r.architecture->valuestring, "lenet");
        assert_string_equal(r.dataset, "fashion-mnist");
        assert_int_equal(r.limit + r.val_limit + r.resize_h + r.resize_w, 0);
        assert_int_equal(r.epochs, 10);
        assert_int_equal(r.batch_size, 128);
        assert_int_equal(r.max_steps, 0);
        assert_int_equal(r.report_every, 0);
        assert_true(r.shuffle);
        assert_int_equal(r.seed, 0);
        assert_int_equal(r.optimizer.kind, OPTIMIZER_SGD);
        assert_true(r.optimizer.lr == 0.1);
        assert_string_equal(r.init.from, "");
        assert_true(r.init.strict);
        assert_string_equal(r.save_as, "");
        train_request_finish(&r);
        assert_null(r.architecture);
        train_request_finish(&r);
}

static void every_field_is_read(void **state)
{
        struct err e = {0};
        struct train_request r = {0};
        (void)state;
        CHECK_OK(
                parse("{\"type\":\"train\",\"name\":\"erster Versuch \xc3\xbc\","
                      "\"architecture\":{\"name\":\"vgg\",\"arch\":[[1,16]]},"
                      "\"dataset\":{\"name\":\"a.b_c-D9\",\"resize\":[224,96],\"limit\":6000,\"val_limit\":1,"
                      "\"normalize\":"
                      "{\"mean\":[0.5,0],\"std\":[2,1]}},\"augment\":[{\"type\":\"crop\"},{\"type\":\"zoom\","
                      "\"max\":2}]"
                      ","
                      "\"epochs\":3,\"batch_size\":256,\"optimizer\":{\"name\":\"sgd\",\"lr\":1.5},"
                      "\"seed\":9007199254740992,\"save_as\":\"my-lenet\",\"shuffle\":false,\"max_steps\":50,"
                      "\"report_every\":1,\"micro_batch\":32,\"precision\":\"tf32\",\"class_weights\":[0,2.5]"
                      ",\"init\":{\"from\":"
                      "\"base\",\"strict\":false,\"freeze\":[\"net.0\"]},"
                      "\"stop_when\":{\"metric\":\"val_acc\",\"patience\":2},\"save_best\":\"train_loss\"}",
                        &r, &e),
                &e);
        assert_string_equal(r.title, "erster Versuch \xc3\xbc");
        assert_string_equal(json_field(r.architecture, "name")->valuestring, "vgg");
        assert_string_equal(r.dataset, "a.b_c-D9");
        assert_int_equal(r.resize_h, 224);
        assert_int_equal(r.resize_w, 96);
        assert_int_equal(r.limit, 6000);
        assert_int_equal(r.val_limit, 1);
        assert_int_equal(r.epochs, 3);
        assert_int_equal(r.batch_size, 256);
        assert_int_equal(r.micro_batch, 32);
        assert_int_equal(r.precision, OP_TF32);
        assert_int_equal(r.normalize.mode, NORMALIZE_CHANNELS);
        assert_true(r.normalize.count == 2 && r.normalize.mean[0] == 0.5 && r.normalize.std[0] == 2);
        assert_true(r.augment.count == 2 && r.augment.steps[0].values[0] == 4);
        assert_string_equal(r.augment.steps[1].kind->type, "zoom");
        assert_true(r.augment.steps[1].values[0] == 0.8 && r.augment.steps[1].values[1] == 2);
        assert_true(r.class_weights.count == 2 && r.class_weights.values[0] == 0 &&
                    r.class_weights.values[1] == 2.5f);
        assert_true(r.optimizer.lr == 1.5);
        assert_true(r.seed == (uint64_t)1 << 53);
        assert_string_equal(r.save_as, "my-lenet");
        assert_false(r.shuffle);
        assert_int_equal(r.max_steps, 50);
        assert_int_equal(r.report_every, 1);
        assert_string_equal(r.init.from, "base");
        assert_false(r.init.strict);
        assert_int_equal(cJSON_GetArraySize(r.init.freeze), 1);
        assert_int_equal(r.stop_when.patience, 2);
        assert_int_equal(r.save_best, METRIC_TRAIN_LOSS);
        train_request_finish(&r);
}

static void wrong_fields_are_named(void **state)
{
        static const struct {
                const char *text, *pointer;
        } cases[] = {
                {"[]", ""},
                {"1", ""},
                {"{}", "/type"},
                {"{\"type\":\"classify\"}", "/type"},
                {"{\"type\":1}", "/type"},
                {"{\"type\":\"train\"}", "/architecture"},
                {"{\"type\":\"train\",\"architecture\":\"lenet\"}", "/dataset"},
                {"{\"type\":\"train\",\"architecture\":1,\"dataset\":\"d\"}", "/architecture"},
                {"{\"type\":\"train\",\"architecture\":\"\",\"dataset\":\"d\"}", "/architecture"},
                {"{\"type\":\"train\",\"architecture\":[],\"dataset\":\"d\"}", "/architecture"},
                {"{\"type\":\"train\",\"architecture\":null,\"dataset\":\"d\"}", "/architecture"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":1}", "/dataset"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":\"../x\"}", "/dataset"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":\"\"}", "/dataset"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{}}", "/dataset/name"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a/b\"}}",
                        "/dataset/name"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"split\":1}}",
                        "/dataset/split"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"limit\":0}}",
                        "/dataset/limit"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"val_limit\":-1}}",
                        "/dataset/val_limit"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":224}}",
                        "/dataset/resize"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":[1,2,3]}"
                 "}",
                        "/dataset/resize"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":[0,2]}}",
                        "/dataset/resize/0"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":[1,\"2\"]"
                 "}}",
                        "/dataset/resize/1"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":[1,65537]"
                 "}}",
                        "/dataset/resize/1"},
                {"{\"type\":\"train\",\"architecture\":\"a\",\"dataset\":{\"name\":\"a\",\"resize\":[1.5,1]}"
                 "}",
                        "/dataset/resize/0"},
                {"{" BASE ",\"epochs\":0}", "/epochs"},
                {"{" BASE ",\"epochs\":100001}", "/epochs"},
                {"{" BASE ",\"epochs\":1.5}", "/epochs"},
                {"{" BASE ",\"epochs\":\"10\"}", "/epochs"},
                {"{" BASE ",\"epochs\":null}", "/epochs"},
                {"{" BASE ",\"batch_size\":0}", "/batch_size"},
                {"{" BASE ",\"batch_size\":65537}", "/batch_size"},
                {"{" BASE ",\"batch_size\":-128}", "/batch_size"},
                {"{" BASE ",\"micro_batch\":0}", "/micro_batch"},
                {"{" BASE ",\"micro_batch\":129}", "/micro_batch"},
                {"{" BASE ",\"batch_size\":8,\"micro_batch\":9}", "/micro_batch"},
                {"{" BASE ",\"precision\":\"fp16\"}", "/precision"},
                {"{" BASE ",\"precision\":32}", "/precision"},
                {"{" BASE ",\"class_weights\":true}", "/class_weights"},
                {"{" BASE ",\"class_weights\":\"even\"}", "/class_weights"},
                {"{" BASE ",\"class_weights\":[]}", "/class_weights"},
                {"{" BASE ",\"class_weights\":[0,0]}", "/class_weights"},
                {"{" BASE ",\"class_weights\":[1,-1]}", "/class_weights/1"},
                {"{" BASE ",\"class_weights\":[1,\"1\"]}", "/class_weights/1"},
                {"{" BASE ",\"seed\":-1}", "/seed"},
                {"{" BASE ",\"seed\":0.5}", "/seed"},
                {"{" BASE ",\"seed\":1e300}", "/seed"},
                {"{" BASE ",\"name\":\"\"}", "/name"},
                {"{" BASE ",\"name\":7}", "/name"},
                {"{" BASE ",\"shuffle\":1}", "/shuffle"},
                {"{" BASE ",\"max_steps\":0}", "/max_steps"},
                {"{" BASE ",\"report_every\":0}", "/report_every"},
                {"{" BASE ",\"report_every\":1e10}", "/report_every"},
                {"{" BASE ",\"save_as\":\".hidden\"}", "/save_as"},
                {"{" BASE ",\"save_as\":\"a b\"}", "/save_as"},
                {"{" BASE ",\"save_as\":true}", "/save_as"},
                {"{" BASE ",\"save_best\":\"val_loss\"}", "/save_best"},
                {"{" BASE ",\"save_as\":\"m\",\"save_best\":\"loss\"}", "/save_best"},
                {"{" BASE ",\"save_as\":\"m\",\"save_best\":{\"metric\":\"val_loss\"}}", "/save_best"},
                {"{" BASE ",\"optimizer\":\"magic\"}", "/optimizer"},
                {"{" BASE ",\"optimizer\":{\"name\":\"magic\"}}", "/optimizer/name"},
                {"{" BASE
                 ",\"epochs\":3,\"optimizer\":{\"schedule\":{\"name\":\"cosine\",\"warmup_epochs\":4}}}",
                        "/optimizer/schedule/warmup_epochs"},
                {"{" BASE ",\"gradient_clip\":1}", "/gradient_clip"},
                {"{" BASE ",\"stop_when\":{\"metric\":\"val_loss\"}}", "/stop_when/patience"},
                {"{" BASE ",\"optimizer\":{\"lr\":0}}", "/optimizer/lr"},
                {"{" BASE ",\"optimizer\":{\"lr\":-0.1}}", "/optimizer/lr"},
                {"{" BASE ",\"optimizer\":{\"lr\":1e7}}", "/optimizer/lr"},
                {"{" BASE ",\"optimizer\":{\"lr\":1e-40}}", "/optimizer/lr"},
                {"{" BASE ",\"optimizer\":{\"lr\":\"0.1\"}}", "/optimizer/lr"},
                {"{" BASE ",\"init\":\"zeros\"}", "/init"},
                {"{" BASE ",\"init\":{}}", "/init/from"},
                {"{" BASE ",\"init\":{\"from\":\"a/b\"}}", "/init/from"},
                {"{" BASE ",\"init\":{\"from\":\"a\",\"freeze\":[0]}}", "/init/freeze/0"},
                {"{" BASE ",\"init\":{\"from\":\"a\",\"strict\":0}}", "/init/strict"},
                {"{" BASE ",\"augment\":{}}", "/augment"},
                {"{" BASE ",\"augment\":[1]}", "/augment/0"},
                {"{" BASE ",\"augment\":[{}]}", "/augment/0/type"},
                {"{" BASE ",\"augment\":[{\"type\":\"hflip\"},{\"type\":\"warp\"}]}", "/augment/1/type"},
                {"{" BASE ",\"augment\":[{\"type\":\"hflip\",\"p\":1.5}]}", "/augment/0/p"},
                {"{" BASE ",\"augment\":[{\"type\":\"hflip\",\"q\":1}]}", "/augment/0/q"},
                {"{" BASE ",\"augment\":[{\"type\":\"rot90\",\"p\":1}]}", "/augment/0/p"},
                {"{" BASE ",\"augment\":[{\"type\":\"crop\",\"padding\":1.5}]}", "/augment/0/padding"},
                {"{" BASE ",\"augment\":[{\"type\":\"zoom\",\"min\":2}]}", "/augment/0/min"},
                {"{" BASE ",\"augment\":[{\"type\":\"zoom\",\"min\":1,\"max\":0.5}]}", "/augment/0/max"},
                {"{" BASE ",\"augment\":[{\"type\":\"poisson_noise\",\"dose\":0}]}", "/augment/0/dose"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"degrees\":181}]}", "/augment/0/degrees"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"translate\":0.1}]}", "/augment/0/translate"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"translate\":[0,0,0]}]}",
                        "/augment/0/translate"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"translate\":[0,-1]}]}",
                        "/augment/0/translate/1"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"scale\":[\"1\",2]}]}", "/augment/0/scale/0"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"scale\":[2,1]}]}", "/augment/0/scale"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"shear\":90}]}", "/augment/0/shear"},
                {"{" BASE ",\"augment\":[{\"type\":\"affine\",\"min\":1}]}", "/augment/0/min"},
                {DATA("1"), "/dataset/normalize"},
                {DATA("\"mean\""), "/dataset/normalize"},
                {DATA("{\"std\":[1]}"), "/dataset/normalize/mean"},
                {DATA("{\"mean\":0,\"std\":[1]}"), "/dataset/normalize/mean"},
                {DATA("{\"mean\":[],\"std\":[1]}"), "/dataset/normalize/mean"},
                {DATA("{\"mean\":[0],\"std\":[0]}"), "/dataset/normalize/std/0"},
                {DATA("{\"mean\":[0,0],\"std\":[1]}"), "/dataset/normalize"},
                {DATA("{\"mean\":[0],\"std\":[1],\"eps\":1}"), "/dataset/normalize/eps"},
                {"{" BASE ",\"schedule\":\"constant\"}", "/schedule"},
                {"{" BASE ",\"Epochs\":3}", "/Epochs"},
                {"{" BASE ",\"a/b~\":3}", "/a~1b~0"},
                {"{" BASE ",\"\":3}", "/"},
        };
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct err e = {0};
                struct train_request r = {.epochs = -7};
                int rc = parse(cases[i].text, &r, &e);
                if (rc != ERR_INVALID || strcmp(e.pointer, cases[i].pointer) != 0)
                        fail_msg("%s: %d at \"%s\": %s", cases[i].text, rc, e.pointer, e.message);
                assert_true(r.epochs == -7 && !r.architecture);
        }
}

static void long_names_are_refused(void **state)
{
        char text[600], name[302];
        struct err e = {0};
        struct train_request r = {0};
        (void)state;
        memset(name, 'n', sizeof name - 1);
        name[65] = '\0';
        snprintf(text, sizeof text, "{" BASE ",\"save_as\":\"%s\"}", name);
        assert_int_equal(parse(text, &r, &e), ERR_INVALID);
        snprintf(text, sizeof text, "{" BASE ",\"save_as\":\"%s\"}", name + 1);
        CHECK_OK(parse(text, &r, &e), &e);
        assert_string_equal(r.save_as, name + 1);
        train_request_finish(&r);
        name[65] = 'n';
        name[201] = '\0';
        snprintf(text, sizeof text, "{" BASE ",\"name\":\"%s\"}", name);
        assert_int_equal(parse(text, &r, &e), ERR_INVALID);
        assert_string_equal(e.pointer, "/name");
        snprintf(text, sizeof text, "{" BASE ",\"name\":\"%s\"}", name + 1);
        CHECK_OK(parse(text, &r, &e), &e);
        assert_string_equal(r.title, name + 1);
        train_request_finish(&r);
}

static void names_become_file_names(void **state)
{
        static const char *const good[] = {"a", "my-lenet", "A.b_c-9", "_", "0.1", "a..b"};
        static const char *const wrong[] = {
                "", ".", "..", "-a", ".a", "a/b", "a b", "\xc3\xa9", "a\n", "a:b", "~"};
        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                assert_true(request_name_ok(good[i]));
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
                assert_false(request_name_ok(wrong[i]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_least_has_defaults),
                cmocka_unit_test(every_field_is_read),
                cmocka_unit_test(wrong_fields_are_named),
                cmocka_unit_test(long_names_are_refused),
                cmocka_unit_test(names_become_file_names),
        };
        return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
