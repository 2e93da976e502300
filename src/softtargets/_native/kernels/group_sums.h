/* The arguments of group_sums.c. Every field has 8 bytes; _native/group_sums.py packs them in this order. */

typedef struct {
    int64_t rows;
    const int64_t *group; /* rows; NULL: all are in group 0 */
    const int64_t *cell;  /* rows; NULL: 0 */
    int64_t cells;        /* cells of a group */
    const void *values;   /* rows; NULL: all are 1 */
    int64_t kind;         /* of the values: ST_TRUTH, ST_SINGLE or ST_DOUBLE */
    int64_t *totals;      /* the total of a cell; the next cell is `stride` further */
    int64_t stride;
} group_sums_arguments;

typedef struct {
    int64_t rows;
    const int64_t *ids;
    int64_t offset; /* added to the ids */
    int64_t groups;
    int64_t *group; /* rows: the result */
} group_hash_arguments;
