/* The arguments of noisy_labels.c. Every field has 8 bytes; _native/noisy_labels.py packs them in this order. */

typedef struct {
    int64_t rows, classes, width;
    const int64_t *labels; /* rows: clean labels, in [0, classes) */
    /* class k can become `width` other classes: others[k, j], or (k + 1 + shift[j]) mod classes if others is NULL */
    const int64_t *others, *shift;
    /* with probability shares[k, j]; from a matrix, it is the entry of that class in row k */
    const double *shares;
    int64_t share_row_stride, share_stride, from_matrix;
    /* exact numbers */
    const int64_t *counts;  /* classes: number of rows of each class */
    const double *totals;   /* classes: sum of the shares of each class */
    const int64_t *flips;   /* classes: number of rows of each class that get another label */
    const double *offsets;  /* classes: in [0, 1), the random offset of the systematic sampling */
    const int32_t *order;   /* rows: a permutation of the rows */
    /* independent draws */
    const double *stays;    /* classes: probability of keeping the label */
    const double *draws;    /* rows: clean label plus a number in [0, 1) */
    /* results */
    double *sums;    /* classes: the totals */
    int64_t *noisy;  /* rows */
    int64_t *cells;  /* classes x classes, 0 before the call: number of rows by clean and noisy label */
    int64_t threads;
} noisy_labels_arguments;
