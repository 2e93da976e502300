/* Vectors of one instruction set: arithmetic through the compiler's vector extensions, the same source for all. */

#ifndef ST_VECTOR_H
#define ST_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Every exported name ends in the instruction set that it was compiled for; the loader chooses one. */
#define ST_JOIN_(name, level) name##_##level
#define ST_JOIN(name, level) ST_JOIN_(name, level)
#define ST_EXPORT(name) ST_JOIN(name, ST_LEVEL)

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define ST_BYTES 64
#define ST_AVX512 1
#elif defined(__AVX2__)
#define ST_BYTES 32
#define ST_AVX2 1
#else
#define ST_BYTES 16
#endif

typedef float vfloat __attribute__((vector_size(ST_BYTES)));
typedef int32_t mfloat __attribute__((vector_size(ST_BYTES)));
typedef double vdouble __attribute__((vector_size(ST_BYTES)));
typedef int64_t mdouble __attribute__((vector_size(ST_BYTES)));
#define LANES_float (ST_BYTES / 4)
#define LANES_double (ST_BYTES / 8)

#define ST_INLINE static inline __attribute__((always_inline))

/* What a kernel returns; other numbers say which row is out of range. _native/library.py has the same numbers. */
enum { ST_DONE = -1, ST_NO_MEMORY = -2 };

/* Kinds of numbers, as _native/library.py passes them. */
enum { ST_FLOAT32 = 0, ST_FLOAT64 = 1, ST_BFLOAT16 = 2, ST_FLOAT16 = 3 };

ST_INLINE size_t size_of(int64_t dtype) { return dtype == ST_FLOAT64 ? 8 : dtype == ST_FLOAT32 ? 4 : 2; }

/* bfloat16: the upper half of a float32, rounded to the nearest, ties to even */

ST_INLINE float from_bfloat16(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

ST_INLINE uint16_t to_bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? (uint16_t)0x7fc0u : (uint16_t)rounded;
}

/* float16, without a hardware conversion */

ST_INLINE float from_float16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = (uint32_t)(half & 0x7fffu) << 13, bits;
    float value;
    if (rest >= 0x0f800000u) { /* infinity or NaN */
        bits = sign | 0x7f800000u | (rest & 0x007fffffu);
        memcpy(&value, &bits, 4);
        return value;
    }
    memcpy(&value, &rest, 4);
    value *= 5.192296858534828e33f; /* 2^112 corrects the exponent, of subnormal numbers too */
    memcpy(&bits, &value, 4);
    bits |= sign;
    memcpy(&value, &bits, 4);
    return value;
}

ST_INLINE uint16_t to_float16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (rest < 0x38800000u) {                                   /* subnormal: let the addition round */
        float magnitude;
        memcpy(&magnitude, &rest, 4);
        magnitude += 0.5f;
        memcpy(&rest, &magnitude, 4);
        return (uint16_t)(sign | (rest - 0x3f000000u));
    }
    rest += 0xc8000fffu + ((rest >> 13) & 1u); /* exponent bias 127 to 15, and round to even */
    return (uint16_t)(sign | (rest >> 13));
}

/* Loads and stores of one vector, or of the first n < LANES entries of one; the other lanes get `fill`. */

ST_INLINE vfloat load_float(const float *at) {
    vfloat v;
    memcpy(&v, at, sizeof v);
    return v;
}

ST_INLINE void store_float(float *at, vfloat v) { memcpy(at, &v, sizeof v); }

ST_INLINE vdouble load_double(const double *at) {
    vdouble v;
    memcpy(&v, at, sizeof v);
    return v;
}

ST_INLINE void store_double(double *at, vdouble v) { memcpy(at, &v, sizeof v); }

ST_INLINE vfloat load_part_float(const float *at, int64_t n, float fill) {
#if defined(ST_AVX512)
    return (vfloat)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << n) - 1u), at);
#else
    union { vfloat v; float a[LANES_float]; } u;
    for (int i = 0; i < LANES_float; i++) u.a[i] = i < n ? at[i] : fill;
    return u.v;
#endif
}

ST_INLINE void store_part_float(float *at, int64_t n, vfloat v) {
#if defined(ST_AVX512)
    _mm512_mask_storeu_ps(at, (__mmask16)((1u << n) - 1u), (__m512)v);
#else
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int64_t i = 0; i < n; i++) at[i] = u.a[i];
#endif
}

