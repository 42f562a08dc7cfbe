/* What every cmocka test here includes, and comparisons that say where and by how much. */
#ifndef CNND_CHECK_H
#define CNND_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 0 is success; otherwise the error's own text is the test's failure. */
#define CHECK_OK(call, e)                                                                                    \
        do {                                                                                                 \
                int check_rc = (call);                                                                       \
                if (check_rc != 0)                                                                           \
                        fail_msg(                                                                            \
                                "%s: %d %s (%s) %s", #call, check_rc, (e)->message, (e)->pointer, (e)->log); \
        } while (0)

/* |got - want| <= abs + rel |want| for each of n; prints the first index that is not. */
#define CHECK_CLOSE(got, want, n, abs_tol, rel_tol)                                                          \
        check_close(#got, (got), (want), (size_t)(n), (abs_tol), (rel_tol), __FILE__, __LINE__)

void check_close(const char *what, const float *got, const double *want, size_t n, double abs_tol,
        double rel_tol, const char *file, int line);

#endif
