/* Losses of the log-odds of the label, and forward correction: of rows of logits, with the gradient in the same pass. */

#include <float.h>

#include "vector.h"
#include "types.h"
#include "label_probability.h"
#include "odds.h"

#define A float
#define V vfloat
#define M mfloat
#define N(name) name##_float
#define DTYPE_float ST_FLOAT32
#define log_float logf
#include "rows.h"
#include "label_probability_rows.h"
#undef A
#undef V
#undef M
#undef N
#undef LANES
#undef BLOCK
#undef SMALL

#define A double
#define V vdouble
#define M mdouble
#define N(name) name##_double
#define DTYPE_double ST_FLOAT64
#define log_double log
#include "rows.h"
#include "label_probability_rows.h"

/* Returns ST_DONE, ST_NO_MEMORY, or the first row whose label is out of range; then nothing was written. */
int64_t ST_EXPORT(label_probability)(const label_probability_arguments *a) {
    return a->dtype == ST_FLOAT64 ? all_rows_double(a) : all_rows_float(a);
}
