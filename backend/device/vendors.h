/* The machine's OpenCL drivers, as files tell the loader of them ("pocl.icd"), and processes that see one of
   them alone. At a process's first call the loader asks every driver that it sees, so that one that crashes
   or hangs there takes everybody with it; and it numbers platforms by what it finds at that moment. Here a
   platform is a driver, and its number the place of its file in the order of names. */
#ifndef CNND_VENDORS_H
#define CNND_VENDORS_H

#include "base/err.h"

enum { VENDORS_MAX = 32 };

struct vendors {
        char *file[VENDORS_MAX]; /* owned; absolute paths in the order of their names */
        int count;
};
/* Looks where the loader does: OCL_ICD_VENDORS, OPENCL_VENDOR_PATH, /etc/OpenCL/vendors. None where there is
   no such folder, or where the environment names libraries instead: they can only be seen all at once. */
int vendors_find(struct vendors *ret, struct err *e);
void vendors_finish(struct vendors *v);

/* From now on this process sees the driver of `file` alone, as platform number `platform`, its devices
   counted on over all that the driver itself takes for platforms. Makes `folder` and in it what the loader
   reads. Before any call of dev.h, with one thread. */
int vendors_use(const char *folder, const char *file, int platform, struct err *e);
/* Whether the library that `file` names can be loaded: the loader passes over one that cannot, and says
   nothing. ERR_UNAVAILABLE with the linker's words where not. */
int vendors_check(const char *file, struct err *e);
/* What vendors_use was told; -1 where it was not called. */
int vendors_platform(void);

#endif
