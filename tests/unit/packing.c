/* Pieces with lives lie where looking at every one of them would have put them. */
#include "check.h"

#include "base/philox.h"
#include "net/packing.h"

#include <stdbool.h>

enum { MOMENTS = 300, PIECES = 600 };

static uint32_t draw(uint64_t *n, uint32_t below)
{
        uint32_t words[4];
        philox(11, PHILOX_AUGMENT, 0, (*n)++, words);
        return words[0] % below;
}

static bool meets(const struct packed *a, const struct packed *b)
{
        return a->first <= b->last && b->first <= a->last && a->offset < b->offset + b->size &&
               b->offset < a->offset + a->size;
}

/* By trying the ends of all others. */
static uint64_t lowest(const struct packed *pieces, int count, struct packed want)
{
        uint64_t best = UINT64_MAX;
        for (int i = -1; i < count; i++) {
                bool free = true;
                want.offset = i < 0 ? 0 : pieces[i].offset + pieces[i].size;
                for (int k = 0; k < count && free && want.offset < best; k++)
                        free = !meets(&want, &pieces[k]);
                if (free && want.offset < best)
                        best = want.offset;
        }
        return best;
}

/* Lives of at most `longest` moments, sizes of 1 to `sizes`, falling ones where `sorted`. */
static void check(int longest, uint32_t sizes, bool sorted, uint64_t *n)
{
        static struct packed pieces[PIECES];
        struct packing *p = NULL;
        struct err e;
        CHECK_OK(packing_create(MOMENTS, &p, &e), &e);
        for (int i = 0; i < PIECES; i++) {
                struct packed *piece = &pieces[i];
                piece->first = (int)draw(n, MOMENTS);
                piece->last = piece->first + (int)draw(n, (uint32_t)longest);
                if (piece->last >= MOMENTS)
                        piece->last = MOMENTS - 1;
                piece->size =
                        sorted ? 1 + (uint64_t)sizes * (uint64_t)(PIECES - i) / PIECES : 1 + draw(n, sizes);
                piece->offset = packing_lowest(p, piece->size, piece->first, piece->last);
                if (piece->offset != lowest(pieces, i, *piece))
                        fail_msg("piece %d of %d..%d, %d: at %d, not at %d", i, piece->first, piece->last,
                                (int)piece->size, (int)piece->offset, (int)lowest(pieces, i, *piece));
                CHECK_OK(packing_put(p, piece, &e), &e);
        }
        packing_destroy(p);
}

static void pieces_lie_as_low_as_they_go(void **state)
{
        static const int longest[] = {1, 3, 12, 100, MOMENTS};
        uint64_t n = 0;
        (void)state;
        for (size_t i = 0; i < sizeof longest / sizeof longest[0]; i++)
                for (uint32_t sizes = 1; sizes <= 1000; sizes *= 10) {
                        check(longest[i], sizes, false, &n);
                        check(longest[i], sizes, true, &n);
                }
}

/* The lives of a chain of layers: what is kept for backward, nested, and what only passes. */
static void a_chain_lies_without_gaps(void **state)
{
        struct packing *p = NULL;
        struct err e;
        (void)state;
        CHECK_OK(packing_create(2 * MOMENTS, &p, &e), &e);
        for (int i = 0; i < MOMENTS; i++) {
                struct packed kept = {.size = 7, .first = i, .last = 2 * MOMENTS - 1 - i};
                kept.offset = packing_lowest(p, kept.size, kept.first, kept.last);
                assert_int_equal(kept.offset, 7 * i);
                CHECK_OK(packing_put(p, &kept, &e), &e);
        }
        for (int i = 0; i < MOMENTS; i++) {
                struct packed passing = {
                        .size = 5, .first = 2 * MOMENTS - 1 - i, .last = 2 * MOMENTS - 1 - i};
                passing.offset = packing_lowest(p, passing.size, passing.first, passing.last);
                assert_int_equal(passing.offset, 7 * (i + 1));
                CHECK_OK(packing_put(p, &passing, &e), &e);
        }
        packing_destroy(p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pieces_lie_as_low_as_they_go),
                cmocka_unit_test(a_chain_lies_without_gaps),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
