"""Texts as rows of token ids: ragged rows of a data set, and padded batches of a network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softtargets._errors import fail


class TokenShape(NamedTuple):
    """What a network must know of rows of tokens; the shape of an input of such a data set.

    Attributes:
        max_length: The largest number of tokens of a row, on both sides of a pair.
        vocabulary: The number of different ids of the inputs.
        pad: The id that fills padded positions.
        bos: The id that begins a text; -1 if the tokenizer has none.
        eos: The id that ends a text; -1 if the tokenizer has none.
    """

    max_length: int
    vocabulary: int
    pad: int
    bos: int
    eos: int


def read_shape(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input from its numbers: a :class:`TokenShape` of five, otherwise a tuple."""
    return TokenShape(*sizes) if len(sizes) == len(TokenShape._fields) else tuple(sizes)


def as_shape(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input as a tuple, which stays a :class:`TokenShape` if it is one."""
    return sizes if isinstance(sizes, TokenShape) else tuple(sizes)


class Tokens(NamedTuple):
    """A batch of token rows, padded at their end to the longest of them.

    Attributes:
        ids: (n, L) int64.
        mask: (n, L) bool, False where a position is padding.
    """

    ids: Tensor
    mask: Tensor

    def rows(self, at: Tensor | slice) -> "Tokens":
        """Return some rows, padded as they were."""
        return Tokens(self.ids[at], self.mask[at])


class Pairs(NamedTuple):
    """A batch of pairs of token rows.

    Attributes:
        source: The inputs.
        target: The outputs that belong to them.
    """

    source: Tokens
    target: Tokens

    def rows(self, at: Tensor | slice) -> "Pairs":
        """Return some pairs, padded as they were."""
        return Pairs(self.source.rows(at), self.target.rows(at))


# What a network takes.
NetworkInputs = Tensor | Tokens | Pairs


def rows_at(inputs: NetworkInputs, at: Tensor | slice) -> NetworkInputs:
    """Return some rows of a batch."""
    return inputs[at] if isinstance(inputs, Tensor) else inputs.rows(at)


def count_rows(inputs: NetworkInputs) -> int:
    """Return the number of rows of a batch."""
    return len(_first(inputs))


def device_of(inputs: NetworkInputs) -> torch.device:
    """Return the device of a batch."""
    return _first(inputs).device


def to_device(inputs: NetworkInputs, device: torch.device) -> NetworkInputs:
    """Return a batch on a device."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Tokens):
        return Tokens(inputs.ids.to(device), inputs.mask.to(device))
    return Pairs(*(Tokens(side.ids.to(device), side.mask.to(device)) for side in inputs))


def _first(inputs: NetworkInputs) -> Tensor:
    while not isinstance(inputs, Tensor):
        inputs = inputs[0]
    return inputs


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Rows of token ids of different lengths, one after the other.

    Attributes:
        values: (T,) int32, the ids of all rows.
        ends: (N,) int64, the place in `values` after the last id of each row.

    Example:
        >>> rows = TokenRows.of([[5, 6, 7], [8]])
        >>> len(rows), rows.lengths, rows[torch.tensor([1, 0])].values
        (2, tensor([3, 1]), tensor([8, 5, 6, 7], dtype=torch.int32))
        >>> rows.padded(torch.tensor([0, 1]), pad=0).ids
        tensor([[5, 6, 7],
                [8, 0, 0]])
    """

    values: Tensor
    ends: Tensor

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> "TokenRows":
        """Return rows of ids below 2**31."""
        parts = [np.asarray(row, dtype=np.int32) for row in rows]
        values = np.concatenate([np.empty(0, dtype=np.int32), *parts])
        lengths = torch.tensor([len(part) for part in parts], dtype=torch.int64)
        return cls(torch.from_numpy(values), lengths.cumsum(0))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> Tensor:
        """(N,) int64, the number of tokens of each row."""
        return self.ends.diff(prepend=self.ends.new_zeros(1))

    def __getitem__(self, rows: Tensor) -> "TokenRows":
        """Return the rows of (n,) int64 indices, in their order."""
        lengths = self.lengths[rows]
        ends = lengths.cumsum(0)
        # the place of each token is that of its row's first one, plus its place in the row
        first = (self.ends[rows] - ends).repeat_interleave(lengths)
        return TokenRows(self.values[first + torch.arange(len(first), device=first.device)], ends)

    def row(self, index: int) -> Tensor:
        """Return the (L,) int32 ids of one row."""
        start = 0 if index == 0 else int(self.ends[index - 1])
        return self.values[start : int(self.ends[index])]

    def padded(self, rows: Tensor, pad: int) -> Tokens:
        """Return the rows of (n,) int64 indices as a batch, filled with the id `pad`."""
        lengths = self.ends[rows] - torch.where(rows > 0, self.ends[rows - 1], 0)
        width = int(lengths.max()) if len(rows) else 0
        place = torch.arange(width, device=self.values.device)
        mask = place < lengths[:, None]
        # places of padding are those of any token
        at = torch.where(mask, (self.ends[rows] - lengths)[:, None] + place, 0)
        return Tokens(torch.where(mask, self.values[at].long(), pad), mask)

    def to(self, device: torch.device) -> "TokenRows":
        """Return the rows on a device."""
        return TokenRows(self.values.to(device), self.ends.to(device))


def token_batches(lengths: Tensor, order: Tensor, tokens: int) -> list[Tensor]:
    """Divide rows into batches of similar lengths.

    Rows are sorted by length; rows of equal length keep the order in which they are given. Batches are then cut from
    the sorted rows so that the number of rows of a batch times its longest row is at most `tokens`. So the number of
    batches depends on the lengths alone.

    Args:
        lengths: (N,) int64, the number of tokens of every row of the data set.
        order: (n,) int64, the rows to divide, in a random order.
        tokens: At least the longest of these rows.

    Returns:
        The (n_b,) int64 rows of each batch, the shortest first.

    Raises:
        InputError: if a row is longer than `tokens`.

    Example:
        >>> token_batches(torch.tensor([4, 1, 2, 1]), torch.tensor([3, 2, 1, 0]), tokens=4)
        [tensor([3, 1]), tensor([2]), tensor([0])]
    """
    own = lengths[order]
    by_length = own.sort(stable=True)
    ascending = by_length.values.tolist()
    if ascending and ascending[-1] > tokens:
        row = int(order[by_length.indices[-1]])
        required = f"at least {ascending[-1]}, the tokens of the longest row (row {row} of the data set)"
        raise fail("training.batch_tokens", required, tokens, "raise it, or set data.tokenizer.max_length")
    starts, first = [0], 0
    for place, length in enumerate(ascending):
        if (place + 1 - first) * length > tokens:
            starts.append(place)
            first = place
    sizes = [stop - start for start, stop in zip(starts, [*starts[1:], len(ascending)], strict=True)]
    return list(order[by_length.indices].split(sizes)) if ascending else []
