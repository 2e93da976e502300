/* Losses of one row and its label; included for float and for double after rows.h. */

/* The offset of row r in bytes. */
ST_INLINE int64_t N(offset)(const label_probability_arguments *a, int64_t r) {
    const int64_t outer = a->inner == a->rows ? 0 : r / a->inner;
    return (outer * a->outer_stride + (r - outer * a->inner) * a->inner_stride) * (int64_t)size_of(a->dtype);
}

ST_INLINE A N(read_row)(const label_probability_arguments *a, int64_t r, A *z) {
    return N(read)((const char *)a->logits + N(offset)(a, r), a->dtype, a->class_stride, a->classes, NULL, z);
}

/* The largest of the n numbers at z, which are padded to whole vectors. */
ST_INLINE A N(top_of)(const A *z, int64_t n) {
    V top = (V){0} - (A)INFINITY;
    for (int64_t i = 0; i < n; i += LANES) top = N(max)(N(load)(z + i), top);
    return N(largest)(top);
}

/* A function of z_label - logsumexp(the others). */
static A N(odds_row)(const label_probability_arguments *a, int64_t label, A scale, A top, A *z, void *gradient) {
    const int64_t n = a->classes;
    const A own = z[label], most = sizeof(A) == 4 ? (A)FLT_MAX : (A)DBL_MAX;
    z[label] = -(A)INFINITY;
    if (!(own < top)) top = N(top_of)(z, n);
    if (!isfinite(top)) top = 0;
    const double total = N(exponentials)(z, n, top, NULL);
    double derivative, odds = (double)(own - top) - log(total);
    odds = (double)(A)(odds > most ? most : odds);
    const A loss = (A)of_odds(a->loss, a->settings, odds, &derivative);
    if (gradient == NULL) return loss;
    const A share = (A)(scale * derivative) * (total > 0); /* a label without other classes has no gradient */
    /* the largest of the others adds 1 to the total, unless all of them are masked */
    N(write)(z, n, -share / (A)(total < 1 ? 1 : total), 0, gradient, a->dtype, a->class_stride);
    N(put)(gradient, a->dtype, label * a->class_stride, share);
    return loss;
}

/* log(total) - log <c, exp(z)> where that product has lost precision; z becomes the posterior of the classes, or c over
   its sum if every class with weight is masked. */
static A N(faint)(const A *c, int64_t n, double log_total, A top, A *z) {
    A largest = -(A)INFINITY;
    double sum = 0, weights = 0;
    for (int64_t k = 0; k < n; k++) {
        z[k] = z[k] - top + N(log)(c[k]);
        if (z[k] > largest) largest = z[k];
        weights += c[k];
    }
    if (largest == -(A)INFINITY) {
        for (int64_t k = 0; k < n; k++) z[k] = weights > 0 ? (A)(c[k] / weights) : 0;
        return (A)(log_total + INFINITY); /* NaN if every class is masked */
    }
    for (int64_t k = 0; k < n; k++) sum += z[k] = (A)exp((double)(z[k] - largest));
    for (int64_t k = 0; k < n; k++) z[k] = (A)(z[k] / sum);
    return (A)(log_total - (largest + log(sum)));
}

/* -log <c, softmax(z)> for the column c of the label; `other` is memory for a second row. */
static A N(forward_row)(const label_probability_arguments *a, int64_t r, int64_t label, A scale, A top, A *z, A *other,
                        void *gradient) {
    const int64_t n = a->classes, padded = (n + LANES - 1) / LANES * LANES;
    const A *c = (const A *)a->columns + (a->columns_per_row ? r : label) * n;
    const A lowest = sizeof(A) == 4 ? -(A)FLT_MAX : -(A)DBL_MAX;
    top = top > lowest ? top : lowest;
    const double total = N(exponentials)(z, n, top, NULL);
    double observed = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        V sum = {0};
        int64_t i = start;
        for (; i + LANES <= end; i += LANES) sum += N(load)(c + i) * N(load)(z + i);
        observed += N(sum)(sum);
        for (; i < end; i++) observed += c[i] * z[i];
    }
    const A share = scale / (A)total;
    if (observed < 1e-20) {
        N(read_row)(a, r, other);
        const A loss = N(faint)(c, n, log(total), top, other);
        if (gradient == NULL) return loss;
        for (int64_t i = 0; i < padded; i += LANES)
            N(store)(z + i, N(load)(z + i) * share - N(load)(other + i) * scale);
        N(write)(z, n, 1, 0, gradient, a->dtype, a->class_stride);
        return loss;
    }
    if (gradient != NULL) {
        const A taken = scale / (A)observed;
        int64_t i = 0;
        for (; i + LANES <= n; i += LANES) {
            const V e = N(load)(z + i);
            N(store)(z + i, e * share - N(load)(c + i) * e * taken);
        }
        for (; i < n; i++) z[i] = z[i] * share - c[i] * z[i] * taken;
        N(write)(z, n, 1, 0, gradient, a->dtype, a->class_stride);
    }
    return (A)(log(total) - log(observed));
}

