/* Writes HDF5 files for tests into a folder: EMD as Velox and NCEM have it, and what must be refused. Pixel
   (y,x) of frame n is n * 1000 + y * 10 + x. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 5, W = 4, N = 3 };

static const char *folder;

#define NEED(call)                                                                                           \
        do {                                                                                                 \
                if ((call) < 0) {                                                                            \
                        fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #call);                    \
                        exit(1);                                                                             \
                }                                                                                            \
        } while (0)

static hid_t create_in(const char *name, H5F_libver_t version)
{
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        hid_t access = H5Pcreate(H5P_FILE_ACCESS);
        NEED(H5Pset_libver_bounds(access, version, H5F_LIBVER_LATEST));
        hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
        NEED(f);
        H5Pclose(access);
        return f;
}

static hid_t create(const char *name)
{
        return create_in(name, H5F_LIBVER_EARLIEST);
}

static hid_t group(hid_t at, const char *name)
{
        hid_t g = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        NEED(g);
        return g;
}

static double value(hsize_t n, hsize_t y, hsize_t x)
{
        return (double)(n * 1000 + y * 10 + x);
}

/* dims of an image (H,W), a Velox stack (H,W,N) or an NCEM stack (N,H,W) of type `type`. */
static hid_t image(hid_t at, const char *name, hid_t type, hid_t plan, int ndim, int frames_last)
{
        hsize_t dims[3] = {H, W, N};
        double v[H * W * N];
        if (ndim == 3 && !frames_last) {
                dims[0] = N;
                dims[1] = H;
                dims[2] = W;
        }
        hsize_t frames = ndim == 3 ? N : 1;
        for (hsize_t n = 0; n < frames; n++)
                for (hsize_t y = 0; y < H; y++)
                        for (hsize_t x = 0; x < W; x++)
                                v[frames_last ? (y * W + x) * frames + n : (n * H + y) * W + x] =
                                        value(n, y, x);
        hid_t space = H5Screate_simple(ndim, dims, NULL);
        hid_t set = H5Dcreate2(at, name, type, space, H5P_DEFAULT, plan, H5P_DEFAULT);
        NEED(set);
        NEED(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v));
        H5Sclose(space);
        return set;
}

static void metadata(hid_t at, const char *text)
{
        hsize_t dims[2] = {4096, N};
        static unsigned char bytes[4096 * N];
        memset(bytes, 0, sizeof bytes);
        for (size_t i = 0; i < strlen(text); i++)
                for (size_t k = 0; k < N; k++)
                        bytes[i * N + k] = (unsigned char)text[i];
        hid_t space = H5Screate_simple(2, dims, NULL);
        hid_t set = H5Dcreate2(at, "Metadata", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        NEED(set);
        NEED(H5Dwrite(set, H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes));
        H5Dclose(set);
        H5Sclose(space);
}

static hid_t velox(hid_t f)
{
        hid_t data = group(f, "Data"), images = group(data, "Image"), one = group(images, "abc");
        metadata(one, "{\"BinaryResult\":{\"PixelSize\":{\"width\":\"2e-10\",\"height\":\"4e-10\"},"
                      "\"PixelUnitX\":\"m\"}}");
        return one;
}

static hid_t chunked(int ndim, int filters)
{
        hsize_t chunk[3] = {H, W, 1};
        hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
        NEED(H5Pset_chunk(plan, ndim, chunk));
        if (filters > 0)
                NEED(H5Pset_shuffle(plan));
        if (filters > 0)
                NEED(H5Pset_deflate(plan, 6));
        if (filters > 1)
                NEED(H5Pset_fletcher32(plan));
        if (filters > 2)
                NEED(H5Pset_scaleoffset(plan, H5Z_SO_INT, 0));
        return plan;
}

static void text_attribute(hid_t at, const char *name, const char *text, int variable)
{
        hid_t space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
        NEED(H5Tset_size(type, variable ? H5T_VARIABLE : strlen(text) + 9));
        hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
        char fixed[64] = "";
        snprintf(fixed, sizeof fixed, "%s", text);
        NEED(H5Awrite(a, type, variable ? (const void *)&text : fixed));
        H5Aclose(a);
}

static void axis_from(hid_t at, const char *name, double from, double step, const char *unit, int variable)
{
        hsize_t two = 2;
        double v[2] = {from, from + step};
        hid_t space = H5Screate_simple(1, &two, NULL);
        hid_t set = H5Dcreate2(at, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        NEED(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v));
        text_attribute(set, "units", unit, variable);
        H5Dclose(set);
}

static void axis(hid_t at, const char *name, double step, const char *unit, int variable)
{
        axis_from(at, name, 0, step, unit, variable);
}

static void number_attribute(hid_t at, const char *name, int v)
{
        hid_t a = H5Acreate2(at, name, H5T_STD_I32BE, H5Screate(H5S_SCALAR), H5P_DEFAULT, H5P_DEFAULT);
        NEED(H5Awrite(a, H5T_NATIVE_INT, &v));
        H5Aclose(a);
}

static hid_t ncem(hid_t f, const char *name)
{
        hid_t g = group(f, name);
        number_attribute(g, "emd_group_type", 1);
        return g;
}

/* As NumPy's is written. */
static hid_t half(H5T_order_t order)
{
        hid_t type = H5Tcopy(H5T_IEEE_F32LE);
        NEED(H5Tset_fields(type, 15, 10, 5, 0, 10));
        NEED(H5Tset_size(type, 2));
        NEED(H5Tset_ebias(type, 15));
        NEED(H5Tset_order(type, order));
        return type;
}

static void write_types(void)
{
        const struct {
                const char *name;
                hid_t type;
        } types[] = {{"u1", H5T_STD_U8LE}, {"u2", H5T_STD_U16LE}, {"u2be", H5T_STD_U16BE},
                {"u4", H5T_STD_U32LE}, {"i1", H5T_STD_I8LE}, {"i2be", H5T_STD_I16BE}, {"i4", H5T_STD_I32LE},
                {"i8", H5T_STD_I64LE}, {"f2", half(H5T_ORDER_LE)}, {"f2be", half(H5T_ORDER_BE)},
                {"f4", H5T_IEEE_F32LE}, {"f4be", H5T_IEEE_F32BE}, {"f8", H5T_IEEE_F64LE}};
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
                char name[64];
                snprintf(name, sizeof name, "velox_%s", types[i].name);
                hid_t f = create(name);
                image(velox(f), "Data", types[i].type, H5P_DEFAULT, 2, 1);
                H5Fclose(f);
        }
        for (int filters = 0; filters < 4; filters++) {
                char name[64];
                snprintf(name, sizeof name, "velox_stack_%d", filters);
                hid_t f = create(name);
                image(velox(f), "Data", H5T_STD_I16LE, chunked(3, filters), 3, 1);
                H5Fclose(f);
        }
}

