"""Reading a teacher cache: targets of examples by their ids."""

from dataclasses import replace
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
from softtargets.targets.checks import check_tensor

__all__ = ["TeacherCache"]


class TeacherCache:
    """A teacher's probabilities for each example, read from a folder that :func:`write_cache` wrote.

    top_k:    t = sum_j p_j onehot(class_j) + (1 - sum_j p_j) * residual, over the k classes kept
    sampled:  t = mean_d p_d / q_d * onehot(class_d), over the draws, which come from q

    Files are memory-mapped on first use: opening reads only the manifest, and processes that read the same cache share
    its pages. Pickling stores only the folder's name, so that the workers of a data loader can use the cache.

    Args:
        folder: folder of the cache.
        manifest: content of its manifest. Use :meth:`open` instead of the constructor.

    Special cases:
        k = K in float32 gives the teacher's softmax exactly.

    Notes:
        The targets are softened at the temperature of the cache, ``cache.plan.keep.temperature``. Pass them to
        ``kd_loss`` as teacher_logits with that temperature; it applies the factor T^2.

    Complexity:
        A binary search and a copy per example. Memory: the index, 16 bytes per example, and the pages that are read.

    When to use:
        A teacher is run once and used many times, or does not fit into memory together with the student.

    Limitations:
        The targets belong to the inputs that the teacher saw. Under augmentation the teacher would give different
        outputs (Beyer et al. 2022, not checked against the paper): if it is cheap, run it on the augmented inputs
        instead.

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
        """Open a finished cache. Checks that all files exist, but reads only the manifest.

        Args:
            folder: folder of the cache.
            teacher: required name of the teacher; None: any.
            data: required name of the data set; None: any.
            num_classes: required K; None: any.

        Raises:
            ValueError: if the folder, its manifest or a file is missing, unfinished, truncated, of another format, or
                of another teacher, data set or number of classes; it is named.
            TypeError: if folder is not a path.
        """
        path = path_of(folder)
        cache = cls(path, read_manifest(path))
        for name, expected in (("teacher", teacher), ("data", data), ("num_classes", num_classes)):
            found = getattr(cache.plan.source, name)
            if expected is not None and found != expected:
                remedy = "pass the folder of a matching cache, or write one to another folder"
                raise fail(f"{path}: {name}", repr(expected), repr(found), remedy)
        for name, entry in cache.manifest["files"].items():
            check_size(path / name, entry["bytes"])
        return cache

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.manifest["num_examples"]

    def __repr__(self) -> str:
        plan = self.plan
        what = f"k={plan.k}" if plan.k is not None else f"n_draws={plan.n_draws}"
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
            ids: (...) integers, in any order, repeats allowed; for sequences one id per token.

        Returns:
            Targets of shape (...), float32, on the CPU, with the cache's temperature. Dense if k = K, otherwise
            factored, as from ``targets.top_k`` with the residual of the cache or from ``targets.sample``.

        Raises:
            ValueError: if an id is not in the cache (the first is named), or a file is missing or truncated.
            TypeError: if ids are not an integer tensor.
        """
        plan, columns = self.plan, self._gathered(ids)
        if plan.complete:
            return replace(dense(columns["logits"].float().softmax(-1)), temperature=plan.keep.temperature)
        index = columns["classes"].long()
        if plan.n_draws is not None:
            value = torch.full(index.shape, 1 / plan.n_draws)
            if "log_weights" in columns:
                value = columns["log_weights"].float().exp() / plan.n_draws
            return self._sparse(index=index, value=value)
        # the k kept classes and, last, the total of the others: normalising them gives mass 1 despite rounding
        probs = columns["logits"].float().softmax(-1)
        return self._with_residual(index, probs[..., :-1], probs[..., -1])

    def log_probs(self, ids: Tensor) -> Tensor:
        """Return the teacher's log-probabilities for some examples, from a cache of all classes.

        If the cache's temperature is 1, use them as ``teacher_logits`` of a loss at any temperature.

        Args:
            ids: (...) integers, as for :meth:`targets`.

        Returns:
            (..., K) float32, nats, on the CPU.

        Raises:
            ValueError: if k < K or the cache holds draws; and as for :meth:`targets`.
        """
        if not self.plan.complete:
            got = f"{self.plan.k if self.plan.k is not None else 'draws'} of {self.plan.source.num_classes}"
            remedy = "use targets, or write a cache with k=None"
            raise fail(str(self.folder), "a cache of all classes, for log_probs", got, remedy)
        return self._gathered(ids)["logits"].float().log_softmax(-1)

    def verify(self) -> None:
        """Read every file and compare its checksum.

        Raises:
            ValueError: if a checksum differs or a file is missing or truncated; the file is named.
        """
        for name, entry in self.manifest["files"].items():
            path = self.folder / name
            check_size(path, entry["bytes"])
            if checksum_file(path) != entry["sha256"]:
                raise fail(str(path), "the bytes that were written", "different bytes (the checksum differs)", AGAIN)

    def _with_residual(self, index: Tensor, value: Tensor, left: Tensor) -> Targets:
        """Return the targets of k classes and the residual mass, as ``targets.top_k`` makes them from all K."""
        size, prior = self.plan.source.num_classes, self.plan.prior
        if isinstance(self.plan.keep, TopK) and self.plan.keep.residual == "drop":
            return self._sparse(index=index, value=value)
        if prior is None:
            rest = left * size / (size - index.shape[-1])
            return self._sparse(index=index, value=value - rest[..., None] / size, rest=rest)
        at_top = rows_of(prior, index)
        rest = left / (1 - at_top.sum(-1))  # in float64; write_cache checks that the divisor is not near 0
        value = (value - rest[..., None] * at_top).float()
        return self._sparse(index=index, value=value, rest=rest.float(), prior=prior.float())

    def _sparse(self, **tensors: Tensor) -> Targets:
        return Targets(**tensors, size=self.plan.source.num_classes, temperature=self.plan.keep.temperature)

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
        """Return the (n,) rows of the cache that hold these examples."""
        flat = integer_ids(ids)
        index = self._file(INDEX)
        place = torch.searchsorted(index["ids"], flat).clamp_(max=len(self) - 1)
        bad = first_bad((index["ids"][place] != flat).reshape(ids.shape))
        if bad is not None:
            got = f"{int(ids[bad])} at {where(bad)}"
            raise fail("ids", f"ids of the cache in {self.folder}", got, "write a cache that contains all examples")
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


def path_of(folder: object) -> Path:
    """Return a folder's path."""
    if not isinstance(folder, str | PathLike):
        raise fail_type("folder", "a path", type(folder).__name__, "pass the folder first, as a str or pathlib.Path")
    return Path(folder)


def integer_ids(ids: object) -> Tensor:
    """Return ids as (n,) int64 on the CPU, checked; they may be negative."""
    check_tensor("ids", ids, "an integer tensor, one id per example")
    assert isinstance(ids, Tensor)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        remedy = "pass integer ids; write_cache takes batches of (ids, logits), in this order"
        raise fail_type("ids", "an integer tensor, one id per example", f"dtype {ids.dtype}", remedy)
    return ids.detach().reshape(-1).cpu().long()
