"""Counts and sums of examples per group, as integers, so that additions are exact in any order.

Any split of the examples over chunks, files, processes and machines therefore gives the same bits. Real numbers are
stored in units of 2^-40 as a whole part and a fraction ("limbs"), so that no sum overflows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from softtargets._native.bin_sums import FRACTION_BITS, add_residuals, add_to_bins, amounts
from softtargets._native.class_bins import add_to_class_bins
from softtargets._native.group_sums import add_at

_UNIT = 2.0**-FRACTION_BITS
_MASK = 2**FRACTION_BITS - 1
# Fractions are added without a carry up to this total: 2^40 * 2^22 fits into a signed 64-bit integer.
_CARRY_AT = 2.0**22
# Numbers of weighted totals that are computed at a time; they fit into the cache of a core.
_NUMBERS = 2**18


@dataclass(frozen=True)
class Field:
    """One array of the state.

    Args:
        shape: shape of the counts or sums.
        real: whether real numbers are summed (two limbs on an additional last axis) rather than examples counted.
    """

    shape: tuple[int, ...] = ()
    real: bool = False

    def array_shape(self, groups: int) -> tuple[int, ...]:
        """Return the shape of the field's array for a number of groups."""
        return (groups, *self.shape, 2) if self.real else (groups, *self.shape)


