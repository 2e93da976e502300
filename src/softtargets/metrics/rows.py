"""Predictions and labels as checked rows, one chunk at a time. Every metric reads its arguments here."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from softtargets._checks import check_mask, first_bad, sum_tolerance, values_visible, where
from softtargets._errors import InputError, fail
from softtargets._native.label_ranks import label_ranks
from softtargets._native.top_class import TopClasses, top_classes
from softtargets._numerics import at_least_float32, sum_of_rows, times
from softtargets.metrics._cells import cell_of
from softtargets.metrics.arguments import (
    REQUIRED,
    Kind,
    check_id_type,
    check_ignore_index,
    check_label_type,
    check_shape,
    classes_last,
    label_advice,
    read_scores,
)
from softtargets.metrics.groups import group_of
from softtargets.metrics.soft_labels import are_soft, read_soft_labels

# Numbers processed at a time; they fit into the cache of a core.
_CHUNK_NUMBERS = 2**20
# The pass over a chunk takes sums farther from 1 than this share of the tolerance for suspicious, and leaves the
# decision to `_check_values`, since the two round differently.
_SUSPICIOUS = 0.9


@dataclass(frozen=True, eq=False)
class Rows:
    """A chunk of rows. On the CPU, what is computed for a row depends on that row alone, to the last bit.

    Attributes:
        values: (n, K) floating-point probabilities or logits.
        kind: "probs" or "logits".
        labels: (n,) int64 in [0, K); of soft labels, the most likely class.
        found: the largest value of each row and its class.
        read_ids: returns `ids`.
        soft: (n, K) float64, the distribution of the label of each row; None for hard labels.
    """

    values: Tensor
    kind: Kind
    labels: Tensor
    found: TopClasses
    read_ids: Callable[[], Tensor]
    soft: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.values.shape[1]

    @cached_property
    def ids(self) -> Tensor:
        """The id of each example, (n,) int64."""
        return self.read_ids()

    def group(self, groups: int, seed: int, before: int) -> Tensor:
        """Return the group of each example, (n,) int64; `before` is added to the ids."""
        if groups == 1:
            return self.labels.new_zeros(1).expand(len(self))
        key = groups, seed, before
        if key not in self._groups:
            self._groups[key] = group_of(self.ids, groups, seed, before)
        return self._groups[key]

    @cached_property
    def _groups(self) -> dict[tuple[int, int, int], Tensor]:
        """Groups that accumulators share."""
        return {}

    @cached_property
    def probs(self) -> Tensor:
        """Probabilities, (n, K) float64 in [0, 1]."""
        if self.kind == "probs":
            # a rounded softmax can exceed 1 slightly
            return self.values.clamp(max=1.0).double()
        return self.found.exponentials / self.found.sums[:, None]

    @property
    def predicted(self) -> Tensor:
        """The predicted class, (n,) int64; on ties the lowest class."""
        return self.found.predicted

    @property
    def correct(self) -> Tensor:
        """Whether the predicted class is the label, (n,) bool."""
        return self.found.correct

    def hits(self, top_k: int = 1) -> Tensor:
        """Return whether the label is among the `top_k` most likely classes, (n,) bool.

        With soft labels, return the probability of it, (n,) float64.
        """
        if self.soft is None:
            return self.correct if top_k == 1 else self.rank < top_k
        if top_k == 1:
            return self.soft.gather(1, self.predicted[:, None])[:, 0]
        # stable: on ties the lower class is first
        order = self.values.sort(dim=1, descending=True, stable=True).indices
        return sum_of_rows(self.soft.gather(1, order[:, :top_k]))

    def expected(self, of_classes: Tensor) -> Tensor:
        """Return the entry of the label in (n, K) numbers of the classes, its mean under soft labels, (n,)."""
        if self.soft is None:
            return of_classes.gather(1, self.labels[:, None])[:, 0]
        return sum_of_rows(times(self.soft, of_classes))

    @cached_property
    def rank(self) -> Tensor:
        """The number of classes ranked before the label, (n,) int64; on ties the lower class is first."""
        return label_ranks(self.values, self.labels)

    @cached_property
    def top(self) -> Tensor:
        """The largest probability, (n,) in [0, 1]; float64 for logits, at least float32 for probabilities."""
        return self.found.largest if self.kind == "probs" else 1 / self.found.sums

    @cached_property
    def confidence(self) -> Tensor:
        """The largest probability, (n,) float64 in [0, 1]."""
        return self.top.double()

    @cached_property
    def cell(self) -> Tensor:
        """The cell of the confidence in which sketches of a ranking count, (n,) int64."""
        return cell_of(self.confidence)

    @cached_property
    def log_likelihood(self) -> Tensor:
        """The log-probability of the label, (n,) float64, at most 0; -inf where the probability is 0.

        With soft labels it is the mean over their classes.
        """
        if self.soft is not None:
            values = self.values.double()
            if self.kind == "probs":
                return self.expected(values.clamp(max=1.0).log())
            return self.expected(values - self.found.largest[:, None] - self.found.sums.log()[:, None])
        of_label = self.values.gather(1, self.labels[:, None])[:, 0].double()
        if self.kind == "probs":
            return of_label.clamp(max=1.0).log()
        return of_label - self.found.largest - self.found.sums.log()


@dataclass(frozen=True, eq=False)
class RowReader:
    """Predictions and labels of matching shapes. Iteration checks their values and yields them in chunks.

    Attributes:
        kind: "probs" or "logits".
        values: (..., K) floating point.
        labels: (...) integers, or (..., K) soft labels.
        mask: (...) bool or None.
        ids: (...) integers or None; None: the rows are counted from 0, including those that are left out.
        ignore_index: label of rows that are left out.
    """

    kind: Kind
    values: Tensor
    labels: Tensor
    mask: Tensor | None
    ids: Tensor | None
    ignore_index: int

    @property
    def num_classes(self) -> int:
        """K."""
        return self.values.shape[-1]

    @property
    def soft(self) -> bool:
        """Whether labels are soft."""
        return self.labels.ndim == self.values.ndim

    @property
    def num_rows(self) -> int:
        """The number of all rows, including those that are left out."""
        return math.prod(self.values.shape[:-1])

    def __iter__(self) -> Iterator[Rows]:
        step = max(2, _CHUNK_NUMBERS // self.num_classes)
        per_entry = math.prod(self.values.shape[1:-1])
        # Entries of the first axis, since only so many are copied at a time where classes are not last in memory.
        entries = max(1, step // max(1, per_entry))
        for start in range(0, len(self.values), entries):
            part = slice(start, start + entries)
            values = self.values[part].reshape(-1, self.num_classes)
            columns = [None if c is None else c[part].reshape(-1) for c in (self.mask, self.ids)]
            marks = self.labels[part].reshape((-1, self.num_classes) if self.soft else (-1,))
            for low in range(0, len(values), step):
                here = slice(low, low + step)
                mask, ids = (None if column is None else column[here] for column in columns)
                read = self._soft_rows if self.soft else self._rows
                yield from read(values[here], marks[here], mask, ids, start * per_entry + low)

    def _rows(
        self, values: Tensor, labels: Tensor, mask: Tensor | None, ids: Tensor | None, first: int
    ) -> Iterator[Rows]:
        """Leave rows out, check the others and yield them, if there are any; `first` is the number of the first."""
        # int64 before any comparison: in a narrower dtype -100 or the number of classes wraps around
        whole = labels.to(values.device, torch.int64)
        keep = None if mask is None else mask.to(values.device)
        if keep is None and not 0 <= self.ignore_index < self.num_classes:
            # if the pass finds no label out of range, none is ignored
            found = self._found(values.contiguous(), whole)
            if found.checked:
                numbers = partial(_numbers, first, len(values), None, values.device)
                yield self._checked(values.contiguous(), whole, found, numbers, ids, None)
                return
        if bool((ignored := whole == self.ignore_index).any()):
            keep = ~ignored if keep is None else keep & ~ignored
        numbers = partial(_numbers, first, len(values), keep, values.device)
        if keep is not None:
            values, whole = values[keep], whole[keep]
        if not len(values):
            return
        # the last bits of a sum depend on the layout in memory
        values = values.contiguous()
        found = self._found(values, whole)
        if not found.checked:
            place = partial(_place, numbers=numbers, shape=self.values.shape[:-1])
            _check_labels(whole, place, self.num_classes, self.ignore_index)
            _check_values(values, self.kind, place)
        yield self._checked(values, whole, found, numbers, ids, keep)

    def _soft_rows(
        self, values: Tensor, labels: Tensor, mask: Tensor | None, ids: Tensor | None, first: int
    ) -> Iterator[Rows]:
        """Do the same for (n, K) soft labels."""
        keep = None if mask is None else mask.to(values.device)
        numbers = partial(_numbers, first, len(values), keep, values.device)
        labels = labels.to(values.device)
        if keep is not None:
            values, labels = values[keep], labels[keep]
        if not len(values):
            return
        place = partial(_place, numbers=numbers, shape=self.values.shape[:-1])
        soft = read_soft_labels(labels, place)
        # on ties the lowest class
        most_likely, values = soft.max(1).indices, values.contiguous()
        found = self._found(values, most_likely)
        if not found.checked:
            _check_values(values, self.kind, place)
        yield replace(self._checked(values, most_likely, found, numbers, ids, keep), soft=soft)

    def _found(self, values: Tensor, labels: Tensor) -> TopClasses:
        tolerance = _SUSPICIOUS * sum_tolerance(values)
        return top_classes(values, labels, probs=self.kind == "probs", tolerance=tolerance)

    def _checked(
        self,
        values: Tensor,
        labels: Tensor,
        found: TopClasses,
        numbers: Callable[[], Tensor],
        ids: Tensor | None,
        keep: Tensor | None,
    ) -> Rows:
        read_ids = numbers if ids is None else partial(_given, ids, keep, values.device)
        return Rows(values, self.kind, labels, found, read_ids)


def chunks(
    probs: Tensor = REQUIRED,
    labels: Tensor = REQUIRED,
    *,
    logits: Tensor = REQUIRED,
    mask: Tensor | None = None,
    ids: Tensor | None = None,
    ignore_index: int = -100,
    class_dim: int = -1,
    soft: bool = False,
) -> RowReader:
    """Check shapes and dtypes of predictions and labels, and return their rows for iteration.

    Args:
        probs: (..., K) float with K >= 2; each row sums to 1. One column, (N,) or (N, 1), is the probability of class 1
            of a binary problem.
        labels: (...) integers in [0, K), or (..., K) soft labels: votes, or probabilities that sum to 1.
        logits: (..., K) float, in place of `probs`; -inf for a masked class.
        mask: (...) bool, True for rows to include. Default: all. The values of other rows are not checked.
        ids: (...) integers, the id of each example. Default: rows are counted from 0.
        ignore_index: rows with this label are left out, and not checked either.
        class_dim: axis of the classes.
        soft: whether soft labels are accepted.

    Raises:
        ValueError: if both or neither of `probs` and `logits` are given or shapes differ; during iteration if a row is
            not a probability distribution, a logit is NaN or +inf, or a label is out of range (first bad row named).
        TypeError: if predictions are not floating-point, labels or ids not integers, or mask not bool.
    """
    kind, scores = read_scores(probs, labels, logits)
    check_ignore_index(ignore_index)
    values = classes_last(kind, scores.detach(), class_dim)
    one_column = values.ndim != scores.ndim or values.shape[-1] != scores.shape[class_dim]
    if are_soft(labels, values if one_column else scores):
        if not soft:
            remedy = "this argument takes no probabilities or votes, use labels.argmax(-1)"
            raise fail(
                "labels", "integer labels (one class per row)", f"soft labels of shape {tuple(labels.shape)}", remedy
            )
        labels = labels.detach().movedim(-1 if one_column else class_dim, -1)
    else:
        check_shape("labels", check_label_type("labels", labels), values)
    check_mask(mask, tuple(values.shape[:-1]))
    if ids is not None:
        check_shape("ids", check_id_type(ids), values)
    return RowReader(kind, values, labels, mask, ids, ignore_index)


def _numbers(first: int, count: int, keep: Tensor | None, device: torch.device) -> Tensor:
    """Return the numbers of `count` rows from `first` on, without those that are left out."""
    numbers = torch.arange(first, first + count, device=device)
    return numbers if keep is None else numbers[keep]


def _given(ids: Tensor, keep: Tensor | None, device: torch.device) -> Tensor:
    """Return the given ids as int64, without those that are left out."""
    ids = ids.to(device, torch.int64)
    return ids if keep is None else ids[keep]


def _place(row: int, numbers: Callable[[], Tensor], shape: torch.Size) -> str:
    index = [int(i) for i in torch.unravel_index(numbers()[row], shape)]
    return where(tuple(index))


def _check_labels(labels: Tensor, place: Callable[[int], str], num_classes: int, ignore_index: int) -> None:
    if not values_visible(labels):
        return
    low, high = labels.aminmax()
    if low >= 0 and high < num_classes:
        return
    (row,) = first_bad((labels < 0) | (labels >= num_classes)) or (0,)
    required = f"labels of at least 0 and below {num_classes}, the number of classes"
    required += " (one column of predictions has two)" if num_classes == 2 else ""
    raise fail("labels", required, f"{int(labels[row])} at {place(row)}", label_advice(ignore_index))


def _check_values(values: Tensor, kind: Kind, place: Callable[[int], str]) -> None:
    if not values_visible(values):
        return
    if kind == "probs":
        bad = _not_probabilities(values)
    else:
        # the maximum is NaN or +inf if any entry is, and -inf if all are
        bad = ~values.amax(1).isfinite()
    if bad is not None and (index := first_bad(bad)) is not None:
        raise _unfit(values[index[0]], kind, place(index[0]))


def _not_probabilities(values: Tensor) -> Tensor | None:
    """Return which rows are not probability distributions, (n,) bool, or None if all are."""
    # comparisons are False for NaN; the minimum first, which loads the values fastest
    least = values.amin() >= 0
    # a matrix product with ones is several times as fast as a sum
    wide = at_least_float32(values)
    sums = wide @ wide.new_ones(wide.shape[1])
    tolerance = sum_tolerance(values)
    low, high = sums.aminmax()
    if least and low >= 1 - tolerance and high <= 1 + tolerance:
        return None
    return ~((values >= 0).all(1) & ((sums - 1).abs() <= tolerance))


def _unfit(row: Tensor, kind: Kind, place: str) -> InputError:
    if kind == "probs":
        got = f"a sum of {float(row.double().sum()):g} and a minimum of {float(row.min()):g} at {place}"
        return fail("probs", "rows of probabilities", got, "pass logits= for logits")
    required = "finite numbers, or -inf for some classes of a row"
    return fail("logits", required, f"{float(row.max()):g} at {place}", "fix that row or leave it out by mask=")
