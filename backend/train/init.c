#include "train/init.h"
#include "base/json.h"
#include "net/net.h"
#include "train/request.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)INIT_NAME_MAX == (int)REQUEST_NAME_MAX, "names of models");

static const char at[] = "/init";

static int find_kind(const char *name, const char *pointer, enum init_kind *ret, struct err *e)
{
        static const char *const names[] = {"xavier_uniform", "kaiming_uniform", "normal"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret = (enum init_kind)i;
                        return 0;
                }
        return err_at(e, ERR_INVALID, pointer,
                "there is no init \"%.40s\"; known are: xavier_uniform, kaiming_uniform, normal and "
                "{\"from\":\"MODEL\"}",
                name);
}

static int read_named(const cJSON *json, struct init_spec *s, struct err *e)
{
        const char *name = "";
        int rc = json_get_string(json, "name", INIT_NAME_MAX, at, &name, e);
        if (rc == 0)
                rc = find_kind(name, "/init/name", &s->kind, e);
        if (rc == 0)
                rc = json_only(json, s->kind == INIT_NORMAL ? "name std" : "name", at, e);
        if (rc == 0)
                rc = json_get_number(json, "std", 1e-12, 1000, at, &s->std, e);
        return rc;
}

static int check_freeze(const cJSON *list, struct err *e)
{
        const cJSON *prefix;
        int i = 0;
        if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > INIT_MAX_FREEZE)
                return err_at(e, ERR_INVALID, "/init/freeze",
                        "\"freeze\" must be a list of at most %d prefixes of layers, [\"net.0\"]",
                        INIT_MAX_FREEZE);
        cJSON_ArrayForEach(prefix, list)
        {
                char pointer[40];
                snprintf(pointer, sizeof pointer, "/init/freeze/%d", i++);
                if (!cJSON_IsString(prefix) || !prefix->valuestring[0] ||
                        strlen(prefix->valuestring) >= NET_NAME_MAX)
                        return err_at(e, ERR_INVALID, pointer,
                                "a prefix must be a layer's name, such as \"net.0\"");
        }
        return 0;
}

static int read_from(const cJSON *json, struct init_spec *s, struct err *e)
{
        const cJSON *freeze = json_field(json, "freeze");
        int rc = json_only(json, "from strict freeze", at, e);
        if (rc == 0)
                rc = json_need(json, "from", at, e);
        if (rc == 0)
                rc = request_get_name(json, "from", at, s->from, e);
        if (rc == 0)
                rc = json_get_bool(json, "strict", at, &s->strict, e);
        if (rc == 0 && freeze)
                rc = check_freeze(freeze, e);
        if (rc == 0 && freeze) {
                s->freeze = cJSON_Duplicate(freeze, true);
                if (!s->freeze)
                        rc = err_set(e, ERR_NO_MEMORY, "no memory to keep the request");
        }
        return rc;
}

int init_parse(const cJSON *json, struct init_spec *ret, struct err *e)
{
        struct init_spec s = {.kind = INIT_XAVIER_UNIFORM, .std = 0.01, .strict = true};
        int rc = 0;
        if (cJSON_IsString(json))
                rc = find_kind(json->valuestring, at, &s.kind, e);
        else if (json)
                rc = json_is_object(json, at, e);
        if (rc == 0 && cJSON_IsObject(json))
                rc = json_field(json, "name") ? read_named(json, &s, e) : read_from(json, &s, e);
        if (rc == 0)
                *ret = s;
        return rc;
}

void init_finish(struct init_spec *s)
{
        cJSON_Delete(s->freeze);
        *s = (struct init_spec){0};
}
