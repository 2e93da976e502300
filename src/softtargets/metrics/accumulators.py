"""Metrics accumulated over any number of batches; the state is integers, which are added exactly.

What a row adds is computed from that row alone, so that any split of the examples gives the same bits. With logits this
computation is an exponential and a sum over classes, whose last bit can differ between kinds of processors. The tests
run on the CPU.
"""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar, Literal, Self, TypeVar, Unpack, overload

import torch
from torch import Tensor

from softtargets._arrays import ArrayLike, array_function
from softtargets._checks import check_count
from softtargets._errors import fail, fail_type
from softtargets.metrics._state import State
from softtargets.metrics.arguments import REQUIRED, UpdateOptions, nothing_left
from softtargets.metrics.rows import RowReader, Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["Accumulator"]


class Accumulator(ABC):
    """A metric that is updated batch by batch.

    A subclass defines which arrays it keeps (`_fields`), what rows add to them (`_add`) and the metric of their totals
    (`_value`).

    Args:
        groups: number of random groups of examples that are kept apart. 1 suffices for the metric itself. A bootstrap
            interval resamples groups and needs more, usually 1,000.
        seed: seed of the hash that assigns examples to groups by their ids.
    """

    interval_method: ClassVar[Literal["percentile", "basic"]] = "percentile"
    # lower bound of the metric, or of each of its numbers
    least: ClassVar[float | tuple[float, ...]] = 0.0
    # upper bound of the metric
    most: ClassVar[float] = math.inf

    def __init__(self, *, groups: int = 1, seed: int = 0) -> None:
        check_count("groups", groups, least=1, remedy="1 is enough without an interval, 1000 are usual with one")
        check_count("seed", seed, least=0, remedy="pass 0 or more")
        self.groups, self.seed = int(groups), int(seed)
        self.reset()

    @abstractmethod
    def _fields(self, num_classes: int) -> dict[str, Field]:
        """Return the arrays of the state by name."""

    def _soft_fields(self, num_classes: int) -> dict[str, Field]:
        """Return the arrays of the state for soft labels; metrics that are not defined for them raise an error."""
        remedy = "use labels.argmax(-1); Accuracy, NLL, Brier and ECE take soft labels"
        raise fail("labels", f"one class per row for {type(self).__name__}", "soft labels", remedy)

    @abstractmethod
    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        """Add rows, whose groups are (n,), to the fields."""

    @abstractmethod
    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        """Return the metric of R totals, (R, ...). Every field is (R, *shape) float64; "rows" is (R,)."""

    def reset(self) -> None:
        """Remove all examples."""
        self._state: State | None = None

    def prepare(self, num_classes: int, device: torch.device | str | None = None, *, soft: bool = False) -> State:
        """Allocate the state for a number of classes, and for hard or soft labels, unless it exists, and return it.

        Raises:
            ValueError: if the number of classes or the kind of labels differs from that of earlier examples, or the
                metric does not take soft labels.
        """
        if self._state is None:
            fields = self._all_fields(num_classes, soft)
            self._state = State(num_classes, GroupedSums.zeros(fields, self.groups, device), soft=soft)
        elif self._state.num_classes != num_classes:
            remedy = "use another accumulator for other classes"
            raise fail("probs", f"{self._state.num_classes} classes, as before", num_classes, remedy)
        elif self._state.soft != soft:
            before, now = ("soft", "hard") if self._state.soft else ("hard", "soft")
            remedy = "use another accumulator for them, or give the hard labels as one vote per row"
            raise fail("labels", f"{before} labels, as before", f"{now} labels", remedy)
        return self._state

    @overload
    def update(self, probs: ArrayLike, labels: ArrayLike, **options: Unpack[UpdateOptions]) -> Self: ...

    @overload
    def update(self, *, logits: ArrayLike, labels: ArrayLike, **options: Unpack[UpdateOptions]) -> Self: ...

    @array_function
    def update(
        self,
        probs: ArrayLike = REQUIRED,
        labels: ArrayLike = REQUIRED,
        *,
        logits: ArrayLike = REQUIRED,
        mask: ArrayLike | None = None,
        ids: ArrayLike | None = None,
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> Self:
        """Add examples.

        Args:
            probs: (..., K) float, probabilities; each row sums to 1. (N,) or (N, 1): the probability of class 1 of two.
            labels: (...) integers in [0, K), or (..., K) soft labels, as in :func:`nll`; all updates have one kind.
            logits: (..., K) float, in place of `probs`. (N,) or (N, 1): the log-odds of class 1 of two.
            mask: (...) bool, True for rows to include. Default: all rows.
            ids: (...) integers, the id of each example, which determines its group. Default: rows are counted from the
                first update on, including rows that are left out. Pass ids if accumulators are to be merged.
            ignore_index: rows with this label are left out.
            class_dim: axis of the classes in `probs` or `logits`.

        Returns:
            self.

        Raises:
            ValueError: if rows are not probabilities, labels are out of range, shapes differ, or the number of classes
                differs from before. The accumulator then stays unchanged.
            TypeError: if an argument is missing, predictions are not floating-point, or labels not integers.
        """
        options: dict[str, Any] = {"mask": mask, "ids": ids, "ignore_index": ignore_index, "class_dim": class_dim}
        return gather(self, chunks(probs, labels, logits=logits, soft=True, **options))

    def merge(self, other: "Accumulator") -> Self:
        """Add the examples of another accumulator with the same settings; the other stays unchanged.

        Raises:
            ValueError: if settings or numbers of classes differ, or both determined groups by counting rows.
            TypeError: if `other` is not an accumulator.
        """
        self.check_merge(other)
        theirs = other._state
        if theirs is not None:
            ours = self.prepare(theirs.num_classes, other.group_counts.device, soft=theirs.soft)
            ours.sums.merge(theirs.sums)
            ours.counted_ids |= theirs.counted_ids
            ours.rows_seen += theirs.rows_seen
        return self

    def check_merge(self, other: object) -> None:
        """Raise the errors of :meth:`merge` without merging."""
        if not isinstance(other, Accumulator):
            raise fail_type("other", "an accumulator", type(other).__name__, "merge accumulators of one class")
        if repr(other) != repr(self):
            raise fail("other", f"the settings {self!r}", repr(other), "merge accumulators of equal settings")
        ours, theirs = self._state, other._state
        if ours is None or theirs is None:
            return
        if ours.num_classes != theirs.num_classes:
            raise fail("other", f"{ours.num_classes} classes", theirs.num_classes, "use another accumulator for these")
        if ours.soft != theirs.soft:
            ours_are, theirs_are = ("soft", "hard") if ours.soft else ("hard", "soft")
            raise fail("other", f"{ours_are} labels", f"{theirs_are} labels", "use another accumulator for these")
        if self.groups > 1 and theirs.counted_ids and ours.counted_ids:
            got = "rows counted from 0 in both accumulators"
            raise fail("other", "examples with explicit ids", got, "pass ids= to update")

    def compute(self) -> Tensor:
        """Return the metric of all examples so far, float64.

        Raises:
            ValueError: if there are no examples.
        """
        return self._value(self._totals())[0]

    def replicates(self, weights: Tensor) -> Tensor:
        """Return the metric with each group weighted by its entry of `weights`.

        Args:
            weights: (R, groups) float64, at least 0.

        Returns:
            (R, ...) float64; not finite where a replicate has no examples.

        Raises:
            ValueError: if there are no examples.
        """
        return torch.cat([self._value(totals) for totals in self._state_of_rows().sums.weighted_totals(weights)])

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor by name."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def count(self) -> int:
        """The number of examples so far, without rows that were left out."""
        return int(self.group_counts.sum())

    @property
    def group_counts(self) -> Tensor:
        """The number of examples in each group, (groups,) int64."""
        return torch.zeros(self.groups, dtype=torch.int64) if self._state is None else self._state.sums["rows"]

    @property
    def numbers(self) -> int:
        """The number of integers that the state has per group."""
        return 0 if self._state is None else self._state.sums.numbers

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None before the first update."""
        return None if self._state is None else self._state.num_classes

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state as int64 tensors; empty before the first update. Equal examples give equal states."""
        return {} if self._state is None else self._state.to_dict(repr(self))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state by one from :meth:`state_dict` of an accumulator with the same settings.

        Raises:
            ValueError: if the state has other settings or other arrays. The accumulator then stays unchanged.
            TypeError: if it is not a dict of tensors.
        """
        self._state = self.read_state(state)

    def read_state(self, state: Mapping[str, Tensor]) -> State | None:
        """Check a state and return it, as :meth:`load_state_dict` does, without replacing the present one."""
        if isinstance(state, Mapping) and not state:
            return None
        return State.from_dict(state, repr(self), self.groups, self._all_fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"

    def _all_fields(self, num_classes: int, soft: bool) -> dict[str, Field]:
        return {"rows": Field(), **(self._soft_fields(num_classes) if soft else self._fields(num_classes))}

    def _take(self, sums: GroupedSums, rows: Rows, before: int) -> None:
        """Add rows to sums; `before` is added to their ids."""
        group = rows.group(self.groups, self.seed, before)
        sums.count("rows", group)
        self._add(sums, rows, group)

    def _totals(self) -> dict[str, Tensor]:
        """Return every field, (1, *shape) float64, summed over all groups."""
        return self._state_of_rows().sums.totals()

    def _state_of_rows(self) -> State:
        """Return the state if there are examples."""
        if self._state is None or self.count == 0:
            raise nothing_left(type(self).__name__)
        return self._state


Gathered = TypeVar("Gathered", bound=Accumulator)


def gather(accumulator: Gathered, read: RowReader) -> Gathered:
    """Add the rows to an accumulator and return it."""
    update_all((accumulator,), read)
    return accumulator


def update_all(accumulators: tuple[Accumulator, ...], read: RowReader) -> None:
    """Add the rows to every accumulator, or to none if a row is bad. Each row is read and checked once."""
    if read.num_rows == 0:
        return
    fresh = [one._state is None for one in accumulators]
    taken = 0
    before = []
    try:
        states = [one.prepare(read.num_classes, read.values.device, soft=read.soft) for one in accumulators]
        before = [state.rows_seen if read.ids is None else 0 for state in states]
        for rows in read:
            for one, state, offset in zip(accumulators, states, before, strict=True):
                one._take(state.sums, rows, offset)
            taken += 1
    except (ValueError, TypeError):
        _take_back(accumulators, fresh, read, before, taken)
        raise
    for state in states:
        state.counted_ids |= read.ids is None and taken > 0
        state.rows_seen += read.num_rows


def _take_back(
    accumulators: tuple[Accumulator, ...], fresh: list[bool], read: RowReader, before: list[int], taken: int
) -> None:
    """Subtract the first `taken` chunks again, which is exact for integers."""
    for place, (one, new) in enumerate(zip(accumulators, fresh, strict=True)):
        if new or one._state is None:
            one.reset()
        elif taken:
            added = one._state.sums.zeros_like()
            for rows in islice(read, taken):
                one._take(added, rows, before[place])
            one._state.sums.merge(added, sign=-1)
