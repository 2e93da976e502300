/* Cross entropy of rows of logits against targets, and its gradient, in one pass over the rows. */

#include "vector.h"
#include "types.h"
#include "cross_entropy.h"

#define A float
#define V vfloat
#define M mfloat
#define N(name) name##_float
#define DTYPE_float ST_FLOAT32
#define log_float logf
#include "rows.h"
#include "cross_entropy_rows.h"
#undef A
#undef V
#undef M
#undef N
#undef LANES
#undef BLOCK
#undef GROUP
#undef SMALL

#define A double
#define V vdouble
#define M mdouble
#define N(name) name##_double
#define DTYPE_double ST_FLOAT64
#define log_double log
#include "rows.h"
#include "cross_entropy_rows.h"

/* Returns ST_DONE, ST_NO_MEMORY, or the first row whose label is out of range; then nothing was written. */
int64_t ST_EXPORT(cross_entropy)(const cross_entropy_arguments *a) {
    return a->dtype == ST_FLOAT64 ? all_rows_double(a) : all_rows_float(a);
}
