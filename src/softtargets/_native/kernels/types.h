/* Reading and writing numbers of any kind as float or as double. */

ST_INLINE float entry_float(const void *at, int64_t dtype, int64_t i) {
    switch (dtype) {
        case ST_FLOAT32: return ((const float *)at)[i];
        case ST_BFLOAT16: return from_bfloat16(((const uint16_t *)at)[i]);
        case ST_FLOAT16: return from_float16(((const uint16_t *)at)[i]);
        default: return (float)((const double *)at)[i];
    }
}

ST_INLINE double entry_double(const void *at, int64_t dtype, int64_t i) {
    return dtype == ST_FLOAT64 ? ((const double *)at)[i] : (double)entry_float(at, dtype, i);
}

ST_INLINE void put_float(void *at, int64_t dtype, int64_t i, float value) {
    switch (dtype) {
        case ST_FLOAT32: ((float *)at)[i] = value; break;
        case ST_BFLOAT16: ((uint16_t *)at)[i] = to_bfloat16(value); break;
        case ST_FLOAT16: ((uint16_t *)at)[i] = to_float16(value); break;
        default: ((double *)at)[i] = (double)value;
    }
}

ST_INLINE void put_double(void *at, int64_t dtype, int64_t i, double value) {
    if (dtype == ST_FLOAT64) ((double *)at)[i] = value;
    else put_float(at, dtype, i, (float)value);
}

/* Half precision to float32, `fill` up to the next multiple of LANES_float. */
ST_INLINE void widen_float(const void *row, int64_t dtype, int64_t n, float fill, float *z) {
    const uint16_t *from = row;
    int64_t i = 0;
    if (dtype == ST_BFLOAT16)
        for (; i + LANES_float <= n; i += LANES_float) store_float(z + i, load_bfloat16(from + i));
    else
        for (; i + LANES_float <= n; i += LANES_float) store_float(z + i, load_float16(from + i));
    if (i < n) store_float(z + i, load_part_half(from + i, n - i, dtype == ST_BFLOAT16, fill));
}

/* z * factor - rest to half precision. */
ST_INLINE void narrow_float(const float *z, int64_t n, float factor, float rest, void *row, int64_t dtype) {
    uint16_t *to = row;
    int64_t i = 0;
    if (dtype == ST_BFLOAT16)
        for (; i + LANES_float <= n; i += LANES_float) store_bfloat16(to + i, load_float(z + i) * factor - rest);
    else
        for (; i + LANES_float <= n; i += LANES_float) store_float16(to + i, load_float(z + i) * factor - rest);
    if (i < n) store_part_half(to + i, n - i, dtype == ST_BFLOAT16, load_float(z + i) * factor - rest);
}

/* float64 is accumulated in itself alone, so these are not called. */
ST_INLINE void widen_double(const void *row, int64_t dtype, int64_t n, double fill, double *z) {
    (void)row, (void)dtype, (void)n, (void)fill, (void)z;
}

ST_INLINE void narrow_double(const double *z, int64_t n, double factor, double rest, void *row, int64_t dtype) {
    (void)z, (void)n, (void)factor, (void)rest, (void)row, (void)dtype;
}
