#include "device/clblast.h"
#include "device/cl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CNND_CLBLAST
#include <clblast_c.h>
#endif

enum param { GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM, VWN };

static const struct {
        const char *name;
        int least, most;
} params[CLBLAST_PARAMS] = {
        [GEMMK] = {"GEMMK", 0, 0},
        [KREG] = {"KREG", 1, 1},
        [KWG] = {"KWG", 1, 32},
        [KWI] = {"KWI", 1, 32},
        [MDIMA] = {"MDIMA", 1, 128},
        [MDIMC] = {"MDIMC", 1, 128},
        [MWG] = {"MWG", 1, 128},
        [NDIMB] = {"NDIMB", 1, 128},
        [NDIMC] = {"NDIMC", 1, 128},
        [NWG] = {"NWG", 1, 128},
        [SA] = {"SA", 0, 1},
        [SB] = {"SB", 0, 1},
        [STRM] = {"STRM", 0, 1},
        [STRN] = {"STRN", 0, 1},
        [VWM] = {"VWM", 1, 8},
        [VWN] = {"VWN", 1, 8},
};
/* Tiles are no larger than these, so that a plan knows the workspace before anything is measured. */
enum { MOST_TILE = 128, MOST_DEPTH = 32 };

/* What the kernel takes for granted of its parameters: the first is a multiple of the product of the others.
 */
static int check(const struct clblast_params *p, struct err *e)
{
        static const enum param rules[][3] = {
                {KWG, KWI, KREG}, {MWG, MDIMC, VWM}, {NWG, NDIMC, VWN}, {MWG, MDIMA, VWM}, {NWG, NDIMB, VWN}};
        const int *v = p->value;
        for (int i = 0; i < CLBLAST_PARAMS; i++)
                if (v[i] < params[i].least || v[i] > params[i].most)
                        return err_set(e, ERR_INVALID, "%s=%d is not between %d and %d", params[i].name, v[i],
                                params[i].least, params[i].most);
        if (v[VWM] & (v[VWM] - 1) || v[VWN] & (v[VWN] - 1))
                return err_set(
                        e, ERR_INVALID, "VWM=%d and VWN=%d are not both powers of two", v[VWM], v[VWN]);
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
                const enum param *r = rules[i];
                if (v[r[0]] % (v[r[1]] * v[r[2]]))
                        return err_set(e, ERR_INVALID, "%s=%d is not a multiple of %s=%d times %s=%d",
                                params[r[0]].name, v[r[0]], params[r[1]].name, v[r[1]], params[r[2]].name,
                                v[r[2]]);
        }
        const int items = v[MDIMC] * v[NDIMC];
        const enum param loads[] = {MDIMA, NDIMB};
        for (int i = 0; i < 2; i++)
                if (items % v[loads[i]] || v[KWG] % (items / v[loads[i]]))
                        return err_set(e, ERR_INVALID, "%d work-items do not load %d by %s=%d", items, v[KWG],
                                params[loads[i]].name, v[loads[i]]);
        return 0;
}

int clblast_params_read(const char *text, size_t len, struct clblast_params *ret, struct err *e)
{
        struct clblast_params p;
        char copy[CLBLAST_TEXT];
        int at = 0;
        if (len >= sizeof copy || memchr(text, '\0', len))
                return err_set(e, ERR_INVALID, "CLBlast's parameters are not a text of up to %zu bytes",
                        sizeof copy - 1);
        snprintf(copy, sizeof copy, "%.*s", (int)len, text);
        for (int i = 0; i < CLBLAST_PARAMS; i++) {
                char name[16];
                int used = 0;
                if (sscanf(copy + at, " %15[A-Z]=%5d%n", name, &p.value[i], &used) != 2 ||
                        strcmp(name, params[i].name) != 0)
                        return err_set(e, ERR_INVALID, "CLBlast's parameter %s is missing in '%.80s'",
                                params[i].name, copy);
                at += used;
        }
        const char *rest = copy + at + strspn(copy + at, " \t\r");
        if (*rest)
                return err_set(e, ERR_INVALID, "'%.40s' is more than CLBlast's parameters", rest);
        const int rc = check(&p, e);
        if (rc)
                return err_wrap(e, "CLBlast's parameters");
        *ret = p;
        return 0;
}

void clblast_params_print(const struct clblast_params *p, struct str *out)
{
        for (int i = 0; i < CLBLAST_PARAMS; i++)
                str_addf(out, "%s%s=%d", i ? " " : "", params[i].name, p->value[i]);
}

bool clblast_params_equal(const struct clblast_params *a, const struct clblast_params *b)
{
        return memcmp(a->value, b->value, sizeof a->value) == 0;
}

