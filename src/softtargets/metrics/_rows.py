"""Predictions and labels as checked rows, a chunk at a time; every metric reads them here."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import check_floating, check_labels, first_bad, sum_tolerance, values_visible, where
from softtargets._errors import InputError, fail, fail_type

Kind = Literal["logits", "probs"]

# Numbers worked on at a time: what a core keeps close by.
_CHUNK_NUMBERS = 2**18


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows. What is computed of a row depends on nothing but that row, to the last bit.

    Attributes:
        values: (n, K) floating point.
        kind: what they are.
        labels: (n,) int64 in [0, K).
        ids: (n,) int64, which example each row is.
    """

    values: Tensor
    kind: Kind
    labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.values.shape[1]

    @cached_property
    def probs(self) -> Tensor:
        """Probabilities, (n, K) float64."""
        if self.kind == "probs":
            return self.values.double()
        exponentials, sums, _ = self._exponentials
        return exponentials / sums[:, None]

    @cached_property
    def predicted(self) -> Tensor:
        """The class of the largest value, (n,) int64; of equal ones the lowest."""
        return self._largest[1]

    @cached_property
    def correct(self) -> Tensor:
        """Whether that is the label, (n,) bool."""
        return self.predicted == self.labels

    @cached_property
    def confidence(self) -> Tensor:
        """The largest probability, (n,) float64 in [0, 1]."""
        if self.kind == "probs":
            # rounding in a softmax can leave a hair more than 1
            return self._largest[0].double().clamp(max=1.0)
        return 1 / self._exponentials[1]

    @cached_property
    def log_likelihood(self) -> Tensor:
        """The logarithm of the label's probability, (n,) float64 of at most 0; -inf where that is 0."""
        of_label = self.values.gather(1, self.labels[:, None])[:, 0].double()
        if self.kind == "probs":
            return of_label.clamp(max=1.0).log()
        _, sums, top = self._exponentials
        return of_label - top - sums.log()

    @cached_property
    def _largest(self) -> tuple[Tensor, Tensor]:
        return self.values.max(1)

    @cached_property
    def _exponentials(self) -> tuple[Tensor, Tensor, Tensor]:
        """Exponentials of logits less the largest, (n, K), their sums and the largest, (n,); float64."""
        values = self.values.double()
        # A sum over a single row may be split between threads, which add in another order than for many rows.
        values = values if len(values) > 1 else values.expand(2, -1)
        top = values.amax(1)
        exponentials = (values - top[:, None]).exp()
        n = len(self)
        return exponentials[:n], exponentials.sum(1)[:n], top[:n]


