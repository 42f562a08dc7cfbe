#include "daemon/api/oip.h"

#include "base/json.h"
#include "daemon/decoder/album.h"
#include "data/image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
        VALUES = 1000, /* of a request's JSON, without its tensors */
        NAME_MAX_BYTES = 64,
        AT = 32,
        INSIDE = 48, /* bytes of pointers */
};

static const struct oip_type types[] = {
        {"FP32", "<f4", 4, NUMBERS_FP32},
        {"UINT8", "|u1", 1, NUMBERS_UINT8},
        {"UINT16", "<u2", 2, NUMBERS_UINT16},
        {"BYTES", NULL, 0, NUMBERS_FP32},
};

/* --- fields --- */

/* A field that must be there, a string. */
static int need_string(const cJSON *o, const char *key, const char *at, const char **ret, struct err *e)
{
        int rc = json_need(o, key, at, e);
        return rc ? rc : json_get_string(o, key, NAME_MAX_BYTES, at, ret, e);
}

/* `parameters` of an object at `at`, which has these alone; NULL where it has none. */
static int get_parameters(const cJSON *o, const char *at, const char *known, const cJSON **ret,
        char where[INSIDE], struct err *e)
{
        const cJSON *p = json_field(o, "parameters");
        snprintf(where, INSIDE, "%s/parameters", at);
        int rc = p ? json_is_object(p, where, e) : 0;
        if (rc == 0 && p)
                rc = json_only(p, known, where, e);
        if (rc == 0)
                *ret = p;
        return rc;
}

static int read_shape(const cJSON *list, struct oip_input *in, struct err *e)
{
        const cJSON *item;
        in->dims = 0;
        if (!cJSON_IsArray(list))
                return err_at(e, ERR_INVALID, "/inputs/0/shape", "\"shape\" must be a list");
        cJSON_ArrayForEach(item, list)
        {
                const double v = cJSON_IsNumber(item) ? item->valuedouble : 0;
                if (in->dims == NUMBERS_MAX_DIMS)
                        return err_at(e, ERR_INVALID, "/inputs/0/shape", "a shape of %d sides; the most is 4",
                                cJSON_GetArraySize(list));
                if (!(v >= 1 && v <= INT32_MAX && v == floor(v)))
                        return err_at(e, ERR_INVALID, "/inputs/0/shape",
                                "side %d of the shape is not a whole number from 1 on", in->dims);
                in->shape[in->dims++] = (int64_t)v;
        }
        return 0;
}

static int find_type(const char *name, const struct oip_type **ret, struct err *e)
{
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (strcmp(types[i].name, name) == 0) {
                        *ret = &types[i];
                        return 0;
                }
        return err_at(e, ERR_INVALID, "/inputs/0/datatype",
                "datatype %s is not taken: FP32, UINT8 and UINT16 are, and BYTES as \"image\"", name);
}

static void write_shape(const struct oip_input *in, char out[64])
{
        size_t n = 0;
        for (int i = 0; i < in->dims; i++)
                n += (size_t)snprintf(out + n, 64 - n, "%s%lld", i ? "," : "", (long long)in->shape[i]);
        out[n] = '\0';
}

/* Name, datatype and shape agree with each other and the model. */
static int check_input(
        const char *name, const struct oip_input *in, const struct model_shape *s, struct err *e)
{
        char shape[64];
        write_shape(in, shape);
        const bool image = strcmp(name, "image") == 0;
        if (!image && strcmp(name, "input") != 0)
                return err_at(e, ERR_INVALID, "/inputs/0/name",
                        "there is no input \"%s\": it is \"input\", or \"image\" for files", name);
        if (image != !in->type->npy)
                return err_at(e, ERR_INVALID, "/inputs/0/datatype", "\"%s\" is %s, not %s", name,
                        image ? "BYTES" : "FP32, UINT8 or UINT16", in->type->name);
        if (image && (in->dims < 1 || in->dims > 2 || (in->dims == 2 && in->shape[1] != 1)))
                return err_at(e, ERR_INVALID, "/inputs/0/shape",
                        "the shape of \"image\" is [N] or [N,1], not [%s]", shape);
        if (image && in->shape[0] > ALBUM_MAX_FILES)
                return err_at(e, ERR_INVALID, "/inputs/0/shape", "%lld files; the most is %d",
                        (long long)in->shape[0], ALBUM_MAX_FILES);
        if (!image && (in->dims != 4 || in->shape[1] != s->c || in->shape[2] != s->h || in->shape[3] != s->w))
                return err_at(e, ERR_INVALID, "/inputs/0/shape",
                        "the shape of \"input\" is [N,%d,%d,%d], not [%s]", s->c, s->h, s->w, shape);
        if (!image && in->shape[0] > IMAGE_MAX_COUNT)
                return err_at(e, ERR_INVALID, "/inputs/0/shape", "%lld images; the most is %d",
                        (long long)in->shape[0], IMAGE_MAX_COUNT);
        return 0;
}

