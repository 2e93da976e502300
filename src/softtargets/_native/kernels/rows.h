/* One row of logits at a time, for one accumulating type. Included once for float and once for double, with
   A the type, V its vector, M the mask of that vector, and N(name) the name with the type's suffix. */

#define LANES ((int64_t)(ST_BYTES / sizeof(A)))

/* Entries that are summed in A before they are added to a double: keeps the rounding error of wide rows small. */
#define BLOCK 4096

/* Copies row entries [0, n) to `z` as A, -infinity up to the next multiple of LANES, and returns the largest.
   `valid` marks the entries to keep; the others become -infinity. */
ST_INLINE A N(read)(const void *row, int64_t dtype, int64_t stride, int64_t n, const uint8_t *valid, A *z) {
    const A none = -(A)INFINITY;
    const int64_t whole = n / LANES * LANES, padded = (n + LANES - 1) / LANES * LANES;
    V top = (V){0} + none;
    if (stride != 1 || valid != NULL) {
        for (int64_t i = 0; i < n; i++) {
            A value = N(entry)(row, dtype, i * stride);
            z[i] = valid == NULL || valid[i] ? value : none;
        }
    } else if (dtype == N(DTYPE)) {
        const A *from = row;
        V a = top, b = top, c = top, d = top;
        int64_t i = 0;
        for (; i + 4 * LANES <= whole; i += 4 * LANES) {
            V p = N(load)(from + i), q = N(load)(from + i + LANES);
            V r = N(load)(from + i + 2 * LANES), s = N(load)(from + i + 3 * LANES);
            N(store)(z + i, p), N(store)(z + i + LANES, q);
            N(store)(z + i + 2 * LANES, r), N(store)(z + i + 3 * LANES, s);
            a = N(max)(p, a), b = N(max)(q, b), c = N(max)(r, c), d = N(max)(s, d);
        }
        for (; i < whole; i += LANES) {
            V p = N(load)(from + i);
            N(store)(z + i, p);
            a = N(max)(p, a);
        }
        if (i < n) {
            V p = N(load_part)(from + i, n - i, none);
            N(store)(z + i, p);
            b = N(max)(p, b);
        }
        return N(largest)(N(max)(N(max)(a, b), N(max)(c, d)));
    } else {
        N(widen)(row, dtype, n, none, z);
    }
    if (stride != 1 || valid != NULL)
        for (int64_t i = n; i < padded; i++) z[i] = none;
    for (int64_t i = 0; i < padded; i += LANES) top = N(max)(N(load)(z + i), top);
    return N(largest)(top);
}

/* Replaces z by exp(z - top) and returns its sum. With `linear`, also the sum of z - top over the n entries. */
ST_INLINE double N(exponentials)(A *z, int64_t n, A top, double *linear) {
    const int64_t padded = (n + LANES - 1) / LANES * LANES;
    double total = 0, shifted = 0;
    for (int64_t start = 0; start < padded; start += BLOCK) {
        const int64_t end = padded - start < BLOCK ? padded : start + BLOCK;
        V a = {0}, b = {0}, sa = {0}, sb = {0};
        int64_t i = start;
        for (; i + 4 * LANES <= (end < n ? end : n); i += 4 * LANES) {
            V p = N(load)(z + i) - top, q = N(load)(z + i + LANES) - top;
            V r = N(load)(z + i + 2 * LANES) - top, s = N(load)(z + i + 3 * LANES) - top;
            if (linear != NULL) sa += p + r, sb += q + s;
            p = N(exp)(p), q = N(exp)(q), r = N(exp)(r), s = N(exp)(s);
            N(store)(z + i, p), N(store)(z + i + LANES, q);
            N(store)(z + i + 2 * LANES, r), N(store)(z + i + 3 * LANES, s);
            a += p + r, b += q + s;
        }
        for (; i + 2 * LANES <= (end < n ? end : n); i += 2 * LANES) {
            V p = N(load)(z + i) - top, q = N(load)(z + i + LANES) - top;
            if (linear != NULL) sa += p, sb += q;
            p = N(exp)(p), q = N(exp)(q);
            N(store)(z + i, p), N(store)(z + i + LANES, q);
            a += p, b += q;
        }
        for (; i < end; i += LANES) {
            V p = N(load)(z + i) - top;
            if (linear != NULL) sa += i + LANES <= n ? p : N(first)(p, n - i);
            p = N(exp)(p);
            N(store)(z + i, p);
            a += p;
        }
        total += N(sum)(a + b);
        if (linear != NULL) shifted += N(sum)(sa + sb);
    }
    if (linear != NULL) *linear = shifted;
    return total;
}

/* Writes z * factor - rest to the n entries of `row`. */
ST_INLINE void N(write)(const A *z, int64_t n, A factor, A rest, void *row, int64_t dtype, int64_t stride) {
    const int64_t whole = n / LANES * LANES;
    int64_t i = 0;
    if (stride != 1) {
        for (; i < n; i++) N(put)(row, dtype, i * stride, z[i] * factor - rest);
    } else if (dtype == N(DTYPE)) {
        A *to = row;
        for (; i < whole; i += LANES) N(store)(to + i, N(load)(z + i) * factor - rest);
        if (i < n) N(store_part)(to + i, n - i, N(load)(z + i) * factor - rest);
    } else {
        N(narrow)(z, n, factor, rest, row, dtype);
    }
}

/* Sum of a list, in an order that does not depend on the number of threads. */
ST_INLINE double N(sum_of)(const A *values, int64_t n) {
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) lanes[k] += values[i + k];
    for (; i < n; i++) lanes[i % 8] += values[i];
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}
