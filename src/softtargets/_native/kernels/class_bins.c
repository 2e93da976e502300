/* Sums over bins of the probability of every class, in integers: the same in any order. */

#include "fixed_point.h"
#include "class_bins.h"

#define PART 256

/* Adds one number to its cell. */
ST_INLINE void add_number(const class_bins_arguments *a, int64_t cell, int right, int64_t amount, int64_t crossed) {
    if (a->occurred == NULL) {
        a->counts[2 * cell + right]++;
    } else {
        a->counts[cell]++;
        a->occurred[cell] += right;
    }
    a->sums[2 * cell + 1] += amount;
    if (a->crossed != NULL) a->crossed[2 * cell + 1] += crossed;
}

int64_t ST_EXPORT(class_bins)(const class_bins_arguments *a) {
    const int64_t numbers = a->rows * a->classes, last = a->bins - 1;
    const double bins = (double)a->bins;
    double part[PART];
    int64_t place[PART], amount[PART], crossed[2][PART];
    int64_t r = 0, k = 0;
    for (int64_t start = 0; start < numbers; start += PART) {
        const int64_t here = numbers - start < PART ? numbers - start : PART;
        memcpy(part, a->probs + start, (size_t)here * sizeof(double));
        for (int64_t i = here; i % LANES != 0; i++) part[i] = 0;
        for (int64_t i = 0; i < here; i += LANES) {
            const vdouble p = load_double(part + i), square = p * p;
            put(place + i, place_of(p, bins));
            put(amount + i, integer(p * UNIT));
            put(crossed[0] + i, integer(square * UNIT));
            put(crossed[1] + i, integer((square - 2 * p) * UNIT));
        }
        for (int64_t i = 0; i < here; i++) {
            const int64_t bin = place[i] < 0 ? 0 : place[i] < last ? place[i] : last;
            const int64_t first = a->group == NULL ? 0 : a->group[r] * a->classes;
            const int right = a->labels[r] == k;
            add_number(a, (first + k) * a->bins + bin, right, amount[i], crossed[right][i]);
            if (++k == a->classes) k = 0, r++;
        }
    }
    return ST_DONE;
}