/* A stack of which only the first frame was ever written. */
static void write_fill(const char *name, H5F_libver_t version, hid_t type)
{
        const hsize_t dims[3] = {H, W, N}, first[3] = {H, W, 1}, from[3] = {0};
        const double fill = 7;
        double v[H * W];
        hid_t f = create_in(name, version), plan = chunked(3, 1), space = H5Screate_simple(3, dims, NULL);
        NEED(H5Pset_fill_value(plan, H5T_NATIVE_DOUBLE, &fill));
        hid_t set = H5Dcreate2(velox(f), "Data", type, space, H5P_DEFAULT, plan, H5P_DEFAULT);
        for (int i = 0; i < H * W; i++)
                v[i] = value(0, (hsize_t)(i / W), (hsize_t)(i % W));
        NEED(H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, first, NULL));
        NEED(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5Screate_simple(3, first, NULL), space, H5P_DEFAULT, v));
        H5Dclose(set);
        H5Fclose(f);
}

/* 40x40 in chunks of 1x1, more than an index has in one page. */
static void write_pages(void)
{
        enum { SIDE = 40 };
        const hsize_t dims[2] = {SIDE, SIDE}, chunk[2] = {1, 1};
        double v[SIDE * SIDE];
        hid_t f = create_in("latest_pages", H5F_LIBVER_LATEST), plan = H5Pcreate(H5P_DATASET_CREATE);
        hid_t space = H5Screate_simple(2, dims, NULL);
        NEED(H5Pset_chunk(plan, 2, chunk));
        hid_t set = H5Dcreate2(velox(f), "Data", H5T_STD_I16LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
        for (int i = 0; i < SIDE * SIDE; i++)
                v[i] = value(0, (hsize_t)(i / SIDE), (hsize_t)(i % SIDE));
        NEED(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v));
        H5Dclose(set);
        H5Fclose(f);
}

