/* The arguments of label_probability.c. Every field has 8 bytes; _native/probability.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const void *logits; /* rows x classes */
    void *gradient;     /* same layout as the logits, or the logits themselves; NULL: losses only */
    int64_t dtype;      /* of logits and gradient */
    /* row r is at (r / inner) * outer_stride + (r % inner) * inner_stride, its classes class_stride apart */
    int64_t inner, outer_stride, inner_stride, class_stride;
    const int64_t *labels;
    int64_t ignore, ignore_index; /* ignore 1: rows with label ignore_index have loss 0 and gradient 0 */
    int64_t loss;                 /* an ST_LOSS number */
    double settings[4];           /* of the loss; see odds.h */
    /* forward correction: row r uses the weights columns[label, :], or columns[r, :] with one row for each example */
    const void *columns;
    int64_t columns_per_row;
    /* the gradient of sum(scale * losses) */
    const void *scale; /* NULL: scale_number for all */
    int64_t scale_stride;
    double scale_number;
    int64_t mean; /* 1: scale_number is divided by the number of rows that are not ignored */
    void *losses; /* rows; NULL: only the total */
    void *total;  /* one number: sum of the losses, or with `mean` their mean (0 of nothing); NULL: not computed */
    int64_t threads;
} label_probability_arguments;
