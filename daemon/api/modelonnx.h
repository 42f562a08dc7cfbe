/* A stored model as an ONNX file, made while it is sent: train/export.h. */
#ifndef CNND_MODELONNX_H
#define CNND_MODELONNX_H

#include "base/err.h"
#include "daemon/models/models.h"
#include "daemon/http/reply.h"

/* *ret reads the file as it is now, whatever becomes of the model; its close frees it. ERR_NOT_FOUND;
   ERR_UNAVAILABLE where there is no file, or a damaged one; ERR_INVALID by export_model; ERR_NO_MEMORY. */
int modelonnx_open(
        struct models *ms, const char *name, struct reply_source *ret, uint64_t *ret_size, struct err *e);

#endif
