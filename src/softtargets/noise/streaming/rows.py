"""Passes over rows of probabilities with labels."""

from collections.abc import Callable, Iterator

from torch import Tensor

from softtargets._checks import sum_tolerance
from softtargets._native.label_rows import LabelScan, label_rows
from softtargets._rows import row_chunks

# Numbers of a chunk: enough for several threads.
_CHUNK = 2**22


def label_chunks(
    probs: Tensor,
    labels: Tensor,
    *,
    bounds: Tensor | None = None,
    best: bool = False,
    other: bool = False,
    check: bool = True,
) -> Iterator[tuple[slice, LabelScan]]:
    """Yield the slice of each chunk of rows, and what is asked for of its rows.

    Args:
        probs: (N, K) float.
        labels: (N,) int64, in [0, K).
        bounds, best, other: what is asked for, as in :func:`label_rows`.
        check: whether to check that rows hold probabilities.

    Raises:
        ValueError: a row that does not hold probabilities.
    """
    step = max(1, _CHUNK // probs.shape[1])
    tolerance = sum_tolerance(probs) if check else None
    for start in range(0, len(probs), step):
        rows = slice(start, min(start + step, len(probs)))
        found = label_rows(probs[rows], labels[rows], bounds=bounds, best=best, other=other, tolerance=tolerance)
        if found is None:
            # raises the error that names the row, unless the sums differ by rounding alone
            for _ in row_chunks(probs[rows], place=_shifted(start)):
                pass
            found = label_rows(probs[rows], labels[rows], bounds=bounds, best=best, other=other)
            assert found is not None
        yield rows, found


def _shifted(start: int) -> Callable[[int], str]:
    return lambda row: f"row {start + row}"
