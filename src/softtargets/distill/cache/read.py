"""A teacher cache, opened: targets of examples by their ids."""

from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._checks import first_bad, where
from softtargets._errors import fail, fail_type
from softtargets._numerics import rows_of
from softtargets._storage import checksum_file
from softtargets.distill.cache.format import AGAIN, INDEX, INDEX_LAYOUT, check_size, mapped, read_manifest, shard_name
from softtargets.distill.cache.plan import Plan, TopK
from softtargets.targets import Targets, dense

__all__ = ["TeacherCache"]


class TeacherCache:
    """What a teacher says of each example, read from a folder that :func:`write_cache` wrote.

    top_k:    t = sum_j p_j onehot(class_j) + (1 - sum_j p_j) * residual, over the k classes kept
    sampled:  t = mean_d p_d / q_d * onehot(class_d), over the draws, q what they were drawn from

    Files are mapped into memory as they are asked for: opening reads the manifest alone, and processes that read the
    same cache share its pages. It pickles as its folder's name, so that the workers of a loader may have it.

    Args:
        folder: of the cache.
        manifest: what stands in its manifest: use :meth:`open`.

    Special cases:
        k = K in float32 gives the teacher's own softmax.

    Notes:
        targets are at the temperature the cache was written at, ``cache.plan.keep.temperature``; the student's
        temperature and the factor T^2 are the loss's.

    Complexity:
        a binary search and a copy per example; the ids and rows of the index, 16 bytes each, and the pages looked at.

    When to use:
        a teacher is run once and taught from many times, or does not fit beside its student.

    Limitations:
        the teacher is asked of the inputs as they were: under augmentation it would answer otherwise (Beyer et al.
        2022, from memory); with few classes or a small teacher, ask it again.

    Example:
        >>> import tempfile
        >>> from softtargets.distill import CacheSource, TopK, write_cache
        >>> source = CacheSource(teacher="t", data="d", num_classes=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        ...     _ = write_cache(folder, [(torch.tensor([7]), logits)], source, keep=TopK(k=1))
        ...     TeacherCache.open(folder, teacher="t").targets(torch.tensor([7])).to_dense().tolist()
        [[0.5, 0.25, 0.25]]
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.plan = Plan.from_record(manifest["plan"])
        self._files: dict[str, dict[str, Tensor]] = {}

    @classmethod
    def open(
        cls,
        folder: str | PathLike[str],
        *,
        teacher: str | None = None,
        data: str | None = None,
        num_classes: int | None = None,
    ) -> Self:
        """Open a finished cache; its files are looked for, none but the manifest is read.

        Args:
            folder: of the cache.
            teacher: what the teacher must be called; None: any.
            data: what the data must be called; None: any.
            num_classes: what K must be; None: any.

        Raises:
            ValueError: where the folder, its manifest or a file is missing, unfinished, cut off, of another format, or
                of another teacher, other data or another number of classes; it is named.
        """
        path = Path(folder)
        cache = cls(path, read_manifest(path))
        for name, expected in (("teacher", teacher), ("data", data), ("num_classes", num_classes)):
            found = getattr(cache.plan.source, name)
            if expected is not None and found != expected:
                remedy = "name the folder of a cache that fits, or write one in a folder of its own"
                raise fail(f"{path}: {name}", repr(expected), repr(found), remedy)
        for name, entry in cache.manifest["files"].items():
            check_size(path / name, entry["bytes"])
        return cache

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.manifest["num_examples"]

    def __repr__(self) -> str:
        plan = self.plan
        what = f"k={plan.k}" if plan.k is not None else f"draws={plan.draws}"
        return f"TeacherCache({str(self.folder)!r}, {len(self)} examples, {plan.source.num_classes} classes, {what})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.manifest)

    @property
    def ids(self) -> Tensor:
        """The (N,) int64 ids of the examples, ascending."""
        return self._file(INDEX)["ids"].clone()

    def targets(self, ids: Tensor) -> Targets:
        """Return the teacher's targets of some examples.

        Args:
            ids: (...) int64, in any order, repeats allowed; for sequences one for each token.

        Returns:
            Targets of shape (...), float32, on the CPU; dense where k = K, else factored: those of ``targets.top_k`` of
            the residual that was asked for, or of ``targets.sample``.

        Raises:
            ValueError: where an id is not in the cache (the first is named), or a file is missing or cut off.
            TypeError: where ids are not integers.
        """
        plan, columns = self.plan, self._gathered(ids)
        if plan.complete:
            return dense(columns["logits"].float().softmax(-1))
        index = columns["classes"].long()
        if plan.draws is not None:
            value = torch.full(index.shape, 1 / plan.draws)
            if "log_weights" in columns:
                value = columns["log_weights"].float().exp() / plan.draws
            return Targets(index=index, value=value, size=plan.source.num_classes)
        # the k kept and, last, all others together: their softmax is the teacher's, rounding or not of mass 1
        probs = columns["logits"].float().softmax(-1)
        return self._with_residual(index, probs[..., :-1], probs[..., -1])

    def log_probs(self, ids: Tensor) -> Tensor:
        """Return the teacher's log-probabilities of some examples, where all of its classes are kept.

        Where the cache's temperature is 1 they serve as ``teacher_logits``, at any temperature of the loss.

        Args:
            ids: (...) int64, as for :meth:`targets`.

        Returns:
            (..., K) float32, nats, on the CPU.

        Raises:
            ValueError: where k < K or the cache holds draws; and as for :meth:`targets`.
        """
        if not self.plan.complete:
            got = f"{self.plan.k if self.plan.k is not None else 'draws'} of {self.plan.source.num_classes}"
            remedy = "use targets, or write a cache with k=None"
            raise fail(str(self.folder), "a cache of all classes, for log_probs", got, remedy)
        return self._gathered(ids)["logits"].float().log_softmax(-1)

    def verify(self) -> None:
        """Read every file and compare its checksum.

        Raises:
            ValueError: where one differs, or is missing or cut off; it is named.
        """
        for name, entry in self.manifest["files"].items():
            path = self.folder / name
            check_size(path, entry["bytes"])
            if checksum_file(path) != entry["sha256"]:
                raise fail(str(path), "the bytes that were written", "others (its checksum differs)", AGAIN)

    def _with_residual(self, index: Tensor, value: Tensor, left: Tensor) -> Targets:
        """Return the targets of k classes that leave a mass, as ``targets.top_k`` makes them of all K."""
        size, prior = self.plan.source.num_classes, self.plan.prior
        if isinstance(self.plan.keep, TopK) and self.plan.keep.residual == "drop":
            return Targets(index=index, value=value, size=size)
        if prior is None:
            rest = left * size / (size - index.shape[-1])
            return Targets(index=index, value=value - rest[..., None] / size, rest=rest, size=size)
        at_top = rows_of(prior, index)
        rest = left / (1 - at_top.sum(-1))  # in float64; write_cache has seen to it that this is not near 0
        value = (value - rest[..., None] * at_top).float()
        return Targets(index=index, value=value, rest=rest.float(), prior=prior.float(), size=size)

    def _gathered(self, ids: Tensor) -> dict[str, Tensor]:
        """Return the columns of some examples, (..., *) each."""
        rows, step = self._rows(ids), self.plan.rows_per_shard
        layout = self.plan.layout()
        columns = {n: torch.empty((len(rows), *s), dtype=d) for n, (d, s) in layout.items() if n != "ids"}
        shards, offsets = rows // step, rows % step
        for number in shards.unique().tolist():
            at = (shards == number).nonzero()[:, 0]
            shard = self._file(shard_name(number))
            for name, column in columns.items():
                column[at] = shard[name][offsets[at]]
        return {name: column.reshape(*ids.shape, *column.shape[1:]) for name, column in columns.items()}

    def _rows(self, ids: Tensor) -> Tensor:
        """Return the rows of the cache that hold these examples, (n,)."""
        flat = integer_ids(ids)
        index = self._file(INDEX)
        place = torch.searchsorted(index["ids"], flat).clamp_(max=len(self) - 1)
        bad = first_bad((index["ids"][place] != flat).reshape(ids.shape))
        if bad is not None:
            got = f"{int(ids[bad])} at {where(bad)}"
            raise fail("ids", f"examples of the cache in {self.folder}", got, "write a cache that has them all")
        return index["rows"][place]

    def _file(self, name: str) -> dict[str, Tensor]:
        if name not in self._files:
            layout, rows = (INDEX_LAYOUT, len(self)) if name == INDEX else (self.plan.layout(), self._shard_rows(name))
            self._files[name] = mapped(self.folder / name, layout, rows)
        return self._files[name]

    def _shard_rows(self, name: str) -> int:
        step = self.plan.rows_per_shard
        last = shard_name((len(self) - 1) // step)
        return (len(self) - 1) % step + 1 if name == last else step


def integer_ids(ids: object) -> Tensor:
    """Return ids as (n,) int64 on the CPU, checked."""
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        got = f"dtype {ids.dtype}" if isinstance(ids, Tensor) else type(ids).__name__
        raise fail_type("ids", "an int64 tensor, one id per example", got, "number the examples")
    return ids.detach().reshape(-1).cpu().long()