const struct clblast_params *clblast_applied(const struct dev *d)
{
        return d->has_clblast ? &d->clblast : NULL;
}

static uint64_t up(int size, int step)
{
        return (uint64_t)((size + step - 1) / step) * (uint64_t)step;
}

uint64_t clblast_workspace_floats(int m, int n, int k, const struct dev_info *info)
{
        const uint64_t rows = up(m, MOST_TILE), columns = up(n, MOST_TILE), depth = up(k, MOST_TILE);
        /* and what it takes to begin where a sub-buffer may */
        return rows * columns + (rows + columns) * depth + info->base_align_bytes / sizeof(float);
}

#ifdef CNND_CLBLAST

_Static_assert(MOST_TILE % MOST_DEPTH == 0, "padding to tiles pads to depths");

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

const char *clblast_version(void)
{
        return TEXT(CLBLAST_VERSION_MAJOR) "." TEXT(CLBLAST_VERSION_MINOR) "." TEXT(CLBLAST_VERSION_PATCH);
}

/* Of those that are no OpenCL statuses. */
static const char *status_name(CLBlastStatusCode status)
{
        static const struct {
                CLBlastStatusCode status;
                const char *name;
        } names[] = {
#define S(x) {CLBlast##x, "CLBlast" #x}
                S(NotImplemented),
                S(InvalidMatrixA),
                S(InvalidMatrixB),
                S(InvalidMatrixC),
                S(InvalidDimension),
                S(InvalidLeadDimA),
                S(InvalidLeadDimB),
                S(InvalidLeadDimC),
                S(InsufficientMemoryA),
                S(InsufficientMemoryB),
                S(InsufficientMemoryC),
                S(InsufficientMemoryTemp),
                S(InvalidOverrideKernel),
                S(MissingOverrideParameter),
                S(InvalidLocalMemUsage),
                S(DatabaseError),
                S(UnknownError),
                S(UnexpectedError),
#undef S
        };
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (names[i].status == status)
                        return names[i].name;
        return "unknown CLBlast status";
}

static int failed(struct err *e, CLBlastStatusCode status, const char *what, const struct dev *d)
{
        if (status > -1000) /* OpenCL's own */
                return err_cl(e, status, "%s on %s", what, d->info.name);
        return err_set(e, ERR_DEVICE, "%s on %s: %s (%d)", what, d->info.name, status_name(status), status);
}

static int override(struct dev *d, const char *kernel, size_t count, const char **names, const size_t *values,
        struct err *e)
{
        const CLBlastStatusCode status =
                CLBlastOverrideParameters(d->id, kernel, CLBlastPrecisionSingle, count, names, values);
        return status == CLBlastSuccess ? 0 : failed(e, status, "CLBlast's parameters", d);
}

/* Every product goes through Xgemm: for small ones CLBlast has another kernel with parameters of its own,
   which own kernels beat. */
int clblast_apply(struct dev *d, const struct clblast_params *p, struct err *e)
{
        const char *names[CLBLAST_PARAMS], *least[] = {"XGEMM_MIN_INDIRECT_SIZE"};
        size_t values[CLBLAST_PARAMS];
        if (!d->info.clblast)
                return err_set(e, ERR_STATE, "%s multiplies without CLBlast", d->info.name);
        if (d->has_clblast && clblast_params_equal(&d->clblast, p))
                return 0;
        for (int i = 0; i < CLBLAST_PARAMS; i++) {
                names[i] = params[i].name;
                values[i] = (size_t)p->value[i];
        }
        d->has_clblast = false;
        int rc = override(d, "Xgemm", CLBLAST_PARAMS, names, values, e);
        if (rc == 0)
                rc = override(d, "GemmRoutine", 1, least, (size_t[]){1}, e);
        if (rc)
                return rc;
        d->clblast = *p;
        d->has_clblast = true;
        return 0;
}

void clblast_forget(struct dev *d)
{
        if (d->has_clblast)
                CLBlastClearCache();
        d->has_clblast = false;
}

struct clblast_call {
        struct gemm gemm;
        cl_mem a, b, c, workspace; /* owned: sub-buffers that begin where the matrices do, or soon before */
};

/* `floats` of memory from `v` on, in *ret; and how far behind its begin they stand, which is 0 wherever the
   device lets a sub-buffer begin there: then CLBlast copies nothing that has whole tiles, and offsets stay
   small. */
