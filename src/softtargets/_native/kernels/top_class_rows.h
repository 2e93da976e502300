/* The largest entry of rows and its class; included for float and for double after rows.h. Logits are read as double. */

/* Rows of fewer classes are computed LANES at a time, one in each lane. */
#define NARROW 32

/* Copies n entries from number `start` on to `z` as A. */
ST_INLINE void N(copy)(const top_class_arguments *a, int64_t start, int64_t n, A *z) {
    if (a->dtype == N(DTYPE)) {
        memcpy(z, (const A *)a->values + start, (size_t)n * sizeof(A));
    } else if (a->dtype == ST_FLOAT32) {
        const float *from = (const float *)a->values + start;
        for (int64_t i = 0; i < n; i++) z[i] = (A)from[i];
    } else {
        float part[256];
        for (int64_t i = 0; i < n; i += 256) {
            const int64_t here = n - i < 256 ? n - i : 256;
            widen_float((const uint16_t *)a->values + start + i, a->dtype, here, 0, part);
            for (int64_t k = 0; k < here; k++) z[i + k] = (A)part[k];
        }
    }
}

/* Writes the results of row r. Returns whether its label and, for probabilities, its sum are out of range. */
ST_INLINE int N(put_row)(const top_class_arguments *a, int64_t r, A top, int64_t at, double sum) {
    const uint64_t label = (uint64_t)a->labels[r];
    ((A *)a->largest)[r] = a->logits || !(top > 1) ? top : 1;
    if (a->predicted != NULL) a->predicted[r] = at;
    a->correct[r] = (uint64_t)at == label;
    if (!a->logits) return label >= (uint64_t)a->classes || !(fabs(sum - 1) <= a->tolerance);
    a->sums[r] = sum;
    return label >= (uint64_t)a->classes || !isfinite(sum);
}

/* Whether a lane of a mask is set. */
ST_INLINE int N(any)(M mask) {
    int64_t parts[sizeof(M) / 8], any = 0;
    memcpy(parts, &mask, sizeof mask);
    for (size_t i = 0; i < sizeof(M) / 8; i++) any |= parts[i];
    return any != 0;
}

/* Four classes of LANES rows. The memory up to three numbers after the last row is readable. */
ST_INLINE void N(four_columns)(const A *z, int64_t n, V *columns) {
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < LANES; i++) columns[k][i] = z[i * n + k];
}

/* The results of LANES rows from r on, as N(put_row) writes those of one. */
ST_INLINE int N(put_rows)(const top_class_arguments *a, int64_t r, V top, M at, V sum) {
    int64_t labels[LANES], bits = 0;
    memcpy(labels, a->labels + r, sizeof labels);
    I classes[LANES], narrow[LANES];
    uint8_t right[LANES];
    for (int i = 0; i < LANES; i++) bits |= labels[i];
    for (int i = 0; i < LANES; i++) narrow[i] = (I)labels[i];
    M label;
    memcpy(&label, narrow, sizeof label);
    M unfit = (label >= (I)a->classes) | ((M){0} - (I)(bits < 0 || bits >= NARROW));
    const M same = (label == at) & 1;
    memcpy(narrow, &same, sizeof same);
    for (int i = 0; i < LANES; i++) right[i] = (uint8_t)narrow[i];
    memcpy(a->correct + r, right, sizeof right);
    memcpy(classes, &at, sizeof at);
    for (int i = 0; a->predicted != NULL && i < LANES; i++) a->predicted[r + i] = classes[i];
    if (a->logits) {
        unfit |= ~(sum - sum == 0);
        for (int i = 0; i < LANES; i++) a->sums[r + i] = sum[i];
    } else {
        const V apart = sum - 1, tolerance = (V){0} + (A)a->tolerance;
        top = N(choose)(top > 1, (V){0} + 1, top);
        unfit |= ~((apart <= tolerance) & (-apart <= tolerance));
    }
    N(store)((A *)a->largest + r, top);
    return N(any)(unfit);
}

