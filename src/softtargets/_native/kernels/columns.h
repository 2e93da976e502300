/* The arguments of columns.c. Every field has 8 bytes; _native/columns.py packs them in this order. */

typedef struct {
    int64_t rows, classes;
    const float *probs; /* rows are row_stride entries apart, classes are adjacent */
    int64_t row_stride;
    /* counting */
    int64_t cells;   /* number of cells of a class */
    int64_t *counts; /* classes x cells, which are added to */
    /* selecting */
    const float *low, *high; /* classes */
    int64_t room;            /* number of entries for which there is room */
    int64_t *row, *column;   /* room each: the places of the entries, in their order */
    int64_t *found;          /* one number: the entries that there are */
    int64_t threads;
} columns_arguments;
