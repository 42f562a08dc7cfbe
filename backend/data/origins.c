#include "data/origins.h"

#include "base/json.h"
#include "data/name.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static size_t records_bytes(const struct dataset_origins *o)
{
        return ((size_t)o->files[DATASET_TRAIN] + (size_t)o->files[DATASET_VAL]) *
               sizeof(struct origins_file);
}

const char *origins_name(const struct origins *o, int file)
{
        return o->names + o->files[file].name_at;
}

uint64_t origins_images(const struct origins_file *f)
{
        uint64_t n = 0;
        return __builtin_mul_overflow((uint64_t)f->frames * f->rows, f->columns, &n) ? UINT64_MAX : n;
}

static int damaged(const char *what, struct err *e)
{
        return err_set(e, ERR_SYNTAX, "its list of files is damaged: %s", what);
}

/* Names end within `len` bytes, for the last of these is a NUL. */
static int check_files(const struct origins *o, size_t len, uint64_t images, struct err *e)
{
        uint64_t sum = 0;
        for (int i = 0; i < o->count; i++) {
                const uint64_t n = origins_images(&o->files[i]);
                if (n == 0 || n > images - sum)
                        return damaged("a file's images are not those that are there", e);
                sum += n;
                if (o->files[i].name_at >= len || !origins_name(o, i)[0])
                        return damaged("a file without a name", e);
        }
        return sum == images ? 0 : damaged("images without a file", e);
}

int origins_open(const struct dataset *d, enum dataset_split split, struct origins *ret, struct err *e)
{
        const struct dataset_origins *have = &d->origins;
        *ret = (struct origins){0};
        if (!have->len)
                return 0;
        const size_t records = records_bytes(have);
        const struct origins_file *files = have->section;
        struct origins o = {.files = files + (split == DATASET_VAL ? have->files[DATASET_TRAIN] : 0),
                .names = (const char *)have->section + records,
                .count = have->files[split]};
        const size_t names = (size_t)have->len - records;
        if (o.names[names - 1])
                return damaged("the last name has no end", e);
        int rc = check_files(&o, names, (uint64_t)d->split[split].count, e);
        if (rc == 0 && (uint32_t)crc32_z(0, have->section, (size_t)have->len) != have->crc)
                rc = damaged("its checksum is wrong", e);
        if (rc == 0)
                *ret = o;
        return rc;
}

int origins_begin(struct origins_draft *o, const char *dir, struct err *e)
{
        *o = (struct origins_draft){0};
        return spool_open(&o->spool, dir, UINT32_MAX, e);
}

int origins_put_file(struct origins_draft *o, enum dataset_split split, const char *name,
        struct origins_file f, struct err *e)
{
        char cut[ORIGINS_NAME_MAX + 1];
        f.name_at = (uint32_t)o->names;
        o->names += name_cut(name, ORIGINS_NAME_MAX, cut) + 1;
        o->facts.files[split]++;
        return spool_add(&o->spool, &f, sizeof f, e);
}

int origins_put_name(struct origins_draft *o, const char *name, struct err *e)
{
        char cut[ORIGINS_NAME_MAX + 1];
        return spool_add(&o->spool, cut, name_cut(name, ORIGINS_NAME_MAX, cut) + 1, e);
}

int origins_seal(struct origins_draft *o, struct err *e)
{
        const unsigned char *bytes = NULL;
        int rc = spool_map(&o->spool, &bytes, e);
        if (rc)
                return rc;
        o->facts.section = bytes;
        o->facts.len = o->spool.len;
        o->facts.crc = (uint32_t)crc32_z(0, bytes, (size_t)o->spool.len);
        return 0;
}

void origins_finish(struct origins_draft *o)
{
        spool_close(&o->spool);
}

void origins_describe(struct str *out, const struct dataset_origins *o)
{
        str_addf(out, ",\"origins\":{\"files\":[%d,%d],\"step\":[%d,%d],\"bytes\":%llu,\"crc\":%u}",
                o->files[DATASET_TRAIN], o->files[DATASET_VAL], o->step_y, o->step_x,
                (unsigned long long)o->len, o->crc);
}

/* Two whole numbers from 0 on. */
static int read_pair(const cJSON *json, const char *key, int ret[2], struct err *e)
{
        const cJSON *list = json_field(json, key);
        for (int i = 0; i < 2; i++) {
                const cJSON *v = cJSON_IsArray(list) ? cJSON_GetArrayItem(list, i) : NULL;
                if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > INT_MAX / 2 ||
                        v->valuedouble != (double)(int)v->valuedouble)
                        return err_at(e, ERR_INVALID, "/origins", "\"%s\" must be two whole numbers", key);
                ret[i] = (int)v->valuedouble;
        }
        return 0;
}

int origins_parse(const cJSON *json, struct dataset_origins *ret, struct err *e)
{
        struct dataset_origins o = {0};
        int step[2], files[DATASET_SPLITS];
        int64_t len = 0, crc = 0;
        *ret = o;
        if (!json)
                return 0;
        int rc = json_is_object(json, "/origins", e);
        if (rc == 0)
                rc = json_only(json, "files step bytes crc", "/origins", e);
        if (rc == 0)
                rc = read_pair(json, "files", files, e);
        if (rc == 0)
                rc = read_pair(json, "step", step, e);
        if (rc == 0)
                rc = json_get_int(json, "bytes", 1, UINT32_MAX, "/origins", &len, e);
        if (rc == 0)
                rc = json_need(json, "crc", "/origins", e);
        if (rc == 0)
                rc = json_get_int(json, "crc", 0, UINT32_MAX, "/origins", &crc, e);
        if (rc)
                return rc;
        memcpy(o.files, files, sizeof files);
        o.step_y = step[0];
        o.step_x = step[1];
        o.len = (uint64_t)len;
        o.crc = (uint32_t)crc;
        if (o.len <= records_bytes(&o))
                return err_at(e, ERR_INVALID, "/origins", "%llu bytes have no room for %d and %d files",
                        (unsigned long long)o.len, files[0], files[1]);
        *ret = o;
        return 0;
}
