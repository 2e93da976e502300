"""Temperatures that are fitted on a bounded random sample of the rows and judged on rows they have not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._numerics import at_least_float32
from softtargets.calibration import Temperature
from softtargets.metrics.groups import group_of
from softtargets.metrics.rows import Kind

FOLDS = 5
# Of fewer rows a temperature says nothing.
LEAST = 20
_ROWS = 100_000
_NUMBERS = 2**24
_KEYS = 2**62


class Sample:
    """A random sample of the rows that pass by, of bounded size, the same however they are cut into chunks.

    A row is in it whose hash lies below a limit, which is halved whenever there are too many. Rows whose label has the
    probability 0 are never in it: they are infinitely unlikely at every temperature.

    Args:
        num_classes: of the rows.
        kind: of their values.
        seed: of the hash.
    """

    def __init__(self, num_classes: int, kind: Kind, seed: int) -> None:
        self.kind: Kind = kind
        self.seed = seed
        self.capacity = max(LEAST, min(_ROWS, _NUMBERS // num_classes))
        self.seen = 0
        self._limit, self._size = _KEYS, 0
        self._kept: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def __len__(self) -> int:
        return self._size

    @property
    def is_whole(self) -> bool:
        """Whether it holds all rows that it may."""
        return self._limit == _KEYS

    def add(self, values: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Let (n, K) rows with (n,) labels and ids pass by."""
        keys = group_of(ids, _KEYS, self.seed)
        possible = values.gather(1, labels[:, None])[:, 0] > (0 if self.kind == "probs" else -torch.inf)
        self.seen += len(values)
        self._keep((values, labels, ids, keys), possible & (keys < self._limit))
        while self._size > self.capacity:
            self._limit //= 2
            kept, self._kept, self._size = self._kept, [], 0
            for rows in kept:
                self._keep(rows, rows[3] < self._limit)

    def _keep(self, rows: tuple[Tensor, Tensor, Tensor, Tensor], which: Tensor) -> None:
        if bool(which.any()):
            self._kept.append((rows[0][which], rows[1][which], rows[2][which], rows[3][which]))
            self._size += len(self._kept[-1][0])

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return values (m, K), labels and ids (m,)."""
        values, labels, ids, _ = zip(*self._kept, strict=True)
        return torch.cat(values), torch.cat(labels), torch.cat(ids)


@dataclass(frozen=True)
class Scaling:
    """A temperature for each fold, fitted on the other folds.

    Args:
        kind: of the values that are scaled.
        seed: of the hash that says in which fold a row is.
        temperatures: one for each fold.
        converged: for each, whether its search did.
    """

    kind: Kind
    seed: int
    temperatures: tuple[float, ...]
    converged: tuple[bool, ...]

    def logits(self, values: Tensor, ids: Tensor) -> Tensor:
        """Return (n, K) logits of rows, each divided by the temperature that has not seen it."""
        logits = as_logits(values, self.kind)
        of_row = torch.tensor(self.temperatures, dtype=logits.dtype)[fold_of(ids, self.seed)]
        return logits / of_row[:, None]


def fit_scaling(sample: Sample) -> Scaling | str:
    """Fit a temperature for each fold, or say in a sentence why there is none."""
    if len(sample) < LEAST:
        return f"A temperature asks for at least {LEAST} rows whose label has a probability above 0."
    values, labels, ids = sample.rows()
    logits, folds = as_logits(values, sample.kind), fold_of(ids, sample.seed)
    fitted = [Temperature.fit(logits, labels, mask=folds != fold) for fold in range(FOLDS)]
    return Scaling(sample.kind, sample.seed, _numbers(fitted), tuple(bool(one.converged) for one in fitted))


def _numbers(fitted: Sequence[Temperature]) -> tuple[float, ...]:
    return tuple(float(one.temperature) for one in fitted)


def as_logits(values: Tensor, kind: Kind) -> Tensor:
    """Return (n, K) logits in at least float32; of probabilities their logarithms, -inf where they are 0."""
    values = at_least_float32(values)
    return values.log() if kind == "probs" else values


def fold_of(ids: Tensor, seed: int) -> Tensor:
    """Return the fold of each row, (n,) int64, by another hash than that of the sample and of the groups."""
    return group_of(ids, FOLDS, seed + 1)
