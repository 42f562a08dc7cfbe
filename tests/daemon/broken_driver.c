/* An OpenCL driver of one platform that goes wrong, as the file that CNND_BROKEN_DRIVER names says in a word:

   abort, hang    at the loader's first call, where drivers wake their cards
   abort-devices  when it is asked for its devices
   fail           then, with an error
   none           it is well and has no device */
#include <CL/cl_ext.h>
#include <CL/cl_icd.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct _cl_platform_id {
        const cl_icd_dispatch *dispatch; /* first: the loader looks there */
};

static bool told(const char *word)
{
        char text[32] = "";
        const char *path = getenv("CNND_BROKEN_DRIVER");
        FILE *f = path ? fopen(path, "r") : NULL;
        if (f && fscanf(f, "%31s", text) != 1)
                text[0] = '\0';
        if (f)
                fclose(f);
        return strcmp(text, word) == 0;
}

static CL_API_ENTRY cl_int CL_API_CALL platform_info(
        cl_platform_id p, cl_platform_info what, size_t size, void *value, size_t *ret)
{
        const char *text = what == CL_PLATFORM_EXTENSIONS       ? "cl_khr_icd"
                           : what == CL_PLATFORM_ICD_SUFFIX_KHR ? "BROKEN"
                           : what == CL_PLATFORM_VERSION        ? "OpenCL 1.2"
                                                                : "Broken";
        (void)p;
        if (value && size < strlen(text) + 1)
                return CL_INVALID_VALUE;
        if (value)
                memcpy(value, text, strlen(text) + 1);
        if (ret)
                *ret = strlen(text) + 1;
        return CL_SUCCESS;
}

static CL_API_ENTRY cl_int CL_API_CALL device_ids(
        cl_platform_id p, cl_device_type type, cl_uint num, cl_device_id *ids, cl_uint *ret)
{
        (void)p;
        (void)num;
        (void)ids;
        if (ret)
                *ret = 0;
        if (type != CL_DEVICE_TYPE_ALL) /* the loader itself, which sorts by what there is */
                return CL_DEVICE_NOT_FOUND;
        if (told("abort-devices"))
                abort();
        return told("fail") ? CL_OUT_OF_RESOURCES : CL_DEVICE_NOT_FOUND;
}

static CL_API_ENTRY cl_int CL_API_CALL platform_ids(cl_uint num, cl_platform_id *ids, cl_uint *ret)
{
        static cl_icd_dispatch dispatch;
        static struct _cl_platform_id platform = {&dispatch};
        if (told("abort"))
                abort();
        while (told("hang"))
                sleep(1);
        dispatch.clGetPlatformInfo = platform_info;
        dispatch.clGetDeviceIDs = device_ids;
        if (num && ids)
                ids[0] = &platform;
        if (ret)
                *ret = 1;
        return CL_SUCCESS;
}

CL_API_ENTRY void *CL_API_CALL clGetExtensionFunctionAddress(const char *name)
{
        if (strcmp(name, "clIcdGetPlatformIDsKHR") == 0)
                return (void *)(uintptr_t)platform_ids;
        return strcmp(name, "clGetPlatformInfo") == 0 ? (void *)(uintptr_t)platform_info : NULL;
}
