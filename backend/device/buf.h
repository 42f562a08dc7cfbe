/* Device memory, every byte accounted to its device. */
#ifndef CNND_BUF_H
#define CNND_BUF_H

#include "device/dev.h"

struct buf;

/* `what` names the use in the error. ERR_DEVICE_MEMORY with the numbers when the device, its largest single
   allocation or the process's limit is too small. Contents are undefined. */
int buf_create(struct dev *d, size_t bytes, const char *what, struct buf **ret, struct err *e);
void buf_destroy(struct buf *b);
/* What buf_create accounts for `bytes`: rounded up. */
uint64_t buf_rounded(uint64_t bytes);
/* Blocking copies; `offset` and `len` in bytes, checked. */
int buf_write(struct buf *b, size_t offset, const void *from, size_t len, struct err *e);
int buf_read(struct buf *b, size_t offset, void *to, size_t len, struct err *e);
/* Enqueued copy of what `from` holds now. Also ERR_NO_MEMORY. */
int buf_write_later(struct buf *b, size_t offset, const void *from, size_t len, struct err *e);
/* Enqueued: every byte zero. */
int buf_zero(struct buf *b, size_t offset, size_t len, struct err *e);
/* Enqueued: the buffer's first `len` bytes, len > 0, over and over until its end. */
int buf_repeat(struct buf *b, size_t len, struct err *e);

#endif
