"""Probabilities or logits with labels, read once: classes last, one row per example, left-out examples marked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_int,
    entry,
    first_bad,
    read_labels,
    sum_tolerance,
    values_visible,
    where,
)
from softtargets._errors import fail, fail_type

# Entries of one chunk: few enough for a cache, so that one read from memory serves every pass over them, and enough
# for several threads to pay off.
CHUNK = 2**20


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """One row of scores and one label per example.

    Attributes:
        scores: (N, K), as given.
        labels: (N,) int64, 0 for an example that is left out.
        kept: (N,) bool, False for an example that is left out; None if none is.
        shape: the shape in which the labels were given.
    """

    scores: Tensor
    labels: Tensor
    kept: Tensor | None
    shape: tuple[int, ...]

    @property
    def num_classes(self) -> int:
        """K."""
        return self.scores.shape[1]

    @property
    def counted(self) -> tuple[Tensor, Tensor]:
        """Scores and labels of the examples that are not left out; copies only if an example is left out."""
        return (self.scores, self.labels) if self.kept is None else (self.scores[self.kept], self.labels[self.kept])

    @property
    def counted_probs(self) -> tuple[Tensor, Tensor]:
        """The same of scores that must be probabilities.

        They are checked here only if their rows are not those of the input: the error names the place in the input.
        """
        scores, labels = self.counted
        if self.kept is not None or len(self.shape) != 1:
            for _ in row_chunks(scores, place=self._place):
                pass
        return scores, labels

    def spread(self, values: Tensor, fill: float | bool) -> Tensor:
        """Return one value per example in the shape of the labels, from those of the examples that are not left out."""
        if self.kept is not None:
            full = values.new_full(self.kept.shape, fill)
            full[self.kept] = values
            values = full
        return values.reshape(self.shape)

    def _place(self, row: int) -> str:
        row = row if self.kept is None else int(self.kept.nonzero()[row])
        return where(tuple(int(i) for i in torch.unravel_index(torch.tensor(row), self.shape)))


def read_rows(
    scores: object,
    labels: object,
    *,
    argument: str = "probs",
    class_dim: int = -1,
    ignore_index: int | None = None,
    mask: Tensor | None = None,
) -> LabelledRows:
    """Read scores (..., K) and labels (...); at least one example must count.

    The values of the scores are not checked here: see :func:`row_chunks`.

    Raises:
        ValueError: if shapes differ, a label is out of range (first one named), or no example is left.
        TypeError: if scores are not floating-point, labels not integers, or the mask not bool.
    """
    refuse_swapped(argument, scores, labels)
    moved = classes_last(argument, scores, class_dim)
    shape = tuple(moved.shape[:-1])
    _advise_class_dim(moved, labels, class_dim)
    read, left_out = read_labels(
        "labels", labels, num_classes=moved.shape[-1], shape=shape, ignore_index=ignore_index, mask=mask
    )
    kept = None if left_out is None else ~left_out.flatten().to(moved.device)
    if moved[..., 0].numel() == 0 or (kept is not None and values_visible(kept) and not bool(kept.any())):
        raise fail(argument, "at least one example that is not left out", "none", "check the labels and the mask")
    rows = moved if moved.ndim == 2 else moved.reshape(-1, moved.shape[-1])
    return LabelledRows(rows, read.flatten().to(moved.device), kept, shape)


def classes_last(argument: str, scores: object, class_dim: int = -1) -> Tensor:
    """Return floating-point scores of at least two axes with their K >= 2 classes moved to the last axis."""
    check_floating(argument, scores)
    assert isinstance(scores, Tensor)
    scores = two_columns(argument, scores)
    if scores.ndim < 2:
        raise fail(argument, "shape (N, K) with K >= 2", tuple(scores.shape), "give one row of K per example")
    check_int("class_dim", class_dim, least=-scores.ndim, remedy=f"name the axis of {argument} that holds the classes")
    if class_dim >= scores.ndim:
        remedy = f"name the axis of {argument} that holds the classes"
        raise fail("class_dim", f"an axis of {argument}, below {scores.ndim}", class_dim, remedy)
    moved = scores.movedim(int(class_dim), -1)
    if moved.shape[-1] < 2:
        raise fail(argument, "shape (N, K) with K >= 2", tuple(scores.shape), "give one row of K per example")
    return moved


def two_columns(argument: str, scores: Tensor) -> Tensor:
    """Return (N, 2) scores of a binary problem from one column, (N,) or (N, 1); other scores are returned unchanged.

    Args:
        argument: "probs" if the column is the probability of class 1; otherwise it is the logit of class 1, whose
            sigmoid is this probability, and class 0 gets the logit 0.
        scores: (N,) or (N, 1) float, or scores of another shape.
    """
    if not is_one_column(scores):
        return scores
    column = scores.reshape(-1)
    if argument == "probs":
        column = column.float() if column.itemsize < 4 else column
        return torch.stack([1 - column, column], 1)
    return torch.stack([torch.zeros_like(column), column], 1)


def is_one_column(scores: Tensor) -> bool:
    """Return whether scores have the shape (N,) or (N, 1)."""
    return scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1)


def row_chunks(probs: Tensor, *, place: Callable[[int], str] | None = None) -> Iterator[tuple[slice, Tensor]]:
    """Yield the slice of each chunk of rows, and its probabilities in float32 or wider, once they are checked.

    Args:
        probs: (N, K) float.
        place: names a row for the error; None: "row 3".
    """
    step = max(1, CHUNK // probs.shape[1])
    for start in range(0, len(probs), step):
        rows = slice(start, min(start + step, len(probs)))
        chunk = probs[rows].detach()
        chunk = chunk.float() if chunk.itemsize < 4 else chunk
        _check_chunk(chunk, lambda row, start=start: (place or _row)(start + row), sum_tolerance(probs))
        yield rows, chunk


def check_probs(probs: Tensor) -> None:
    """Require that every row holds probabilities that sum to 1."""
    for _ in row_chunks(probs):
        pass


def refuse_swapped(argument: str, scores: object, labels: object) -> None:
    """Raise an error that says so if floating-point scores and integer labels were given in the wrong order."""
    if not isinstance(scores, Tensor) or not isinstance(labels, Tensor):
        return
    if labels.is_floating_point() and not scores.is_floating_point() and labels.ndim == scores.ndim + 1:
        got = f"dtype {scores.dtype}, and labels of dtype {labels.dtype}"
        raise fail_type(argument, "a floating-point tensor", got, f"swap {argument} and labels")


def _advise_class_dim(moved: Tensor, labels: object, class_dim: int) -> None:
    """Name the axis of the classes if labels of this shape would fit another one than `class_dim`."""
    if not isinstance(labels, Tensor) or labels.shape == moved.shape[:-1] or moved.ndim < 3:
        return
    given = moved.movedim(-1, class_dim)
    axes = [axis for axis in range(given.ndim) if labels.shape == given.shape[:axis] + given.shape[axis + 1 :]]
    if axes:
        required = f"shape {tuple(moved.shape[:-1])}"
        raise fail("labels", required, tuple(labels.shape), f"pass class_dim={1 if 1 in axes else axes[0]}")


def _row(row: int) -> str:
    return f"row {row}"


def _check_chunk(chunk: Tensor, place: Callable[[int], str], tolerance: float) -> None:
    if not values_visible(chunk):
        return
    sums = chunk.sum(1)
    low, high = (sums - 1).aminmax()
    # comparisons with NaN are false
    if -tolerance <= low and high <= tolerance and chunk.amin() >= 0:
        return
    row = first_bad(~((sums - 1).abs() <= tolerance) | ~(chunk >= 0).all(1))
    assert row is not None
    at = f"at {place(row[0])}"
    index = first_bad(~(chunk[row] >= 0))
    if index is not None:
        got = f"{entry(chunk[row], index)} {at}, class {index[0]}"
        remedy = "if these are logits, pass logits.softmax(-1); otherwise fix that row"
        raise fail("probs", "probabilities, at least 0", got, remedy)
    got = f"a sum of {entry(sums, row)} {at}"
    remedy = "if these are logits, pass logits.softmax(-1); otherwise divide the row by its sum"
    raise fail("probs", "probabilities, each row summing to 1", got, remedy)
