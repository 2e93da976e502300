/* Sums by group and cell, in integers: the same in any order. And the hash that assigns examples to groups. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "fixed_point.h"
#include "group_sums.h"

enum { ST_TRUTH, ST_SINGLE, ST_DOUBLE };

/* Unsigned, because sums beyond 64 bits wrap as torch's do, which is undefined for signed numbers. */
#define FOR_ROWS(amount)                                                                                  \
    for (int64_t i = 0; i < a->rows; i++) {                                                               \
        const int64_t first = a->group == NULL ? 0 : a->group[i] * a->cells;                              \
        totals[(first + (a->cell == NULL ? 0 : a->cell[i])) * a->stride] += (uint64_t)(amount);           \
    }

int64_t ST_EXPORT(group_sums)(const group_sums_arguments *a) {
    uint64_t *totals = (uint64_t *)a->totals;
    if (a->values == NULL) FOR_ROWS(1)
    else if (a->kind == ST_TRUTH) FOR_ROWS(((const uint8_t *)a->values)[i] != 0)
    else if (a->kind == ST_SINGLE) FOR_ROWS(llrint(((const float *)a->values)[i] * UNIT))
    else FOR_ROWS(llrint(((const double *)a->values)[i] * UNIT))
    return ST_DONE;
}

/* The finaliser of SplitMix64. */
int64_t ST_EXPORT(group_hash)(const group_hash_arguments *a) {
    const uint64_t groups = (uint64_t)a->groups;
    for (int64_t i = 0; i < a->rows; i++) {
        uint64_t mixed = (uint64_t)a->ids[i] + (uint64_t)a->offset;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
        a->group[i] = (int64_t)(((mixed ^ (mixed >> 31)) >> 1) % groups);
    }
    return ST_DONE;
}