/* Rows r to r + count, count <= LANES, whose numbers are at z; the memory of the other lanes is readable. */
ST_INLINE int N(narrow_rows)(const top_class_arguments *a, int64_t r, int64_t count, const A *z) {
    const int64_t n = a->classes;
    V top = (V){0} - (A)INFINITY, sum = {0}, columns[NARROW];
    M at = {0}, negative = {0};
    for (int64_t k = 0; k < n; k += 4) {
        N(columns)(z + k, n, columns + k);
        for (int64_t i = k; i < k + 4 && i < n; i++) {
            const V column = columns[i];
            const M larger = column > top;
            top = N(choose)(larger, column, top);
            at = (larger & ((M){0} + (I)i)) | (~larger & at);
            sum += column;
            negative |= column < 0;
        }
    }
    if (a->logits) {
        V sums[4] = {{0}};
        for (int64_t k = 0; k < n; k++) sums[k & 3] += N(exp)(columns[k] - top);
        sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    if (count == LANES) return N(put_rows)(a, r, top, at, sum) | (!a->logits && N(any)(negative));
    int bad = 0;
    for (int64_t i = 0; i < count; i++) {
        bad |= N(put_row)(a, r + i, top[i], at[i], sum[i]);
        bad |= !a->logits && negative[i];
    }
    return bad;
}

/* The first class whose entry is `top`; n if there is none. */
ST_INLINE int64_t N(first_class)(const A *z, int64_t n, A top) {
    int64_t k = 0;
    for (; k + 4 * LANES <= n; k += 4 * LANES) {
        M found = {0};
        for (int64_t i = 0; i < 4 * LANES; i += LANES) found |= N(load)(z + k + i) == top;
        if (N(any)(found)) break;
    }
    while (k < n && z[k] != top) k++;
    return k;
}

/* One row; `z` is memory for the row as A, up to a multiple of LANES. */
ST_INLINE int N(wide_row)(const top_class_arguments *a, int64_t r, A *z) {
    const int64_t n = a->classes, padded = (n + LANES - 1) / LANES * LANES;
    const A *row = z;
    if (a->logits || a->dtype != N(DTYPE)) N(copy)(a, r * n, n, z);
    else row = (const A *)a->values + r * n;
    if (a->logits)
        for (int64_t i = n; i < padded; i++) z[i] = -(A)INFINITY;

    V top = N(load)(row), other = top;
    M negative = {0};
    double sum = 0;
    int64_t k = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        V one = {0}, two = {0};
        for (k = start; k + 2 * LANES <= end; k += 2 * LANES) {
            const V p = N(load)(row + k), q = N(load)(row + k + LANES);
            top = N(max)(p, top), other = N(max)(q, other);
            one += p, two += q;
            negative |= (p < 0) | (q < 0);
        }
        sum += N(sum)(one + two);
        for (; k < end; k++) {
            const A value = row[k];
            top[0] = value > top[0] ? value : top[0];
            sum += value;
            negative[0] |= value < 0;
        }
    }
    const A largest = N(largest)(N(max)(top, other));
    const int64_t at = N(first_class)(row, n, largest);
    if (a->logits) sum = N(exponentials)(z, n, largest, NULL);
    return N(put_row)(a, r, largest, at, sum) | (!a->logits && N(any)(negative));
}

static int N(some_rows)(const top_class_arguments *a, int64_t from, int64_t to, A *z) {
    const int64_t n = a->classes;
    int bad = 0;
    if (n >= NARROW) {
        for (int64_t r = from; r < to; r++) bad |= N(wide_row)(a, r, z);
        return bad;
    }
    for (int64_t r = from; r < to; r += LANES) {
        const int64_t count = to - r < LANES ? to - r : LANES;
        /* a row follows, since a little more is read */
        const int direct = r + LANES < a->rows && count == LANES && a->dtype == N(DTYPE);
        /* the processor itself looks ahead too little while it computes */
        const char *ahead = (const char *)a->values + (size_t)((r + 4 * LANES) * n) * size_of(a->dtype);
        for (int64_t i = 0; i < LANES * n * (int64_t)size_of(a->dtype); i += 64) __builtin_prefetch(ahead + i);
        if (!direct) N(copy)(a, r * n, count * n, z);
        bad |= N(narrow_rows)(a, r, count, direct ? (const A *)a->values + r * n : z);
    }
    return bad;
}

/* Returns 1 if a row is out of range, ST_NO_MEMORY, or 0. */
static int N(all_rows)(const top_class_arguments *a) {
    const int64_t n = a->classes, width = n < NARROW ? NARROW * LANES + 4 : (n + LANES - 1) / LANES * LANES;
    const int64_t block = n >= 16384 ? 1 : (16384 / n + LANES - 1) / LANES * LANES;
    const int64_t blocks = (a->rows + block - 1) / block;
    /* a pass over probabilities takes less time than it takes another thread to begin, unless they are very many */
    const int64_t most = a->rows * n < (a->logits ? 1 << 19 : 1 << 22) ? 1 : a->threads;
    const int threads = (int)(most < blocks ? most : blocks > 0 ? blocks : 1);
    int bad = 0, failed = 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
    {
        A *z = calloc((size_t)width, sizeof(A));
        int mine = 0;
#ifdef _OPENMP
#pragma omp for schedule(dynamic) nowait
#endif
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t end = (b + 1) * block < a->rows ? (b + 1) * block : a->rows;
            if (z != NULL) mine |= N(some_rows)(a, b * block, end, z);
        }
        if (z == NULL || mine) {
#ifdef _OPENMP
#pragma omp critical(top_class)
#endif
            failed |= z == NULL, bad |= mine;
        }
        free(z);
    }
    return failed ? ST_NO_MEMORY : bad;
}