/* Where the values are: in "data", or binary_data_size bytes behind the JSON. */
static int find_data(const cJSON *o, const struct numbers_cut *cut, struct oip_input *in, struct err *e)
{
        const cJSON *parameters, *data = json_field(o, "data");
        const int64_t need = in->type->npy ? oipbody_elements(in) * in->type->size : (int64_t)in->len;
        int64_t size = -1;
        char at[INSIDE];
        int rc = get_parameters(o, "/inputs/0", "binary_data_size", &parameters, at, e);
        if (rc == 0 && parameters)
                rc = json_get_int(parameters, "binary_data_size", 0, INT64_MAX >> 11, at, &size, e);
        if (rc)
                return rc;
        if (!data == (size < 0))
                return err_at(e, ERR_INVALID, "/inputs/0", "\"data\" is needed, or a \"binary_data_size\"%s",
                        data ? ", not both" : "");
        if (data && in->len)
                return err_at(e, ERR_INVALID, "/inputs/0",
                        "%zu bytes follow the JSON, and no \"binary_data_size\" says what they are", in->len);
        if (data && !in->type->npy)
                return err_at(e, ERR_INVALID, "/inputs/0/data",
                        "files follow the JSON, as \"binary_data_size\" bytes");
        if (data) {
                in->numbers = &cut->span[data->valueint];
                return 0;
        }
        if (size != (int64_t)in->len)
                return err_at(e, ERR_INVALID, "/inputs/0/parameters/binary_data_size",
                        "\"binary_data_size\" is %lld, and %zu bytes follow the JSON", (long long)size,
                        in->len);
        if (size != need)
                return err_at(e, ERR_INVALID, "/inputs/0/parameters/binary_data_size",
                        "\"binary_data_size\" is %lld, and the shape needs %lld", (long long)size,
                        (long long)need);
        return 0;
}

static int read_inputs(const cJSON *tree, const struct numbers_cut *cut, const struct model_shape *s,
        struct oip_input *in, struct err *e)
{
        const cJSON *list = json_field(tree, "inputs"), *o = list ? list->child : NULL;
        const char *name = "", *type = "";
        int rc = json_need(tree, "inputs", "", e);
        if (rc == 0 && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 1))
                rc = err_at(
                        e, ERR_INVALID, "/inputs", "one input is taken: \"input\", or \"image\" for files");
        if (rc == 0)
                rc = json_is_object(o, "/inputs/0", e);
        if (rc == 0)
                rc = json_only(o, "name shape datatype parameters data", "/inputs/0", e);
        if (rc == 0)
                rc = need_string(o, "name", "/inputs/0", &name, e);
        if (rc == 0)
                rc = need_string(o, "datatype", "/inputs/0", &type, e);
        if (rc == 0)
                rc = find_type(type, &in->type, e);
        if (rc == 0)
                rc = json_need(o, "shape", "/inputs/0", e);
        if (rc == 0)
                rc = read_shape(json_field(o, "shape"), in, e);
        if (rc == 0)
                rc = check_input(name, in, s, e);
        return rc ? rc : find_data(o, cut, in, e);
}

static int read_output(const cJSON *o, int index, const struct model_shape *s, struct oip_request *to,
        bool binary, struct err *e)
{
        static const char *const names[] = {[OIP_LOGITS] = "logits", [OIP_PROBABILITIES] = "probabilities"};
        struct oip_output out = {.binary = binary};
        char at[AT], inside[INSIDE];
        const char *name = "";
        const cJSON *parameters = NULL;
        int64_t best = 0;
        snprintf(at, sizeof at, "/outputs/%d", index);
        int rc = json_is_object(o, at, e);
        if (rc == 0)
                rc = json_only(o, "name parameters", at, e);
        if (rc == 0)
                rc = need_string(o, "name", at, &name, e);
        if (rc == 0)
                rc = get_parameters(o, at, "binary_data classification", &parameters, inside, e);
        if (rc == 0 && parameters)
                rc = json_get_bool(parameters, "binary_data", inside, &out.binary, e);
        if (rc == 0 && parameters)
                rc = json_get_int(parameters, "classification", 0, INT32_MAX, inside, &best, e);
        if (rc)
                return rc;
        out.best = best < s->num_classes ? (int)best : s->num_classes;
        out.tensor = strcmp(name, names[OIP_PROBABILITIES]) == 0 ? OIP_PROBABILITIES : OIP_LOGITS;
        if (strcmp(name, names[out.tensor]) != 0)
                return err_at(e, ERR_INVALID, at,
                        "there is no output \"%s\": \"logits\" and \"probabilities\" are", name);
        for (int i = 0; i < to->output_count; i++)
                if (to->output[i].tensor == out.tensor)
                        return err_at(e, ERR_INVALID, at, "\"%s\" is asked for twice", name);
        to->output[to->output_count++] = out;
        return 0;
}

