/* Kernel sources, embedded by kernels/embed.py at build time. */
#ifndef CNND_SOURCE_H
#define CNND_SOURCE_H

struct source_file {
        const char *name; /* of kernels/NAME.cl */
        const char *text;
};
extern const struct source_file source_files[];
extern const int source_file_count;

/* kernels/tune/NAME.tune: what was measured on devices like those that its first lines name. */
extern const struct source_file tune_files[];
extern const int tune_file_count;

#endif