class GroupedSums:
    """One int64 array per field, whose first axis is the group.

    Args:
        fields: fields by name.
        arrays: (groups, ...) int64 by name, of shape :meth:`Field.array_shape`; they are changed in place.
    """

    def __init__(self, fields: Mapping[str, Field], arrays: Mapping[str, Tensor]) -> None:
        self.fields = dict(fields)
        self.groups = len(next(iter(arrays.values())))
        self._arrays = dict(arrays)
        # by field: upper bound of the fractions since the last carry
        self._uncarried: dict[str, float] = {}

    @classmethod
    def zeros(cls, fields: Mapping[str, Field], groups: int, device: torch.device | str | None = None) -> Self:
        """Return zero sums."""
        shapes = {name: field.array_shape(groups) for name, field in fields.items()}
        return cls(fields, {name: torch.zeros(at, dtype=torch.int64, device=device) for name, at in shapes.items()})

    def zeros_like(self) -> Self:
        """Return zero sums with the same fields and groups."""
        return type(self)(self.fields, {name: torch.zeros_like(array) for name, array in self._arrays.items()})

    def __getitem__(self, name: str) -> Tensor:
        return self._arrays[name]

    @property
    def numbers(self) -> int:
        """Number of integers per group."""
        return sum(array.numel() for array in self._arrays.values()) // self.groups

    def count(self, name: str, group: Tensor, cell: Tensor | None = None, times: Tensor | None = None) -> None:
        """Count examples.

        Args:
            name: a field that is not real.
            group: (n,) int64, group of each example.
            cell: (n,) int64, flat index into the field. Default: the field has one entry.
            times: (n,) bool or int, how often each example counts. Default: once.
        """
        cells = self._arrays[name].view(-1)
        if self.groups > 1 or cell is not None:
            add_at(cells, self._several(group), cell, len(cells) // self.groups, times)
        else:
            cells += len(group) if times is None else times.sum()

    def add(self, name: str, group: Tensor, cell: Tensor | None, values: Tensor, *, most: float | None = None) -> None:
        """Add real numbers.

        Args:
            name: a real field.
            group: (n,) int64, group of each value.
            cell: (n,) int64, flat index into the field. Default: the field has one entry.
            values: (n,) float32 or float64, below 2^40.
            most: upper bound of their absolute values, if known.
        """
        if not len(values):
            return
        whole = None
        largest = max(abs(float(end)) for end in values.aminmax()) if most is None else most
        if largest * len(values) >= _CARRY_AT:
            whole = values.floor()
            values, largest = values - whole, 1.0
        self._make_room(name, largest * len(values))
        whole_units, fractions = self._arrays[name].view(-1, 2).unbind(1)
        if self.groups > 1 or cell is not None:
            cells = len(fractions) // self.groups
            add_at(fractions, self._several(group), cell, cells, values)
            if whole is not None:
                add_at(whole_units, self._several(group), cell, cells, whole.long())
        else:
            fractions += amounts(values).sum()
            if whole is not None:
                whole_units += whole.long().sum()

    def add_to_bins(self, counts: str, sums: str, group: Tensor, confidence: Tensor, correct: Tensor) -> None:
        """Add the confidences of a chunk to bins of equal width, and count wrong and right predictions.

        Args:
            counts: a field of shape (bins, 2) that is not real.
            sums: a real field of shape (bins,).
            group: (n,) int64, group of each example, n < 2^21.
            confidence: (n,) float32 or float64 in [0, 1].
            correct: (n,) bool.
        """
        self._make_room(sums, len(group))
        add_to_bins(confidence, correct, self._several(group), self._arrays[counts], self._arrays[sums])

    def add_to_class_bins(self, group: Tensor, probs: Tensor, labels: Tensor, **fields: str) -> None:
        """Add the probability of every class, for a chunk, to bins of equal width.

        Args:
            group: (n,) int64, group of each example, n < 2^21.
            probs: (n, K) float64 in [0, 1].
            labels: (n,) int64.
            fields: names of the fields for the arrays of :func:`softtargets._native.class_bins.add_to_class_bins`.
        """
        for name in fields.values():
            if self.fields[name].real:
                # a cell gets at most one number of each example
                self._make_room(name, len(group))
        arrays = {argument: self._arrays[name] for argument, name in fields.items()}
        add_to_class_bins(probs, labels, self._several(group), **arrays)

    def add_residuals(self, counts: str, sums: str, group: Tensor, confidence: Tensor, correct: Tensor) -> None:
        """Divide correct - confidence between the nearest nodes, and count the examples of a chunk at the nearest one.

        Args:
            counts: a field of shape (nodes,) that is not real.
            sums: a real field of shape (nodes,).
            group: (n,) int64, group of each example, n < 2^21.
            confidence: (n,) float32 or float64 in [0, 1].
            correct: (n,) bool.
        """
        self._make_room(sums, 2.0 * len(group))
        add_residuals(confidence, correct, self._several(group), self._arrays[counts], self._arrays[sums])

    def merge(self, other: "GroupedSums", *, sign: int = 1) -> None:
        """Add the sums of another object with the same fields and groups, or subtract them with `sign=-1`."""
        for name, array in other.arrays().items():
            self._arrays[name].add_(array.to(self._arrays[name].device), alpha=sign)
        self._carry(self.fields)

    def arrays(self) -> dict[str, Tensor]:
        """Return the arrays themselves in canonical form, with fractions in [0, 2^40)."""
        self._carry(self._uncarried)
        return self._arrays

    def totals(self) -> dict[str, Tensor]:
        """Return the sums over the groups: every field by name, (1, *shape) float64."""
        return {name: self._real(name, array.sum(0, keepdim=True)) for name, array in self.arrays().items()}

    def weighted_totals(self, weights: Tensor) -> Iterator[dict[str, Tensor]]:
        """Yield the sums over weighted groups, for a few rows of weights at a time.

        Args:
            weights: (R, groups) float64, at least 0, how often each group counts.

        Yields:
            Every field by name, (r, *shape) float64, for the next r of the R rows.
        """
        arrays = self.arrays().items()
        of_groups = {name: self._real(name, array).reshape(self.groups, -1) for name, array in arrays}
        sizes = {name: numbers.shape[1] for name, numbers in of_groups.items()}
        # most cells of a sketch are empty in all groups
        filled = {name: numbers.any(0).nonzero()[:, 0] for name, numbers in of_groups.items()}
        of_groups = {name: numbers[:, filled[name]] for name, numbers in of_groups.items()}
        for some in weights.split(max(1, _NUMBERS // self.numbers)):
            totals: dict[str, Tensor] = {}
            for name, numbers in of_groups.items():
                flat = numbers.new_zeros(len(some), sizes[name])
                flat.index_copy_(1, filled[name], some.to(numbers) @ numbers)
                totals[name] = flat.reshape(len(some), *self.fields[name].shape)
            yield totals

    def _real(self, name: str, array: Tensor) -> Tensor:
        """Return the numbers of a field as float64."""
        return _joined(array) if self.fields[name].real else array.double()

    def _make_room(self, name: str, total: float) -> None:
        """Carry before fractions of up to this total, in absolute values, are added to a real field."""
        self._uncarried[name] = self._uncarried.get(name, 0.0) + total
        if self._uncarried[name] >= _CARRY_AT:
            self._carry(self._uncarried)
            self._uncarried[name] = total

    def _several(self, group: Tensor) -> Tensor | None:
        return group if self.groups > 1 else None

    def _carry(self, names: Mapping[str, object]) -> None:
        """Move whole units from the fractions of real fields to their whole parts."""
        for name in names:
            if self.fields[name].real:
                array = self._arrays[name]
                array[..., 0] += array[..., 1] >> FRACTION_BITS
                array[..., 1] &= _MASK
        self._uncarried.clear()


def _joined(limbs: Tensor) -> Tensor:
    return limbs[..., 0].double() + limbs[..., 1].double() * _UNIT
