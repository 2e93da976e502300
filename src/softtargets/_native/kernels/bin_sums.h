/* The arguments of bin_sums.c. Every field has 8 bytes; _native/bin_sums.py packs them in this order. */

typedef struct {
    int64_t rows;
    const void *confidence; /* rows, in [0, 1] */
    int64_t dtype;          /* float32 or float64 */
    const uint8_t *correct; /* rows */
    const int64_t *group;   /* rows; NULL: all rows are in group 0 */
    int64_t groups, cells;  /* cells of a group: bins, or nodes of the grid */
    int64_t *counts;        /* groups x cells x 2, wrong and right predictions; of smooth_sums groups x cells, examples */
    int64_t *sums;          /* groups x cells x 2: whole units, and fractions in units of 2^-40 */
    int64_t threads;
} bin_sums_arguments;
