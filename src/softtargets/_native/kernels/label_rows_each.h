/* One row of probabilities with its label at a time. Included once for float and once for double, with A the type, V its
   vector, M the mask of that vector, I the integer of a lane, and N(name) the name with the type's suffix. */

#define LANES ((int64_t)(ST_BYTES / sizeof(A)))

typedef struct {
    A *z;      /* the row, padded with 0 to a multiple of LANES */
    A *bounds; /* padded with infinity; NULL: not needed */
    int64_t padded;
} N(workspace);

ST_INLINE int N(any)(M mask) {
    union { M m; int64_t a[ST_BYTES / 8]; } u = {mask};
    int64_t all = 0;
    for (int i = 0; i < ST_BYTES / 8; i++) all |= u.a[i];
    return all != 0;
}

ST_INLINE void N(copy)(const void *row, int64_t dtype, int64_t n, A *z, int64_t padded) {
    if (dtype == N(DTYPE)) memcpy(z, row, (size_t)n * sizeof(A));
    else N(widen)(row, dtype, n, 0, z);
    for (int64_t i = n; i < padded; i++) z[i] = 0;
}

/* The first place of a value that occurs. */
ST_INLINE int64_t N(first_place)(const A *z, A value, int64_t padded) {
    for (int64_t i = 0; i < padded; i += LANES)
        if (N(any)((M)(N(load)(z + i) == value)))
            for (int64_t k = i;; k++)
                if (z[k] == value) return k;
    return 0;
}

/* Writes result r; returns whether the row holds probabilities, if that is to be checked. */
ST_INLINE int N(one_row)(const label_rows_arguments *a, int64_t r, const N(workspace) *w, const A *bounds) {
    const int64_t row = a->index == NULL ? r : a->index[r], label = a->labels[row], padded = w->padded;
    A *z = w->z;
    if (label < 0 || label >= a->classes) return 0;
    N(copy)((const char *)a->probs + (size_t)(row * a->row_stride) * size_of(a->dtype), a->dtype, a->classes, z, padded);
    const A own = z[label];
    if (a->check) {
        V total = {0};
        M bad = {0};
        for (int64_t i = 0; i < padded; i += LANES) {
            const V p = N(load)(z + i);
            total += p;
            bad |= ~(M)(p >= (V){0});
        }
        const double off = (double)N(sum)(total) - 1;
        if (N(any)(bad) || !(off <= a->tolerance && -off <= a->tolerance)) return 0;
    }
    if (a->own != NULL) ((A *)a->own)[r] = own;
    if (a->best == NULL && a->other == NULL && bounds == NULL) return 1;
    /* of another class: the label's place holds less than any probability */
    z[label] = -1;
    V top = {0}, second = {0};
    M reached = {0};
    int64_t i = 0;
    if (bounds == NULL) {
        for (; i + 2 * LANES <= padded; i += 2 * LANES) {
            top = N(max)(N(load)(z + i), top);
            second = N(max)(N(load)(z + i + LANES), second);
        }
        if (i < padded) top = N(max)(N(load)(z + i), top);
        top = N(max)(top, second);
    } else {
        for (; i < padded; i += LANES) {
            const V p = N(load)(z + i);
            top = N(max)(p, top);
            reached += (M)(p >= N(load)(bounds + i));
        }
    }
    const A best = N(largest)(top);
    if (a->best != NULL) ((A *)a->best)[r] = best;
    if (a->other != NULL) a->other[r] = N(first_place)(z, best, padded);
    if (bounds == NULL) return 1;
    union { M m; I a[LANES]; } u = {reached};
    int64_t others = 0;
    for (int64_t k = 0; k < LANES; k++) others -= u.a[k];
    const int mine = own >= bounds[label];
    if (others == 0) {
        a->clean[r] = mine ? label : -1;
        return 1;
    }
    int64_t place = own > best ? label : N(first_place)(z, best, padded);
    if (own == best && label < place) place = label;
    /* if the largest probability is below its threshold, the row belongs to another class if it reaches exactly one */
    if ((own > best ? own : best) < bounds[place] && others + mine == 1)
        for (int64_t k = 0; k < a->classes; k++)
            if (z[k] >= bounds[k]) place = k;
    a->clean[r] = place;
    return 1;
}

static int64_t N(all_rows)(const label_rows_arguments *a) {
    const int64_t padded = (a->classes + LANES - 1) / LANES * LANES;
    const int64_t block = padded >= 16384 ? 1 : 16384 / padded, blocks = (a->rows + block - 1) / block;
    const int64_t most = a->rows * padded < 32768 ? 1 : a->threads;
    const int threads = (int)(most < blocks ? most : blocks > 0 ? blocks : 1);
    int64_t first_bad = a->rows;
    int failed = 0;
#ifdef _OPENMP
#pragma omp parallel num_threads(threads) if (threads > 1)
#endif
    {
        A *memory = malloc((size_t)(2 * padded) * sizeof(A) + 64), *aligned;
        const int ready = memory != NULL;
        if (!ready) {
#ifdef _OPENMP
#pragma omp atomic write
#endif
            failed = 1;
        }
        aligned = (A *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
        const N(workspace) w = {aligned, a->bounds == NULL ? NULL : aligned + padded, padded};
        int64_t held = -1; /* the row of the bounds in the workspace */
#ifdef _OPENMP
#pragma omp for schedule(dynamic)
#endif
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t end = (b + 1) * block < a->rows ? (b + 1) * block : a->rows;
            for (int64_t r = b * block; ready && r < end; r++) {
                const int64_t which = a->bounds_row == NULL ? 0 : a->bounds_row[r];
                if (w.bounds != NULL && held != which) {
                    memcpy(w.bounds, (const A *)a->bounds + which * a->classes, (size_t)a->classes * sizeof(A));
                    for (int64_t k = a->classes; k < padded; k++) w.bounds[k] = (A)INFINITY;
                    held = which;
                }
                if (N(one_row)(a, r, &w, w.bounds)) continue;
#ifdef _OPENMP
#pragma omp critical(label_rows_bad)
#endif
                if (r < first_bad) first_bad = r;
                break;
            }
        }
        free(memory);
    }
    return failed ? ST_NO_MEMORY : first_bad < a->rows ? first_bad : ST_DONE;
}

#undef LANES