ST_INLINE vdouble load_part_double(const double *at, int64_t n, double fill) {
    union { vdouble v; double a[LANES_double]; } u;
    for (int i = 0; i < LANES_double; i++) u.a[i] = i < n ? at[i] : fill;
    return u.v;
}

ST_INLINE void store_part_double(double *at, int64_t n, vdouble v) {
    union { vdouble v; double a[LANES_double]; } u = {v};
    for (int64_t i = 0; i < n; i++) at[i] = u.a[i];
}

/* One vector of half-precision numbers as float32, and back. */

ST_INLINE vfloat load_bfloat16(const uint16_t *at) {
#if defined(ST_AVX512)
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)at));
    return (vfloat)_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
#elif defined(ST_AVX2)
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)at));
    return (vfloat)_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
#else
    union { vfloat v; float a[LANES_float]; } u;
    for (int i = 0; i < LANES_float; i++) u.a[i] = from_bfloat16(at[i]);
    return u.v;
#endif
}

ST_INLINE void store_bfloat16(uint16_t *at, vfloat v) {
#if defined(ST_AVX512)
    __m512i bits = (__m512i)v;
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    rounded = _mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0));
    _mm256_storeu_si256((__m256i *)at, _mm512_cvtepi32_epi16(rounded));
#else
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int i = 0; i < LANES_float; i++) at[i] = to_bfloat16(u.a[i]);
#endif
}

ST_INLINE vfloat load_float16(const uint16_t *at) {
#if defined(ST_AVX512)
    return (vfloat)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
#elif defined(ST_AVX2) && defined(__F16C__)
    return (vfloat)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at));
#else
    union { vfloat v; float a[LANES_float]; } u;
    for (int i = 0; i < LANES_float; i++) u.a[i] = from_float16(at[i]);
    return u.v;
#endif
}

ST_INLINE void store_float16(uint16_t *at, vfloat v) {
#if defined(ST_AVX512)
    _mm256_storeu_si256((__m256i *)at, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(ST_AVX2) && defined(__F16C__)
    _mm_storeu_si128((__m128i *)at, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int i = 0; i < LANES_float; i++) at[i] = to_float16(u.a[i]);
#endif
}

/* The first n < LANES_float entries of a vector of half-precision numbers; the other lanes get `fill`. */

ST_INLINE vfloat load_part_half(const uint16_t *at, int64_t n, int bfloat16, float fill) {
#if defined(ST_AVX512)
    const __mmask16 first = (__mmask16)((1u << n) - 1u);
    __m256i half = _mm256_maskz_loadu_epi16(first, at);
    __m512 wide = bfloat16 ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))
                           : _mm512_cvtph_ps(half);
    return (vfloat)_mm512_mask_mov_ps(_mm512_set1_ps(fill), first, wide);
#else
    union { vfloat v; float a[LANES_float]; } u;
    for (int i = 0; i < LANES_float; i++)
        u.a[i] = i >= n ? fill : bfloat16 ? from_bfloat16(at[i]) : from_float16(at[i]);
    return u.v;
#endif
}

ST_INLINE void store_part_half(uint16_t *at, int64_t n, int bfloat16, vfloat v) {
#if defined(ST_AVX512)
    uint16_t whole[LANES_float];
    if (bfloat16) store_bfloat16(whole, v);
    else store_float16(whole, v);
    _mm256_mask_storeu_epi16(at, (__mmask16)((1u << n) - 1u), _mm256_loadu_si256((const __m256i *)whole));
#else
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int64_t i = 0; i < n; i++) at[i] = bfloat16 ? to_bfloat16(u.a[i]) : to_float16(u.a[i]);
#endif
}

/* Lane by lane: where a mask is all ones take a, else b. */

ST_INLINE vfloat choose_float(mfloat mask, vfloat a, vfloat b) {
    return (vfloat)((mask & (mfloat)a) | (~mask & (mfloat)b));
}

ST_INLINE vdouble choose_double(mdouble mask, vdouble a, vdouble b) {
    return (vdouble)((mask & (mdouble)a) | (~mask & (mdouble)b));
}

/* The first n lanes of v, 0 in the others. */

