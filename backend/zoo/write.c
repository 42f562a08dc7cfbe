#include "zoo/write.h"
#include "base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

cJSON *zoo_layer(cJSON *layers, const char *type)
{
        cJSON *layer = cJSON_CreateObject();
        cJSON_AddStringToObject(layer, "type", type);
        return json_push(layers, layer);
}

cJSON *zoo_named(cJSON *layer, const char *fmt, ...)
{
        char name[40];
        va_list args;
        va_start(args, fmt);
        vsnprintf(name, sizeof name, fmt, args);
        va_end(args);
        cJSON_AddStringToObject(layer, "name", name);
        return layer;
}

cJSON *zoo_conv(cJSON *layers, int out_channels, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_layer(layers, "conv2d");
        cJSON_AddNumberToObject(layer, "out_channels", out_channels);
        cJSON_AddNumberToObject(layer, "kernel_size", kernel_size);
        cJSON_AddNumberToObject(layer, "stride", stride);
        cJSON_AddNumberToObject(layer, "padding", padding);
        return layer;
}

cJSON *zoo_conv_only(cJSON *layers, int out_channels, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_conv(layers, out_channels, kernel_size, stride, padding);
        cJSON_AddFalseToObject(layer, "bias");
        return layer;
}

cJSON *zoo_conv_relu(cJSON *layers, int out_channels, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_conv(layers, out_channels, kernel_size, stride, padding);
        zoo_layer(layers, "relu");
        return layer;
}

cJSON *zoo_pool(cJSON *layers, const char *type, int kernel_size, int stride, int padding)
{
        cJSON *layer = zoo_layer(layers, type);
        cJSON_AddNumberToObject(layer, "kernel_size", kernel_size);
        cJSON_AddNumberToObject(layer, "stride", stride);
        cJSON_AddNumberToObject(layer, "padding", padding);
        return layer;
}

void zoo_global_pool(cJSON *layers)
{
        cJSON_AddNumberToObject(zoo_layer(layers, "adaptive_avg_pool2d"), "output_size", 1);
        zoo_layer(layers, "flatten");
}

cJSON *zoo_linear(cJSON *layers, int out_features)
{
        cJSON *layer = zoo_layer(layers, "linear");
        cJSON_AddNumberToObject(layer, "out_features", out_features);
        return layer;
}

cJSON *zoo_dropout(cJSON *layers, double p)
{
        cJSON *layer = zoo_layer(layers, "dropout");
        cJSON_AddNumberToObject(layer, "p", p);
        return layer;
}

void zoo_classifier(cJSON *layers, int num_classes)
{
        zoo_layer(layers, "flatten");
        for (int i = 0; i < 2; i++) {
                zoo_linear(layers, 4096);
                zoo_layer(layers, "relu");
                zoo_dropout(layers, 0.5);
        }
        zoo_linear(layers, num_classes);
}

cJSON *zoo_block(cJSON *layers, const char *type, const char *name)
{
        cJSON *layer = zoo_layer(layers, type);
        if (name)
                cJSON_AddStringToObject(layer, "name", name);
        return zoo_list(layer, "layers");
}

cJSON *zoo_list(cJSON *layer, const char *key)
{
        return cJSON_AddArrayToObject(layer, key);
}

int zoo_done(cJSON *layers, cJSON **ret, struct err *e)
{
        cJSON *architecture = cJSON_CreateObject();
        json_add(architecture, "layers", layers);
        if (json_fell_short()) {
                cJSON_Delete(architecture);
                return err_set(e, ERR_NO_MEMORY, "no memory for an architecture");
        }
        *ret = architecture;
        return 0;
}

static int whole(const cJSON *item, int max, const char *pointer, int *ret, struct err *e)
{
        const double v = cJSON_IsNumber(item) ? item->valuedouble : 0;
        if (!(v >= 1 && v <= max) || v != floor(v))
                return err_at(e, ERR_INVALID, pointer, "a whole number of 1 to %d is expected here", max);
        *ret = (int)v;
        return 0;
}

int zoo_arch(const cJSON *params, int columns, int max, int *ret, int *ret_blocks, struct err *e)
{
        char pointer[80];
        const cJSON *row, *table = cJSON_GetObjectItemCaseSensitive(params, "arch");
        int rows = 0;
        if (!cJSON_IsArray(table) || !table->child || cJSON_GetArraySize(table) > ZOO_MAX_BLOCKS)
                return err_at(e, ERR_INVALID, "/arch", "a list of 1 to %d entries is expected here",
                        ZOO_MAX_BLOCKS);
        cJSON_ArrayForEach(row, table)
        {
                const cJSON *cell = columns == 1 ? row : cJSON_IsArray(row) ? row->child : NULL;
                snprintf(pointer, sizeof pointer, "/arch/%d", rows);
                if (columns > 1 && cJSON_GetArraySize(row) != columns)
                        return err_at(e, ERR_INVALID, pointer, "a list of %d whole numbers is expected here",
                                columns);
                for (int i = 0; i < columns; i++, cell = columns == 1 ? cell : cell->next) {
                        const int rc = whole(cell, max, pointer, &ret[rows * columns + i], e);
                        if (rc)
                                return rc;
                }
                rows++;
        }
        *ret_blocks = rows;
        return 0;
}

int zoo_check_depth(int layers, struct err *e)
{
        if (layers <= ZOO_MAX_DEPTH)
                return 0;
        return err_at(
                e, ERR_INVALID, "/arch", "%d layers in all blocks, allowed are %d", layers, ZOO_MAX_DEPTH);
}
