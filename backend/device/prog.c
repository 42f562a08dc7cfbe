#include "base/embedded.h"
#include "base/file.h"
#include "base/str.h"
#include "device/cache.h"
#include "device/cl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct prog {
        char *file, *options; /* owned; the name under which it is looked up */
        cl_program program;
        struct cache_key key;
        bool saved; /* the cache folder has it as it is now, or prog_unkept told of it */
        struct prog *next;
};

/* "-cl-mad-enable" and the rest of fast math stay out: results must not depend on a compiler's mood. */
static const char base_options[] = "-cl-std=CL1.2 -w";

/* CNND_KERNELS names a folder to take the sources from while kernels are being written. */
static int add_source(struct str *s, const char *file, struct err *e)
{
        const char *dir = getenv("CNND_KERNELS");
        char path[4096], *text;
        size_t len;
        snprintf(path, sizeof path, "%s%s%s.cl", dir ? dir : "", dir ? "/" : "", file);
        if (!dir) {
                const struct embedded *f = embedded_find(kernel_files, path);
                if (!f)
                        return err_set(e, ERR_INTERNAL, "there is no kernels/%s", path);
                str_add_bytes(s, f->text, f->len);
                return 0;
        }
        int rc = file_read(path, &text, &len, e);
        if (rc)
                return err_wrap(e, "CNND_KERNELS");
        str_add_bytes(s, text, len);
        free(text);
        return 0;
}

/* A file and, in their places, those whose names lines `#include "NAME.cl"` of it give. */
static int add_file(struct str *s, const char *file, struct err *e)
{
        struct str text = {0};
        int rc = add_source(&text, file, e);
        const char *rest = text.data ? text.data : "", *include;
        while (rc == 0 && (include = strstr(rest, "#include \"")) != NULL) {
                char name[32];
                int end = 0;
                if (sscanf(include, "#include \"%31[a-z_].cl\"%n", name, &end) != 1 || !end)
                        break; /* the compiler says what is wrong with it */
                str_add_bytes(s, rest, (size_t)(include - rest));
                rc = add_source(s, name, e);
                rest = include + end;
        }
        str_add(s, rest);
        s->failed = s->failed || text.failed;
        str_free(&text);
        return rc;
}

static int expand(const char *file, struct str *ret, struct err *e)
{
        int rc = add_source(ret, "common", e);
        if (rc == 0)
                rc = add_file(ret, file, e);
        if (rc == 0 && ret->failed)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for the source of kernels/%s.cl", file);
        return rc;
}

static int build_failed(struct dev *d, cl_program program, cl_int status, const char *file, struct err *e)
{
        size_t len = 0;
        int rc = err_cl(e, status, "compiling kernels/%s.cl for %s", file, d->info.name);
        if (!e)
                return rc;
        if (status == CL_BUILD_PROGRAM_FAILURE)
                e->code = ERR_BUILD;
        clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &len);
        char *log = len ? calloc(1, len + 1) : NULL;
        if (log &&
                clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, len, log, NULL) == CL_SUCCESS) {
                size_t text = strlen(log);
                snprintf(e->log, sizeof e->log, "%s",
                        text < sizeof e->log ? log : log + text - sizeof e->log + 1);
        }
        free(log);
        return e->code;
}

/* NULL when the cache has nothing the driver takes. */
static cl_program from_cache(struct dev *d, const struct cache_key *key, const char *options)
{
        size_t len;
        cl_int status, taken;
        if (!d->cache_dir)
                return NULL;
        unsigned char *binary = cache_load(d->cache_dir, key, &len);
        if (!binary)
                return NULL;
        const unsigned char *pointer = binary;
        cl_program program = clCreateProgramWithBinary(d->ctx, 1, &d->id, &len, &pointer, &taken, &status);
        free(binary);
        if (status == CL_SUCCESS && taken == CL_SUCCESS &&
                clBuildProgram(program, 1, &d->id, options, NULL, NULL) == CL_SUCCESS)
                return program;
        if (program)
                clReleaseProgram(program);
        cache_drop(d->cache_dir, key);
        return NULL;
}

static int from_source(struct dev *d, const char *source, const char *options, const char *file,
        cl_program *ret, struct err *e)
{
        cl_int status;
        cl_program program = clCreateProgramWithSource(d->ctx, 1, &source, NULL, &status);
        if (status != CL_SUCCESS)
                return err_cl(e, status, "kernels/%s.cl on %s", file, d->info.name);
        status = clBuildProgram(program, 1, &d->id, options, NULL, NULL);
        if (status != CL_SUCCESS) {
                int rc = build_failed(d, program, status, file, e);
                clReleaseProgram(program);
                return rc;
        }
        *ret = program;
        return 0;
}

