#include "daemon/decoder/import_role.h"

#include "base/asan.h"
#include "base/chan.h"
#include "base/clock.h"
#include "base/json.h"
#include "daemon/common/children.h"
#include "daemon/decoder/sandbox.h"
#include "daemon/common/wire.h"
#include "data/import.h"
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CPU_SECONDS = 60 /* for one file */, NICENESS = 10, MAX_TENSORS = 16, PROGRESS_MS = 100 };
/* Of anonymous memory: an archive's largest file with its decoded pixels. Temporary files are mapped beside
 * it. */
#define HEAP_BYTES ((rlim_t)8 << 30)

static int confine(const char *uploads, struct err *e)
{
        const struct sandbox_options o = {.folder = uploads};
        const struct rlimit heap = {HEAP_BYTES, HEAP_BYTES}, file = {IMPORT_MAX_BYTES, IMPORT_MAX_BYTES};
        setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive turns names into it */
        if (nice(NICENESS) < 0)
                errno = 0;        /* the front's answers only wait a little longer */
        signal(SIGXFSZ, SIG_IGN); /* the write fails */
        int rc = setrlimit(RLIMIT_FSIZE, &file) == 0 ? 0 : err_errno(e, errno, "setrlimit");
        if (rc == 0 && !SANITIZED && setrlimit(RLIMIT_DATA, &heap) != 0) /* their shadows take terabytes */
                rc = err_errno(e, errno, "setrlimit");
        return rc ? rc : sandbox_enter(&o, e);
}

static int allow_cpu(void *ctx, struct err *e)
{
        (void)ctx;
        return sandbox_allow_cpu(CPU_SECONDS, e);
}

/* The ctx of an import's hooks. */
struct teller {
        int64_t next_ms; /* when to tell again */
        cJSON *skipped;  /* owned, as is the next; NULL for none */
        cJSON *warnings;
};

static void tell_skipped(void *ctx, int count, const char *first)
{
        cJSON *o = ((struct teller *)ctx)->skipped = cJSON_CreateObject();
        cJSON_AddNumberToObject(o, "count", count);
        cJSON_AddStringToObject(o, "first", first);
}

static void tell_warning(void *ctx, const char *text)
{
        struct teller *t = ctx;
        if (!t->warnings)
                t->warnings = cJSON_CreateArray();
        json_push(t->warnings, cJSON_CreateString(text));
}

static int tell(void *ctx, const struct import_progress *p, struct err *e)
{
        struct teller *t = ctx;
        int64_t now = clock_now_ms();
        if (now < t->next_ms)
                return 0;
        t->next_ms = now + PROGRESS_MS;
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "progress");
        cJSON *o = cJSON_AddObjectToObject(head, "progress");
        cJSON_AddStringToObject(o, "phase", p->split ? "writing" : "reading");
        json_add(o, "split", p->split ? cJSON_CreateString(p->split) : cJSON_CreateNull());
        cJSON_AddNumberToObject(o, "files", (double)p->files);
        cJSON_AddNumberToObject(o, "images", (double)p->images);
        cJSON_AddNumberToObject(o, "written", (double)p->written);
        cJSON_AddNumberToObject(o, "bytes", (double)p->bytes);
        int rc = chan_send(CHILD_FD, head, NULL, 0, e);
        cJSON_Delete(head);
        return rc;
}

/* A head of JSON behind eight bytes of its length. */
static bool is_safetensors(const char *path)
{
        unsigned char head[9] = {0};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
        if (fd >= 0)
                close(fd);
        return n == (ssize_t)sizeof head && head[8] == '{' && head[7] == 0 && head[6] == 0 && head[5] == 0;
}

