"""Writing the files of a teacher cache: shards, index and manifest."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets._storage import checksum_file, sync
from softtargets.distill.cache.format import AGAIN, HEAD, INDEX, MANIFEST, sealed, shard_name, write_file
from softtargets.distill.cache.plan import Plan
from softtargets.distill.cache.probabilities import columns_of, integer_ids, scores_of
from softtargets.distill.cache.sequences import Ragged, SequenceBatch, joined, ragged
from softtargets.distill.cache.tensors import encoded, file_bytes, mapped, read_layout

Batches = Iterable[tuple[Tensor, Tensor | Callable[[], Tensor]] | SequenceBatch]

# ids, and a function that returns what to add for those from a number on
Pending = Iterator[tuple[Tensor, Callable[[int], Any]]]


def write(folder: Path, plan: Plan, batches: Batches) -> None:
    """Write what a teacher's logits give: see :func:`write_pending`."""
    write_pending(folder, plan, _of_sequences(batches, plan) if plan.sequences else _of_examples(batches, plan))


def write_ragged(folder: Path, plan: Plan, sequences: Iterable[Ragged]) -> None:
    """Write sequences whose columns are known already: see :func:`write_pending`."""
    write_pending(folder, plan, ((one.ids, lambda start, one=one: (one, start)) for one in sequences))


def write_pending(folder: Path, plan: Plan, pending: Pending) -> None:
    """Write the shards that are missing, the index and, last, the manifest."""
    shards = _Sequences(folder, plan) if plan.sequences else _Examples(folder, plan)
    there, count = len(shards.ids), 0
    for ids, make in pending:
        skipped = min(max(there - count, 0), len(ids))
        if not torch.equal(ids[:skipped], shards.ids[count : count + skipped]):
            remedy = "pass the batches in the same order, or choose another folder"
            raise fail("batches", f"the ids in the order of {folder}", f"others after {count} examples", remedy)
        count += len(ids)
        _check_count(count, 0, plan)
        if skipped < len(ids):
            shards.add(make(skipped))
    _check_count(count, plan.source.num_examples or max(there, 1), plan)
    shards.flush()
    write_file(folder / INDEX, encoded(shards.index()))
    names = [*(shard_name(number) for number in range(shards.number)), INDEX]
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": checksum_file(folder / name)} for name in names}
    sync(folder)  # so that no manifest reaches the disk before what it names
    content = {**HEAD, "plan": plan.record(), "num_examples": count, "files": files}
    write_file(folder / MANIFEST, [sealed(content)])
    sync(folder)


def _of_sequences(batches: object, plan: Plan) -> Pending:
    for batch in _items(batches, [SequenceBatch]):
        ids, computed = ragged(batch, plan)
        yield ids, lambda start, computed=computed: (computed(), start)


def _of_examples(batches: object, plan: Plan) -> Pending:
    for batch in _items(batches, []):
        required, remedy = "an iterable of pairs (ids, logits)", "pass [(ids, logits)] for a single batch"
        if isinstance(batch, SequenceBatch):
            remedy = "pass tokenizer= of CacheSource"
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise fail_type("batches", required, f"an item of type {type(batch).__name__}", remedy)
        ids = integer_ids(batch[0])

        def made(start: int, ids: Tensor = ids, logits: Any = batch[1]) -> dict[str, Tensor]:
            scores = scores_of(logits() if callable(logits) else logits, plan)
            if len(scores) != len(ids):
                got = f"{len(scores)} rows, {len(ids)} ids"
                raise fail("batches", "one row of logits for each id", got, "pass one id per row")
            return {"ids": ids[start:], **columns_of(ids[start:], scores[start:], plan)}

        yield ids, made


def _items(batches: object, single: list[type]) -> Iterator[Any]:
    if isinstance(batches, Tensor | SequenceBatch) or not isinstance(batches, Iterable):
        what = "SequenceBatches" if single else "pairs (ids, logits)"
        remedy = "pass a list for a single batch" if single else "pass [(ids, logits)] for a single batch"
        raise fail_type("batches", f"an iterable of {what}", type(batches).__name__, remedy)
    yield from batches


def _check_count(count: int, least: int, plan: Plan) -> None:
    if count < least:
        remedy = "pass all examples (does the data loader drop its last batch?), or choose another folder"
        raise fail("batches", f"{least} examples or more", count, remedy)
    most = plan.source.num_examples
    if most is not None and count > most:
        remedy = "set num_examples, or choose another folder"
        raise fail("batches", f"{most} examples, num_examples", f"{count} or more", remedy)


