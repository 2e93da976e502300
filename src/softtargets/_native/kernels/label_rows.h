/* The arguments of label_rows.c. Every field has 8 bytes; _native/label_rows.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const void *probs; /* rows are row_stride entries apart, classes are adjacent */
    int64_t dtype, row_stride;
    const int64_t *labels;
    /* result r is of row index[r]; NULL: of row r. `rows` counts the results */
    const int64_t *index;
    int64_t check;    /* 1: stop at a row that does not hold probabilities */
    double tolerance; /* how far their sum may be from 1 */
    /* smallest probabilities that reach the thresholds of the classes, in the accumulating type; result r uses row
       bounds_row[r] of them, row 0 if NULL */
    const void *bounds;
    const int64_t *bounds_row;
    /* one number per result each; NULL: not computed */
    void *own;      /* the probability of the label */
    void *best;     /* the largest probability of another class */
    int64_t *other; /* the first class that has it */
    int64_t *clean; /* the class that the row is confident of, or -1 */
    int64_t threads;
} label_rows_arguments;