static int view_tensor(const struct safetensors_tensor *t, struct import_array *ret, struct err *e)
{
        static const struct {
                enum safetensors_type type;
                char kind;
                int size;
        } kinds[] = {{SAFETENSORS_F32, 'f', 4}, {SAFETENSORS_F16, 'f', 2}, {SAFETENSORS_F64, 'f', 8},
                {SAFETENSORS_I64, 'i', 8}, {SAFETENSORS_I32, 'i', 4}, {SAFETENSORS_U8, 'u', 1}};
        size_t k = 0, count = sizeof kinds / sizeof kinds[0];
        while (k < count && kinds[k].type != t->type)
                k++;
        if (k == count || t->ndim > 4)
                return err_set(e, ERR_INVALID,
                        "tensor %.60s: at most 4 dimensions of F16, F32, F64, U8, I32 or I64 are read",
                        t->name);
        *ret = (struct import_array){.name = t->name,
                .kind = kinds[k].kind,
                .size = kinds[k].size,
                .ndim = t->ndim,
                .data = t->data};
        for (int i = 0; i < t->ndim; i++)
                ret->dims[i] = (uint64_t)t->dims[i];
        return 0;
}

static int import_safetensors(const char *path, const struct import_options *o,
        const struct import_place *place, const struct import_hooks *hooks, struct err *e)
{
        struct safetensors *st = NULL;
        struct import_array arrays[MAX_TENSORS];
        int rc = safetensors_open(path, &st, e);
        if (rc != 0)
                return rc;
        if (st->count > MAX_TENSORS)
                rc = err_set(e, ERR_TOO_LARGE, "%d tensors, at most %d are read", st->count, MAX_TENSORS);
        for (int i = 0; rc == 0 && i < st->count; i++)
                rc = view_tensor(&st->tensors[i], &arrays[i], e);
        if (rc == 0)
                rc = import_arrays(arrays, st->count, "safetensors", o, place, hooks, e);
        safetensors_close(st);
        return rc;
}

static int read_options(const cJSON *list, struct import_options *ret, struct err *e)
{
        const cJSON *o;
        import_defaults(ret);
        if (list && !cJSON_IsObject(list))
                return err_set(e, ERR_INTERNAL, "a request that cannot be read");
        cJSON_ArrayForEach(o, list)
        {
                int rc = import_option(ret, o->string, cJSON_IsString(o) ? o->valuestring : "", e);
                if (rc != 0)
                        return rc;
        }
        return import_options_check(ret, e);
}

static int serve(const cJSON *request, const char *uploads, struct teller *t, struct err *e)
{
        const cJSON *upload = json_field(request, "upload"), *output = json_field(request, "output"),
                    *name = json_field(request, "name");
        const struct import_hooks hooks = {.ctx = t,
                .file = allow_cpu,
                .progress = tell,
                .skipped = tell_skipped,
                .warning = tell_warning};
        struct import_options o;
        if (!cJSON_IsString(upload) || !cJSON_IsString(output) || !cJSON_IsString(name))
                return err_set(e, ERR_INTERNAL, "a request that cannot be read");
        const struct import_place place = {name->valuestring, output->valuestring, uploads};
        int rc = read_options(json_field(request, "options"), &o, e);
        if (rc == 0)
                rc = allow_cpu(NULL, e);
        if (rc != 0)
                return rc;
        if (is_safetensors(upload->valuestring))
                return import_safetensors(upload->valuestring, &o, &place, &hooks, e);
        return import_archive(upload->valuestring, &o, &place, &hooks, e);
}

int import_role_run(const char *uploads, struct err *e)
{
        struct chan_message m = {0};
        struct err why = {0};
        struct teller t = {0};
        int rc = confine(uploads, e);
        if (rc == 0)
                rc = chan_receive(CHILD_FD, &m, e);
        if (rc != 0)
                return rc == ERR_CLOSED ? 0 : rc;
        int failed = serve(m.head, uploads, &t, &why);
        chan_message_finish(&m);
        cJSON *head = cJSON_CreateObject();
        if (t.skipped)
                json_add(head, "skipped", t.skipped);
        if (t.warnings)
                json_add(head, "warnings", t.warnings);
        cJSON_AddStringToObject(head, "op", failed ? "refused" : "imported");
        if (failed)
                json_add(head, "error", wire_error_json(&why));
        rc = chan_send(CHILD_FD, head, NULL, 0, e);
        cJSON_Delete(head);
        asan_check_leaks();
        return rc;
}
