/* How much of a device's memory is free, other programs counted. AMD's driver tells; for NVIDIA's devices the
   management library does (libnvidia-ml, loaded if it is there); for others nothing does. */
#ifndef CNND_VRAM_H
#define CNND_VRAM_H

#include "device/dev.h"

struct vram;
/* `d` is borrowed; it lives as long as its process. NULL where nobody tells, or where what is told is not of
   this device alone, as where NVIDIA's MIG has cut one in parts. */
struct vram *vram_open(const struct dev *d);
/* Bytes; false where it cannot be told now. One thread at a time, any: it may take as long as the driver
 * likes. */
bool vram_free(struct vram *v, uint64_t *ret);

#endif
