/* Cross entropy of one row and its gradient; included for float and for double after rows.h. */

ST_INLINE A N(number)(const void *list, int64_t at, double other) {
    return list == NULL ? (A)other : ((const A *)list)[at];
}

/* sum(t) * log(total) - <t, z> of weights t, with 0 * infinity = 0; z is shifted. Returns the sum of t too. */
ST_INLINE A N(weighted)(const A *t, const A *z, A top, int64_t n, A log_total, A *mass) {
    double whole = 0, product = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        V m = {0}, p = {0};
        int64_t i = start;
        for (; i + LANES <= end; i += LANES) {
            V w = N(load)(t + i);
            m += w, p += w * (N(load)(z + i) - top);
        }
        whole += N(sum)(m), product += N(sum)(p);
        for (; i < end; i++) whole += t[i], product += t[i] * (z[i] - top);
    }
    if (!isfinite(product)) {
        product = 0;
        for (int64_t i = 0; i < n; i++) {
            const A shifted = z[i] - top;
            if (t[i] != 0 || !isinf(shifted)) product += t[i] * shifted;
        }
    }
    *mass = (A)whole;
    return *mass * log_total - (A)product;
}

/* The mean of the shifted logits under the prior, restricted to the classes whose logit is not -infinity. `*weight`
   becomes what a class of prior 1 (uniform: any class) gets of the rest. Returns whether no class was excluded. */
static int N(spread)(const A *z, A top, int64_t n, const A *prior, double linear, double *mean, A *weight) {
    if (prior == NULL && isfinite(linear)) {
        *mean = linear / (double)n, *weight = (A)1 / (A)n;
        return 1;
    }
    double sum = 0, mass = 0;
    int64_t excluded = 0;
    for (int64_t k = 0; k < n; k++) {
        if (z[k] == -(A)INFINITY || z[k] - top == -(A)INFINITY) {
            excluded++;
            continue;
        }
        const double share = prior == NULL ? 1 : prior[k];
        const A shifted = z[k] - top;
        mass += share;
        if (share != 0 || !isinf(shifted)) sum += share * shifted;
    }
    *mean = sum / mass, *weight = (A)(1 / mass);
    return excluded == 0;
}

/* The offset of row r in bytes. */
ST_INLINE int64_t N(offset)(const cross_entropy_arguments *a, int64_t r) {
    const int64_t outer = a->inner == a->rows ? 0 : r / a->inner;
    return (outer * a->outer_stride + (r - outer * a->inner) * a->inner_stride) * (int64_t)size_of(a->dtype);
}

ST_INLINE A N(read_row)(const cross_entropy_arguments *a, int64_t r, A *z) {
    const uint8_t *valid = a->valid == NULL ? NULL : a->valid + r * a->valid_stride;
    const void *logits = (const char *)a->logits + N(offset)(a, r);
    return N(read)(logits, a->dtype, a->class_stride, a->classes, valid, z);
}

