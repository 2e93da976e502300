/* The arguments of class_bins.c. Every field has 8 bytes; _native/class_bins.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const double *probs;   /* rows x classes, in [0, 1] */
    const int64_t *labels; /* rows */
    const int64_t *group;  /* rows; NULL: all rows are in group 0 */
    int64_t bins;
    int64_t *counts;   /* groups x classes x bins; without `occurred` x 2, wrong and right classes */
    int64_t *occurred; /* groups x classes x bins, how often the class was the label; NULL: not written */
    int64_t *sums;     /* groups x classes x bins x 2: whole units, and fractions of sums of probabilities */
    int64_t *crossed;  /* as `sums`, of p^2 - 2 p [k = label]; NULL: not written */
} class_bins_arguments;
