/* The arguments of cross_entropy.c. Every field has 8 bytes; _native/cross_entropy.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const void *logits; /* rows x classes */
    void *gradient;     /* same layout as the logits, or the logits themselves; NULL: losses only */
    int64_t dtype;      /* of logits and gradient */
    /* row r is at (r / inner) * outer_stride + (r % inner) * inner_stride, its classes class_stride apart */
    int64_t inner, outer_stride, inner_stride, class_stride;
    /* factored targets: value[r, s] on class index[r, s], and rest[r] spread over the prior */
    const int64_t *index; /* rows x entries; NULL: the targets are weights */
    int64_t entries;
    const void *value; /* NULL: value_number for all */
    int64_t value_row_stride, value_stride;
    double value_number;
    const void *rest; /* NULL: rest_number for all */
    int64_t rest_stride;
    double rest_number;
    const void *prior; /* classes; NULL: uniform */
    /* weights: row `row[r]` of a table, or row r if row is NULL */
    const void *weights;
    int64_t weights_dtype, weights_rows, weights_stride, weights_class_stride;
    const int64_t *row;
    /* which rows and classes count */
    const uint8_t *valid; /* NULL: all classes; rows are valid_stride apart, 0 for one row for all */
    int64_t valid_stride;
    const uint8_t *left_out; /* NULL: none */
    int64_t ignore;          /* 1: rows with label ignore_index are left out (entries == 1) */
    int64_t ignore_index;
    /* the gradient of sum(scale * losses) */
    const void *scale; /* NULL: scale_number for all */
    int64_t scale_stride;
    double scale_number;
    int64_t mean;       /* 1: scale_number is divided by the number of rows that are not left out */
    void *losses;       /* rows; NULL: only the total */
    void *total;        /* one number: sum of the losses, or with `mean` their mean (0 of nothing); NULL: not computed */
    int64_t threads;
} cross_entropy_arguments;