static void N(one_row)(const label_probability_arguments *a, int64_t r, double scale_number, A *z, A *other) {
    const int64_t label = a->labels[r], at = N(offset)(a, r), n = a->classes;
    void *gradient = a->gradient == NULL ? NULL : (char *)a->gradient + at;
    A loss = 0;
    if (a->ignore && label == a->ignore_index) {
        if (gradient != NULL) {
            memset(z, 0, (size_t)((n + LANES - 1) / LANES * LANES) * sizeof(A));
            N(write)(z, n, 0, 0, gradient, a->dtype, a->class_stride);
        }
    } else {
        const A scale = a->scale == NULL ? (A)scale_number : ((const A *)a->scale)[r * a->scale_stride];
        const A top = N(read_row)(a, r, z);
        if (a->loss == ST_LOSS_FORWARD) loss = N(forward_row)(a, r, label, scale, top, z, other, gradient);
        else loss = N(odds_row)(a, label, scale, top, z, gradient);
    }
    if (a->losses != NULL) ((A *)a->losses)[r] = loss;
}

/* The number of rows that are not ignored, or minus one minus the first row whose label is out of range. */
static int64_t N(count)(const label_probability_arguments *a) {
    int64_t counted = 0;
    for (int64_t r = 0; r < a->rows; r++) {
        if (a->ignore && a->labels[r] == a->ignore_index) continue;
        if ((uint64_t)a->labels[r] >= (uint64_t)a->classes) return -1 - r;
        counted++;
    }
    return counted;
}

#define SMALL 2048 /* numbers on the stack */

static int64_t N(all_rows)(const label_probability_arguments *given) {
    label_probability_arguments own = *given, *const a = &own;
    const int64_t counted = N(count)(a);
    if (counted < 0) return -1 - counted;
    const double divisor = a->mean && counted > 0 ? (double)counted : 1;
    const double scale = a->scale_number / divisor;
    const int64_t width = (a->classes + LANES - 1) / LANES * LANES;
    const int64_t needed = a->loss == ST_LOSS_FORWARD ? 2 * width : width;
    const int64_t block = width >= 8192 ? 1 : (8192 + width - 1) / width;
    const int64_t blocks = (a->rows + block - 1) / block;
    const int64_t most = a->rows * width < 32768 ? 1 : a->threads;
    const int threads = (int)(most < blocks ? most : blocks > 0 ? blocks : 1);
    A *list = NULL;
    if (a->total != NULL && a->losses == NULL) a->losses = list = malloc((size_t)a->rows * sizeof(A) + 1);
    int failed = a->total != NULL && a->losses == NULL;
    if (!failed) {
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
        {
            A small[SMALL + 64 / sizeof(A)], *memory = NULL, *z = small;
            if (needed > SMALL) z = memory = malloc((size_t)needed * sizeof(A) + 64);
            const int ready = z != NULL;
            if (!ready) {
#ifdef _OPENMP
#pragma omp atomic write
#endif
                failed = 1;
            }
            z = (A *)(((uintptr_t)z + 63) & ~(uintptr_t)63);
#ifdef _OPENMP
#pragma omp for schedule(dynamic)
#endif
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t end = (b + 1) * block < a->rows ? (b + 1) * block : a->rows;
                for (int64_t r = b * block; ready && r < end; r++) N(one_row)(a, r, scale, z, z + width);
            }
            free(memory);
        }
    }
    if (!failed && a->total != NULL) *(A *)a->total = (A)(N(sum_of)(a->losses, a->rows) / divisor);
    free(list);
    return failed ? ST_NO_MEMORY : ST_DONE;
}
