#include "data/hdf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTRIBUTE_BYTES = 1024, DEFLATE_RATIO = 1032, CHUNK_MAX_BYTES = 256 << 20 };

static herr_t first_word(unsigned depth, const H5E_error2_t *error, void *ctx)
{
        char *to = ctx;
        (void)depth;
        if (!to[0] && error->desc)
                snprintf(to, 160, "%s", error->desc);
        return 0;
}

int hdf_damaged(struct err *e)
{
        char text[160] = "";
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_word, text);
        H5Eclear2(H5E_DEFAULT);
        return err_set(e, ERR_SYNTAX, "%s", text[0] ? text : "damaged");
}

int hdf_open(const unsigned char *bytes, size_t len, hid_t *ret, struct err *e)
{
        H5dont_atexit();
        if (H5open() < 0)
                return err_set(e, ERR_NO_MEMORY, "no memory for libhdf5");
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        H5PLset_loading_state(0);
        hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
        /* H5Pset_file_image takes no const, and copies. */
        void *image = NULL;
        memcpy(&image, &bytes, sizeof image);
        if (access >= 0 && H5Pset_fapl_core(access, 1 << 16, 0) >= 0 &&
                H5Pset_file_image(access, image, len) >= 0)
                file = H5Fopen("image", H5F_ACC_RDONLY, access);
        if (file < 0) {
                int rc = hdf_damaged(e);
                H5close();
                return rc;
        }
        H5Pclose(access);
        *ret = file;
        return 0;
}

void hdf_close(hid_t file)
{
        H5Fclose(file);
        H5close();
}

static bool is_hard(hid_t group, const char *name)
{
        H5L_info_t info;
        return H5Lget_info(group, name, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD;
}

hid_t hdf_child(hid_t group, const char *name, H5I_type_t type)
{
        if (strchr(name, '/') || !is_hard(group, name))
                return H5I_INVALID_HID;
        hid_t id = H5Oopen(group, name, H5P_DEFAULT);
        if (id >= 0 && H5Iget_type(id) != type) {
                H5Oclose(id);
                return H5I_INVALID_HID;
        }
        return id;
}

struct visit {
        hdf_visit visit;
        void *ctx;
        struct err *e;
        int rc, count;
};

static herr_t on_link(hid_t group, const char *name, const H5L_info_t *info, void *ctx)
{
        struct visit *v = ctx;
        if (++v->count > HDF_MAX_LINKS)
                v->rc = err_set(v->e, ERR_TOO_LARGE, "more than %d members in a group", HDF_MAX_LINKS);
        else if (info->type == H5L_TYPE_HARD && strlen(name) < HDF_NAME_BYTES && !strchr(name, '/'))
                v->rc = v->visit(v->ctx, group, name, v->e);
        return v->rc != 0;
}

int hdf_each(hid_t group, hdf_visit visit, void *ctx, struct err *e)
{
        struct visit v = {visit, ctx, e, 0, 0};
        if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, on_link, &v) < 0 && v.rc == 0)
                return hdf_damaged(e);
        return v.rc;
}

