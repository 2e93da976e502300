"""Finding examples and sequences in the files of a cache by their ids."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad, where
from softtargets._errors import fail
from softtargets.distill._teacher_rows import TeacherRows
from softtargets.distill.cache.format import AGAIN, INDEX, check_size, shard_name
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.probabilities import integer_ids
from softtargets.distill.cache.sequences import Ragged
from softtargets.distill.cache.tensors import mapped


@dataclass(frozen=True, eq=False)
class CachedSequences:
    """Sequences of a cache, one after the other.

    Args:
        tokens: (T,) int64.
        token_ends: (n,) int64, the end of each sequence in `tokens`.
        positions: (R,) int64, the place within its sequence of the token that a row predicts, ascending.
        row_ends: (n,) int64, the end of each sequence in `positions` and `rows`.
        rows: TeacherRows of (R,).
        files: the name of the file of each sequence.
    """

    tokens: Tensor
    token_ends: Tensor
    positions: Tensor
    row_ends: Tensor
    rows: TeacherRows
    files: tuple[str, ...]


class CacheFiles:
    """The memory-mapped files of a cache.

    Args:
        folder: of the cache.
        plan: what the files hold.
        manifest: names and sizes of the files.
    """

    def __init__(self, folder: Path, plan: Plan, manifest: dict[str, Any]) -> None:
        self.folder, self.plan, self.manifest = folder, plan, manifest
        self._open: dict[str, dict[str, Tensor]] = {}

    @property
    def index(self) -> dict[str, Tensor]:
        """The ids in ascending order, and the place of each."""
        return self._file(INDEX)

    def rows(self, ids: Tensor) -> dict[str, Tensor]:
        """Return the columns of some examples, (..., *) each."""
        if self.plan.sequences:
            raise fail(str(self.folder), "a cache of examples", "one of sequences", "use sequences, or CacheCollator")
        rows, step = self.index["rows"][self._places(ids)], self.plan.rows_per_shard
        columns = {n: torch.empty((len(rows), *s), dtype=d) for n, (d, s) in self.plan.columns().items()}
        shards, offsets = rows // step, rows % step
        for number in shards.unique().tolist():
            at = (shards == number).nonzero()[:, 0]
            shard = self._file(shard_name(number))
            for name, column in columns.items():
                column[at] = shard[name][offsets[at]]
        return {name: column.reshape(*ids.shape, *column.shape[1:]) for name, column in columns.items()}

    def sequences(self, ids: Tensor) -> CachedSequences:
        """Return some sequences, in the order of the ids."""
        if not self.plan.sequences:
            raise fail(str(self.folder), "a cache of sequences", "one of examples", "use targets")
        places = self._places(ids)
        found: dict[str, list[Tensor]] = {}
        names: list[str] = []
        shards, numbers = self.index["shards"][places].tolist(), self.index["places"][places].tolist()
        for shard, number in zip(shards, numbers, strict=True):
            names.append(shard_name(shard))
            stored = Ragged.of(self._file(names[-1]))
            tokens, rows = stored.parts(number)
            parts = {"tokens": stored.tokens[tokens], "positions": stored.positions[rows]}
            parts |= {name: column[rows] for name, column in stored.columns.items()}
            for name, part in parts.items():
                found.setdefault(name, []).append(part)
        empty = {"tokens": torch.empty(0), "positions": torch.empty(0)}
        empty |= {n: torch.empty((0, *s), dtype=d) for n, (d, s) in self.plan.columns().items()}
        whole = {name: torch.cat(found.get(name, [none])) for name, none in empty.items()}
        ends = {name: torch.tensor([len(part) for part in found.get(name, [])]).cumsum(0) for name in empty}
        return CachedSequences(
            whole.pop("tokens").long(),
            ends["tokens"],
            whole.pop("positions").long(),
            ends["positions"],
            teacher_rows(whole, self.plan),
            tuple(names),
        )

    def _places(self, ids: Tensor) -> Tensor:
        """Return the (n,) places of these examples in the index."""
        flat, known = integer_ids(ids), self.index["ids"]
        place = torch.searchsorted(known, flat).clamp_(max=len(known) - 1)
        bad = first_bad((known[place] != flat).reshape(ids.shape))
        if bad is not None:
            got = f"{int(ids[bad])} at {where(bad)}"
            raise fail("ids", f"ids of the cache in {self.folder}", got, "write a cache that contains all examples")
        return place

    def _file(self, name: str) -> dict[str, Tensor]:
        if name not in self._open:
            path = self.folder / name
            check_size(path, self.manifest["files"][name]["bytes"])
            found = mapped(path, AGAIN)
            expected = {} if name == INDEX else self.plan.columns()
            for column, (dtype, shape) in expected.items():
                tensor = found.get(column)
                if tensor is None or tensor.dtype != dtype or tensor.shape[1:] != shape:
                    got = "none" if tensor is None else f"{tensor.dtype} of shape {tuple(tensor.shape)}"
                    raise fail(str(path), f"{column} of {dtype} and shape (rows, {shape[0]})", got, AGAIN)
            self._open[name] = found
        return self._open[name]


def teacher_rows(columns: dict[str, Tensor], plan: Plan) -> TeacherRows:
    """Return the rows that the columns of a cache hold."""
    size, temperature = plan.source.num_classes, plan.keep.temperature
    if plan.complete:
        return TeacherRows(columns["logits"].float().log_softmax(-1), temperature=temperature)
    classes = columns["classes"].long()
    if plan.n_draws is not None:
        weights = columns["log_weights"].float() if "log_weights" in columns else None
        log_probs = columns["log_probs"].float()
        return TeacherRows(log_probs, classes, None, weights, num_classes=size, temperature=temperature)
    # the k kept classes and, last, the total of the others: normalising them gives mass 1 despite rounding
    masses = columns["logits"].float().log_softmax(-1)
    return TeacherRows(masses[..., :-1], classes, masses[..., -1], num_classes=size, temperature=temperature)
