/* What the loader asks the library: the best instruction set of this processor, whether the kernels use several
   threads, and which sources the library was built from. */

#include "vector.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* 0: base, 1: v3, 2: v4; the instructions of build.py */
int ST_EXPORT(best_level)(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
          __builtin_cpu_supports("bmi2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C)))
        return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")
               ? 2
               : 1;
#else
    return 0;
#endif
}

int ST_EXPORT(threaded)(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

const char *ST_EXPORT(sources)(void) { return ST_SOURCES; }
