/* What the loader asks the library: the best instruction set of this processor, and which sources it was built from. */

#include "vector.h"

/* 0: base, 1: v3, 2: v4 */
int ST_EXPORT(best_level)(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))) return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")
               ? 2
               : 1;
#else
    return 0;
#endif
}

const char *ST_EXPORT(sources)(void) { return ST_SOURCES; }
