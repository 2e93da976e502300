"""Metrics gathered over any number of chunks, whose state is integers that are added.

Integers are added exactly, in any order: any split of the examples over chunks, files, processes and machines gives the
same bits. Real numbers are kept in units of 2^-40 as a whole part and a fraction, so that no sum overflows. What a row
adds is computed of that row alone; of logits that is an exponential and a sum over classes, whose last bit is another
on processors of another kind. All this is tested on the CPU.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Literal, Self
from zlib import crc32

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.metrics._rows import Rows, chunks

FRACTION_BITS = 40
_UNIT = 2.0**-FRACTION_BITS
_MASK = 2**FRACTION_BITS - 1
# Up to this total, in ones, fractions are added without a carry: 2^40 * 2^22 leaves the sign its bit.
_CARRY_AT = 2.0**22


@dataclass(frozen=True)
class Field:
    """One array of the state.

    Args:
        shape: of what is counted or summed.
        real: whether real numbers are summed, in two limbs along a last axis; else examples are counted.
    """

    shape: tuple[int, ...] = ()
    real: bool = False


class Accumulator(ABC):
    """A metric that is told of examples a few at a time.

    Args:
        groups: how many random groups of examples are kept apart. With 1 there is one total; an interval takes more,
            since what is resampled are groups: single examples where those are fewer.
        seed: of the hash of an example's id that chooses its group.
        settings: what the metric was made with.
    """

    interval_method: ClassVar[Literal["percentile", "basic"]] = "percentile"
    # what the metric, or each of its numbers, cannot be below
    least: ClassVar[float | tuple[float, ...]] = 0.0

    def __init__(self, *, groups: int = 1, seed: int = 0, **settings: Any) -> None:
        for name, value, low in (("groups", groups, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise fail(name, f"an int of at least {low}", repr(value), "1,000 groups serve an interval")
        self.groups, self.seed, self.settings = groups, seed, settings
        self.reset()

    @abstractmethod
    def _fields(self, num_classes: int) -> dict[str, Field]:
        """Return the arrays of the state by name."""

    @abstractmethod
    def _add(self, rows: Rows, group: Tensor) -> None:
        """Add rows, the groups of which are (n,), by `_count` and `_sum`."""

    @abstractmethod
    def _value(self, totals: dict[str, Tensor]) -> Tensor:
        """Return the metric of R totals, (R, ...): every field comes as (R, *shape) float64; "rows" as (R,)."""

    def reset(self) -> None:
        """Forget all examples."""
        self._state: dict[str, Tensor] = {}
        self._num_classes: int | None = None
        self._uncarried: dict[str, float] = {}
        self._counted_ids = False

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
        if not other._state:
            return self
        if self.groups > 1 and self._counted_ids and other._counted_ids:
            raise fail("other", "examples with ids of their own", "rows counted from 0 on both sides", "pass ids=")
        self._prepare(other._classes, other.group_counts.device)
        self._carry()
        other._carry()
        for name, array in other._state.items():
            self._state[name] += array.to(self._state[name].device)
        self._counted_ids |= other._counted_ids
        self._carry(always=True)
        return self

    def compute(self) -> Tensor:
        """Return the metric of all examples so far.

        Raises:
            ValueError: where there are none.
        """
        self._require_examples()
        return self._value(self._totals(None))[0]

    def replicates(self, weights: Tensor) -> Tensor:
        """Return the metric where each group counts as often as its weight says.

        Args:
            weights: (R, groups) float64 of at least 0.

        Returns:
            (R, ...) float64; not finite where a replicate holds no example.
        """
        return self._value(self._totals(weights))

    @property
    def count(self) -> int:
        """The number of examples so far."""
        return int(self.group_counts.sum())

    @property
    def group_counts(self) -> Tensor:
        """The number of examples of each group, (groups,) int64."""
        return self._state["rows"] if self._state else torch.zeros(self.groups, dtype=torch.int64)

    @property
    def numbers(self) -> int:
        """How many whole numbers the state of one group has."""
        return sum(array.numel() for array in self._state.values()) // self.groups

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None before the first example."""
        return self._num_classes

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state, int64 all of it; equal examples give equal states. Empty before the first example."""
        if not self._state:
            return {}
        self._carry()
        said = {"settings": self._settings_number, "num_classes": self._classes, "counted_ids": int(self._counted_ids)}
        arrays = {name: array.clone() for name, array in self._state.items()}
        return arrays | {name: torch.tensor(number) for name, number in said.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state that an accumulator of the same settings gave.

        Raises:
            ValueError: for a state of other settings, or what is none; what was gathered then stays.
        """
        if not state:
            self.reset()
            return
        said = {name: int(state[name]) for name in ("settings", "num_classes", "counted_ids") if name in state}
        if len(said) < 3 or said["settings"] != self._settings_number:
            raise fail("state", f"that of {self!r}", "another", "make the accumulator with the settings of the saved")
        fields = {"rows": Field(), **self._fields(said["num_classes"])}
        shapes = {name: (self._shape(field), torch.int64) for name, field in fields.items()}
        arrays = {name: array for name, array in state.items() if name not in said}
        got = {name: (tuple(array.shape), array.dtype) for name, array in arrays.items()}
        if got != shapes:
            raise fail("state", f"the arrays {shapes}", got, "load what state_dict gave")
        self.reset()
        self._num_classes, self._counted_ids = said["num_classes"], bool(said["counted_ids"])
        self._state = {name: array.clone() for name, array in arrays.items()}

    def __repr__(self) -> str:
        named = {**self.settings, "groups": self.groups, "seed": self.seed}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in named.items())})"

    @property
    def _settings_number(self) -> int:
        return crc32(repr(self).encode())

    def _require_examples(self) -> None:
        if self.count == 0:
            raise fail(type(self).__name__, "at least one example", "none", "a metric of nothing is undefined")

    @property
    def _classes(self) -> int:
        assert self._num_classes is not None
        return self._num_classes

    def _shape(self, field: Field) -> tuple[int, ...]:
        return (self.groups, *field.shape, 2) if field.real else (self.groups, *field.shape)

    def _prepare(self, num_classes: int, device: torch.device | None = None) -> None:
        """Make room for the first example; refuse another number of classes later."""
        if self._num_classes not in (None, num_classes):
            raise fail("probs", f"{self._num_classes} classes, as before", num_classes, "keep them apart")
        if not self._state:
            fields = {"rows": Field(), **self._fields(num_classes)}
            self._num_classes = num_classes
            self._state = {
                name: torch.zeros(self._shape(field), dtype=torch.int64, device=device)
                for name, field in fields.items()
            }

    def _take(self, rows: Rows, before: int) -> None:
        """Add rows to a state that is prepared; `before` is added to their ids."""
        group = group_of(rows.ids + before if self.groups > 1 else rows.ids, self.groups, self.seed)
        self._count("rows", group)
        self._add(rows, group)

    def _take_back(self, added: Iterable[Rows], before: int) -> None:
        """Undo that rows were added."""
        theirs = copy(self)
        theirs.reset()
        for rows in added:
            theirs._prepare(rows.num_classes, rows.values.device)
            theirs._take(rows, before)
        theirs._carry()
        for name, array in theirs._state.items():
            self._state[name] -= array
        self._carry(always=True)

    def _count(self, name: str, group: Tensor, cell: Tensor | None = None, times: Tensor | None = None) -> None:
        """Count (n,) examples in their cell of a field, by its flat index; each once, or as often as `times` says."""
        cells = self._state[name].view(-1)
        if times is not None:
            self._add_to(cells, group, cell, times.long())
        elif self.groups == 1 and cell is None:
            cells += len(group)
        elif len(cells) <= len(group):
            cells += self._flat(group, cell, len(cells)).bincount(minlength=len(cells))
        else:
            self._add_to(cells, group, cell, group.new_ones(1).expand(group.shape))

    def _sum(self, name: str, group: Tensor, cell: Tensor | None, values: Tensor, *, most: float | None = None) -> None:
        """Add (n,) values of at least single precision below 2^40 to their cell of a field, by its flat index.

        `most` is what none of them is beyond, where that is known.
        """
        if not len(values):
            return
        whole = None
        largest = max(abs(float(end)) for end in values.aminmax()) if most is None else most
        if largest * len(values) >= _CARRY_AT:
            whole = values.floor()
            values, largest = values - whole, 1.0
        self._uncarried[name] = self._uncarried.get(name, 0.0) + largest * len(values)
        if self._uncarried[name] >= _CARRY_AT:
            self._carry()
            self._uncarried[name] = largest * len(values)
        limbs = self._state[name].view(-1, 2)
        self._add_to(limbs[:, 1], group, cell, (values * 2.0**FRACTION_BITS).round_().long())
        if whole is not None:
            self._add_to(limbs[:, 0], group, cell, whole.long())

    def _add_to(self, cells: Tensor, group: Tensor, cell: Tensor | None, amounts: Tensor) -> None:
        if self.groups == 1 and cell is None:
            cells += amounts.sum()
        else:
            cells.index_add_(0, self._flat(group, cell, len(cells)), amounts)

    def _flat(self, group: Tensor, cell: Tensor | None, size: int) -> Tensor:
        if self.groups == 1:
            return group if cell is None else cell
        return group if cell is None else group * (size // self.groups) + cell

    def _carry(self, *, always: bool = False) -> None:
        """Move whole units out of the fractions, so that a sum is written in one way."""
        for name in self._real() if always else list(self._uncarried):
            array = self._state[name]
            array[..., 0] += array[..., 1] >> FRACTION_BITS
            array[..., 1] &= _MASK
        self._uncarried.clear()

    def _real(self) -> list[str]:
        return [name for name, field in self._fields(self._classes).items() if field.real]

    def _totals(self, weights: Tensor | None) -> dict[str, Tensor]:
        """Return every field as (R, *shape) float64, of all groups together or weighted."""
        self._carry()
        real = self._real()
        totals: dict[str, Tensor] = {}
        for name, array in self._state.items():
            if weights is None:
                summed = array.sum(0, keepdim=True)
                totals[name] = _joined(summed) if name in real else summed.double()
            else:
                of_groups = _joined(array) if name in real else array.double()
                flat = weights.to(of_groups) @ of_groups.reshape(self.groups, -1)
                totals[name] = flat.reshape(len(weights), *of_groups.shape[1:])
        return totals


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
        fresh = [not one._state for one in self.accumulators]
        read = partial(chunks, probs, labels, logits=logits, mask=mask, ids=ids)
        done = 0
        try:
            for rows in read():
                for one in self.accumulators if done == 0 else ():
                    one._prepare(rows.num_classes, rows.values.device)
                for one, before in zip(self.accumulators, counted, strict=True):
                    one._take(rows, before)
                done += 1
        except (ValueError, TypeError):
            # what was added before the bad row is taken away again, which whole numbers allow
            for one, before, new in zip(self.accumulators, counted, fresh, strict=True):
                if new:
                    one.reset()
                else:
                    one._take_back(islice(read(), done), before)
            raise
        for one in self.accumulators:
            one._counted_ids |= ids is None and done > 0
        return self


def _joined(limbs: Tensor) -> Tensor:
    return limbs[..., 0].double() + limbs[..., 1].double() * _UNIT


def group_of(ids: Tensor, groups: int, seed: int) -> Tensor:
    """Return the group of each example by a hash of its id (the finaliser of SplitMix64, Steele et al. 2014)."""
    if groups == 1:
        return ids.new_zeros(1).expand(ids.shape)
    mixed = ids + _signed(0x9E3779B97F4A7C15 * (seed + 1))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ _shifted(mixed, shift)) * _signed(factor)
    return _shifted(mixed ^ _shifted(mixed, 31), 1) % groups


def _shifted(numbers: Tensor, by: int) -> Tensor:
    """Shift the 64 bits to the right, zeros coming in."""
    return (numbers >> by) & (2 ** (64 - by) - 1)


def _signed(number: int) -> int:
    """Return 64 bits as the signed number that torch has for them."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number
