"""Metrics accumulated over any number of chunks; the state is integers that are added exactly.

What a row adds is computed from that row alone, so that any split of the examples gives the same bits. With logits that
computation is an exponential and a sum over classes, whose last bit differs between kinds of processors. All this is
tested on the CPU.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from softtargets._checks import check_count
from softtargets._errors import fail, fail_type
from softtargets.metrics._state import State
from softtargets.metrics.groups import group_of
from softtargets.metrics.rows import Rows, chunks
from softtargets.metrics.sums import Field, GroupedSums

__all__ = ["Accumulator", "Collection"]


class Accumulator(ABC):
    """A metric that is told of examples a few at a time.

    A subclass says which arrays it keeps (`_fields`), what rows add to them (`_add`) and what the metric of their
    totals is (`_value`).

    Args:
        groups: how many random groups of examples are kept apart. With 1 there is one total; an interval takes more,
            since what is resampled are groups: single examples where those are fewer.
        seed: of the hash of an example's id that chooses its group.
    """

    interval_method: ClassVar[Literal["percentile", "basic"]] = "percentile"
    # what the metric, or each of its numbers, cannot be below
    least: ClassVar[float | tuple[float, ...]] = 0.0

    def __init__(self, *, groups: int = 1, seed: int = 0) -> None:
        for name, value, low in (("groups", groups, 1), ("seed", seed, 0)):
            check_count(name, value, least=low, remedy="1,000 groups serve an interval")
        self.groups, self.seed = groups, seed
        self.reset()

    @abstractmethod
    def _fields(self, num_classes: int) -> dict[str, Field]:
        """Return the arrays of the state by name."""

    @abstractmethod
    def _add(self, sums: GroupedSums, rows: Rows, group: Tensor) -> None:
        """Add rows, the groups of which are (n,), to the fields."""

    @abstractmethod
    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        """Return the metric of R totals, (R, ...): every field comes as (R, *shape) float64; "rows" as (R,)."""

    def reset(self) -> None:
        """Forget all examples."""
        self._state: State | None = None

    def prepare(self, num_classes: int, device: torch.device | str | None = None) -> State:
        """Allocate the state for examples of this number of classes, where there is none yet, and return it.

        Raises:
            ValueError: for another number of classes than before.
        """
        if self._state is None:
            self._state = State(num_classes, GroupedSums.zeros(self._all_fields(num_classes), self.groups, device))
        elif self._state.num_classes != num_classes:
            raise fail("probs", f"{self._state.num_classes} classes, as before", num_classes, "keep them apart")
        return self._state

    def update(
        self,
        probs: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Self:
        """Add examples.

        Args:
            probs: (..., K) float, rows sum to 1; or None.
            labels: (...) int64 in [0, K).
            logits: (..., K) float, instead of `probs`.
            mask: (...) bool, the rows that count; None: all.
            ids: (...) int64, which example each row is, for the groups; None: rows are counted from the first update
                on. Examples in shards need ids: merging counted ones is refused.

        Raises:
            ValueError: for rows that are no probabilities, labels out of range, shapes that differ, or another number
                of classes than before; nothing of the call is then kept.
            TypeError: where values are not floating-point, or labels not integers.
        """
        Collection([self]).update(probs, labels, logits=logits, mask=mask, ids=ids)
        return self

    def merge(self, other: "Accumulator") -> Self:
        """Add what another accumulator of the same settings has gathered; the other stays as it is.

        Raises:
            ValueError: where settings, groups or numbers of classes differ, or both counted the ids of their groups.
            TypeError: for something else than an accumulator.
        """
        if not isinstance(other, Accumulator):
            raise fail_type("other", "an accumulator", type(other).__name__, "merge two of one kind")
        if repr(other) != repr(self):
            raise fail("other", f"the settings {self!r}", repr(other), "merge accumulators that were made alike")
        theirs = other._state
        if theirs is None:
            return self
        if self.groups > 1 and theirs.counted_ids and self._state is not None and self._state.counted_ids:
            raise fail("other", "examples with ids of their own", "rows counted from 0 on both sides", "pass ids=")
        ours = self.prepare(theirs.num_classes, other.group_counts.device)
        ours.sums.merge(theirs.sums)
        ours.counted_ids |= theirs.counted_ids
        return self

    def compute(self) -> Tensor:
        """Return the metric of all examples so far.

        Raises:
            ValueError: where there are none.
        """
        return self._value(self._totals())[0]

    def replicates(self, weights: Tensor) -> Tensor:
        """Return the metric where each group counts as often as its weight says.

        Args:
            weights: (R, groups) float64 of at least 0.

        Returns:
            (R, ...) float64; not finite where a replicate holds no example.

        Raises:
            ValueError: where there are no examples.
        """
        return self._value(self._totals(weights))

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with: arguments of its class, each of which is an attribute."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def count(self) -> int:
        """The number of examples so far."""
        return int(self.group_counts.sum())

    @property
    def group_counts(self) -> Tensor:
        """The number of examples of each group, (groups,) int64."""
        return torch.zeros(self.groups, dtype=torch.int64) if self._state is None else self._state.sums["rows"]

    @property
    def numbers(self) -> int:
        """How many whole numbers the state of one group has."""
        return 0 if self._state is None else self._state.sums.numbers

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None before the first example."""
        return None if self._state is None else self._state.num_classes

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, int64 all of it; equal examples give equal states. Empty before the first example."""
        return {} if self._state is None else self._state.to_dict(repr(self))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state that an accumulator of the same settings gave.

        Raises:
            ValueError: for a state of other settings, or what is none; what was gathered then stays.
        """
        self._state = State.from_dict(state, repr(self), self.groups, self._all_fields) if state else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"

    def _all_fields(self, num_classes: int) -> dict[str, Field]:
        return {"rows": Field(), **self._fields(num_classes)}

    def _take(self, sums: GroupedSums, rows: Rows, before: int) -> None:
        """Add rows to sums; `before` is added to their ids."""
        group = group_of(rows.ids + before if self.groups > 1 else rows.ids, self.groups, self.seed)
        sums.count("rows", group)
        self._add(sums, rows, group)

    def _totals(self, weights: Tensor | None = None) -> dict[str, Tensor]:
        """Return every field as (R, *shape) float64, of all groups together or weighted; refuse no examples."""
        if self._state is None or self.count == 0:
            raise fail(type(self).__name__, "at least one example", "none", "a metric of nothing is undefined")
        return self._state.sums.totals(weights)


