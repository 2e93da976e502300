"""Writing the files of a teacher cache: shards, index and manifest."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import first_bad
from softtargets._errors import fail, fail_type
from softtargets._numerics import at_least_float32, shifted
from softtargets._storage import checksum_file, sync
from softtargets.distill.cache.format import (
    HEAD,
    INDEX,
    INDEX_LAYOUT,
    MANIFEST,
    encoded,
    mapped,
    row_bytes,
    sealed,
    shard_name,
    write_file,
)
from softtargets.distill.cache.plan import Plan, Sampled
from softtargets.distill.cache.read import integer_ids
from softtargets.targets import sample
from softtargets.targets.checks import check_scores

LEAST_OTHERS = 1e-6

Batches = Iterable[tuple[Tensor, Tensor | Callable[[], Tensor]]]


def write(folder: Path, plan: Plan, batches: Batches) -> None:
    """Write the shards that are missing, the index and, last, the manifest."""
    shards = _Shards(folder, plan)
    there, count = len(shards.ids), 0
    for batch in _checked(batches):
        ids, logits = integer_ids(batch[0]), batch[1]
        skipped = min(max(there - count, 0), len(ids))
        if not torch.equal(ids[:skipped], shards.ids[count : count + skipped]):
            remedy = "pass the batches in the same order, or choose another folder"
            raise fail("batches", f"the ids in the order of {folder}", f"others after {count} examples", remedy)
        count += len(ids)
        _check_count(count, 0, plan)
        if skipped < len(ids):
            given: Any = logits() if callable(logits) else logits
            rows = _rows(given, len(ids), plan)[skipped:]
            shards.add(_columns(ids[skipped:], rows, plan))
    _check_count(count, plan.source.num_examples or max(there, 1), plan)
    shards.flush()
    ids, rows = shards.ids.sort()
    write_file(folder / INDEX, encoded(INDEX_LAYOUT, {"ids": ids, "rows": rows}))
    names = [*(shard_name(number) for number in range(shards.number)), INDEX]
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": checksum_file(folder / name)} for name in names}
    sync(folder)  # so that no manifest reaches the disk before what it names
    content = {**HEAD, "plan": plan.record(), "num_examples": count, "files": files}
    write_file(folder / MANIFEST, [sealed(content)])
    sync(folder)


def _checked(batches: object) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of ids and logits."""
    required, remedy = "an iterable of pairs (ids, logits)", "pass [(ids, logits)] for a single batch"
    if isinstance(batches, Tensor) or not isinstance(batches, Iterable):
        raise fail_type("batches", required, type(batches).__name__, remedy)
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise fail_type("batches", required, f"an item of type {type(batch).__name__}", remedy)
        yield batch[0], batch[1]


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
        self.folder, self.step, self.layout = folder, plan.rows_per_shard, plan.layout()
        self.ids = torch.empty(0, dtype=torch.int64)
        self.number = self.filled = 0
        while self._whole(path := folder / shard_name(self.number)):
            self.ids = torch.cat([self.ids, mapped(path, self.layout, self.step)["ids"]])
            self.number += 1
        self.columns = {name: torch.empty((self.step, *s), dtype=d) for name, (d, s) in self.layout.items()}

    def _whole(self, path: Path) -> bool:
        return path.exists() and path.stat().st_size == self.step * row_bytes(self.layout)

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
        if not self.filled:
            return
        columns = {name: column[: self.filled] for name, column in self.columns.items()}
        ids, counts = columns["ids"].unique(return_counts=True)
        twice = ids[(counts > 1) | torch.isin(ids, self.ids)]
        if len(twice):
            remedy = "give every example its own id, and pass each example once"
            raise fail("batches", "each id once", f"{int(twice[0])} twice", remedy)
        write_file(self.folder / shard_name(self.number), encoded(self.layout, columns))
        self.ids = torch.cat([self.ids, columns["ids"]])
        self.number, self.filled = self.number + 1, 0


def _rows(logits: Tensor, count: int, plan: Plan) -> Tensor:
    """Return the teacher's logits at the cache's temperature, minus their largest, as (n, K) on the CPU."""
    check_scores("teacher_logits", logits)
    size = plan.source.num_classes
    if logits.ndim < 1 or logits.shape[-1] != size:
        got = f"shape {tuple(logits.shape)}"
        raise fail("teacher_logits", f"{size} classes, num_classes, last", got, "set num_classes")
    rows = logits.detach().reshape(-1, size).cpu()
    if len(rows) != count:
        raise fail("batches", "one row of logits for each id", f"{len(rows)} rows, {count} ids", "pass one id per row")
    return shifted(at_least_float32(rows) / plan.keep.temperature)


def _columns(ids: Tensor, rows: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Return the columns of some examples."""
    bad = first_bad(rows.amax(-1) != 0)  # the largest is 0 unless it was infinite or NaN
    if bad is not None:
        required = "numbers, -inf for classes that do not exist"
        got = f"a NaN, +inf or only -inf for id {int(ids[bad])}"
        raise fail("teacher_logits", required, got, "check the input of that example")
    if isinstance(plan.keep, Sampled):
        return {"ids": ids, **_drawn(ids, rows.log_softmax(-1), plan.keep, plan.seed)}
    if plan.complete:
        return {"ids": ids, "logits": rows}
    top, index = rows.topk(plan.k or 0, dim=-1)
    # summed over the others: 1 - sum_topk p would cancel if little mass is left
    left = rows.scatter(-1, index, -torch.inf).logsumexp(-1, keepdim=True)
    if (prior := plan.prior) is not None:
        others = 1 - prior[index].sum(-1)
        bad = first_bad(others < LEAST_OTHERS)
        if bad is not None:
            got = f"{float(others[bad]):.1g} for id {int(ids[bad])}"
            remedy = "use 'uniform' or 'drop', or a smaller k"
            raise fail("prior", f"a mass of {LEAST_OTHERS:g} outside the k largest classes", got, remedy)
    return {"ids": ids, "logits": torch.cat([top, left], -1), "classes": index}


def _drawn(ids: Tensor, log_probs: Tensor, keep: Sampled, seed: int | None) -> dict[str, Tensor]:
    """Return the draws of some examples, each with its own seed, so that order and batches do not matter."""
    draws, generator = keep.n_draws, torch.Generator()
    classes = torch.empty((len(ids), draws), dtype=torch.int64)
    log_weights = torch.empty((len(ids), draws))
    for row, (example, row_log_probs) in enumerate(zip(ids.tolist(), log_probs, strict=True)):
        # hashed: seed + id would give the same draws for (0, 1) and (1, 0)
        digest = hashlib.sha256(f"{seed}:{example}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:4], "little"))
        drawn = sample(
            row_log_probs, n_draws=draws, proposal_temperature=keep.proposal_temperature, generator=generator
        )
        classes[row], value = drawn.factors()
        log_weights[row] = (value * draws).log()
    return {"classes": classes} if keep.proposal_temperature == 1 else {"classes": classes, "log_weights": log_weights}
