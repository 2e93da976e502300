/* Rows of probabilities with labels: the label's probability, the best other class, and the class of the confident joint,
   in one pass over the rows. Every result depends on its row alone, so any number of threads gives the same. */

#include "vector.h"
#include "types.h"
#include "label_rows.h"

#define A float
#define V vfloat
#define M mfloat
#define I int32_t
#define N(name) name##_float
#define DTYPE_float ST_FLOAT32
#include "label_rows_each.h"
#undef A
#undef V
#undef M
#undef I
#undef N

#define A double
#define V vdouble
#define M mdouble
#define I int64_t
#define N(name) name##_double
#define DTYPE_double ST_FLOAT64
#include "label_rows_each.h"

int64_t ST_EXPORT(label_rows)(const label_rows_arguments *a) {
    return a->dtype == ST_FLOAT64 ? all_rows_double(a) : all_rows_float(a);
}
