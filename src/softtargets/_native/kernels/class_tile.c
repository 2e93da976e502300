/* Tiles of logits, some rows and some classes, whose row sums are completed over all tiles of classes. */

#include "vector.h"
#include "types.h"

/* Every field has 8 bytes; _native/class_tile.py packs them in this order. */
typedef struct {
    int64_t rows, classes;
    float *tile;    /* rows x classes, contiguous */
    int64_t dtype;  /* half precision: the logits are rounded to it */
    float *top;     /* rows: the largest logit so far, finite */
    float *total;   /* rows: sum of exp(logit - top) so far; tile_gradient: not read */
    double *linear; /* rows: set to the sum of the logits of this tile; tile_gradient: not read */
    const float *factor, *rest; /* rows; tile_sums: not read */
    int64_t threads;
} class_tile_arguments;

/* One vector rounded to half precision. */
ST_INLINE vfloat rounded(vfloat v, int64_t dtype) {
    uint16_t half[LANES_float];
    if (dtype == ST_BFLOAT16) {
        store_bfloat16(half, v);
        return load_bfloat16(half);
    }
    store_float16(half, v);
    return load_float16(half);
}

ST_INLINE void row_sums(const class_tile_arguments *a, int64_t r, int64_t dtype) {
    const int64_t n = a->classes;
    float *z = a->tile + r * n;
    const vfloat none = (vfloat){0} - (float)INFINITY;
    vfloat largest = none, linear = {0}, above = {0};
    int64_t i = 0;
    for (; i + LANES_float <= n; i += LANES_float) {
        const vfloat v = rounded(load_float(z + i), dtype);
        store_float(z + i, v);
        largest = max_float(v, largest), linear += v;
    }
    if (i < n) {
        const vfloat v = rounded(load_part_float(z + i, n - i, -(float)INFINITY), dtype);
        store_part_float(z + i, n - i, v);
        largest = max_float(v, largest), linear += first_float(v, n - i);
    }
    const float here = largest_float(largest), before = a->top[r], top = here > before ? here : before;
    for (i = 0; i + LANES_float <= n; i += LANES_float) above += exp_float(load_float(z + i) - top);
    if (i < n) above += exp_float(load_part_float(z + i, n - i, -(float)INFINITY) - top);
    a->total[r] = a->total[r] * expf(before - top) + sum_float(above);
    a->top[r] = top;
    a->linear[r] = sum_float(linear);
}

ST_INLINE void row_gradient(const class_tile_arguments *a, int64_t r, int64_t dtype) {
    const int64_t n = a->classes;
    float *z = a->tile + r * n;
    const float top = a->top[r], factor = a->factor[r], rest = a->rest[r];
    int64_t i = 0;
    for (; i + LANES_float <= n; i += LANES_float)
        store_float(z + i, exp_float(rounded(load_float(z + i), dtype) - top) * factor - rest);
    if (i < n) {
        const vfloat v = rounded(load_part_float(z + i, n - i, 0), dtype);
        store_part_float(z + i, n - i, exp_float(v - top) * factor - rest);
    }
}

/* Rounds the logits and adds the tile to the sums of its rows. */
int64_t ST_EXPORT(tile_sums)(const class_tile_arguments *a) {
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)a->threads) schedule(dynamic, 16) if (a->threads > 1)
#endif
    for (int64_t r = 0; r < a->rows; r++) {
        if (a->dtype == ST_BFLOAT16) row_sums(a, r, ST_BFLOAT16);
        else row_sums(a, r, ST_FLOAT16);
    }
    return ST_DONE;
}

/* Replaces the logits by exp(logit - top) * factor - rest. */
int64_t ST_EXPORT(tile_gradient)(const class_tile_arguments *a) {
#ifdef _OPENMP
#pragma omp parallel for num_threads((int)a->threads) schedule(dynamic, 16) if (a->threads > 1)
#endif
    for (int64_t r = 0; r < a->rows; r++) {
        if (a->dtype == ST_BFLOAT16) row_gradient(a, r, ST_BFLOAT16);
        else row_gradient(a, r, ST_FLOAT16);
    }
    return ST_DONE;
}