void prog_tell(const struct dev *d, bool begins)
{
        if (d->build)
                d->build(d->build_ctx, begins);
}

static int prog_create(struct dev *d, const char *file, const char *options, struct prog **ret, struct err *e)
{
        struct str source = {0}, all = {0};
        struct prog *p = calloc(1, sizeof *p);
        int rc = expand(file, &source, e);
        str_addf(&all, "%s -DDEVICE_%s=1%s %s", base_options, d->info.type == DEV_CPU ? "CPU" : "GPU",
                d->info.fma ? "" : " -DDEVICE_NO_FMA=1", options);
        if (rc == 0 && (!p || all.failed || !(p->file = strdup(file)) || !(p->options = strdup(options))))
                rc = err_set(e, ERR_NO_MEMORY, "no memory for kernels/%s.cl", file);
        if (rc)
                goto out;
        p->key = cache_key_of((const char *[]){source.data, all.data, d->info.name, d->info.driver,
                                      d->info.version, d->info.platform_version},
                6);
        prog_tell(d, true);
        p->program = from_cache(d, &p->key, all.data);
        p->saved = p->program != NULL;
        if (!p->program)
                rc = from_source(d, source.data, all.data, file, &p->program, e);
        prog_tell(d, false);
        if (rc)
                goto out;
        p->next = d->programs;
        d->programs = p;
        *ret = p;
        p = NULL;
out:
        if (p) {
                free(p->file);
                free(p->options);
                free(p);
        }
        str_free(&source);
        str_free(&all);
        return rc;
}

static int prog_find(struct dev *d, const char *file, const char *options, struct prog **ret, struct err *e)
{
        for (struct prog *p = d->programs; p; p = p->next)
                if (strcmp(p->file, file) == 0 && strcmp(p->options, options) == 0) {
                        *ret = p;
                        return 0;
                }
        return prog_create(d, file, options, ret, e);
}

int prog_kernel(
        struct dev *d, const char *file, const char *options, const char *name, cl_kernel *ret, struct err *e)
{
        struct prog *p;
        cl_int status;
        int rc = prog_find(d, file, options ? options : "", &p, e);
        if (rc)
                return rc;
        cl_kernel kernel = clCreateKernel(p->program, name, &status);
        if (status != CL_SUCCESS)
                return err_cl(e, status, "kernel %s of kernels/%s.cl", name, file);
        *ret = kernel;
        return 0;
}

static int save_one(struct dev *d, struct prog *p, struct err *e)
{
        size_t len = 0;
        cl_int status = clGetProgramInfo(p->program, CL_PROGRAM_BINARY_SIZES, sizeof len, &len, NULL);
        if (status != CL_SUCCESS || len == 0)
                return status == CL_SUCCESS ? 0 : err_cl(e, status, "the binary of kernels/%s.cl", p->file);
        unsigned char *binary = malloc(len);
        if (!binary)
                return err_set(e, ERR_NO_MEMORY, "no memory for a binary of %zu bytes", len);
        int rc = 0;
        status = clGetProgramInfo(p->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
        if (status != CL_SUCCESS)
                rc = err_cl(e, status, "the binary of kernels/%s.cl", p->file);
        if (rc == 0)
                rc = cache_store(d->cache_dir, &p->key, binary, len, e);
        free(binary);
        return rc;
}

/* The oldest, which the next start will want first; NULL for none. */
static struct prog *unsaved(struct dev *d)
{
        struct prog *p = NULL;
        for (struct prog *each = d->cache_dir ? d->programs : NULL; each; each = each->next)
                if (!each->saved)
                        p = each;
        return p;
}

int prog_save(struct dev *d, struct err *e)
{
        struct prog *p;
        int rc = 0;
        while (rc == 0 && !d->info.slow_binaries && (p = unsaved(d)) != NULL) {
                rc = save_one(d, p, e);
                p->saved = rc == 0;
        }
        return rc;
}

bool prog_unkept(struct dev *d, const char **ret_file, const char **ret_options)
{
        struct prog *p = d->info.slow_binaries ? unsaved(d) : NULL;
        if (!p)
                return false;
        p->saved = true;
        *ret_file = p->file;
        *ret_options = p->options;
        return true;
}

int prog_keep(struct dev *d, const char *file, const char *options, struct err *e)
{
        struct prog *p;
        int rc = prog_find(d, file, options, &p, e);
        if (rc == 0 && d->cache_dir && !p->saved)
                rc = save_one(d, p, e);
        return rc;
}

void prog_release_all(struct dev *d)
{
        while (d->programs) {
                struct prog *p = d->programs;
                d->programs = p->next;
                clReleaseProgram(p->program);
                free(p->file);
                free(p->options);
                free(p);
        }
}