/* At most one deflate, and what only moves or checks bytes: each other filter is a door of its own. */
static int check_filters(hid_t plan, bool *ret_deflate, struct err *e)
{
        int count = H5Pget_nfilters(plan);
        *ret_deflate = false;
        for (int i = 0; i < count; i++) {
                unsigned flags = 0, config = 0;
                size_t values = 0;
                H5Z_filter_t filter =
                        H5Pget_filter2(plan, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
                if (filter == H5Z_FILTER_DEFLATE && !*ret_deflate)
                        *ret_deflate = true;
                else if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
                        return err_set(e, ERR_INVALID,
                                "the filter %d is not read; one deflate, shuffle and fletcher32 are",
                                (int)filter);
        }
        return 0;
}

/* What is stored must be able to fill `need` bytes: HDF5 reads what was never written as zeros. */
static int check_storage(
        hid_t set, hid_t plan, uint64_t need, size_t element, uint64_t file_bytes, struct err *e)
{
        bool deflate = false;
        H5D_layout_t layout = H5Pget_layout(plan);
        uint64_t stored = H5Dget_storage_size(set);
        if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
                return err_set(e, ERR_INVALID, "a data set made of others is not read");
        if (H5Pget_external_count(plan) != 0)
                return err_set(e, ERR_INVALID, "a data set in another file is not read");
        int rc = layout == H5D_CHUNKED ? check_filters(plan, &deflate, e) : 0;
        if (rc != 0)
                return rc;
        /* Chunks that overlap could store more than the file has. */
        stored = stored < file_bytes ? stored : file_bytes;
        uint64_t most = deflate ? stored * DEFLATE_RATIO : stored, chunk = element;
        if (need > most)
                return err_set(e, ERR_SYNTAX, "%llu stored bytes cannot hold %llu",
                        (unsigned long long)stored, (unsigned long long)need);
        hsize_t dims[H5S_MAX_RANK];
        int ndim = layout == H5D_CHUNKED ? H5Pget_chunk(plan, H5S_MAX_RANK, dims) : 0;
        for (int i = 0; i < ndim; i++) {
                if (dims[i] == 0 || chunk > CHUNK_MAX_BYTES / dims[i])
                        return err_set(e, ERR_TOO_LARGE, "chunks of more than %d bytes", CHUNK_MAX_BYTES);
                chunk *= dims[i];
        }
        if (ndim > 0 && chunk > most)
                return err_set(e, ERR_SYNTAX, "too short for its chunks");
        return 0;
}

/* IEEE 754's half, as NumPy writes it; this library has no name for it. */
static bool is_half(hid_t type)
{
        hid_t half = H5Tcopy(H5T_IEEE_F32LE);
        bool same = half >= 0 && H5Tset_fields(half, 15, 10, 5, 0, 10) >= 0 && H5Tset_size(half, 2) >= 0 &&
                    H5Tset_ebias(half, 15) >= 0 && H5Tequal(type, half) > 0;
        same = same || (half >= 0 && H5Tset_order(half, H5T_ORDER_BE) >= 0 && H5Tequal(type, half) > 0);
        if (half >= 0)
                H5Tclose(half);
        return same;
}

/* One of the integers and floats that machines have. A damaged type of odd bits would be converted bit by
   bit, and the library does not hold those bits against the element's size. */
static bool is_plain(hid_t type)
{
        const hid_t plain[] = {H5T_STD_U8LE, H5T_STD_U8BE, H5T_STD_U16LE, H5T_STD_U16BE, H5T_STD_U32LE,
                H5T_STD_U32BE, H5T_STD_U64LE, H5T_STD_U64BE, H5T_STD_I8LE, H5T_STD_I8BE, H5T_STD_I16LE,
                H5T_STD_I16BE, H5T_STD_I32LE, H5T_STD_I32BE, H5T_STD_I64LE, H5T_STD_I64BE, H5T_IEEE_F32LE,
                H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE};
        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
                if (H5Tequal(type, plain[i]) > 0)
                        return true;
        return is_half(type);
}

static int read_type(hid_t set, struct hdf_shape *s, struct err *e)
{
        hid_t type = H5Dget_type(set);
        if (type < 0)
                return hdf_damaged(e);
        H5T_class_t kind = H5Tget_class(type);
        s->real = is_plain(type);
        s->bytes = H5Tget_size(type);
        s->is_float = kind == H5T_FLOAT;
        s->is_signed = kind == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2;
        H5Tclose(type);
        return 0;
}

static int read_dims(hid_t set, struct hdf_shape *s, struct err *e)
{
        hid_t space = H5Dget_space(set);
        if (space < 0)
                return hdf_damaged(e);
        hsize_t dims[H5S_MAX_RANK];
        int rc = 0,
            ndim = H5Sget_simple_extent_type(space) == H5S_SIMPLE ? H5Sget_simple_extent_ndims(space) : 0;
        if (ndim < 0 || ndim > HDF_MAX_DIMS)
                rc = err_set(e, ERR_INVALID, "%d dimensions are no image", ndim);
        else if (ndim > 0 && H5Sget_simple_extent_dims(space, dims, NULL) < 0)
                rc = hdf_damaged(e);
        s->ndim = rc == 0 ? ndim : 0;
        for (int i = 0; i < s->ndim; i++)
                s->dims[i] = dims[i];
        H5Sclose(space);
        return rc;
}

int hdf_shape(hid_t set, uint64_t file_bytes, struct hdf_shape *ret, struct err *e)
{
        struct hdf_shape s = {0};
        int rc = read_type(set, &s, e);
        if (rc == 0)
                rc = read_dims(set, &s, e);
        uint64_t need = s.bytes;
        for (int i = 0; rc == 0 && i < s.ndim; i++) {
                if (s.dims[i] && need > UINT64_MAX / s.dims[i])
                        return err_set(e, ERR_TOO_LARGE, "more elements than can be counted");
                need *= s.dims[i];
        }
        hid_t plan = rc == 0 ? H5Dget_create_plist(set) : H5I_INVALID_HID;
        if (rc == 0 && plan < 0)
                rc = hdf_damaged(e);
        if (rc == 0 && s.real)
                rc = check_storage(set, plan, need, s.bytes, file_bytes, e);
        if (plan >= 0)
                H5Pclose(plan);
        if (rc == 0)
                *ret = s;
        return rc;
}

static int read_slab(hid_t set, hid_t type, const uint64_t *start, const uint64_t *count, int ndim, void *to,
        struct err *e)
{
        hsize_t from[HDF_MAX_DIMS], many[HDF_MAX_DIMS];
        for (int i = 0; i < ndim; i++) {
                from[i] = start[i];
                many[i] = count[i];
        }
        hid_t space = H5Dget_space(set), memory = H5Screate_simple(ndim, many, NULL);
        int rc = 0;
        if (space < 0 || memory < 0 ||
                H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, many, NULL) < 0 ||
                H5Dread(set, type, memory, space, H5P_DEFAULT, to) < 0)
                rc = hdf_damaged(e);
        if (memory >= 0)
                H5Sclose(memory);
        if (space >= 0)
                H5Sclose(space);
        return rc;
}

