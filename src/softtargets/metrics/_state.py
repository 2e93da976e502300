"""What an accumulator has gathered, and how that is written as a flat dictionary of integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import torch
from torch import Tensor

from softtargets._errors import fail
from softtargets.metrics.sums import Field, GroupedSums

_HEADER = ("settings", "num_classes", "counted_ids")


@dataclass
class State:
    """The state after the first example.

    Args:
        num_classes: of the examples.
        sums: of the examples.
        counted_ids: whether the ids of any example were counted from 0.
    """

    num_classes: int
    sums: GroupedSums
    counted_ids: bool = False

    def to_dict(self, settings: str) -> dict[str, Tensor]:
        """Return copies of the arrays and, beside them, what they belong to."""
        header = (crc32(settings.encode()), self.num_classes, int(self.counted_ids))
        arrays = {name: array.clone() for name, array in self.sums.arrays().items()}
        return arrays | {name: torch.tensor(number) for name, number in zip(_HEADER, header, strict=True)}

    @classmethod
    def from_dict(
        cls, entries: Mapping[str, Tensor], settings: str, groups: int, fields_of: Callable[[int], dict[str, Field]]
    ) -> Self:
        """Read what :meth:`to_dict` gave.

        Args:
            entries: by name.
            settings: of the accumulator, which must be those of the writer.
            groups: of the accumulator.
            fields_of: returns the fields for a number of classes.

        Raises:
            ValueError: for entries of other settings, or other arrays.
        """
        header = [int(entries[name]) for name in _HEADER if name in entries]
        if len(header) < len(_HEADER) or header[0] != crc32(settings.encode()):
            raise fail("state", f"that of {settings}", "another", "make the accumulator with the settings of the saved")
        _, num_classes, counted_ids = header
        fields = fields_of(num_classes)
        shapes = {name: (field.array_shape(groups), torch.int64) for name, field in fields.items()}
        arrays = {name: array for name, array in entries.items() if name not in _HEADER}
        got = {name: (tuple(array.shape), array.dtype) for name, array in arrays.items()}
        if got != shapes:
            raise fail("state", f"the arrays {shapes}", got, "load what state_dict gave")
        copies = {name: array.clone() for name, array in arrays.items()}
        return cls(num_classes, GroupedSums(fields, copies), bool(counted_ids))
