#include "daemon/wire.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

cJSON *wire_error_json(const struct err *error)
{
        cJSON *o = cJSON_CreateObject();
        if (!o)
                return NULL;
        cJSON_AddNumberToObject(o, "code", error->code);
        cJSON_AddNumberToObject(o, "cl", error->cl);
        cJSON_AddStringToObject(o, "pointer", error->pointer);
        cJSON_AddStringToObject(o, "message", error->message);
        cJSON_AddStringToObject(o, "log", error->log);
        return o;
}

static void copy_string(const cJSON *o, const char *key, char *out, size_t size)
{
        const cJSON *v = json_field(o, key);
        snprintf(out, size, "%s", cJSON_IsString(v) ? v->valuestring : "");
}

int wire_error_read(const cJSON *o, struct err *ret)
{
        int64_t code = 0, cl = 0;
        struct err bad;
        if (!cJSON_IsObject(o) || json_get_int(o, "code", -1000, -1, "", &code, &bad) || code == 0)
                return err_set(ret, ERR_INTERNAL, "a child process sent an error that cannot be read");
        (void)json_get_int(o, "cl", -100000, 100000, "", &cl, &bad);
        *ret = (struct err){.code = (int)code, .cl = (int)cl};
        copy_string(o, "pointer", ret->pointer, sizeof ret->pointer);
        copy_string(o, "message", ret->message, sizeof ret->message);
        copy_string(o, "log", ret->log, sizeof ret->log);
        return ret->code;
}

/* One table of dev_info's fields for both directions. */
#define TEXTS(X) X(id) X(name) X(vendor) X(driver) X(version) X(platform) X(platform_version)
#define NUMBERS(X)                                                                                           \
        X(global_bytes)                                                                                      \
        X(max_alloc_bytes)                                                                                   \
        X(local_bytes) X(compute_units) X(max_work_group) X(base_align_bytes) X(native_width) X(tf32)        \
                X(lanes)

cJSON *wire_device_json(const struct dev_info *info)
{
        cJSON *o = cJSON_CreateObject();
        if (!o)
                return NULL;
#define X(field) cJSON_AddStringToObject(o, #field, info->field);
        TEXTS(X)
#undef X
#define X(field) cJSON_AddNumberToObject(o, #field, (double)info->field);
        NUMBERS(X)
#undef X
        cJSON_AddNumberToObject(o, "type", info->type);
        return o;
}

int wire_device_read(const cJSON *o, struct dev_info *ret, struct err *e)
{
        struct dev_info info = {0};
        int64_t type = 0;
        int rc = json_is_object(o, "", e);
        if (rc)
                return rc;
#define X(field) copy_string(o, #field, info.field, sizeof info.field);
        TEXTS(X)
#undef X
#define X(field)                                                                                             \
        if (rc == 0) {                                                                                       \
                int64_t v = 0;                                                                               \
                rc = json_get_int(o, #field, 0, (int64_t)1 << 53, "", &v, e);                                \
                info.field = (__typeof__(info.field))v;                                                      \
        }
        NUMBERS(X)
#undef X
        if (rc == 0)
                rc = json_get_int(o, "type", DEV_CPU, DEV_ACCELERATOR, "", &type, e);
        if (rc)
                return err_wrap(e, "device");
        info.type = (enum dev_type)type;
        *ret = info;
        return 0;
}