class Collection:
    """Several accumulators that are told of the same examples; each row is checked and read once.

    Args:
        accumulators: any.
    """

    def __init__(self, accumulators: Iterable[Accumulator]) -> None:
        self.accumulators = tuple(accumulators)

    def update(
        self,
        probs: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        mask: Tensor | None = None,
        ids: Tensor | None = None,
    ) -> Self:
        """Add examples to each; arguments and errors as :meth:`Accumulator.update`."""
        counted = [one.count if ids is None else 0 for one in self.accumulators]
        fresh = [one._state is None for one in self.accumulators]
        read = partial(chunks, probs, labels, logits=logits, mask=mask, ids=ids)
        done = 0
        states: list[State] = []
        try:
            for rows in read():
                if done == 0:
                    states = [one.prepare(rows.num_classes, rows.values.device) for one in self.accumulators]
                for one, state, before in zip(self.accumulators, states, counted, strict=True):
                    one._take(state.sums, rows, before)
                done += 1
        except (ValueError, TypeError):
            # what was added before the bad row is taken away again, which integers allow
            for one, before, new in zip(self.accumulators, counted, fresh, strict=True):
                if new or one._state is None:
                    one.reset()
                    continue
                added = one._state.sums.zeros_like()
                for rows in islice(read(), done):
                    one._take(added, rows, before)
                one._state.sums.merge(added, sign=-1)
            raise
        for state in states:
            state.counted_ids |= ids is None
        return self