/* Row r, whose logits are in z with the largest `top`. `t` is memory for as many numbers as z, or for the entries. */
static void N(one_row)(const cross_entropy_arguments *a, int64_t r, double scale_number, A top, A *z, A *t) {
    const int64_t n = a->classes, at = N(offset)(a, r);
    const void *logits = (const char *)a->logits + at;
    void *gradient = a->gradient == NULL ? NULL : (char *)a->gradient + at;
    const int64_t *index = a->index == NULL ? NULL : a->index + r * a->entries;
    A *losses = a->losses;
    if ((a->left_out != NULL && a->left_out[r]) || (a->ignore && index[0] == a->ignore_index)) {
        if (losses != NULL) losses[r] = 0;
        if (gradient != NULL) {
            for (int64_t k = 0; k < (n + LANES - 1) / LANES * LANES; k++) z[k] = 0;
            N(write)(z, n, 0, 0, gradient, a->dtype, a->class_stride);
        }
        return;
    }
    const uint8_t *valid = a->valid == NULL ? NULL : a->valid + r * a->valid_stride;
    const A lowest = sizeof(A) == 4 ? (A)-3.40282346638528859812e+38 : (A)-1.79769313486231570815e+308;
    top = top > lowest ? top : lowest; /* a row of -infinity stays one */

    const A rest = N(number)(a->rest, r * a->rest_stride, a->rest_number);
    const A scale = N(number)(a->scale, r * a->scale_stride, scale_number);
    const A *prior = a->prior;
    const int smoothed = index != NULL && (a->rest != NULL || a->rest_number != 0);
    const A one = index == NULL || a->entries != 1 ? 0 : z[index[0]] - top;
    A mass, loss, share = 0;
    int everywhere = 1;
    double linear = 0, mean = 0, total;

    if (index == NULL) {
        const int64_t row = a->row == NULL ? r : a->row[r];
        const char *weights = (const char *)a->weights + row * a->weights_stride * (int64_t)size_of(a->weights_dtype);
        if (a->weights_class_stride == 1 && a->weights_dtype == N(DTYPE)) t = (A *)(uintptr_t)weights;
        else if (a->weights_class_stride == 1 && sizeof(A) == 4 && size_of(a->weights_dtype) == 2)
            N(widen)(weights, a->weights_dtype, n, 0, t);
        else
            for (int64_t k = 0; k < n; k++) t[k] = N(entry)(weights, a->weights_dtype, k * a->weights_class_stride);
        /* the products need the logits, which the exponentials replace */
        A product = N(weighted)(t, z, top, n, 0, &mass);
        total = N(exponentials)(z, n, top, NULL);
        loss = mass * N(log)((A)total) + product;
    } else {
        A picked[16], *at_index = a->entries > 16 ? t : picked;
        if (a->entries != 1)
            for (int64_t s = 0; s < a->entries; s++) at_index[s] = z[index[s]] - top;
        else at_index[0] = one;
        if (smoothed && prior != NULL) everywhere = N(spread)(z, top, n, prior, 0, &mean, &share);
        if (smoothed && prior == NULL) {
            total = N(exponentials)(z, n, top, &linear);
            if (isfinite(linear)) mean = linear / (double)n, share = (A)1 / (A)n;
            else {
                N(read_row)(a, r, z);
                everywhere = N(spread)(z, top, n, NULL, linear, &mean, &share);
                total = N(exponentials)(z, n, top, NULL);
            }
        } else {
            total = N(exponentials)(z, n, top, NULL);
        }
        const A log_total = N(log)((A)total);
        double sum = 0, weight = 0;
        for (int64_t s = 0; s < a->entries; s++) {
            const A value = N(number)(a->value, r * a->value_row_stride + s * a->value_stride, a->value_number);
            const A gap = log_total - at_index[s];
            weight += value;
            if (value != 0 || !isinf(gap)) sum += (double)value * gap; /* a class of weight 0 adds nothing */
        }
        if (smoothed) sum += (double)rest * (log_total - (A)mean), weight += rest;
        loss = (A)sum, mass = (A)weight;
    }
    if (losses != NULL) losses[r] = loss;
    if (gradient == NULL) return;

    /* scale * (mass * softmax - target) */
    const A factor = mass * scale / (A)total;
    if (index == NULL) {
        for (int64_t k = 0; k < n; k++) z[k] = z[k] * factor - scale * t[k];
        N(write)(z, n, 1, 0, gradient, a->dtype, a->class_stride);
        return;
    }
    const A taken = smoothed ? rest * scale * share : 0;
    if (smoothed && (prior != NULL || !everywhere)) {
        for (int64_t k = 0; k < n; k++) {
            const A logit = N(entry)(logits, a->dtype, k * a->class_stride);
            const int there = (valid == NULL || valid[k]) && logit != -(A)INFINITY;
            z[k] = z[k] * factor - (there ? taken * (prior == NULL ? (A)1 : prior[k]) : 0);
        }
        for (int64_t s = 0; s < a->entries; s++)
            z[index[s]] -= scale * N(number)(a->value, r * a->value_row_stride + s * a->value_stride, a->value_number);
        N(write)(z, n, 1, 0, gradient, a->dtype, a->class_stride);
        return;
    }
    /* computed from z: an entry in half precision is rounded once, and no entry that was just written is read */
    N(write)(z, n, factor, taken, gradient, a->dtype, a->class_stride);
    for (int64_t s = 0; s < a->entries; s++) {
        A whole = z[index[s]] * factor - taken;
        for (int64_t other = 0; other < a->entries; other++)
            if (index[other] == index[s])
                whole -= scale * N(number)(a->value, r * a->value_row_stride + other * a->value_stride, a->value_number);
        N(put)(gradient, a->dtype, index[s] * a->class_stride, whole);
    }
}

