/* Sums over bins of confidence, and over the nodes of the grid of smooth ECE, in integers: the same in any order. */

#include "fixed_point.h"
#include "bin_sums.h"

#define PART 256
#define PRIVATE 16384 /* numbers that a thread may sum on its own */

/* Copies the confidences, and 0 up to the next multiple of LANES. */
ST_INLINE void read_part(const bin_sums_arguments *a, int64_t start, int64_t here, double *part) {
    if (a->dtype == ST_FLOAT32)
        for (int64_t i = 0; i < here; i++) part[i] = ((const float *)a->confidence)[start + i];
    else
        memcpy(part, (const double *)a->confidence + start, (size_t)here * sizeof(double));
    for (int64_t i = here; i % LANES != 0; i++) part[i] = 0;
}

/* Adds `here` rows from `start` on to counts and sums. */
typedef void add_rows(const bin_sums_arguments *a, int64_t start, int64_t here, int64_t *counts, int64_t *sums);

static void add_to_bins(const bin_sums_arguments *a, int64_t start, int64_t here, int64_t *counts, int64_t *sums) {
    double part[PART];
    int64_t place[PART], amount[PART];
    const double bins = (double)a->cells;
    read_part(a, start, here, part);
    for (int64_t i = 0; i < here; i += LANES) {
        const vdouble confidence = load_double(part + i), scaled = confidence * bins, edge = rounded(scaled);
        /* the product with a float32 number is exact, which saves the division */
        put(place + i, a->dtype == ST_FLOAT32 ? integer(edge) + (scaled <= edge) : place_of(confidence, bins));
        put(amount + i, integer(confidence * UNIT));
    }
    for (int64_t i = 0; i < here; i++) {
        const int64_t bin = place[i] < 0 ? 0 : place[i] < a->cells ? place[i] : a->cells - 1;
        const int64_t cell = bin + (a->group == NULL ? 0 : a->group[start + i] * a->cells);
        counts[2 * cell + (a->correct[start + i] != 0)]++;
        sums[2 * cell + 1] += amount[i];
    }
}

static void add_to_nodes(const bin_sums_arguments *a, int64_t start, int64_t here, int64_t *counts, int64_t *sums) {
    double part[PART], right[PART] = {0};
    int64_t node[PART], closest[PART], lower[PART], upper[PART];
    const double intervals = (double)(a->cells - 1);
    const vdouble last = (vdouble){0} + (double)(a->cells - 2);
    read_part(a, start, here, part);
    for (int64_t i = 0; i < here; i++) right[i] = a->correct[start + i];
    for (int64_t i = 0; i < here; i += LANES) {
        const vdouble confidence = load_double(part + i), place = confidence * intervals, near = rounded(place);
        vdouble below = choose_double(near > place, near - 1, near);
        below = choose_double(below < last, below, last);
        const vdouble residual = load_double(right + i) - confidence, above = residual * (place - below);
        put(node + i, integer(below));
        put(closest + i, integer(near));
        put(lower + i, integer((residual - above) * UNIT));
        put(upper + i, integer(above * UNIT));
    }
    for (int64_t i = 0; i < here; i++) {
        const int64_t first = a->group == NULL ? 0 : a->group[start + i] * a->cells;
        sums[2 * (first + node[i]) + 1] += lower[i];
        sums[2 * (first + node[i]) + 3] += upper[i];
        counts[first + closest[i]]++;
    }
}

/* Runs `add` over all rows. With several threads, each has sums of its own, which are then added. */
static int64_t over_rows(const bin_sums_arguments *a, add_rows *add, int64_t counts) {
    const int64_t sums = a->groups * a->cells * 2, parts = (a->rows + PART - 1) / PART;
    /* a thread that has to be woken takes longer than few rows do */
    const int threads = a->rows < 131072 || counts + sums > PRIVATE ? 1 : (int)a->threads;
    int failed = 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
    {
        int64_t *own = threads > 1 ? calloc((size_t)(counts + sums), sizeof(int64_t)) : NULL;
        int64_t *to_counts = threads > 1 ? own : a->counts, *to_sums = threads == 1 ? a->sums : own == NULL ? NULL : own + counts;
#ifdef _OPENMP
#pragma omp for schedule(dynamic, 16) nowait
#endif
        for (int64_t p = 0; p < parts; p++) {
            const int64_t start = p * PART, here = a->rows - start < PART ? a->rows - start : PART;
            if (to_counts != NULL) add(a, start, here, to_counts, to_sums);
        }
        if (threads > 1) {
#ifdef _OPENMP
#pragma omp critical(bin_sums)
#endif
            {
                failed |= own == NULL;
                for (int64_t i = 0; own != NULL && i < counts; i++) a->counts[i] += own[i];
                for (int64_t i = 0; own != NULL && i < sums; i++) a->sums[i] += own[counts + i];
            }
            free(own);
        }
    }
    return failed ? ST_NO_MEMORY : ST_DONE;
}

int64_t ST_EXPORT(bin_sums)(const bin_sums_arguments *a) { return over_rows(a, add_to_bins, a->groups * a->cells * 2); }

int64_t ST_EXPORT(smooth_sums)(const bin_sums_arguments *a) { return over_rows(a, add_to_nodes, a->groups * a->cells); }
