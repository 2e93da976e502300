/* The largest probability or logit of every row, its class, and whether the row is fit, in one pass over the rows. */

#include "vector.h"
#include "types.h"
#include "top_class.h"

#if defined(__x86_64__)
#if defined(ST_AVX512)
#define ST_WIDE(name) _mm512_##name
ST_INLINE __m512 quads(const float *z, int64_t n) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(z));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(z + 4 * n), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(z + 8 * n), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(z + 12 * n), 3);
}
#elif defined(ST_AVX2)
#define ST_WIDE(name) _mm256_##name
ST_INLINE __m256 quads(const float *z, int64_t n) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(z)), _mm_loadu_ps(z + 4 * n), 1);
}
#else
#define ST_WIDE(name) _mm_##name
ST_INLINE __m128 quads(const float *z, int64_t n) {
    (void)n;
    return _mm_loadu_ps(z);
}
#endif

/* Four classes of LANES rows, from registers with four numbers of each of several rows. */
ST_INLINE void columns_float(const float *z, int64_t n, vfloat *columns) {
    const __typeof__(quads(z, n)) a = quads(z, n), b = quads(z + n, n), c = quads(z + 2 * n, n), d = quads(z + 3 * n, n);
    const __typeof__(a) ab = ST_WIDE(unpacklo_ps)(a, b), cd = ST_WIDE(unpacklo_ps)(c, d);
    const __typeof__(a) above = ST_WIDE(unpackhi_ps)(a, b), beyond = ST_WIDE(unpackhi_ps)(c, d);
    columns[0] = (vfloat)ST_WIDE(shuffle_ps)(ab, cd, 0x44), columns[1] = (vfloat)ST_WIDE(shuffle_ps)(ab, cd, 0xee);
    columns[2] = (vfloat)ST_WIDE(shuffle_ps)(above, beyond, 0x44);
    columns[3] = (vfloat)ST_WIDE(shuffle_ps)(above, beyond, 0xee);
}
#else
#define columns_float four_columns_float
#endif
#define columns_double four_columns_double

/* Results of a call. */
enum { ST_UNFIT = 0 };

#define A float
#define V vfloat
#define M mfloat
#define I int32_t
#define N(name) name##_float
#define DTYPE_float ST_FLOAT32
#include "rows.h"
#include "top_class_rows.h"
#undef A
#undef V
#undef M
#undef I
#undef N
#undef LANES
#undef BLOCK
#undef NARROW

#define A double
#define V vdouble
#define M mdouble
#define I int64_t
#define N(name) name##_double
#define DTYPE_double ST_FLOAT64
#include "rows.h"
#include "top_class_rows.h"

/* Returns ST_DONE if every label is in range and every row is a distribution, or logits with a finite sum of
   exponentials; otherwise ST_UNFIT. */
int64_t ST_EXPORT(top_class)(const top_class_arguments *a) {
    const int result = a->logits || a->dtype == ST_FLOAT64 ? all_rows_double(a) : all_rows_float(a);
    return result == 0 ? ST_DONE : result == 1 ? ST_UNFIT : ST_NO_MEMORY;
}
