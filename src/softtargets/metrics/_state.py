"""The state of an accumulator, and its form as a flat dictionary of integer tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets.metrics.sums import Field, GroupedSums

_HEADER = ("settings", "num_classes", "counted_ids", "rows_seen", "soft_labels")


@dataclass
class State:
    """The state once the number of classes is known.

    Args:
        num_classes: K.
        sums: counts and sums of the examples that are not left out.
        counted_ids: whether any example got its id by counting rows.
        rows_seen: number of all rows so far, including those that were left out: where counting continues.
        soft: whether the labels of all rows are soft.
    """

    num_classes: int
    sums: GroupedSums
    counted_ids: bool = False
    rows_seen: int = 0
    soft: bool = False

    def to_dict(self, settings: str) -> dict[str, Tensor]:
        """Return copies of the arrays, and the header as scalar tensors."""
        header = (crc32(settings.encode()), self.num_classes, int(self.counted_ids), self.rows_seen, int(self.soft))
        arrays = {name: array.clone() for name, array in self.sums.arrays().items()}
        return arrays | {name: torch.tensor(number) for name, number in zip(_HEADER, header, strict=True)}

    @classmethod
    def from_dict(
        cls,
        entries: Mapping[str, Tensor],
        settings: str,
        groups: int,
        fields_of: Callable[[int, bool], dict[str, Field]],
    ) -> Self:
        """Read the result of :meth:`to_dict`.

        Args:
            entries: tensors by name.
            settings: of this accumulator; the saved one must have had the same.
            groups: of this accumulator.
            fields_of: returns the fields for a number of classes, and for hard or soft labels.

        Raises:
            ValueError: if the settings or the arrays differ.
            TypeError: if `entries` is not a mapping of names to tensors.
        """
        if not isinstance(entries, Mapping) or not all(isinstance(array, Tensor) for array in entries.values()):
            raise fail_type("state", "a dict of tensors", type(entries).__name__, "load the result of state_dict()")
        header = [int(entries[name]) for name in _HEADER if name in entries and entries[name].numel() == 1]
        if len(header) < len(_HEADER) or header[0] != crc32(settings.encode()):
            remedy = "create the accumulator with the settings of the saved one"
            raise fail("state", f"the state of {settings}", "one of other settings", remedy)
        _, num_classes, counted_ids, rows_seen, soft = header
        fields = fields_of(num_classes, bool(soft))
        shapes = {name: (field.array_shape(groups), torch.int64) for name, field in fields.items()}
        arrays = {name: array for name, array in entries.items() if name not in _HEADER}
        got = {name: (tuple(array.shape), array.dtype) for name, array in arrays.items()}
        if got != shapes:
            raise fail("state", f"the arrays {shapes}", got, "load the result of state_dict()")
        copies = {name: array.clone() for name, array in arrays.items()}
        return cls(num_classes, GroupedSums(fields, copies), bool(counted_ids), rows_seen, bool(soft))