/* Rows that are read before the first of them is written: in place, a load that follows a store to the same line waits. */
#define GROUP 8
#define SMALL 2048 /* numbers on the stack */

ST_INLINE void N(some_rows)(const cross_entropy_arguments *a, int64_t from, int64_t to, double scale, int64_t width,
                            int grouped, A *z, A *t) {
    if (!grouped) {
        for (int64_t r = from; r < to; r++) N(one_row)(a, r, scale, N(read_row)(a, r, z), z, t);
        return;
    }
    A top[GROUP];
    for (int64_t r = from; r < to; r += GROUP) {
        const int64_t here = to - r < GROUP ? to - r : GROUP;
        for (int64_t i = 0; i < here; i++) top[i] = N(read_row)(a, r + i, z + i * width);
        for (int64_t i = 0; i < here; i++) N(one_row)(a, r + i, scale, top[i], z + i * width, t);
    }
}

/* Whether the classes and the table's row of row r exist. */
ST_INLINE int N(in_range)(const cross_entropy_arguments *a, int64_t r) {
    if (a->index == NULL) return a->row == NULL || (uint64_t)a->row[r] < (uint64_t)a->weights_rows;
    for (int64_t s = 0; s < a->entries; s++)
        if ((uint64_t)a->index[r * a->entries + s] >= (uint64_t)a->classes) return 0;
    return 1;
}

/* The number of rows that are not left out, or minus one minus the first row that is out of range. */
static int64_t N(count)(const cross_entropy_arguments *a) {
    int64_t counted = 0;
    for (int64_t r = 0; r < a->rows; r++) {
        if (a->left_out != NULL && a->left_out[r]) continue;
        if (a->ignore && a->index[r] == a->ignore_index) continue;
        if (!N(in_range)(a, r)) return -1 - r;
        counted++;
    }
    return counted;
}

static int64_t N(all_rows)(const cross_entropy_arguments *given) {
    cross_entropy_arguments own = *given, *const a = &own;
    const int64_t counted = N(count)(a);
    if (counted < 0) return -1 - counted;
    const double divisor = a->mean && counted > 0 ? (double)counted : 1;
    const double scale = a->scale_number / divisor;
    const int64_t width = (a->classes + LANES - 1) / LANES * LANES;
    const int64_t extra = a->index == NULL ? width : a->entries > 16 ? a->entries : 0;
    const int64_t block = width >= 8192 ? 1 : (8192 / width + GROUP - 1) / GROUP * GROUP;
    const int64_t blocks = (a->rows + block - 1) / block;
    const int64_t most = a->rows * width < 32768 ? 1 : a->threads;
    const int threads = (int)(most < blocks ? most : blocks > 0 ? blocks : 1);
    (void)threads; /* not used without OpenMP */
    A *list = NULL;
    if (a->total != NULL && a->losses == NULL) a->losses = list = malloc((size_t)a->rows * sizeof(A) + 1);
    const int grouped = width * GROUP + extra <= SMALL;
    int failed = a->total != NULL && a->losses == NULL;
    if (!failed) {
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
        {
            A small[SMALL + 64 / sizeof(A)], *memory = NULL, *z = small;
            if (width + extra > SMALL) z = memory = malloc((size_t)(width + extra) * sizeof(A) + 64);
            const int ready = z != NULL;
            if (!ready) {
#ifdef _OPENMP
#pragma omp atomic write
#endif
                failed = 1;
            }
            z = (A *)(((uintptr_t)z + 63) & ~(uintptr_t)63);
            A *t = z + (grouped ? width * GROUP : width);
#ifdef _OPENMP
#pragma omp for schedule(dynamic)
#endif
            for (int64_t b = 0; b < blocks; b++) {
                const int64_t end = (b + 1) * block < a->rows ? (b + 1) * block : a->rows;
                if (ready) N(some_rows)(a, b * block, end, scale, width, grouped, z, t);
            }
            free(memory);
        }
    }
    if (!failed && a->total != NULL) *(A *)a->total = (A)(N(sum_of)(a->losses, a->rows) / divisor);
    free(list);
    return failed ? ST_NO_MEMORY : ST_DONE;
}