class _Shards:
    """The shards of a cache that is being written: the complete ones on disk, and one in memory.

    A shard with fewer rows was the last of a writer that was killed before the manifest. It is written again.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan, self.step = folder, plan, plan.rows_per_shard
        self.parts: list[Tensor] = []  # the ids of each shard
        while (path := folder / shard_name(self.number)).exists() and self.whole(path):
            self.parts.append(mapped(path, AGAIN)["ids"].clone())

    @property
    def number(self) -> int:
        """Number of complete shards."""
        return len(self.parts)

    @property
    def ids(self) -> Tensor:
        """The ids of all complete shards."""
        return torch.cat([torch.empty(0, dtype=torch.int64), *self.parts])

    def whole(self, path: Path) -> bool:
        """Return whether a shard on the disk has all its rows."""
        raise NotImplementedError

    def put(self, columns: dict[str, Tensor]) -> None:
        """Write the next shard."""
        ids, counts = columns["ids"].unique(return_counts=True)
        twice = ids[(counts > 1) | torch.isin(ids, self.ids)]
        if len(twice):
            remedy = "give every example its own id, and pass each example once"
            raise fail("batches", "each id once", f"{int(twice[0])} twice", remedy)
        write_file(self.folder / shard_name(self.number), encoded(columns))
        self.parts.append(columns["ids"].clone())


class _Examples(_Shards):
    def __init__(self, folder: Path, plan: Plan) -> None:
        self.layout = {"ids": (torch.int64, ()), **plan.columns()}
        super().__init__(folder, plan)
        self.filled = 0
        self.columns = {name: torch.empty((self.step, *s), dtype=d) for name, (d, s) in self.layout.items()}

    def whole(self, path: Path) -> bool:
        sized = {name: (dtype, (self.step, *shape)) for name, (dtype, shape) in self.layout.items()}
        return path.stat().st_size == file_bytes(sized)

    def add(self, columns: dict[str, Tensor]) -> None:
        """Add some examples, and write each shard that is full."""
        start, count = 0, len(columns["ids"])
        while start < count:
            taken = min(count - start, self.step - self.filled)
            for name, column in columns.items():
                self.columns[name][self.filled : self.filled + taken] = column[start : start + taken]
            start, self.filled = start + taken, self.filled + taken
            if self.filled == self.step:
                self.flush()

    def flush(self) -> None:
        """Write the shard in memory, if it is not empty."""
        if self.filled:
            self.put({name: column[: self.filled] for name, column in self.columns.items()})
            self.filled = 0

    def index(self) -> dict[str, Tensor]:
        """Return the ids in ascending order, and the row of each, counted over all shards."""
        ids, rows = self.ids.sort()
        return {"ids": ids, "rows": rows}


class _Sequences(_Shards):
    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder, plan)
        self.waiting: list[Ragged] = []
        self.rows = 0

    def whole(self, path: Path) -> bool:
        return read_layout(path, AGAIN)["positions"][1][0] >= self.step

    def add(self, given: tuple[Ragged, int]) -> None:
        """Add the sequences from a number on, and write each shard that is full."""
        many, start = given
        for number in range(start, len(many.ids)):
            tokens, rows = many.parts(number)
            one = Ragged(
                many.ids[number : number + 1],
                torch.tensor([tokens.stop - tokens.start]),
                many.tokens[tokens],
                torch.tensor([rows.stop - rows.start]),
                many.positions[rows],
                {name: column[rows] for name, column in many.columns.items()},
            )
            self.waiting.append(one)
            self.rows += rows.stop - rows.start
            if self.rows >= self.step:
                self.flush()

    def flush(self) -> None:
        """Write the sequences in memory, if there are any."""
        if self.waiting:
            self.put(joined(self.waiting).tensors())
            self.waiting, self.rows = [], 0

    def index(self) -> dict[str, Tensor]:
        """Return the ids in ascending order, and the shard of each and its place there."""
        ids, order = self.ids.sort()
        shards = torch.cat([torch.full((len(part),), number) for number, part in enumerate(self.parts)])
        places = torch.cat([torch.arange(len(part)) for part in self.parts])
        return {"ids": ids, "shards": shards[order], "places": places[order]}
