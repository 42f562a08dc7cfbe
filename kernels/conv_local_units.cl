/* How conv_local.cl (which includes this) forms its products in tf32: the tiles in local memory, and the matrix units'
   fragments out of them.

   32 work-items form WARP_M x WARP_N sums in pieces of 16 x 8 x 8, a step of 16 places of the sum in two. Which row, column
   or place of the sum stands where in a fragment is free, as long as both sides agree on the places. So they are laid out
   such that each float4 of local memory is what a work-item feeds to the units at a time. With g = item % 32 / 4 and
   t = item % 4, half h of a step multiplies the places 4t + 2h and 4t + 2h + 1, and

       rows of m     a pair (2P, 2P + 1) and two places are a fragment: P = 8i + g of fragment i
       columns of n  column c of the fragments 2j and 2j + 1 is 16j + 2c and 16j + 2c + 1

   A tile comes in lines (of m or n) that have the sum side by side, or in places that have the lines side by side:

       m, lines   [pair of lines][8 float4], one for two places
       m, places  [pair of places][TILE_M / 2 + 1 float4], one for two lines
       n, lines   [line][4 float4], each for four places
       n, places  [pair of places][TILE_N / 2 + 1 float4], one for two lines

   where float4 of lines are exchanged (`^`), lines of n stand in another order, and rows are a float4 longer, so that 8
   work-items that follow one another read and write all banks: tests/bench/bank_report counts that. */
#define DEPTH 16
#define PAIRS (DEPTH / 2)
#define WARP_M (TILE_M < 64 ? TILE_M : 64)
#define WARP_N (32 * SUMS_M * SUMS_N / WARP_M)
#define WARPS_N (TILE_N / WARP_N)
#define FRAGMENTS_M (WARP_M / 16)
#define FRAGMENTS_N (WARP_N / 8)
#define PITCH_M (TILE_M / 2 + 1)
#define PITCH_N (TILE_N / 2 + 1)
/* In float4. */
#define FOURS_M (PAIRS * PITCH_M)
#define FOURS_N (PAIRS * PITCH_N)
#define BUFFER (4 * (FOURS_M + FOURS_N))

/* Where the float4 of a pair of lines of m and pair s of places stands; of a pair of places and one of lines; of line
   `slot` of n and its places 4*part and on. */
#define M_LINES(pair, s) ((pair) * PAIRS + ((s) ^ ((pair) % 2 + (pair) / 2 % 2 * 4)))
#define M_PLACES(s, pair) ((s) * PITCH_M + (pair))
#define N_LINES(slot, part) ((slot) * 4 + ((part) ^ ((slot) / 2 % 2 * 2)))
#define N_PLACES(s, pair) ((s) * PITCH_N + (pair))
/* The line of n that stands as line `slot`. */
#define LINE_OF_SLOT(slot) ((slot) / 16 * 16 + (slot) % 8 * 2 + (slot) / 8 % 2)

/* What a work-item reads of them for fragment i and half h of a step: of n, for fragment i of lines and for the fragments 2i
   and 2i + 1 of places. That i only adds to the place of fragment 0, the exchanges apart, spares registers. */
#define PAIR_M(item, i) ((item) / 32 / WARPS_N * (WARP_M / 2) + (i) * 8 + (item) % 32 / 4)
#define LINE_N(item) ((item) / 32 % WARPS_N * WARP_N + (item) % 32 / 4)
#define PAIR_N(item) ((item) / 32 % WARPS_N * (WARP_N / 2) + (item) % 32 / 4)
#define READ_M_LINES(item, i, h) (M_LINES(PAIR_M(item, 0), (item) % 4 * 2 + (h)) + (i) * 8 * PAIRS)
#define READ_M_PLACES(item, i, h) (M_PLACES((item) % 4 * 2, PAIR_M(item, 0)) + (h) * PITCH_M + (i) * 8)
#define READ_N_LINES(item, i) (N_LINES(LINE_N(item), (item) % 4) + (i) * 8 * 4)
#define READ_N_PLACES(item, i, h) (N_PLACES((item) % 4 * 2, PAIR_N(item)) + (h) * PITCH_N + (i) * 8)