static int cut(struct view *v, uint64_t floats, cl_mem *ret, struct err *e)
{
        const struct dev *d = v->buf->dev;
        const uint64_t step =
                d->info.base_align_bytes > sizeof(float) ? d->info.base_align_bytes / sizeof(float) : 1;
        const uint64_t first = v->offset / step * step;
        const cl_buffer_region region = {first * sizeof(float), (v->offset + floats - first) * sizeof(float)};
        cl_int status;
        *ret = clCreateSubBuffer(
                v->buf->mem, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &status);
        if (status != CL_SUCCESS)
                return err_cl(
                        e, status, "a matrix of %llu floats on %s", (unsigned long long)floats, d->info.name);
        v->offset -= first;
        return 0;
}

static uint64_t floats_of(int rows, int columns, int ld)
{
        return (uint64_t)(columns - 1) * (uint64_t)ld + (uint64_t)rows;
}

static int cut_all(struct clblast_call *call, struct err *e)
{
        struct gemm *g = &call->gemm;
        const struct dev *d = g->c.buf->dev;
        const uint64_t step = d->info.base_align_bytes / sizeof(float);
        int rc = cut(&g->a, g->turn_a ? floats_of(g->k, g->m, g->lda) : floats_of(g->m, g->k, g->lda),
                &call->a, e);
        if (rc == 0)
                rc = cut(&g->b, g->turn_b ? floats_of(g->n, g->k, g->ldb) : floats_of(g->k, g->n, g->ldb),
                        &call->b, e);
        if (rc == 0)
                rc = cut(&g->c, floats_of(g->m, g->n, g->ldc), &call->c, e);
        if (step > 1) /* CLBlast begins at its begin */
                g->workspace.offset = (g->workspace.offset + step - 1) / step * step;
        return rc ? rc
                  : cut(&g->workspace, clblast_workspace_floats(g->m, g->n, g->k, &d->info) - step,
                            &call->workspace, e);
}

int clblast_call_create(struct dev *d, const struct gemm *g, struct clblast_call **ret, struct err *e)
{
        if (!d->has_clblast)
                return err_set(e, ERR_INTERNAL, "CLBlast has no parameters for %s", d->info.name);
        struct clblast_call *call = calloc(1, sizeof *call);
        if (!call)
                return err_set(e, ERR_NO_MEMORY, "no memory for a matrix product");
        call->gemm = *g;
        const int rc = cut_all(call, e);
        if (rc) {
                clblast_call_destroy(call);
                return rc;
        }
        *ret = call;
        return 0;
}

void clblast_call_destroy(struct clblast_call *call)
{
        if (!call)
                return;
        const cl_mem parts[] = {call->a, call->b, call->c, call->workspace};
        for (int i = 0; i < 4; i++)
                if (parts[i])
                        clReleaseMemObject(parts[i]);
        free(call);
}

int clblast_call_enqueue(struct dev *d, const struct clblast_call *call, cl_event *ret, struct err *e)
{
        const struct gemm *g = &call->gemm;
        const CLBlastStatusCode status = CLBlastSgemmWithTempBuffer(CLBlastLayoutColMajor,
                g->turn_a ? CLBlastTransposeYes : CLBlastTransposeNo,
                g->turn_b ? CLBlastTransposeYes : CLBlastTransposeNo, (size_t)g->m, (size_t)g->n,
                (size_t)g->k, 1.0f, call->a, g->a.offset, (size_t)g->lda, call->b, g->b.offset,
                (size_t)g->ldb, g->accumulate ? 1.0f : 0.0f, call->c, g->c.offset, (size_t)g->ldc, &d->queue,
                ret, call->workspace);
        char what[80];
        if (status == CLBlastSuccess)
                return 0;
        snprintf(what, sizeof what, "a product of %d x %d x %d by CLBlast", g->m, g->n, g->k);
        return failed(e, status, what, d);
}

#else

const char *clblast_version(void)
{
        return NULL;
}

static int absent(struct err *e)
{
        return err_set(e, ERR_STATE, "this cnnd was built without CLBlast");
}

int clblast_apply(struct dev *d, const struct clblast_params *p, struct err *e)
{
        (void)d;
        (void)p;
        return absent(e);
}

void clblast_forget(struct dev *d)
{
        (void)d;
}

int clblast_call_create(struct dev *d, const struct gemm *g, struct clblast_call **ret, struct err *e)
{
        (void)d;
        (void)g;
        (void)ret;
        return absent(e);
}

void clblast_call_destroy(struct clblast_call *call)
{
        (void)call;
}

int clblast_call_enqueue(struct dev *d, const struct clblast_call *call, cl_event *ret, struct err *e)
{
        (void)d;
        (void)call;
        (void)ret;
        return absent(e);
}

#endif
