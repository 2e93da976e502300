/* The arguments of label_ranks.c. Every field has 8 bytes; _native/label_ranks.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const void *values; /* rows x classes, contiguous */
    int64_t dtype;      /* ST_FLOAT32 or ST_FLOAT64 */
    const int64_t *labels;
    int64_t *rank; /* rows: the number of classes before the label */
} label_ranks_arguments;
