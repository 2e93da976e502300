/* Drawing noisy labels. Products are not fused with sums, so that the numbers are those of the twin to the last bit. */

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include <float.h>

#include "vector.h"
#include "noisy_labels.h"

ST_INLINE int64_t other_class(const noisy_labels_arguments *a, int64_t k, int64_t j) {
    if (a->others != NULL) return a->others[k * a->width + j];
    const int64_t c = k + 1 + a->shift[j];
    return c < a->classes ? c : c - a->classes;
}

ST_INLINE double share_of(const noisy_labels_arguments *a, int64_t k, int64_t j, int64_t other) {
    return a->shares[k * a->share_row_stride + (a->from_matrix ? other : j) * a->share_stride];
}

/* The sum of the shares of each class, added in their order. */
int64_t ST_EXPORT(share_sums)(const noisy_labels_arguments *a) {
    for (int64_t k = 0; k < a->classes; k++) {
        double sum = 0;
        for (int64_t j = 0; j < a->width; j++)
            sum += share_of(a, k, j, a->from_matrix ? other_class(a, k, j) : 0);
        a->sums[k] = sum;
    }
    return ST_DONE;
}

/* Rows whose memory is requested ahead of their turn, because they are visited in random order. */
#define AHEAD 24

/* Lists the labels that class k gets, from `at` on, and returns the end of the list; -1 if there are too many. */
static int64_t list_labels(const noisy_labels_arguments *a, int64_t k, uint16_t *list, int64_t at) {
    const int64_t stay = a->counts[k] - a->flips[k], limit = at + a->counts[k];
    const double flips = (double)a->flips[k], whole = a->totals[k] > DBL_MIN ? a->totals[k] : DBL_MIN;
    int64_t *cells = a->cells + k * a->classes, before = 0;
    double sum = 0;
    for (int64_t i = 0; i < stay; i++) list[at + i] = (uint16_t)k;
    at += stay;
    cells[k] += stay;
    for (int64_t j = 0; a->flips[k] > 0 && j < a->width; j++) {
        const int64_t other = other_class(a, k, j);
        sum += share_of(a, k, j, other);
        const int64_t until = (int64_t)(sum / whole * flips + a->offsets[k]), more = until - before;
        if (at + more > limit) return -1;
        list[at] = (uint16_t)other; /* most get none or one: one write without a branch, replaced if there is none */
        for (int64_t i = 1; i < more; i++) list[at + i] = (uint16_t)other;
        at += more;
        cells[other] += more;
        before = until;
    }
    return at == limit ? at : -1;
}

/* Exact numbers: systematic sampling fixes how many rows of each class get which label; they are dealt to the rows of
   the class in the given order. Labels are narrow, because most of the time is that of visiting rows in random order:
   there must be at most 65,536 classes. Returns ST_DONE, ST_NO_MEMORY, or the class whose rows are more or fewer than
   its labels. */
int64_t ST_EXPORT(deal_labels)(const noisy_labels_arguments *a) {
    uint16_t *list = malloc((size_t)(a->rows + 1) * sizeof(uint16_t));
    uint16_t *labels = malloc((size_t)(a->rows + 1) * sizeof(uint16_t));
    int64_t *next = malloc((size_t)a->classes * sizeof(int64_t) + 1), end = 0, result = ST_DONE;
    if (list == NULL || labels == NULL || next == NULL) result = ST_NO_MEMORY;
    for (int64_t k = 0; result == ST_DONE && k < a->classes; k++) {
        next[k] = end;
        if (end + a->counts[k] > a->rows || (end = list_labels(a, k, list, end)) < 0) result = k;
    }
    if (result == ST_DONE) {
        for (int64_t i = 0; i < a->rows; i++) labels[i] = (uint16_t)a->labels[i];
        for (int64_t i = 0; i < a->rows; i++) {
            if (i + AHEAD < a->rows) __builtin_prefetch(labels + a->order[i + AHEAD], 1, 0);
            uint16_t *label = labels + a->order[i];
            *label = list[next[*label]++];
        }
        for (int64_t i = 0; i < a->rows; i++) a->noisy[i] = labels[i];
    }
    free(list), free(labels), free(next);
    return result;
}

/* Independent draws: each looks up its number in the cumulative shares of its class. A guide holds, for every class and
   each of G equal parts of [0, 1), the first place whose bound can exceed a number in that part. */
int64_t ST_EXPORT(draw_labels)(const noisy_labels_arguments *a) {
    const int64_t k_all = a->classes, places = a->width + 1;
    double *bounds = malloc((size_t)(k_all * places) * sizeof(double) + 1);
    int32_t *guide = malloc((size_t)(k_all * places) * sizeof(int32_t) + 1);
    if (bounds == NULL || guide == NULL) {
        free(bounds), free(guide);
        return ST_NO_MEMORY;
    }
    const int threads = a->rows < 16384 ? 1 : (int)a->threads;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
    {
#ifdef _OPENMP
#pragma omp for schedule(dynamic, 16)
#endif
        for (int64_t k = 0; k < k_all; k++) {
            double *own = bounds + k * places, sum = a->stays[k];
            int32_t *first = guide + k * places;
            own[0] = sum;
            for (int64_t j = 0; j < a->width; j++) {
                sum += share_of(a, k, j, a->from_matrix ? other_class(a, k, j) : 0);
                own[j + 1] = sum;
            }
            for (int64_t j = 0; j < places; j++) own[j] = own[j] / sum + (double)k;
            int64_t j = 0;
            for (int64_t g = 0; g < places; g++) {
                while (j < places - 1 && own[j] - (double)k <= (double)g / (double)places) j++;
                first[g] = (int32_t)j;
            }
        }
#ifdef _OPENMP
#pragma omp for schedule(dynamic, 8192)
#endif
        for (int64_t i = 0; i < a->rows; i++) {
            const int64_t k = a->labels[i];
            const double draw = a->draws[i], *own = bounds + k * places;
            int64_t j = 0;
            if (!(own[0] > draw)) {
                int64_t g = (int64_t)((draw - (double)k) * (double)places);
                /* one part earlier, in case the product was rounded up */
                g = g < 1 ? 0 : g > places ? places - 1 : g - 1;
                j = guide[k * places + g];
                while (j < places - 1 && !(own[j] > draw)) j++;
            }
            const int64_t noisy = j == 0 ? k : other_class(a, k, j - 1);
            a->noisy[i] = noisy;
#ifdef _OPENMP
#pragma omp atomic
#endif
            a->cells[k * k_all + noisy]++;
        }
    }
    free(bounds), free(guide);
    return ST_DONE;
}
