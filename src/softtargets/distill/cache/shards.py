"""The writing of a teacher cache: shards, index, manifest."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from softtargets._checks import check_floating, first_bad
from softtargets._errors import fail
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

LEAST_OTHERS = 1e-6

Batches = Iterable[tuple[Tensor, Tensor | Callable[[], Tensor]]]


def write(folder: Path, plan: Plan, batches: Batches) -> None:
    """Write the shards that are not there yet, the index and, last, the manifest."""
    shards = _Shards(folder, plan)
    there, count = len(shards.ids), 0
    for ids, logits in batches:
        ids = integer_ids(ids)
        skipped = min(max(there - count, 0), len(ids))
        if not torch.equal(ids[:skipped], shards.ids[count : count + skipped]):
            remedy = "give the batches in the same order, or choose another folder"
            raise fail("batches", f"the ids in the order of {folder}", f"others after {count} examples", remedy)
        count += len(ids)
        _check_count(count, 0, plan)
        if skipped < len(ids):
            rows = _rows(logits if isinstance(logits, Tensor) else logits(), len(ids), plan)[skipped:]
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


def _check_count(count: int, least: int, plan: Plan) -> None:
    if count < least:
        remedy = "give all of them (does a loader drop its last batch?), or choose another folder"
        raise fail("batches", f"{least} examples or more", count, remedy)
    most = plan.source.num_examples
    if most is not None and count > most:
        remedy = "set num_examples, or choose another folder"
        raise fail("batches", f"{most} examples, num_examples", f"{count} or more", remedy)


class _Shards:
    """The shards of a cache in the making: those that are whole already, and one in memory.

    A shard of fewer rows, the last of a writer that was killed before its manifest, is written again.
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
        """Take some examples, and write each shard that they fill."""
        start, count = 0, len(columns["ids"])
        while start < count:
            taken = min(count - start, self.step - self.filled)
            for name, column in columns.items():
                self.columns[name][self.filled : self.filled + taken] = column[start : start + taken]
            start, self.filled = start + taken, self.filled + taken
            if self.filled == self.step:
                self.flush()

    def flush(self) -> None:
        """Write what is in memory, where there is anything."""
        if not self.filled:
            return
        columns = {name: column[: self.filled] for name, column in self.columns.items()}
        ids, counts = columns["ids"].unique(return_counts=True)
        twice = ids[(counts > 1) | torch.isin(ids, self.ids)]
        if len(twice):
            remedy = "number the examples through, and give no example a second time"
            raise fail("batches", "each id once", f"{int(twice[0])} twice", remedy)
        write_file(self.folder / shard_name(self.number), encoded(self.layout, columns))
        self.ids = torch.cat([self.ids, columns["ids"]])
        self.number, self.filled = self.number + 1, 0


def _rows(logits: Tensor, count: int, plan: Plan) -> Tensor:
    """Return teacher's logits at the cache's temperature, less their largest, (n, K) on the CPU."""
    check_floating("teacher_logits", logits)
    size = plan.source.num_classes
    if logits.ndim < 1 or logits.shape[-1] != size:
        got = f"shape {tuple(logits.shape)}"
        raise fail("teacher_logits", f"{size} classes, num_classes, last", got, "set num_classes")
    rows = logits.detach().reshape(-1, size).cpu()
    if len(rows) != count:
        raise fail("batches", "one row of logits for each id", f"{len(rows)} rows, {count} ids", "align them")
    return shifted(at_least_float32(rows) / plan.keep.temperature)


def _columns(ids: Tensor, rows: Tensor, plan: Plan) -> dict[str, Tensor]:
    """Return what is kept of some examples."""
    bad = first_bad(rows.amax(-1) != 0)  # the largest is 0 unless it was infinite or not a number
    if bad is not None:
        required = "numbers, -inf for classes that do not exist"
        raise fail("teacher_logits", required, f"a NaN, +inf or only -inf for id {int(ids[bad])}", "look at its input")
    if isinstance(plan.keep, Sampled):
        return {"ids": ids, **_drawn(ids, rows.log_softmax(-1), plan.keep, plan.seed)}
    if plan.complete:
        return {"ids": ids, "logits": rows}
    top, index = rows.topk(plan.k or 0, dim=-1)
    # a sum over the others, since 1 - sum_topk p would be rounding where little is left
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
    """Return the draws of some examples, each by a seed of its own: order and batches have no part in them."""
    draws, generator = keep.draws, torch.Generator()
    classes = torch.empty((len(ids), draws), dtype=torch.int64)
    log_weights = torch.empty((len(ids), draws))
    for row, (example, row_log_probs) in enumerate(zip(ids.tolist(), log_probs, strict=True)):
        # hashed: neighbouring seeds would share draws, as 0 + 1 is 1 + 0
        digest = hashlib.sha256(f"{seed}:{example}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:4], "little"))
        drawn = sample(row_log_probs, draws=draws, proposal_temperature=keep.proposal_temperature, generator=generator)
        classes[row], value = drawn.factors()
        log_weights[row] = (value * draws).log()
    return {"classes": classes} if keep.proposal_temperature == 1 else {"classes": classes, "log_weights": log_weights}
