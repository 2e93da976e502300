/* Real numbers in units of 2^-40, as integers. Included before all else. */

/* The twin rounds every product, so that the compiler may not fuse a product with a sum. */
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include "vector.h"

#define UNIT 1099511627776.0 /* 2^40 */

/* Adding and subtracting this rounds a number between -2^51 and 2^51 to an integer, ties to even. */
#define ROUND 6755399441055744.0
#define LANES LANES_double

ST_INLINE vdouble rounded(vdouble x) { return x + ROUND - ROUND; }

/* The integer nearest to a number between -2^51 and 2^51. */
ST_INLINE mdouble integer(vdouble x) { return (mdouble)(x + ROUND) - 0x4338000000000000LL; }

ST_INLINE void put(int64_t *at, mdouble v) { memcpy(at, &v, sizeof v); }

/* The bin of equal width of a number in [0, 1], or -1 for 0: the nearest edge, and the side of it. An edge belongs to the
   bin below it. */
ST_INLINE mdouble place_of(vdouble confidence, double bins) {
    const vdouble edge = rounded(confidence * bins);
    return integer(edge) + (confidence <= edge / bins);
}
