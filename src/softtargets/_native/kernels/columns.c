/* Columns of float32 probabilities: histograms of their upper bits, and the entries between two bounds. */

#include "vector.h"
#include "columns.h"

/* Columns of one thread: several cache lines of a row. */
#define SLICE 64

/* Counts the cells of all columns; a cell is the upper half of the bits, of negative numbers the first cell. Each thread
   counts its own columns. */
int64_t ST_EXPORT(count_cells)(const columns_arguments *a) {
    const int64_t slices = (a->classes + SLICE - 1) / SLICE;
    const int64_t most = a->rows * a->classes < 32768 ? 1 : a->threads;
    const int threads = (int)(most < slices ? most : slices);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
#endif
    for (int64_t s = 0; s < slices; s++) {
        const int64_t start = s * SLICE, end = start + SLICE < a->classes ? start + SLICE : a->classes;
        for (int64_t r = 0; r < a->rows; r++) {
            const float *row = a->probs + r * a->row_stride;
            for (int64_t k = start; k < end; k++) {
                int32_t bits;
                memcpy(&bits, row + k, 4);
                int64_t cell = bits < 0 ? 0 : bits >> 16;
                if (cell >= a->cells) cell = a->cells - 1;
                a->counts[k * a->cells + cell]++;
            }
        }
    }
    (void)threads;
    return ST_DONE;
}

/* Lists the entries with low <= entry < high, as many as there is room for, and counts all of them. */
int64_t ST_EXPORT(select_entries)(const columns_arguments *a) {
    const int64_t whole = a->classes / LANES_float * LANES_float;
    int64_t found = 0;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *row = a->probs + r * a->row_stride;
        for (int64_t k = 0; k < a->classes;) {
            const int64_t end = k < whole ? k + LANES_float : a->classes;
            if (k < whole) {
                const vfloat p = load_float(row + k);
                union { mfloat m; int64_t a[ST_BYTES / 8]; } u = {
                    (mfloat)(p >= load_float(a->low + k)) & (mfloat)(p < load_float(a->high + k))};
                int64_t any = 0;
                for (int i = 0; i < ST_BYTES / 8; i++) any |= u.a[i];
                if (any == 0) {
                    k = end;
                    continue;
                }
            }
            for (; k < end; k++) {
                if (!(row[k] >= a->low[k] && row[k] < a->high[k])) continue;
                if (found < a->room) a->row[found] = r, a->column[found] = k;
                found++;
            }
        }
    }
    *a->found = found;
    return ST_DONE;
}
