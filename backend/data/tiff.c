/* TIFF as microscopes write it: which pages are the image, its databar and the size of its pixels. */
#include "data/decoder.h"
#include "data/span.h"
#include "data/tiffmeta.h"
#include "data/tiffpage.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PAGES = 8192 };

struct pages {
        struct tiffpage *list; /* owned */
        size_t count, room;
};

static int add_page(struct pages *ps, const struct tiffpage *p, struct err *e)
{
        if (ps->count == MAX_PAGES)
                return err_set(e, ERR_TOO_LARGE, "more than %d pages", MAX_PAGES);
        if (ps->count == ps->room) {
                size_t room = ps->room ? 2 * ps->room : 16;
                struct tiffpage *more = realloc(ps->list, room * sizeof *more);
                if (!more)
                        return err_set(e, ERR_NO_MEMORY, "no memory for %zu pages", room);
                ps->list = more;
                ps->room = room;
        }
        ps->list[ps->count++] = *p;
        return 0;
}

/* Whether the directory at `offset` says where the next one is, which libtiff takes for "nowhere" if it is
   cut off. */
static bool tells_next(const struct tiffpage_file *f, uint64_t offset)
{
        const bool big = f->bytes[0] == 'M', large = f->bytes[big ? 3 : 2] == 43;
        const uint64_t head = large ? 8 : 2, entry = large ? 20 : 12, place = large ? 8 : 4;
        const uint64_t count = span_uint(f->bytes + offset, (int)head, big);
        return span_holds(f->len, offset, head + count * entry + place);
}

/* A chain of directories that breaks off is damaged; one that bites its tail libtiff ends there. */
static int list_pages(struct tiffpage_file *f, struct pages *ps, struct err *e)
{
        int rc = 0;
        do {
                struct tiffpage p;
                tiffpage_describe(f, &p);
                rc = add_page(ps, &p, e);
        } while (rc == 0 && TIFFReadDirectory(f->tif));
        if (rc == 0 && f->message[0])
                rc = tiffpage_damaged(f, e);
        if (rc == 0 && ps->count > 1 && !tells_next(f, ps->list[ps->count - 1].offset))
                rc = err_set(e, ERR_SYNTAX, "cut off after page %zu", ps->count);
        return rc;
}

/* A page that is not JPEG before one that is, a page before a thumbnail, the larger before the smaller. */
static bool better(const struct tiffpage *a, const struct tiffpage *b)
{
        bool jpeg_a = a->compression == COMPRESSION_JPEG, jpeg_b = b->compression == COMPRESSION_JPEG;
        if (!a->why != !b->why)
                return !a->why;
        if (a->thumbnail != b->thumbnail)
                return !a->thumbnail;
        if (jpeg_a != jpeg_b)
                return !jpeg_a;
        return (uint64_t)a->w * a->h > (uint64_t)b->w * b->h;
}

static int choose(const struct pages *ps, const struct tiffpage **ret, struct err *e)
{
        const struct tiffpage *best = &ps->list[0];
        for (size_t i = 1; i < ps->count; i++)
                if (better(&ps->list[i], best))
                        best = &ps->list[i];
        if (best->why)
                return err_set(e, ERR_INVALID, "%s", best->why);
        *ret = best;
        return 0;
}

static uint64_t count_frames(const struct pages *ps, const struct tiffpage *best)
{
        uint64_t n = 0;
        for (size_t i = 0; i < ps->count; i++)
                n += tiffpage_alike(best, &ps->list[i]);
        return n;
}

static int read_frames(struct tiffpage_file *f, const struct pages *ps, const struct tiffpage *best,
        float *to, struct err *e)
{
        size_t frame = (size_t)tiffpage_channels(best) * best->h * best->w;
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < ps->count; i++) {
                if (!tiffpage_alike(best, &ps->list[i]))
                        continue;
                rc = tiffpage_read(f, &ps->list[i], to, e);
                to += frame;
        }
        return rc;
}

static int check_size(const struct tiffpage_file *f, const struct tiffpage *p, uint64_t n, struct err *e)
{
        int rc = image_check(n, (uint64_t)tiffpage_channels(p), p->h, p->w, e);
        if (rc == 0 && tiffpage_bytes(p) * n > tiffpage_most_bytes(p, f->len))
                rc = err_set(e, ERR_SYNTAX, "too short for %llu pages of %ux%u", (unsigned long long)n, p->h,
                        p->w);
        return rc;
}

/* ImageJ writes one directory for a stack too long for TIFF, and the frames one after the other behind it. */
static bool is_run(
        const struct tiffpage_file *f, const struct pages *ps, const struct tiffpage *p, uint32_t frames)
{
        return ps->count == 1 && frames > 1 && p->compression == COMPRESSION_NONE &&
               (p->samples == 1 || p->planar == PLANARCONFIG_CONTIG) && p->bits % 8 == 0 &&
               !TIFFIsTiled(f->tif);
}

static void crop_databar(struct image *im, uint32_t image_h)
{
        size_t w = (size_t)im->w, planes = (size_t)im->n * (size_t)im->c;
        if (image_h == 0 || image_h >= (uint32_t)im->h)
                return;
        for (size_t p = 1; p < planes; p++)
                memmove(im->pixels + p * image_h * w, im->pixels + p * (size_t)im->h * w,
                        image_h * w * sizeof *im->pixels);
        im->databar_h = im->h - (int)image_h;
        im->h = (int)image_h;
}

static int decode(struct tiffpage_file *f, struct pages *ps, struct image *im, struct err *e)
{
        const struct tiffpage *best = NULL;
        struct tiffmeta m = {0};
        int rc = list_pages(f, ps, e);
        if (rc == 0)
                rc = choose(ps, &best, e);
        if (rc != 0)
                return rc;
        tiffmeta_read(f->bytes, f->len, ps->list[0].offset, &m);
        if (best != ps->list)
                tiffmeta_read(f->bytes, f->len, best->offset, &m);
        bool run = is_run(f, ps, best, m.frames);
        uint64_t n = run ? m.frames : count_frames(ps, best);
        rc = check_size(f, best, n, e);
        if (rc == 0)
                rc = image_create(n, (uint64_t)tiffpage_channels(best), best->h, best->w, im, e);
        if (rc == 0)
                rc = run ? tiffpage_read_run(f, best, n, im->pixels, e)
                         : read_frames(f, ps, best, im->pixels, e);
        if (rc == 0)
                rc = image_check_finite(im, e);
        if (rc != 0)
                return rc;
        image_merge_grey(im);
        image_set_pixel(im, m.pixel_h, m.pixel_w, m.unit);
        crop_databar(im, m.image_h);
        return 0;
}

int tiff_decode(const unsigned char *bytes, size_t len, struct image *ret, struct err *e)
{
        struct tiffpage_file f;
        struct pages ps = {0};
        struct image im = {0};
        int rc = tiffpage_open(bytes, len, &f, e);
        if (rc == 0)
                rc = decode(&f, &ps, &im, e);
        tiffpage_close(&f);
        free(ps.list);
        if (rc == 0)
                *ret = im;
        else
                image_finish(&im);
        return rc;
}
