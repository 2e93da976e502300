/* The arguments of top_class.c. Every field has 8 bytes; _native/top_class.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const void *values; /* rows x classes, contiguous */
    int64_t dtype;
    int64_t logits;        /* 1: logits; 0: probabilities */
    const int64_t *labels; /* rows */
    double tolerance;      /* how far from 1 the sum of a row of probabilities may be */
    void *largest;         /* rows: the largest value; of probabilities at most 1. double for logits and float64, else float */
    double *sums;          /* rows: sum of exp(logits - largest); not written for probabilities */
    int64_t *predicted;    /* rows: the first class with the largest value; NULL: not written */
    uint8_t *correct;      /* rows: whether it is the label */
    int64_t threads;
} top_class_arguments;