ST_INLINE vfloat first_float(vfloat v, int64_t n) {
    static const int32_t lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    mfloat at;
    memcpy(&at, lanes, sizeof at);
    return (vfloat)((mfloat)v & (at < (int32_t)n));
}

ST_INLINE vdouble first_double(vdouble v, int64_t n) {
    static const int64_t lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    mdouble at;
    memcpy(&at, lanes, sizeof at);
    return (vdouble)((mdouble)v & (at < n));
}

/* The larger of two; b where a is NaN, so that a NaN does not stay. It comes back through the exponential. */

ST_INLINE vfloat max_float(vfloat a, vfloat b) {
#if defined(ST_AVX512)
    return (vfloat)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(ST_AVX2)
    return (vfloat)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return choose_float(a > b, a, b);
#endif
}

ST_INLINE vdouble max_double(vdouble a, vdouble b) { return choose_double(a > b, a, b); }

ST_INLINE float largest_float(vfloat v) {
#if defined(ST_AVX512)
    return _mm512_reduce_max_ps((__m512)v);
#endif
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int step = LANES_float / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) u.a[i] = u.a[i] > u.a[i + step] ? u.a[i] : u.a[i + step];
    return u.a[0];
}

ST_INLINE double largest_double(vdouble v) {
    union { vdouble v; double a[LANES_double]; } u = {v};
    for (int step = LANES_double / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) u.a[i] = u.a[i] > u.a[i + step] ? u.a[i] : u.a[i + step];
    return u.a[0];
}

ST_INLINE float sum_float(vfloat v) {
#if defined(ST_AVX512)
    return _mm512_reduce_add_ps((__m512)v);
#endif
    union { vfloat v; float a[LANES_float]; } u = {v};
    for (int step = LANES_float / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) u.a[i] += u.a[i + step];
    return u.a[0];
}

ST_INLINE double sum_double(vdouble v) {
    union { vdouble v; double a[LANES_double]; } u = {v};
    for (int step = LANES_double / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++) u.a[i] += u.a[i + step];
    return u.a[0];
}

/* Exponentials: x = n log 2 + r, |r| <= log(2) / 2; the series of exp(r); times 2^n in two steps, so that results
   below the normal range are rounded and not lost. Within 1 ulp. NaN stays NaN. Where the result rounds to 0, as for
   the padding of -infinity, nothing is computed: processors take a hundred cycles for a product that underflows. */

ST_INLINE vfloat exp_float(vfloat x) {
#if defined(ST_AVX512)
    const __mmask16 stays = _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-104.0f), _CMP_NLT_UQ);
    vfloat n = x * 1.44269504088896341f + 12582912.0f - 12582912.0f;
#else
    const vfloat zero = {0};
    const mfloat vanishes = x < -104.0f;
    x = choose_float(vanishes, zero, x);
    x = choose_float(x > 89.0f, zero + 89.0f, x); /* rounds to infinity */
    vfloat shifted = x * 1.44269504088896341f + 12582912.0f;
    vfloat n = shifted - 12582912.0f;
#endif
    vfloat r = x - n * 0.693359375f + n * 2.12194440e-4f;
    vfloat p = r * (1.0f / 5040) + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
#if defined(ST_AVX512)
    return (vfloat)_mm512_maskz_scalef_ps(stays, (__m512)p, (__m512)n);
#else
    mfloat exponent = (mfloat)shifted - 0x4b400000, half = exponent >> 1;
    p = p * (vfloat)((half + 127) << 23) * (vfloat)((exponent - half + 127) << 23);
    return (vfloat)(~vanishes & (mfloat)p);
#endif
}

ST_INLINE vdouble exp_double(vdouble x) {
    const vdouble zero = {0};
    const mdouble vanishes = x < -746.0;
    x = choose_double(vanishes, zero, x);
    x = choose_double(x > 710.0, zero + 710.0, x);
    vdouble shifted = x * 1.4426950408889634074 + 6755399441055744.0;
    vdouble n = shifted - 6755399441055744.0;
    vdouble r = x - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6;
    vdouble p = r * (1.0 / 6227020800.0) + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    mdouble exponent = (mdouble)shifted - 0x4338000000000000LL, half = exponent >> 1;
    p = p * (vdouble)((half + 1023) << 52) * (vdouble)((exponent - half + 1023) << 52);
    return (vdouble)(~vanishes & (mdouble)p);
}

#endif