/* A work-item's results are four columns of a row: of fragments 2j and 2j + 1, first their upper, then their lower rows. */
#define RESULTS SUMS
#define OF_SUM(i) ((i) / FRAGMENTS_N * FRAGMENTS_N + (i) % FRAGMENTS_N / 2 * 2)
#define RESULT_OF(sums, i) \
        ((i) % 2 ? (float4)(sums[OF_SUM(i)].z, sums[OF_SUM(i) + 1].z, sums[OF_SUM(i)].w, sums[OF_SUM(i) + 1].w) \
                 : (float4)(sums[OF_SUM(i)].x, sums[OF_SUM(i) + 1].x, sums[OF_SUM(i)].y, sums[OF_SUM(i) + 1].y))
#define RESULT_M(item, i) (2 * PAIR_M(item, (i) / FRAGMENTS_N) + (i) % 2)
#define RESULT_N(item, i) \
        ((item) / 32 % WARPS_N * WARP_N + (i) % FRAGMENTS_N / 2 * 16 + (item) % 4 * 4)

#if TF32_UNITS
#define EXCHANGE(name) local float *name = 0

/* To 10 bits of fraction, the nearest. */
INLINE float rounded(const float v)
{
        uint bits;
#if TF32_ROUNDS
        __asm__("cvt.rn.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
#else
        __asm__("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
#endif
        return as_float(bits);
}

/* sums += m * n for fragments as PTX ISA, mma.m16n8k8 with .tf32, lays them out. */
INLINE void multiply_fragments(
        float4 sums[SUMS], const float m[FRAGMENTS_M][4], const float n[FRAGMENTS_N][2], local float *exchange, const int item)
{
        UNROLL for (int i = 0; i < SUMS; i++) {
                const float *a = m[i / FRAGMENTS_N], *b = n[i % FRAGMENTS_N];
                float x = sums[i].x, y = sums[i].y, z = sums[i].z, w = sums[i].w;
                __asm__ volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                                 : "+f"(x), "+f"(y), "+f"(z), "+f"(w)
                                 : "r"(as_uint(a[0])), "r"(as_uint(a[1])), "r"(as_uint(a[2])), "r"(as_uint(a[3])),
                                 "r"(as_uint(b[0])), "r"(as_uint(b[1])));
                sums[i] = (float4)(x, y, z, w);
        }
}
#else
#define FRAGMENT_FLOATS (4 * FRAGMENTS_M + 2 * FRAGMENTS_N)
#define EXCHANGE(name) local float name[ITEMS * FRAGMENT_FLOATS]

/* To 10 bits of fraction, the nearest, halves away from zero. */
INLINE float rounded(const float v)
{
        const uint bits = as_uint(v);
        return (bits & 0x7F800000u) == 0x7F800000u ? v : as_float((bits + 0x1000u) & 0xFFFFE000u);
}

/* Element (row, k) of fragment i of m: register row/8 + 2*(k/4) of work-item row%8*4 + k%4. Element (k, column) of n:
   register k/4 of work-item column*4 + k%4. */
#define M_ELEMENT(i, row, k) warp[((row) % 8 * 4 + (k) % 4) * FRAGMENT_FLOATS + (i) * 4 + (row) / 8 + (k) / 4 * 2]
#define N_ELEMENT(i, k, column) \
        warp[((column) * 4 + (k) % 4) * FRAGMENT_FLOATS + 4 * FRAGMENTS_M + (i) * 2 + (k) / 4]

INLINE void multiply_fragments(
        float4 sums[SUMS], const float m[FRAGMENTS_M][4], const float n[FRAGMENTS_N][2], local float *exchange, const int item)
{
        local float *mine = exchange + item * FRAGMENT_FLOATS, *warp = exchange + item / 32 * 32 * FRAGMENT_FLOATS;
        const int row = item % 32 / 4, column = item % 4 * 2;
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL for (int i = 0; i < 4 * FRAGMENTS_M; i++)
                mine[i] = m[i / 4][i % 4];
        UNROLL for (int i = 0; i < 2 * FRAGMENTS_N; i++)
                mine[4 * FRAGMENTS_M + i] = n[i / 2][i % 2];
        barrier(CLK_LOCAL_MEM_FENCE);
        UNROLL for (int i = 0; i < SUMS; i++) {
                const int a = i / FRAGMENTS_N, b = i % FRAGMENTS_N;
                for (int k = 0; k < 8; k++) {
                        const float2 left = (float2)(N_ELEMENT(b, k, column), N_ELEMENT(b, k, column + 1));
                        const float upper = M_ELEMENT(a, row, k), lower = M_ELEMENT(a, row + 8, k);
                        sums[i] = fma((float4)(upper, upper, lower, lower), (float4)(left.x, left.y, left.x, left.y), sums[i]);
                }
        }
}
#endif

/* `lines`: n came in lines, and m too; else n came in places, and m where it is TURNED. */
INLINE void multiply(float4 sums[SUMS], local const float *buffer, local float *exchange, const int item, const int lines)
{
        local const float4 *of_m = (local const float4 *)buffer, *of_n = of_m + FOURS_M;
        float m[FRAGMENTS_M][4], n[2][FRAGMENTS_N][2];
        UNROLL for (int h = 0; h < 2; h++) {
                UNROLL for (int i = 0; i < FRAGMENTS_M; i++) {
                        const float4 v = of_m[TURNED && !lines ? READ_M_PLACES(item, i, h) : READ_M_LINES(item, i, h)];
                        m[i][0] = v.x;
                        m[i][1] = v.y;
                        m[i][2] = v.z;
                        m[i][3] = v.w;
                }
                UNROLL for (int i = 0; i < FRAGMENTS_N; i++) {
                        /* Of lines a float4 is both halves of a fragment, of places one half of two. */
                        if (lines ? h > 0 : i % 2)
                                continue;
                        const float4 v = of_n[lines ? READ_N_LINES(item, i) : READ_N_PLACES(item, i / 2, h)];
                        const int other_half = lines ? 1 : h, other = lines ? i : i + 1;
                        n[h][i][0] = v.x;
                        n[h][i][1] = v.y;
                        n[other_half][other][0] = v.z;
                        n[other_half][other][1] = v.w;
                }
                multiply_fragments(sums, m, n[h], exchange, item);
        }
}

INLINE float4 rounded_four(const float a, const float b, const float c, const float d)
{
        return (float4)(rounded(a), rounded(b), rounded(c), rounded(d));
}

/* A tile of m in lines: a work-item has both lines of a pair, four places each, of one part or of two parts. */
#define PAIRS_M SHARE(TILE_M / 2 * 4)
#define LINE_ITEMS (TILE_M * 2 / ITEMS > 1 ? 2 : 4) /* that follow one another and have a pair */
#define IDLE (TILE_M * 2 < ITEMS) /* some have none */
#define PAIR_OF(item) ((item) / LINE_ITEMS)
#define PART_OF(item, i) ((item) % LINE_ITEMS + (i) * 2)
#define WRITE_M_LINES(item, i, which) M_LINES(PAIR_OF(item), PART_OF(item, i) * 2 + (which))
/* In places: two places of four lines each. */
#define TURNED_PAIR_OF(item) ((item) / 4 % PAIRS)
#define QUAD_OF_M(item, i) ((item) % 4 + (item) / 32 * 4 + (i) * (ITEMS / PAIRS))
#define WRITE_M_PLACES(item, i, which) M_PLACES(TURNED_PAIR_OF(item), QUAD_OF_M(item, i) * 2 + (which))

/* v[2i] and v[2i + 1] are the two lines. */
INLINE void store_pairs(local float *buffer, const float4 v[2 * PAIRS_M], const int item)
{
        local float4 *to = (local float4 *)buffer;
        UNROLL for (int i = 0; i < PAIRS_M; i++) {
                const float4 a = v[2 * i], b = v[2 * i + 1];
                if (IDLE && PAIR_OF(item) >= TILE_M / 2)
                        return;
                to[WRITE_M_LINES(item, i, 0)] = rounded_four(a.x, b.x, a.y, b.y);
                to[WRITE_M_LINES(item, i, 1)] = rounded_four(a.z, b.z, a.w, b.w);
        }
}

typedef float4 weight;
#define LOADS_M (2 * PAIRS_M)

/* Whether weights can be read in float4: those that stand side by side are as many as the rows are apart. */
#define ALIGNED(offset, group_stride, o_stride, q_stride) \
        ((TURNED ? (o_stride) == 1 && ((q_stride) | outs) % 4 == 0 : (q_stride) == 1 && ((o_stride) | all) % 4 == 0) && \
                ((offset) | (ulong)(group_stride)) % 4 == 0)

/* Those that do not exist may be any. */
INLINE void load_weights(float4 v[LOADS_M], global const float *w, const int item, const int o0, const int outs,
        const int o_stride, const int q0, const int all, const int q_stride, const int aligned)
{
#if TURNED
#define ROW(i) (min(q0 + TURNED_PAIR_OF(item) * 2 + (i) % 2, all - 1) * q_stride)
        const int most = outs, step = o_stride;
#define BESIDE(i) (o0 + QUAD_OF_M(item, (i) / 2) * 4)
#else
#define ROW(i) (min(o0 + PAIR_OF(item) * 2 + (i) % 2, outs - 1) * o_stride)
        const int most = all, step = q_stride;
#define BESIDE(i) (q0 + PART_OF(item, (i) / 2) * 4)
#endif
        if (aligned) {
                UNROLL for (int i = 0; i < LOADS_M; i++)
                        v[i] = *(global const float4 *)(w + ROW(i) + min(BESIDE(i), most - 4));
                return;
        }
        UNROLL for (int i = 0; i < LOADS_M; i++) {
                global const float *row = w + ROW(i);
                const int at = BESIDE(i);
                v[i] = (float4)(row[min(at, most - 1) * step], row[min(at + 1, most - 1) * step],
                        row[min(at + 2, most - 1) * step], row[min(at + 3, most - 1) * step]);
        }
}

INLINE void store_weights(local float *buffer, const float4 v[LOADS_M], const int item)
{
#if TURNED
        local float4 *to = (local float4 *)buffer;
        UNROLL for (int i = 0; i < PAIRS_M; i++) {
                const float4 a = v[2 * i], b = v[2 * i + 1];
                if (IDLE && QUAD_OF_M(item, i) >= TILE_M / 4)
                        return;
                to[WRITE_M_PLACES(item, i, 0)] = rounded_four(a.x, a.y, b.x, b.y);
                to[WRITE_M_PLACES(item, i, 1)] = rounded_four(a.z, a.w, b.z, b.w);
        }
#else
        store_pairs(buffer, v, item);
#endif
}

/* Pixels of one step: two places of the sum, of two float4 of lanes, of PIXELS_N pixels. */
#define PLACES_N 2
#define QUADS_N 2
#define PIXELS_N (TILE_N / ITEMS)
#define PLACE_OF(item) ((item) / 4 % PAIRS * 2)
#define PIXEL_OF(item, i) ((item) / 32 + (i) * (ITEMS / 32))
#define QUAD_OF(item, i) ((item) % 4 + (i) * 4)
#define WRITE_N_PLACES(item, pixel, quad, which) \
        N_PLACES(PLACE_OF(item) / 2, PIXEL_OF(item, pixel) * (LANES / 2) + QUAD_OF(item, quad) * 2 + (which))

INLINE void store_pixels(local float *buffer, const float4 v[PLACES_N * PIXELS_N * QUADS_N], const int item)
{
        local float4 *to = (local float4 *)buffer + FOURS_M;
        UNROLL for (int i = 0; i < PIXELS_N * QUADS_N; i++) {
                const float4 a = v[i], b = v[i + PIXELS_N * QUADS_N];
                to[WRITE_N_PLACES(item, i / QUADS_N, i % QUADS_N, 0)] = rounded_four(a.x, b.x, a.y, b.y);
                to[WRITE_N_PLACES(item, i / QUADS_N, i % QUADS_N, 1)] = rounded_four(a.z, b.z, a.w, b.w);
        }
}

/* For the gradient of the weights: dy as lines of m, x as lines of n, two parts of each. */
#define LOADS_DY (2 * PAIRS_M)
#define DY_LINE(item, i) (PAIR_OF(item) * 2 + (i) % 2)
#define DY_PART(item, i) PART_OF(item, (i) / 2)
#define LOADS_X (TILE_N * 4 / ITEMS)
#define X_SLOT(item, i) ((item) / 2 + (i) / 2 * (ITEMS / 2))
#define X_LINE(item, i) LINE_OF_SLOT(X_SLOT(item, i))
#define X_PART(item, i) ((item) % 2 + (i) % 2 * 2)
#define WRITE_N_LINES(item, i) N_LINES(X_SLOT(item, i), X_PART(item, i))
#define store_dy store_pairs

INLINE void store_x(local float *buffer, const float4 v[LOADS_X], const int item)
{
        local float4 *to = (local float4 *)buffer + FOURS_M;
        UNROLL for (int i = 0; i < LOADS_X; i++)
                to[WRITE_N_LINES(item, i)] = rounded_four(v[i].x, v[i].y, v[i].z, v[i].w);
}