static void want_all(struct oip_request *to, bool binary)
{
        to->output[0] = (struct oip_output){.tensor = OIP_LOGITS, .binary = binary};
        to->output[1] = (struct oip_output){.tensor = OIP_PROBABILITIES, .binary = binary};
        to->output_count = OIP_OUTPUTS;
}

static int read_outputs(const cJSON *tree, const struct model_shape *s, struct oip_request *to, struct err *e)
{
        const cJSON *list = json_field(tree, "outputs"), *item, *parameters;
        bool binary = false;
        char at[INSIDE];
        int rc = get_parameters(tree, "", "binary_data_output", &parameters, at, e), index = 0;
        if (rc == 0 && parameters)
                rc = json_get_bool(parameters, "binary_data_output", at, &binary, e);
        if (rc == 0 && list && !cJSON_IsArray(list))
                rc = err_at(e, ERR_INVALID, "/outputs", "\"outputs\" must be a list");
        if (rc)
                return rc;
        cJSON_ArrayForEach(item, list)
        {
                rc = read_output(item, index++, s, to, binary, e);
                if (rc)
                        return rc;
        }
        if (index == 0)
                want_all(to, binary);
        return 0;
}

static int read_id(const cJSON *tree, struct oip_request *to, struct err *e)
{
        const cJSON *id = json_field(tree, "id");
        if (!id)
                return 0;
        if (!cJSON_IsString(id) || strlen(id->valuestring) > OIP_ID_MAX)
                return err_at(e, ERR_INVALID, "/id", "\"id\" must be a string of up to %d bytes", OIP_ID_MAX);
        to->has_id = true;
        snprintf(to->id, sizeof to->id, "%s", id->valuestring);
        return 0;
}

/* --- the whole --- */

static int read_json(const struct numbers_cut *cut, const struct model_shape *s, struct oip_request *to,
        struct oip_input *in, struct err *e)
{
        cJSON *tree = json_parse_most(cut->rest.data, cut->rest.len, VALUES, e);
        if (!tree)
                return e->code;
        int rc = json_is_object(tree, "", e);
        if (rc == 0)
                rc = json_only(tree, "id parameters inputs outputs", "", e);
        if (rc == 0)
                rc = read_id(tree, to, e);
        if (rc == 0)
                rc = read_outputs(tree, s, to, e);
        if (rc == 0)
                rc = read_inputs(tree, cut, s, in, e);
        cJSON_Delete(tree);
        return rc;
}

/* Nothing but a tensor: its length says how many images it holds. */
static int read_plain(
        const struct model_shape *s, struct oip_request *to, struct oip_input *in, struct err *e)
{
        const size_t image = (size_t)s->c * (size_t)s->h * (size_t)s->w * (size_t)types[0].size;
        const size_t n = in->len / image;
        if (n == 0 || in->len % image || n > IMAGE_MAX_COUNT)
                return err_set(e, ERR_INVALID,
                        "%zu bytes without JSON are not an FP32 tensor of up to %d images of %zu bytes "
                        "(%dx%dx%d)",
                        in->len, IMAGE_MAX_COUNT, image, s->c, s->h, s->w);
        in->type = &types[0];
        in->dims = 4;
        memcpy(in->shape, (int64_t[]){(int64_t)n, s->c, s->h, s->w}, sizeof in->shape);
        want_all(to, false);
        return 0;
}

int oip_read(const char *body, size_t len, int64_t json_bytes, const struct model_shape *shape,
        struct oip_request *ret, struct oip_body *ret_body, struct err *e)
{
        const size_t json = json_bytes < 0 ? len : (size_t)json_bytes;
        struct numbers_cut cut = {0};
        *ret = (struct oip_request){0};
        *ret_body = (struct oip_body){0};
        if (json > len)
                return err_set(e, ERR_SYNTAX,
                        "Inference-Header-Content-Length is %zu, and the body has %zu bytes", json, len);
        if (json > (size_t)OIP_JSON_MIB << 20)
                return err_set(e, ERR_TOO_LARGE,
                        "%zu bytes of JSON; the most is %d MiB: send the tensor in binary after it", json,
                        OIP_JSON_MIB);
        struct oip_input in = {.bytes = (const unsigned char *)body + json, .len = len - json};
        int rc = json ? numbers_cut(body, json, "data", &cut, e) : read_plain(shape, ret, &in, e);
        if (rc == 0 && json)
                rc = read_json(&cut, shape, ret, &in, e);
        if (rc == 0) {
                ret->n = (int)in.shape[0];
                ret->files = !in.type->npy;
                rc = oipbody_make(&in, ret_body, e);
        }
        str_free(&cut.rest);
        return rc;
}