int hdf_read_floats(
        hid_t set, const uint64_t *start, const uint64_t *count, int ndim, float *to, struct err *e)
{
        return read_slab(set, H5T_NATIVE_FLOAT, start, count, ndim, to, e);
}

int hdf_read_bytes(
        hid_t set, const uint64_t *start, const uint64_t *count, int ndim, unsigned char *to, struct err *e)
{
        return read_slab(set, H5T_NATIVE_UCHAR, start, count, ndim, to, e);
}

/* The attribute with its type and one element of it in *ret_bytes; negative where there is none, or no such.
 */
static hid_t open_attribute(hid_t object, const char *name, hid_t *ret_type)
{
        if (H5Aexists(object, name) <= 0)
                return H5I_INVALID_HID;
        hid_t at = H5Aopen(object, name, H5P_DEFAULT), space = at < 0 ? at : H5Aget_space(at);
        hssize_t count = space < 0 ? 0 : H5Sget_simple_extent_npoints(space);
        if (space >= 0)
                H5Sclose(space);
        *ret_type = count == 1 ? H5Aget_type(at) : H5I_INVALID_HID;
        if (at >= 0 && *ret_type < 0) {
                H5Aclose(at);
                return H5I_INVALID_HID;
        }
        return at;
}

bool hdf_attribute_number(hid_t object, const char *name, double *ret)
{
        hid_t type = H5I_INVALID_HID, at = open_attribute(object, name, &type);
        if (at < 0)
                return false;
        bool ok = is_plain(type) && H5Aread(at, H5T_NATIVE_DOUBLE, ret) >= 0;
        H5Tclose(type);
        H5Aclose(at);
        return ok;
}

bool hdf_attribute_text(hid_t object, const char *name, char *to, size_t room)
{
        hid_t type = H5I_INVALID_HID, at = open_attribute(object, name, &type);
        bool ok = false;
        if (at < 0)
                return false;
        if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
                char *text = NULL;
                if (H5Aread(at, type, &text) >= 0 && text) {
                        snprintf(to, room, "%s", text);
                        ok = true;
                }
                H5free_memory(text);
        } else if (H5Tget_class(type) == H5T_STRING && H5Tget_size(type) < ATTRIBUTE_BYTES) {
                char text[ATTRIBUTE_BYTES] = "";
                ok = H5Aread(at, type, text) >= 0;
                snprintf(to, room, "%s", text);
        }
        H5Tclose(type);
        H5Aclose(at);
        return ok;
}
