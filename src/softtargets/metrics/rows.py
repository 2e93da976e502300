"""Predictions and labels as checked rows, a chunk at a time; every metric reads them here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from softtargets._checks import (
    check_floating,
    check_labels,
    check_mask,
    first_bad,
    sum_tolerance,
    values_visible,
    where,
)
from softtargets._errors import InputError, fail
from softtargets._numerics import at_least_float32

Kind = Literal["logits", "probs"]

# Numbers worked on at a time: what a core keeps close by.
_CHUNK_NUMBERS = 2**20
# Two entries of a row that sums to 1, as far as half precision can tell, are not both above this.
_NO_TIES = 0.52
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows. What is computed of a row depends on nothing but that row, to the last bit; on the CPU, that is.

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
        """Probabilities, (n, K) float64 in [0, 1]."""
        if self.kind == "probs":
            # rounding in a softmax can leave a hair more than 1
            return self.values.clamp(max=1.0).double()
        exponentials, sums = self._exponentials
        return exponentials / sums[:, None]

    @cached_property
    def predicted(self) -> Tensor:
        """The class of the largest value, (n,) int64; of equal ones the lowest."""
        return self.values.argmax(1)

    @cached_property
    def correct(self) -> Tensor:
        """Whether that is the label, (n,) bool."""
        # Where the largest is takes several times as long to ask as how large it is, and differs for ties alone, of
        # which no row has one above a half.
        correct = self.values.gather(1, self.labels[:, None])[:, 0] == self._largest
        limit = _NO_TIES if self.kind == "probs" else torch.inf
        doubtful = (correct & (self._largest < limit)).nonzero()[:, 0]
        rows, top = (part.index_select(0, doubtful) for part in (self.values, self._largest))
        if int((rows == top[:, None]).count_nonzero()) > len(rows):
            correct[doubtful] = rows.argmax(1) == self.labels[doubtful]
        return correct

    @cached_property
    def rank(self) -> Tensor:
        """How many classes stand before the label, (n,) int64: larger ones, and equal ones of a lower number."""
        of_label = self.values.gather(1, self.labels[:, None])
        lower = torch.arange(self.num_classes, device=self.labels.device) < self.labels[:, None]
        return ((self.values > of_label) | ((self.values == of_label) & lower)).sum(1)

    @cached_property
    def top(self) -> Tensor:
        """The largest probability, (n,) in [0, 1]: float64 of logits, and as given of probabilities."""
        return self._largest.clamp(max=1.0) if self.kind == "probs" else 1 / self._exponentials[1]

    @property
    def confidence(self) -> Tensor:
        """The largest probability, (n,) float64 in [0, 1]."""
        return self.top.double()

    @cached_property
    def log_likelihood(self) -> Tensor:
        """The logarithm of the label's probability, (n,) float64 of at most 0; -inf where that is 0."""
        of_label = self.values.gather(1, self.labels[:, None])[:, 0].double()
        if self.kind == "probs":
            return of_label.clamp(max=1.0).log()
        return of_label - self._largest.double() - self._exponentials[1].log()

    @cached_property
    def _largest(self) -> Tensor:
        """The largest value, (n,)."""
        if self.kind == "logits" or self.values.dtype not in _BITS:
            return self.values.amax(1)
        # Numbers of at least 0 are ordered as their bits are, of which no NaN need be thought.
        return self.values.view(_BITS[self.values.dtype]).amax(1).view(self.values.dtype)

    @cached_property
    def _exponentials(self) -> tuple[Tensor, Tensor]:
        """Exponentials of logits less the largest, (n, K), and their sums, (n,); float64."""
        exponentials = (self.values.double() - self._largest.double()[:, None]).exp()
        return exponentials, sum_of_rows(exponentials)


def sum_of_rows(values: Tensor) -> Tensor:
    """Return the sums, (n,), of (n, K) values, those of one row alone as they are among others."""
    # A single sum may be split between threads, which add in another order.
    return values.sum(1) if len(values) > 1 else values.expand(2, -1).sum(1)[:1]


