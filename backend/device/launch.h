/* Starting kernels: arguments bound in order and counted, launches run at once or recorded into a list that
   is replayed every step without binding anything again.

       struct launch l = launch_begin(d, "activation", "-DLANES=16", "relu_forward");
       launch_tensor(&l, &x);
       launch_int(&l, n);
       return launch_grid(&l, 2, (size_t[]){a, b}, NULL, e);

   A failure in between is kept and comes out of launch_grid. */
#ifndef CNND_LAUNCH_H
#define CNND_LAUNCH_H

#include "device/buf.h"
#include "device/dev.h"
#include "device/tensor.h"

#include <stdint.h>

struct launch {
        struct dev *dev;
        void *kernel; /* cl_kernel, owned until launch_grid */
        const char *name;
        unsigned next, args; /* next argument to bind, arguments the kernel has */
        bool once;           /* set before launch_grid: a list runs it in its first run alone */
        struct err failure;
};

/* The kernel `name` of kernels/FILE.cl compiled with `options` (NULL for none). `name` must outlive the
   launch list it is recorded into: string literals do. */
struct launch launch_begin(struct dev *d, const char *file, const char *options, const char *name);
void launch_int(struct launch *l, int v);
/* launch_ints(&l, a, b, c) binds as many, in their order. */
#define launch_ints(l, ...)                                                                                  \
        launch_int_array((l), (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))
void launch_int_array(struct launch *l, const int *values, size_t count);
void launch_ulong(struct launch *l, uint64_t v);
void launch_float(struct launch *l, float v);
void launch_buf(struct launch *l, const struct buf *b);
void launch_view(struct launch *l, const struct view *v);     /* buffer, ulong offset in floats */
void launch_tensor(struct launch *l, const struct tensor *t); /* buffer, ulong offset, ulong stride */
void launch_local(struct launch *l, size_t bytes);            /* local memory */
/* Ends the launch: enqueues it or records it. `local` NULL chooses one; each global size must then be right
   by itself, else a multiple of the local one. A global size of 0 is ERR_INTERNAL, as is a wrong number of
   arguments. */
int launch_grid(struct launch *l, int dims, const size_t *global, const size_t *local, struct err *e);
/* The same for at least `counts` work-items: the first dimension is rounded up to whole work-groups of
   LAUNCH_GROUP, so that the kernel must return where its id lies beyond, and one compiled kernel serves all
   sizes. */
enum { LAUNCH_GROUP = 64 };
int launch_over(struct launch *l, int dims, const size_t *counts, struct err *e);

/* A matrix product by CLBlast: enqueued or recorded like a launch. */
struct gemm;
int launch_gemm(struct dev *d, const struct gemm *g, struct err *e);

/* A recorded sequence. */
struct launch_list;
int launch_list_create(struct launch_list **ret, struct err *e);
void launch_list_destroy(struct launch_list *list);
/* From here to launch_record_end launches of `d` go into `list`. Not nested. */
void launch_record(struct dev *d, struct launch_list *list);
void launch_record_end(struct dev *d);
/* Marks what the launches recorded from now on belong to, for profiles; `owner` is an index of the caller's.
 */
void launch_list_owner(struct launch_list *list, int owner);
/* Enqueues all launches in order, and lets the device begin with the first of many. */
int launch_list_run(struct dev *d, struct launch_list *list, struct err *e);
/* The same from the last to the first: for whoever wants kernels compiled, not what they compute. */
int launch_list_run_backwards(struct dev *d, struct launch_list *list, struct err *e);
/* In order, those whose owner is at most `last`. */
int launch_list_run_to(struct dev *d, struct launch_list *list, int last, struct err *e);
int launch_list_count(const struct launch_list *list);
/* Runs each launch by itself and adds its time in seconds to seconds[i]; names[i] and owners[i] are set. */
int launch_list_profile(struct dev *d, struct launch_list *list, double *seconds, const char **names,
        int *owners, struct err *e);

/* Keeps what was compiled since the last call in the cache folder: call after the first real launches,
   because some drivers finish compiling only then. A cache that cannot be written is reported once, never
   fatal: returns 0 or the error, the caller logs it. Does nothing where binaries are slow (dev.h): there a
   driver keeps what it compiles itself, and prog_keep is for a process that nobody waits for. */
int prog_save(struct dev *d, struct err *e);
/* Where binaries are slow: the oldest program that was compiled here, is not kept and was not told yet. What
   is returned is borrowed until the device closes. False when there is none. */
bool prog_unkept(struct dev *d, const char **ret_file, const char **ret_options);
/* Builds a program by the names that prog_unkept told elsewhere and keeps it, whatever that costs. */
int prog_keep(struct dev *d, const char *file, const char *options, struct err *e);

#endif
