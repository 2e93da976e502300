"""A random sample of the rows, of bounded size."""

import torch
from torch import Tensor

from softtargets.metrics.arguments import Kind
from softtargets.metrics.groups import group_of

# Smallest number of rows for fitting a temperature.
LEAST = 20
_ROWS = 100_000
_NUMBERS = 2**24
_KEYS = 2**62
# values, labels, ids, keys and the distributions of the labels
_Rows = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]


class RowSample:
    """A random sample of the added rows. It does not depend on how the rows are split into chunks.

    A row is in the sample if its hash is below a limit, which is halved whenever there are too many rows. Rows whose
    label has probability 0 are excluded, because their likelihood is 0 at every temperature.

    Args:
        num_classes: K.
        kind: kind of the values.
        seed: seed of the hash.
    """

    def __init__(self, num_classes: int, kind: Kind, seed: int) -> None:
        self.kind: Kind = kind
        self.seed = seed
        self.capacity = max(LEAST, min(_ROWS, _NUMBERS // num_classes))
        self._limit, self._size = _KEYS, 0
        self._kept: list[_Rows] = []

    def __len__(self) -> int:
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether it contains all rows whose label has a probability above 0."""
        return self._limit == _KEYS

    def add(self, values: Tensor, labels: Tensor, ids: Tensor, soft: Tensor | None = None) -> None:
        """Add (n, K) rows with (n,) labels and ids, and (n, K) distributions of the labels if these are soft."""
        keys = group_of(ids, _KEYS, self.seed)
        possible = values.gather(1, labels[:, None])[:, 0] > (0 if self.kind == "probs" else -torch.inf)
        self._keep((values, labels, ids, keys, soft), possible & (keys < self._limit))
        while self._size > self.capacity:
            self._limit //= 2
            kept, self._kept, self._size = self._kept, [], 0
            for rows in kept:
                self._keep(rows, rows[3] < self._limit)

    def _keep(self, rows: _Rows, which: Tensor) -> None:
        if bool(which.any()):
            *columns, soft = rows
            values, labels, ids, keys = (column[which] for column in columns if column is not None)
            self._kept.append((values, labels, ids, keys, None if soft is None else soft[which]))
            self._size += len(self._kept[-1][0])

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return values (m, K), labels and ids (m,)."""
        values, labels, ids, _, _ = zip(*self._kept, strict=True)
        return torch.cat(values), torch.cat(labels), torch.cat(ids)

    def soft(self) -> Tensor | None:
        """Return the distributions of the labels, (m, K) float64; None for hard labels."""
        found = [soft for *_, soft in self._kept if soft is not None]
        return torch.cat(found) if found else None
