/* A gzip file unpacked for libarchive, whose own filter does not verify its checksums. */
#ifndef CNND_GUNZIP_H
#define CNND_GUNZIP_H

#include <archive.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct gunzip;

bool gunzip_is(const void *head, size_t len);
/* Of `file`, which is taken, or where that is NULL of the bytes, which are borrowed. NULL when memory is out.
 */
struct gunzip *gunzip_create(FILE *file, const void *bytes, size_t len);
/* NULL accepted. */
void gunzip_destroy(struct gunzip *g);
/* For archive_read_open; `ctx` is the struct gunzip. */
la_ssize_t gunzip_read(struct archive *a, void *ctx, const void **ret);
/* Bytes of the file that were unpacked so far, and bytes that they became. */
uint64_t gunzip_packed(const struct gunzip *g);
uint64_t gunzip_unpacked(const struct gunzip *g);
/* Whether the last 512 unpacked bytes, or the fewer that there were, are zeros. */
bool gunzip_ends_in_zeros(const struct gunzip *g);

#endif
