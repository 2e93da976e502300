"""The Triton kernels for CUDA: cross entropy with its gradient in one launch, and rows multiplied by numbers.

Only `on_cuda` imports this module, on first use, because Triton is optional. An argument that is None is a constant of
the compiled kernel, so that what is not given costs nothing. Offsets are int64: N * K may exceed 2^31.
"""

# Triton is optional, and it compiles what follows by its own rules: `if ONE` is decided at compile time.
# pyright: reportMissingImports=false, reportPossiblyUnboundVariable=false, reportAssignmentType=false
# pyright: reportOperatorIssue=false

import triton
import triton.language as tl


@triton.jit
def _rows_of(source, stride, rows, inside, KIND: tl.constexpr, WIDE: tl.constexpr):
    """Return one number per row, (ROWS,): KIND 1 is a number, 2 a pointer."""
    if KIND == 1:
        return tl.full(rows.shape, source, WIDE)
    else:
        return tl.load(source + rows * stride, mask=inside, other=0.0).to(WIDE)


@triton.jit
def _starts(rows, INNER, outer_stride, inner_stride, UNIT: tl.constexpr):
    """Return the offset of each row: the rows are `inner_stride` apart, and groups of INNER rows `outer_stride`."""
    if INNER is None:
        return (rows * inner_stride) * UNIT
    else:
        return ((rows // INNER) * outer_stride + (rows % INNER) * inner_stride) * UNIT


@triton.jit
def _logits(z, starts, z_class, valid, valid_starts, valid_class, cols, here, WIDE: tl.constexpr):
    """Return a tile of logits, (ROWS, BLOCK); -inf for classes that are not valid and outside of the matrix."""
    wide_cols = cols[None, :].to(tl.int64)
    tile = tl.load(z + starts[:, None] + wide_cols * z_class, mask=here, other=float("-inf")).to(WIDE)
    if valid is not None:
        there = tl.load(valid + valid_starts[:, None] + wide_cols * valid_class, mask=here, other=0)
        tile = tl.where(there != 0, tile, float("-inf"))
    return tile


@triton.jit
def _weights(tile, prior, table, table_starts, table_class, cols, here, REST: tl.constexpr, WIDE: tl.constexpr):
    """Return the weight of each class in a tile: of a table or dense, else the prior of classes that are not -inf."""
    if table is not None:
        offsets = table_starts[:, None] + cols[None, :].to(tl.int64) * table_class
        # a sum of what was loaded, with nothing in between, fails an assertion of Triton 3.6 (OptimizeThreadLocality)
        return tl.where(here, tl.load(table + offsets, mask=here, other=0.0).to(WIDE), 0.0)
    elif prior is not None:
        spread = tl.load(prior + cols[None, :], mask=here, other=0.0).to(WIDE)
        return tl.where(tile == float("-inf"), 0.0, spread)
    elif REST != 0:
        return tl.where(tile == float("-inf"), 0.0, 1.0).to(WIDE)
    else:
        return tile


@triton.jit
def _swept(tile, weights, top, total, weight, mean, WEIGHTED: tl.constexpr):
    """Return the state of the sums over classes after one more tile.

    top: the largest logit; total: sum(exp(z - top)); weight: sum(w); mean: sum(w * (z - top)).
    """
    higher = tl.maximum(top, tl.max(tile, axis=1))
    shifted = tile - higher[:, None]
    total = total * tl.exp(top - higher) + tl.sum(tl.exp(shifted), axis=1)
    if WEIGHTED:
        # a class of weight 0 adds nothing even if its logit is -inf
        shifted = tl.where((weights == 0.0) & (shifted == float("-inf")), 0.0, shifted)
        mean = mean + weight * (top - higher) + tl.sum(weights * shifted, axis=1)
        weight = weight + tl.sum(weights, axis=1)
    return higher, total, weight, mean


@triton.jit
def _entry(index, index_row, index_entry, rows, inside, s, K):
    """Return the s-th class of each row, and whether it exists; one that does not is never used as an address."""
    found = tl.load(index + rows * index_row + s * index_entry, mask=inside, other=0)
    return found, (found >= 0) & (found < K)


@triton.jit
def _value(value, value_row, value_entry, rows, inside, s, VALUE: tl.constexpr, WIDE: tl.constexpr):
    """Return the weight of the s-th class of each row: VALUE 0 is 1, 1 is a number for all, 2 a pointer."""
    if VALUE == 0:
        return tl.full(rows.shape, 1.0, WIDE)
    elif VALUE == 1:
        return tl.full(rows.shape, value, WIDE)
    else:
        return tl.load(value + rows * value_row + s * value_entry, mask=inside, other=0.0).to(WIDE)


@triton.jit
def _share(missing, N, WIDE: tl.constexpr):
    """Return the share of a row in a mean over N rows, less as many as `missing` points to; None: no row is missing."""
    number = N.to(tl.int64)
    if missing is not None:
        number = number - tl.load(missing)
    return 1.0 / tl.maximum(number, 1).to(WIDE)


@triton.jit(do_not_specialize=["N"])
def cross_entropy(
    z,
    z_outer,
    z_inner,
    z_class,
    gradient,
    gradient_outer,
    gradient_inner,
    gradient_class,
    losses,
    index,
    index_row,
    index_entry,
    value,
    value_row,
    value_entry,
    S,
    rest,
    rest_row,
    prior,
    table,
    table_outer,
    table_inner,
    table_class,
    place,
    places,
    valid,
    valid_outer,
    valid_inner,
    valid_class,
    left_out,
    ignore,
    scale,
    scale_row,
    missing,
    wrong,
    N,
    K,
    INNER,
    VALUE: tl.constexpr,
    REST: tl.constexpr,
    SCALE: tl.constexpr,
    MEAN: tl.constexpr,
    EACH: tl.constexpr,
    LOWEST: tl.constexpr,
    UNIT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    ONE: tl.constexpr,
):
    """Write the losses of ROWS rows and the gradient of ``sum(scale * losses)``, which may overwrite the logits.

    Without EACH, one sum is written for the ROWS rows, whose order depends on the shape alone.

    With MEAN, both are multiplied by the share of a row in the mean over those that are not left out. Rows whose first
    class is `ignore` are left out. A class that does not exist is written to `wrong`, in memory of the host, unless its
    row is left out; any one of them if there are several.

    With ONE, the classes fit one tile, which is read once. Otherwise the row is read twice: the first time for the
    sums, relative to the largest logit so far, the second time for the gradient. K and the strides of rows are given in
    multiples of UNIT, from which the compiler sees how many entries it can read at a time.
    """
    K = K * UNIT
    WIDE: tl.constexpr = losses.dtype.element_ty
    WEIGHTED: tl.constexpr = (table is not None) or (REST != 0)
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = rows < N
    counted = inside
    if left_out is not None:
        counted = inside & (tl.load(left_out + rows, mask=inside, other=1) == 0)
    if ignore is not None:
        counted = inside & (tl.load(index + rows * index_row, mask=inside, other=0) != ignore)
    good = inside
    starts = _starts(rows, INNER, z_outer, z_inner, UNIT)
    valid_starts = starts
    if valid is not None:
        valid_starts = _starts(rows, INNER, valid_outer, valid_inner, UNIT)
    table_starts = starts
    if place is not None:
        taken = tl.load(place + rows, mask=inside, other=0)
        good = inside & (taken >= 0) & (taken < places)
        tl.store(wrong + rows * 0, taken, mask=counted & ~good)
        table_starts = (taken * table_inner) * UNIT
    elif table is not None:
        table_starts = _starts(rows, INNER, table_outer, table_inner, UNIT)

    # the largest logit starts at the lowest number, so that inf - inf does not occur before the end of the row
    top = tl.full([ROWS], LOWEST, WIDE)
    total = tl.full([ROWS], 0.0, WIDE)
    weight = tl.full([ROWS], 0.0, WIDE)
    mean = tl.full([ROWS], 0.0, WIDE)
    if ONE:
        cols = tl.arange(0, BLOCK)
        here = inside[:, None] & (cols < K)[None, :]
        tile = _logits(z, starts, z_class, valid, valid_starts, valid_class, cols, here, WIDE)
        weights = _weights(tile, prior, table, table_starts, table_class, cols, here & good[:, None], REST, WIDE)
        top, total, weight, mean = _swept(tile, weights, top, total, weight, mean, WEIGHTED)
    else:
        for start in range(0, K, BLOCK):
            cols = start + tl.arange(0, BLOCK)
            here = inside[:, None] & (cols < K)[None, :]
            tile = _logits(z, starts, z_class, valid, valid_starts, valid_class, cols, here, WIDE)
            weights = _weights(tile, prior, table, table_starts, table_class, cols, here & good[:, None], REST, WIDE)
            top, total, weight, mean = _swept(tile, weights, top, total, weight, mean, WEIGHTED)

    log_total = tl.log(total)
    mass, loss = weight, weight * log_total - mean  # of a table or dense weights
    of_rest = tl.full([ROWS], 1.0, WIDE)
    if table is None:
        mass = tl.full([ROWS], 0.0, WIDE)
        loss = tl.full([ROWS], 0.0, WIDE)
        for s in range(S):
            found, exists = _entry(index, index_row, index_entry, rows, inside, s, K)
            part = _value(value, value_row, value_entry, rows, inside, s, VALUE, WIDE)
            tl.store(wrong + rows * 0, found, mask=counted & ~exists)
            picked = tl.load(z + starts + found * z_class, mask=inside & exists, other=float("-inf")).to(WIDE)
            if valid is not None:
                there = tl.load(valid + valid_starts + found * valid_class, mask=inside & exists, other=0)
                picked = tl.where(there != 0, picked, float("-inf"))
            surprise = log_total - (picked - top)
            loss += part * tl.where((part == 0.0) & (surprise == float("inf")), 0.0, surprise)
            mass += part
            good = good & exists
        if REST != 0:
            amount = _rows_of(rest, rest_row, rows, inside, REST, WIDE)
            loss += amount * (log_total - mean / weight)
            mass += amount
            of_rest = amount / weight
    loss = tl.where(good, loss, float("nan"))  # a class, or a row of the table, that does not exist
    loss = tl.where(counted, loss, 0.0)
    if MEAN:
        loss = loss * _share(missing, N, WIDE)
    if EACH:
        tl.store(losses + rows, loss, mask=inside)
    else:
        tl.store(losses + tl.program_id(0), tl.sum(loss, axis=0))

    if SCALE != 0:
        tl.debug_barrier()  # the gradient may overwrite logits that other warps of the program read above
        factor = tl.where(good, _rows_of(scale, scale_row, rows, inside, SCALE, WIDE), float("nan"))
        if MEAN:
            factor = factor * _share(missing, N, WIDE)
        of_probs = mass * factor / total
        of_weights = of_rest * factor
        gradient_starts = _starts(rows, INNER, gradient_outer, gradient_inner, UNIT)
        for start in range(0, BLOCK if ONE else K, BLOCK):
            if not ONE:
                cols = start + tl.arange(0, BLOCK)
                here = inside[:, None] & (cols < K)[None, :]
                tile = _logits(z, starts, z_class, valid, valid_starts, valid_class, cols, here, WIDE)
                weights = _weights(
                    tile, prior, table, table_starts, table_class, cols, here & good[:, None], REST, WIDE
                )
            result = tl.exp(tile - top[:, None]) * of_probs[:, None]
            if WEIGHTED:
                result -= weights * of_weights[:, None]
            if table is None:
                for s in range(S):
                    found, exists = _entry(index, index_row, index_entry, rows, inside, s, K)
                    part = _value(value, value_row, value_entry, rows, inside, s, VALUE, WIDE)
                    hit = exists[:, None] & (cols[None, :] == found.to(tl.int32)[:, None])
                    result -= tl.where(hit, (part * factor)[:, None], 0.0)
            result = tl.where(counted[:, None], result, 0.0)
            at = gradient + gradient_starts[:, None] + cols[None, :].to(tl.int64) * gradient_class
            tl.store(at, result.to(gradient.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["N"])
def scale_rows(
    values,
    values_outer,
    values_inner,
    values_class,
    grad,
    grad_row,
    expected,
    expected_row,
    N,
    K,
    INNER,
    EXPECTED: tl.constexpr,
    UNIT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Multiply each row by grad / expected in place; 0 where 0 was expected.

    A tile in which the two are equal in every row is neither read nor written. EXPECTED 1 is a number, 2 a pointer.
    """
    K = K * UNIT
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = rows < N
    given = tl.load(grad + rows * grad_row, mask=inside, other=1.0)
    before = _rows_of(expected, expected_row, rows, inside, EXPECTED, given.dtype)
    by = tl.where(before == 0.0, 0.0, tl.where(given == before, 1.0, given / before))
    if tl.max((inside & (by != 1.0)).to(tl.int32), axis=0) > 0:
        starts = _starts(rows, INNER, values_outer, values_inner, UNIT)
        for start in range(0, K, BLOCK):
            cols = start + tl.arange(0, BLOCK)
            here = inside[:, None] & (cols < K)[None, :]
            at = values + starts[:, None] + cols[None, :].to(tl.int64) * values_class
            tile = tl.load(at, mask=here, other=0.0).to(by.dtype)
            tl.store(at, (tile * by[:, None]).to(values.dtype.element_ty), mask=here)
