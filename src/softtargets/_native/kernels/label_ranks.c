/* The number of classes that are ranked before the label: those of larger values, and lower ones of the same value. */

#include "vector.h"
#include "types.h"
#include "label_ranks.h"

#define RANKS(name, type)                                                                                 \
    static void name(const label_ranks_arguments *a) {                                                    \
        for (int64_t r = 0; r < a->rows; r++) {                                                           \
            const type *z = (const type *)a->values + r * a->classes;                                     \
            const int64_t label = a->labels[r];                                                           \
            const type own = z[label];                                                                    \
            int64_t before = 0;                                                                           \
            for (int64_t k = 0; k < label; k++) before += z[k] >= own;                                    \
            for (int64_t k = label + 1; k < a->classes; k++) before += z[k] > own;                        \
            a->rank[r] = before;                                                                          \
        }                                                                                                 \
    }

RANKS(ranks_float, float)
RANKS(ranks_double, double)

int64_t ST_EXPORT(label_ranks)(const label_ranks_arguments *a) {
    if (a->dtype == ST_FLOAT32) ranks_float(a);
    else ranks_double(a);
    return ST_DONE;
}