def chunks(
    probs: Tensor | None,
    labels: Tensor | None,
    *,
    logits: Tensor | None = None,
    mask: Tensor | None = None,
    ids: Tensor | None = None,
) -> Iterator[Rows]:
    """Check predictions and labels, and yield their rows, checked, a chunk at a time.

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
    rows, of_rows = values.detach().reshape(-1, values.shape[-1]), _numbers("labels", labels, shape).reshape(-1)
    check_mask(mask, shape)
    counted = None if mask is None else mask.reshape(-1)
    names = None if ids is None else _numbers("ids", ids, shape).reshape(-1)
    step = max(2, _CHUNK_NUMBERS // rows.shape[1])

    def parts() -> Iterator[tuple[Tensor, Tensor, slice]]:
        for start in range(0, len(rows), step):
            here = slice(start, min(start + step, len(rows)))
            keep = slice(None) if counted is None else counted[here]
            # sums over a row depend on how it lies in memory
            yield rows[here][keep].contiguous(), of_rows[here][keep].long(), here

    def places(here: slice) -> Tensor:
        at = torch.arange(here.start, here.stop, device=rows.device)
        return at if counted is None else at[counted[here]]

    for part, of_part, here in parts():
        place = partial(_place, places=partial(places, here), shape=shape)
        _check_labels(of_part, place, rows.shape[1])
        _check_values(part, kind, place)
        if len(part):
            at = places(here)
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


def _numbers(argument: str, tensor: Tensor | None, shape: torch.Size) -> Tensor:
    # what they are; in what range labels lie is asked row by row
    check_labels(argument, tensor.new_empty(0) if isinstance(tensor, Tensor) else tensor)
    assert tensor is not None
    if tensor.shape != shape:
        raise fail(argument, f"shape {tuple(shape)}", tuple(tensor.shape), "give one per row")
    return tensor


def _place(row: int, places: Callable[[], Tensor], shape: torch.Size) -> str:
    index = [int(i) for i in torch.unravel_index(places()[row], shape)]
    return where(tuple(index))


def _check_labels(labels: Tensor, place: Callable[[int], str], num_classes: int) -> None:
    if not len(labels) or not values_visible(labels):
        return
    low, high = labels.aminmax()
    if low >= 0 and high < num_classes:
        return
    (row,) = first_bad((labels < 0) | (labels >= num_classes)) or (0,)
    required = f"labels of at least 0 and below {num_classes}, the number of classes"
    raise fail("labels", required, f"{int(labels[row])} at {place(row)}", "fix it, or mask what does not count")


def _check_values(values: Tensor, kind: Kind, place: Callable[[int], str]) -> None:
    if not len(values) or not values_visible(values):
        return
    if kind == "probs":
        bad = _not_probabilities(values)
    else:
        # NaN and +inf make the largest one of them; a row of -inf makes it -inf
        bad = ~values.amax(1).isfinite()
    if bad is not None and (index := first_bad(bad)) is not None:
        raise _unfit(values[index[0]], kind, place(index[0]))


def _not_probabilities(values: Tensor) -> Tensor | None:
    """Return which rows are no probabilities, or None where all are."""
    # comparisons that NaN fails; the least of all first, which fetches them fastest
    least = values.amin() >= 0
    # a product with ones is several times as fast as a sum
    wide = at_least_float32(values)
    sums = wide @ wide.new_ones(wide.shape[1])
    tolerance = sum_tolerance(values)
    low, high = sums.aminmax()
    if least and low >= 1 - tolerance and high <= 1 + tolerance:
        return None
    return ~((values >= 0).all(1) & ((sums - 1).abs() <= tolerance))


def _unfit(row: Tensor, kind: Kind, place: str) -> InputError:
    if kind == "probs":
        got = f"a sum of {float(row.double().sum()):g} and a least entry of {float(row.min()):g} at {place}"
        return fail("probs", "rows of probabilities", got, "pass logits= for logits")
    return fail("logits", "numbers, or -inf for some of a row", f"{float(row.max()):g} at {place}", "fix or mask it")
