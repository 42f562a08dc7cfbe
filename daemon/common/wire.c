#include "daemon/common/wire.h"

#include "base/json.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *wire_text(const cJSON *head, const char *key)
{
        const cJSON *v = json_field(head, key);
        return cJSON_IsString(v) ? v->valuestring : "";
}

int64_t wire_int(const cJSON *head, const char *key)
{
        const int64_t most = (int64_t)1 << 53;
        int64_t v = 0;
        return json_get_int(head, key, -most, most, "", &v, NULL) ? 0 : v;
}

int wire_need_text(const cJSON *head, const char *key, const char **ret, struct err *e)
{
        const cJSON *v = json_field(head, key);
        if (!cJSON_IsString(v) || !v->valuestring[0])
                return err_set(e, ERR_INTERNAL, "a message without \"%s\"", key);
        *ret = v->valuestring;
        return 0;
}

int wire_need_number(const cJSON *head, const char *key, double *ret, struct err *e)
{
        const cJSON *v = json_field(head, key);
        if (!cJSON_IsNumber(v) || v->valuedouble < 0)
                return err_set(e, ERR_INTERNAL, "a message without \"%s\", 0 or more", key);
        *ret = v->valuedouble;
        return 0;
}

cJSON *wire_map_json(int64_t done, int64_t windows)
{
        if (windows == 0)
                return cJSON_CreateNull();
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "done", (double)done);
        cJSON_AddNumberToObject(o, "windows", (double)windows);
        return o;
}

cJSON *wire_error_json(const struct err *error)
{
        cJSON *o = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "code", error->code);
        cJSON_AddNumberToObject(o, "cl", error->cl);
        cJSON_AddStringToObject(o, "pointer", error->pointer);
        cJSON_AddStringToObject(o, "message", error->message);
        cJSON_AddStringToObject(o, "log", error->log);
        return o;
}

static void copy_string(const cJSON *o, const char *key, char *out, size_t size)
{
        snprintf(out, size, "%s", wire_text(o, key));
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
#define TEXTS(X) X(id) X(name) X(vendor) X(driver) X(version) X(platform) X(platform_version) X(uuid) X(card)
/* With the least and the most that is believed. */
#define NUMBERS(X)                                                                                           \
        X(global_bytes, 1, (int64_t)1 << 53)                                                                 \
        X(max_alloc_bytes, 1, (int64_t)1 << 53)                                                              \
        X(local_bytes, 0, (int64_t)1 << 53)                                                                  \
        X(compute_units, 1, 1 << 20)                                                                         \
        X(max_work_group, 1, 1 << 30)                                                                        \
        X(base_align_bytes, 1, 1 << 20)                                                                      \
        X(native_width, 0, 1 << 10)                                                                          \
        X(generic, 0, 1)                                                                                     \
        X(fma, 0, 1)                                                                                         \
        X(tf32, 0, DEV_TF32_EMULATED)                                                                        \
        X(clblast, 0, 1)                                                                                     \
        X(lanes, 1, 256)

cJSON *wire_device_json(const struct dev_info *info)
{
        cJSON *o = cJSON_CreateObject();
#define X(field) cJSON_AddStringToObject(o, #field, info->field);
        TEXTS(X)
#undef X
#define X(field, least, most) cJSON_AddNumberToObject(o, #field, (double)info->field);
        NUMBERS(X)
#undef X
        cJSON_AddNumberToObject(o, "type", info->type);
        return o;
}

/* It becomes a word of a command line and a folder's name. */
static bool is_id(const char *id)
{
        size_t platform = strspn(id, "0123456789"),
               device = strspn(id + platform + (id[platform] == ':'), "0123456789");
        return platform && device && id[platform] == ':' && !id[platform + 1 + device];
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
#define X(field, least, most)                                                                                \
        if (rc == 0)                                                                                         \
                rc = json_need(o, #field, "", e);                                                            \
        if (rc == 0) {                                                                                       \
                int64_t v = 0;                                                                               \
                rc = json_get_int(o, #field, least, most, "", &v, e);                                        \
                info.field = (__typeof__(info.field))v;                                                      \
        }
        NUMBERS(X)
#undef X
        if (rc == 0 && !is_id(info.id))
                rc = err_set(e, ERR_INVALID, "\"%s\" is not the id of a device", info.id);
        if (rc == 0)
                rc = json_get_int(o, "type", DEV_CPU, DEV_ACCELERATOR, "", &type, e);
        if (rc)
                return err_wrap(e, "device");
        info.type = (enum dev_type)type;
        *ret = info;
        return 0;
}
