#include "train/augment.h"
#include "base/json.h"
#include "net/layers.h"

#include <stdio.h>
#include <string.h>

#define NUMBER(field, index, value, least, most)                                                             \
        {                                                                                                    \
                .name = field, .type = OP_NUMBER, .offset = index, .fallback = value, .min = least,          \
                .max = most                                                                                  \
        }

#define NUMBERS(field, index, value, least, most)                                                            \
        {                                                                                                    \
                .name = field, .type = OP_NUMBERS, .offset = index, .fallback = value, .min = least,         \
                .max = most                                                                                  \
        }

static const struct augment_kind kinds[] = {
        {"hflip", "HFLIP", "mirrors left and right with probability p", AUGMENT_GEOMETRIC,
                {NUMBER("p", 0, 0.5, 0, 1)}},
        {"vflip", "VFLIP", "mirrors top and bottom with probability p", AUGMENT_GEOMETRIC,
                {NUMBER("p", 0, 0.5, 0, 1)}},
        {"rot90", "ROT90", "turns by a random multiple of 90 degrees; square images only", AUGMENT_GEOMETRIC,
                {{.name = NULL}}},
        {"affine", "AFFINE",
                "turns and shears by up to so many degrees, moves by up to such parts of height and width, "
                "enlarges by a factor of the first to the second, bilinear, mirrored outside; after "
                "torchvision's RandomAffine",
                AUGMENT_GEOMETRIC,
                {NUMBER("degrees", AUGMENT_DEGREES, 180, 0, 180),
                        NUMBERS("translate", AUGMENT_TRANSLATE, 0, 0, 1),
                        NUMBERS("scale", AUGMENT_SCALE, 1, 0.1, 10),
                        NUMBER("shear", AUGMENT_SHEAR, 0, 0, 60)}},
        {"crop", "CROP",
                "moves by up to `padding` pixels both ways, zeros outside: torchvision's RandomCrop(size, "
                "padding)",
                AUGMENT_GEOMETRIC, {{.name = "padding", .type = OP_INT, .fallback = 4, .max = 65536}}},
        {"zoom", "ZOOM", "enlarges by a factor of min to max, a random window, bilinear; zeros outside",
                AUGMENT_GEOMETRIC, {NUMBER("min", 0, 0.8, 0.1, 10), NUMBER("max", 1, 1.25, 0.1, 10)}},
        {"row_jitter", "ROW_JITTER",
                "moves each row by up to `max` pixels, as a disturbed scan does; edges are repeated",
                AUGMENT_GEOMETRIC, {NUMBER("max", 0, 1, 0, 65536)}},
        {"brightness", "BRIGHTNESS", "adds a number of -max to max", AUGMENT_POINT,
                {NUMBER("max", 0, 0.2, 0, 1e6)}},
        {"contrast", "CONTRAST", "multiplies by min to max around the image's mean", AUGMENT_MEAN_POINT,
                {NUMBER("min", 0, 0.8, 0, 100), NUMBER("max", 1, 1.25, 0, 100)}},
        {"gamma", "GAMMA", "raises to a power of min to max; what is below zero becomes zero", AUGMENT_POINT,
                {NUMBER("min", 0, 0.7, 0.01, 100), NUMBER("max", 1, 1.4, 0.01, 100)}},
        {"gaussian_noise", "GAUSSIAN_NOISE", "adds normal noise of deviation std", AUGMENT_POINT,
                {NUMBER("std", 0, 0.05, 0, 1e6)}},
        {"poisson_noise", "POISSON_NOISE", "counts electrons: `dose` of them a pixel at value 1",
                AUGMENT_POINT, {NUMBER("dose", 0, 100, 1e-3, 1e9)}},
        {"background", "BACKGROUND",
                "adds a smooth second-order polynomial over the image, within -max to max", AUGMENT_POINT,
                {NUMBER("max", 0, 0.2, 0, 1e6)}},
        {"blur", "BLUR", "Gaussian blur of up to `sigma` pixels; edges are repeated", AUGMENT_BLUR,
                {NUMBER("sigma", 0, 1, 0, AUGMENT_MAX_SIGMA)}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static bool is(const struct augment_step *s, const char *type)
{
        return strcmp(s->kind->type, type) == 0;
}

static int find(const cJSON *step, const char *at, const struct augment_kind **ret, struct err *e)
{
        const char *type = NULL;
        char pointer[64], known[300] = "";
        int rc = cJSON_IsObject(step)
                         ? 0
                         : err_at(e, ERR_INVALID, at, "an object like {\"type\":\"hflip\"} is expected here");
        if (rc == 0)
                rc = json_need(step, "type", at, e);
        if (rc == 0)
                rc = json_get_string(step, "type", 40, at, &type, e);
        if (rc)
                return rc;
        for (int i = 0; i < KINDS; i++) {
                if (strcmp(kinds[i].type, type) == 0) {
                        *ret = &kinds[i];
                        return 0;
                }
                snprintf(known + strlen(known), sizeof known - strlen(known), " %s", kinds[i].type);
        }
        snprintf(pointer, sizeof pointer, "%s/type", at);
        return err_at(e, ERR_INVALID, pointer, "there is no augmentation \"%s\"; known are:%s", type, known);
}

static int read_numbers(
        const cJSON *step, const struct op_field *f, const char *at, double ret[2], struct err *e)
{
        const cJSON *list = json_field(step, f->name);
        char pointer[64];
        ret[0] = ret[1] = f->fallback;
        snprintf(pointer, sizeof pointer, "%s/%s", at, f->name);
        if (list && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 2))
                return err_at(e, ERR_INVALID, pointer, "\"%s\" must be two numbers from %g to %g", f->name,
                        f->min, f->max);
        for (int i = 0; list && i < 2; i++) {
                const cJSON *v = cJSON_GetArrayItem(list, i);
                snprintf(pointer, sizeof pointer, "%s/%s/%d", at, f->name, i);
                if (!cJSON_IsNumber(v) || v->valuedouble < f->min || v->valuedouble > f->max)
                        return err_at(e, ERR_INVALID, pointer, "a number from %g to %g is expected here",
                                f->min, f->max);
                ret[i] = v->valuedouble;
        }
        return 0;
}

static int read_field(const cJSON *step, const struct op_field *f, const char *at, double *ret, struct err *e)
{
        int64_t whole = (int64_t)f->fallback;
        if (f->type == OP_NUMBERS)
                return read_numbers(step, f, at, ret, e);
        *ret = f->fallback;
        if (f->type == OP_NUMBER)
                return json_get_number(step, f->name, f->min, f->max, at, ret, e);
        int rc = json_get_int(step, f->name, (int64_t)f->min, (int64_t)f->max, at, &whole, e);
        if (rc == 0)
                *ret = (double)whole;
        return rc;
}

static int check_range(const double range[2], const char *at, const char *name, struct err *e)
{
        char pointer[64];
        if (range[0] <= range[1])
                return 0;
        snprintf(pointer, sizeof pointer, "%s/%s", at, name);
        return err_at(e, ERR_INVALID, pointer, "min is %g, above max, which is %g", range[0], range[1]);
}

static int read_step(const cJSON *json, const char *at, struct augment_step *ret, struct err *e)
{
        char keys[64] = "type";
        int rc = find(json, at, &ret->kind, e);
        if (rc)
                return rc;
        const struct op_field *fields = ret->kind->fields;
        for (const struct op_field *f = fields; f->name; f++)
                snprintf(keys + strlen(keys), sizeof keys - strlen(keys), " %s", f->name);
        rc = json_only(json, keys, at, e);
        for (const struct op_field *f = fields; rc == 0 && f->name; f++)
                rc = read_field(json, f, at, &ret->values[f->offset], e);
        if (rc == 0 && fields[0].name && strcmp(fields[0].name, "min") == 0)
                rc = check_range(ret->values, at, json_field(json, "max") ? "max" : "min", e);
        if (rc == 0 && is(ret, "affine"))
                rc = check_range(ret->values + AUGMENT_SCALE, at, "scale", e);
        return rc;
}

int augment_parse(const cJSON *list, struct augment *ret, struct err *e)
{
        struct augment a = {0};
        const cJSON *step;
        if (!list)
                return 0;
        if (!cJSON_IsArray(list))
                return err_at(e, ERR_INVALID, "/augment",
                        "\"augment\" must be a list of objects like {\"type\":\"hflip\"}");
        if (cJSON_GetArraySize(list) > AUGMENT_MAX)
                return err_at(e, ERR_INVALID, "/augment", "more than %d augmentations", AUGMENT_MAX);
        cJSON_ArrayForEach(step, list)
        {
                char at[32];
                snprintf(at, sizeof at, "/augment/%d", a.count);
                int rc = read_step(step, at, &a.steps[a.count++], e);
                if (rc)
                        return rc;
        }
        *ret = a;
        return 0;
}

int augment_check(const struct augment *a, struct shape s, struct err *e)
{
        for (int i = 0; i < a->count; i++) {
                char at[32];
                if (!is(&a->steps[i], "rot90") || s.h == s.w)
                        continue;
                snprintf(at, sizeof at, "/augment/%d", i);
                return err_at(e, ERR_INVALID, at, "rot90 needs square images; these are %dx%d", s.h, s.w);
        }
        return 0;
}

bool augment_joins(const struct augment *a, int first, int at)
{
        int affine = 0, zeros = 0;
        for (int i = first; i <= at; i++) {
                const struct augment_step *s = &a->steps[i];
                if (s->kind->class != AUGMENT_GEOMETRIC || (i < at && is(s, "row_jitter")))
                        return false;
                affine += is(s, "affine");
                zeros += !is(s, "affine") && !is(s, "hflip") && !is(s, "vflip") && !is(s, "rot90");
        }
        return affine == 0 || (affine == 1 && zeros == 0);
}

cJSON *augment_kinds_json(void)
{
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; i < KINDS; i++) {
                cJSON *item = cJSON_CreateObject();
                cJSON_AddStringToObject(item, "type", kinds[i].type);
                cJSON_AddStringToObject(item, "description", kinds[i].doc);
                json_add(item, "parameters", layers_fields_json(kinds[i].fields));
                json_push(list, item);
        }
        return list;
}