/* What the library's latest version of the format has instead: other headers, other lists of chunks. */
static void write_latest(void)
{
        const hsize_t whole[3] = {H, W, N}, most[3] = {H, W, H5S_UNLIMITED};
        static const double zeros[H * W * N];
        char name[64];
        for (int filters = 0; filters < 3; filters++)
                for (int single = 0; single < 2; single++) {
                        hid_t plan = chunked(3, filters);
                        if (single)
                                NEED(H5Pset_chunk(plan, 3, whole));
                        snprintf(name, sizeof name, "latest_%s_%d", single ? "single" : "stack", filters);
                        hid_t f = create_in(name, H5F_LIBVER_LATEST);
                        image(velox(f), "Data", H5T_STD_I16LE, plan, 3, 1);
                        H5Fclose(f);
                }
        hid_t f = create_in("latest_implicit", H5F_LIBVER_LATEST), plan = chunked(3, 0);
        NEED(H5Pset_alloc_time(plan, H5D_ALLOC_TIME_EARLY));
        image(velox(f), "Data", H5T_STD_I16LE, plan, 3, 1);
        H5Fclose(f);
        f = create_in("latest_unlimited", H5F_LIBVER_LATEST);
        hid_t space = H5Screate_simple(3, whole, most);
        hid_t set =
                H5Dcreate2(velox(f), "Data", H5T_STD_I16LE, space, H5P_DEFAULT, chunked(3, 0), H5P_DEFAULT);
        NEED(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros));
        H5Dclose(set);
        H5Fclose(f);
        f = create_in("latest_dense", H5F_LIBVER_LATEST);
        for (int i = 0; i < 20; i++) {
                snprintf(name, sizeof name, "g%d", i);
                H5Gclose(group(f, name));
        }
        H5Fclose(f);
        write_pages();
}

static void write_headers(void)
{
        hid_t f = create("velox_compact"), plan = H5Pcreate(H5P_DATASET_CREATE);
        NEED(H5Pset_layout(plan, H5D_COMPACT));
        image(velox(f), "Data", H5T_STD_U8LE, plan, 2, 1);
        H5Fclose(f);
        f = create("ncem_attributes");
        hid_t g = group(f, "one");
        for (int i = 0; i < 40; i++) {
                char name[32];
                snprintf(name, sizeof name, "attribute %d", i);
                text_attribute(g, name, "a text that needs its room in the header", i % 2);
        }
        number_attribute(g, "emd_group_type", 1);
        image(g, "data", H5T_STD_I32LE, H5P_DEFAULT, 2, 0);
        axis(g, "dim1", 3, "[n_m]", 0);
        axis(g, "dim2", 5, "[n_m]", 1);
        H5Fclose(f);
}

static void write_ncem(void)
{
        static const char *const third[] = {"[]", "[n_m]"};
        hid_t f = create("ncem_image"), g = ncem(f, "one");
        image(g, "data", H5T_STD_I32LE, H5P_DEFAULT, 2, 0);
        axis(g, "dim1", 3, "[n_m]", 0);
        axis(g, "dim2", 5, "[n_m]", 1);
        H5Fclose(f);
        for (int i = 0; i < 2; i++) {
                f = create(i ? "ncem_volume" : "ncem_stack");
                g = ncem(group(f, "inner"), "one");
                image(g, "data", H5T_STD_I32LE, H5P_DEFAULT, 3, 0);
                axis(g, "dim1", 1, third[i], 0);
                axis(g, "dim2", 3, "nm", 0);
                axis(g, "dim3", 5, "nm", 0);
                H5Fclose(f);
        }
        f = create("ncem_far");
        g = ncem(f, "one");
        image(g, "data", H5T_STD_I32LE, H5P_DEFAULT, 2, 0);
        axis_from(g, "dim1", 1048576, 0x1p-10, "[n_m]", 0);
        axis_from(g, "dim2", -1048576, 0x1p-10, "[n_m]", 0);
        H5Fclose(f);
        f = create("ncem_frames_last");
        g = ncem(f, "one");
        image(g, "realslice", H5T_IEEE_F32LE, H5P_DEFAULT, 3, 1);
        axis(g, "dim1", 3, "nm", 0);
        axis(g, "dim2", 5, "nm", 0);
        axis(g, "dim3", 1, "mrad", 0);
        H5Fclose(f);
}