def chunks(
    probs: Tensor | None,
    labels: Tensor | None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    ids: Tensor | None = None,
) -> Iterator[Rows]:
    """Check predictions and labels, and yield their rows a chunk at a time; all are checked before the first comes.

    Args:
        probs: (..., K) float, K >= 2, rows sum to 1; or None.
        labels: (...) int64 in [0, K).
        logits: (..., K) float, instead of `probs`; -inf is a class that cannot be.
        mask: (...) bool, the rows that count; None: all. Nothing is asked of the others.
        ids: (...) int64, which example each row is; None: counted from 0.

    Raises:
        ValueError: where not exactly one of `probs` and `logits` is given, shapes differ, rows are no probabilities, a
            logit is NaN or +inf, or a label is out of range (first bad row named).
        TypeError: where values are not floating-point, labels or ids not integers, or mask not bool.
    """
    kind, values = _given(probs, logits)
    if values.ndim < 2 or values.shape[-1] < 2:
        raise fail(kind, "shape (..., K) with K >= 2", tuple(values.shape), "give one row of K per example")
    shape = values.shape[:-1]
    # what labels are is asked first, their range row by row below
    check_labels("labels", labels if not isinstance(labels, Tensor) else labels[:0])
    rows, of_rows = values.detach().reshape(-1, values.shape[-1]), _beside("labels", labels, shape).reshape(-1)
    counted = None if mask is None else _masked(mask, shape).reshape(-1)
    names = None if ids is None else _numbers(ids, shape).reshape(-1)
    step = max(2, _CHUNK_NUMBERS // rows.shape[1])

    def parts() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for start in range(0, len(rows), step):
            at = torch.arange(start, min(start + step, len(rows)), device=rows.device)
            keep = slice(None) if counted is None else counted[start : start + step]
            yield rows[start : start + step][keep], of_rows[start : start + step][keep].long(), at[keep]

    for part, of_part, at in parts():
        _check_labels(of_part, at, shape, rows.shape[1])
        _check_values(part, kind, at, shape)
    for part, of_part, at in parts():
        if len(part):
            yield Rows(part, kind, of_part, at if names is None else names[at].long())


def _given(probs: Tensor | None, logits: Tensor | None) -> tuple[Kind, Tensor]:
    if (probs is None) == (logits is None):
        got = "neither" if probs is None else "both"
        raise fail("probs", "either probs or logits", got, "pass probabilities, or logits= by that name")
    kind: Kind = "probs" if logits is None else "logits"
    values = probs if logits is None else logits
    check_floating(kind, values)
    assert values is not None
    return kind, values


def _beside(argument: str, tensor: Tensor | None, shape: torch.Size) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise fail_type(argument, "an int64 tensor", type(tensor).__name__, "pass a torch.Tensor")
    if tensor.shape != shape:
        raise fail(argument, f"shape {tuple(shape)}", tuple(tensor.shape), "give one per row")
    return tensor


def _numbers(ids: Tensor, shape: torch.Size) -> Tensor:
    check_labels("ids", ids if not isinstance(ids, Tensor) else ids[:0])
    return _beside("ids", ids, shape)


def _masked(mask: Tensor, shape: torch.Size) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise fail_type("mask", "a bool tensor, True for what counts", got, "compare it with what is padding")
    return _beside("mask", mask, shape)


def _place(row: int, at: Tensor, shape: torch.Size) -> str:
    index = [int(i) for i in torch.unravel_index(at[row], shape)]
    return where(tuple(index))


def _check_labels(labels: Tensor, at: Tensor, shape: torch.Size, num_classes: int) -> None:
    if not len(labels) or not values_visible(labels):
        return
    low, high = labels.aminmax()
    if low >= 0 and high < num_classes:
        return
    (row,) = first_bad((labels < 0) | (labels >= num_classes)) or (0,)
    required = f"labels of at least 0 and below {num_classes}, the number of classes"
    raise fail(
        "labels", required, f"{int(labels[row])} at {_place(row, at, shape)}", "mend it, or mask what does not count"
    )


def _check_values(values: Tensor, kind: Kind, at: Tensor, shape: torch.Size) -> None:
    if not len(values) or not values_visible(values):
        return
    if kind == "probs":
        bad = _not_probabilities(values)
    else:
        # NaN and +inf make the largest one of them; a row of -inf makes it -inf
        bad = ~values.amax(1).isfinite()
    if bad is not None and (index := first_bad(bad)) is not None:
        raise _unfit(values[index[0]], kind, _place(index[0], at, shape))


def _not_probabilities(values: Tensor) -> Tensor | None:
    """Return which rows are no probabilities, or None where all are."""
    sums = values.sum(1, dtype=torch.float32 if values.element_size() < 8 else values.dtype)
    tolerance = sum_tolerance(values)
    low, high = (sums - 1).aminmax()
    # comparisons that NaN fails
    if low >= -tolerance and high <= tolerance and values.min() >= 0:
        return None
    return ~((values >= 0).all(1) & ((sums - 1).abs() <= tolerance))


def _unfit(row: Tensor, kind: Kind, place: str) -> InputError:
    if kind == "probs":
        got = f"a sum of {float(row.double().sum()):g} and a least entry of {float(row.min()):g} at {place}"
        return fail("probs", "rows of probabilities", got, "pass logits= for logits")
    return fail("logits", "numbers, or -inf for some of a row", f"{float(row.max()):g} at {place}", "mend or mask it")
