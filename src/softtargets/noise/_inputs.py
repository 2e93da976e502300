"""Probabilities that may be larger than memory: checked and worked through in chunks of rows."""

from collections.abc import Iterator

from torch import Tensor

from softtargets._checks import check_labels, check_rows, entry, first_bad, sum_tolerance
from softtargets._errors import fail

# entries of one chunk: few enough for a cache, so that one visit to memory serves every pass over them, and enough for
# the threads of a pass to be worth their meeting
CHUNK = 2**20


def check_shapes(probs: Tensor, labels: Tensor | None = None, *, argument: str = "labels") -> None:
    """Require (N, K) probabilities, N >= 1 and K >= 2, and (N,) labels in range; of probabilities only the shape."""
    check_rows("probs", probs)
    if len(probs) == 0:
        raise fail("probs", "at least one row", 0, "nothing can be told from no example")
    if labels is not None:
        check_labels(argument, labels, probs.shape[1], probs.shape[:1])


def row_chunks(probs: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield where each chunk of rows stands, and its probabilities in float32 or wider, once they are checked."""
    step = max(1, CHUNK // probs.shape[1])
    for start in range(0, len(probs), step):
        rows = slice(start, min(start + step, len(probs)))
        chunk = probs[rows].detach()
        chunk = chunk.float() if chunk.itemsize < 4 else chunk
        _check_chunk(chunk, start, sum_tolerance(probs))
        yield rows, chunk


def check_probs(probs: Tensor) -> None:
    """Require that every row of probabilities is one."""
    for _ in row_chunks(probs):
        pass


def _check_chunk(chunk: Tensor, start: int, tolerance: float) -> None:
    sums = chunk.sum(1)
    low, high = (sums - 1).aminmax()
    # a NaN is no smaller than anything, so that it fails here
    if -tolerance <= low and high <= tolerance and chunk.amin() >= 0:
        return
    row = first_bad(~((sums - 1).abs() <= tolerance) | ~(chunk >= 0).all(1))
    assert row is not None
    place = f"at row {start + row[0]}"
    index = first_bad(~(chunk[row] >= 0))
    if index is not None:
        got = f"{entry(chunk[row], index)} {place}, class {index[0]}"
        raise fail("probs", "probabilities, at least 0", got, "take logits.softmax(-1), or fix that row")
    got = f"a sum of {entry(sums, row)} {place}"
    raise fail("probs", "probabilities, each row summing to 1", got, "take logits.softmax(-1), or divide by the sum")