/* Links and storage that lead out of the file, to a file that does exist. */
static void write_ways_out(void)
{
        char path[1024];
        snprintf(path, sizeof path, "%s/velox_u1", folder);
        hid_t f = create("bomb_external_link"), g = group(group(f, "Data"), "Image");
        NEED(H5Lcreate_external(path, "/Data/Image/abc", g, "abc", H5P_DEFAULT, H5P_DEFAULT));
        H5Fclose(f);
        f = create("bomb_external_data");
        NEED(H5Lcreate_external(path, "/Data", f, "Data", H5P_DEFAULT, H5P_DEFAULT));
        H5Fclose(f);
        f = create("bomb_soft_link");
        g = group(f, "elsewhere");
        image(g, "Data", H5T_STD_U8LE, H5P_DEFAULT, 2, 1);
        g = group(group(f, "Data"), "Image");
        NEED(H5Lcreate_soft("/elsewhere", g, "abc", H5P_DEFAULT, H5P_DEFAULT));
        H5Fclose(f);
        f = create("bomb_soft_loop");
        NEED(H5Lcreate_soft("/Data", f, "Data", H5P_DEFAULT, H5P_DEFAULT));
        H5Fclose(f);
        f = create("bomb_external_storage");
        hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
        NEED(H5Pset_external(plan, "/etc/passwd", 0, H * W));
        hsize_t dims[2] = {H, W};
        hid_t space = H5Screate_simple(2, dims, NULL);
        NEED(H5Dcreate2(velox(f), "Data", H5T_STD_U8LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
        H5Fclose(f);
        f = create("bomb_virtual");
        plan = H5Pcreate(H5P_DATASET_CREATE);
        NEED(H5Pset_virtual(plan, space, path, "/Data/Image/abc/Data", space));
        NEED(H5Dcreate2(velox(f), "Data", H5T_STD_U8LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
        H5Fclose(f);
}

/* Little stored, much claimed. */
static void write_sizes(void)
{
        const struct {
                const char *name;
                hsize_t h, w, chunk_h, chunk_w;
                int deflate;
        } claims[] = {{"bomb_contiguous", 16000, 16000, 0, 0, 0},
                {"bomb_chunks", 16000, 16000, 16000, 16000, 0}, {"bomb_small_chunks", 16000, 16000, 1, 1, 0},
                {"bomb_deflate", 16000, 16000, 16000, 16000, 1},
                {"bomb_sides", 1ULL << 40, 1ULL << 40, 64, 64, 0},
                {"bomb_overflow", 1ULL << 62, 4, 64, 4, 0}};
        for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
                hsize_t dims[2] = {claims[i].h, claims[i].w},
                        chunk[2] = {claims[i].chunk_h, claims[i].chunk_w};
                hid_t f = create(claims[i].name), plan = H5Pcreate(H5P_DATASET_CREATE);
                hid_t space = H5Screate_simple(2, dims, NULL);
                if (chunk[0])
                        NEED(H5Pset_chunk(plan, 2, chunk));
                if (claims[i].deflate)
                        NEED(H5Pset_deflate(plan, 9));
                NEED(H5Dcreate2(velox(f), "Data", H5T_STD_U8LE, space, H5P_DEFAULT, plan, H5P_DEFAULT));
                H5Fclose(f);
        }
}

static void write_others(void)
{
        hid_t f = create("complex"), type = H5Tcreate(H5T_COMPOUND, 8);
        hsize_t dims[2] = {H, W};
        float zeros[2 * H * W] = {0};
        NEED(H5Tinsert(type, "realFloat", 0, H5T_IEEE_F32LE));
        NEED(H5Tinsert(type, "imagFloat", 4, H5T_IEEE_F32LE));
        hid_t space = H5Screate_simple(2, dims, NULL);
        hid_t set = H5Dcreate2(velox(f), "Data", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        NEED(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros));
        H5Fclose(f);
        f = create("empty");
        H5Fclose(f);
        f = create("bomb_deep");
        hid_t g = f;
        for (int i = 0; i < 200; i++)
                g = group(g, "g");
        H5Fclose(f);
        f = create("bomb_wide");
        for (int i = 0; i < 5000; i++) {
                char name[16];
                snprintf(name, sizeof name, "g%d", i);
                H5Gclose(group(f, name));
        }
        H5Fclose(f);
        f = create("bomb_hard_loop");
        g = group(f, "g");
        for (int i = 0; i < 8; i++) {
                char name[16];
                snprintf(name, sizeof name, "l%d", i);
                NEED(H5Lcreate_hard(f, "/", g, name, H5P_DEFAULT, H5P_DEFAULT));
        }
        H5Fclose(f);
}

int main(int argc, char **argv)
{
        if (argc != 2)
                return 2;
        folder = argv[1];
        write_types();
        write_ncem();
        write_latest();
        write_fill("velox_fill", H5F_LIBVER_EARLIEST, H5T_STD_U8LE);
        write_fill("velox_fill_be", H5F_LIBVER_EARLIEST, H5T_IEEE_F32BE);
        write_fill("latest_fill", H5F_LIBVER_LATEST, H5T_STD_I16LE);
        write_headers();
        write_ways_out();
        write_sizes();
        write_others();
        return 0;
}
