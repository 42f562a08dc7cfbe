/* What a device is comes over the channel as it was: the front plans memory with it. */
#include "check.h"
#include "daemon/common/wire.h"

static void every_field_arrives(void **state)
{
        struct dev_info sent, got;
        struct err e = {0};
        (void)state;
        memset(&sent, 1, sizeof sent); /* a number of its width's kind in each field */
        memset(&got, 0, sizeof got);
        char *const texts[] = {sent.id, sent.name, sent.vendor, sent.driver, sent.version, sent.platform,
                sent.platform_version, sent.uuid};
        for (int i = 0; i < 8; i++)
                snprintf(texts[i], sizeof sent.id, "text %d", i);
        snprintf(sent.id, sizeof sent.id, "1:2");
        sent.type = DEV_GPU;
        sent.compute_units = 132;
        sent.native_width = 4;
        sent.lanes = 32;
        sent.tf32 = DEV_TF32_EMULATED;
        sent.fma = true;
        sent.clblast = true;
        sent.global_bytes = (uint64_t)1 << 52;
        sent.max_alloc_bytes = 12345678901;
        sent.local_bytes = 49152;
        sent.base_align_bytes = 512;
        sent.max_work_group = 1024;
        cJSON *json = wire_device_json(&sent);
        CHECK_OK(wire_device_read(json, &got, &e), &e);
        cJSON_Delete(json);
        assert_string_equal(got.id, "1:2");
        assert_string_equal(got.platform_version, "text 6");
        assert_string_equal(got.uuid, "text 7");
        assert_int_equal(got.type, DEV_GPU);
        assert_int_equal(got.tf32, DEV_TF32_EMULATED);
        assert_true(got.global_bytes == sent.global_bytes && got.max_alloc_bytes == sent.max_alloc_bytes);
        assert_true(got.local_bytes == 49152 && got.base_align_bytes == 512 && got.max_work_group == 1024);
        assert_int_equal(got.compute_units, sent.compute_units);
        assert_int_equal(got.native_width, sent.native_width);
        assert_int_equal(got.lanes, sent.lanes);
        assert_true(got.clblast && got.fma);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_field_arrives)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
