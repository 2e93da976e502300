"""Reading a teacher cache: targets of examples by their ids."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._errors import fail, fail_type
from softtargets._numerics import rows_of
from softtargets._storage import checksum_file
from softtargets.distill.cache.filling import fill, path_of
from softtargets.distill.cache.format import AGAIN, check_size, read_manifest
from softtargets.distill.cache.lookup import CachedSequences, CacheFiles
from softtargets.distill.cache.parquet import read_parquet
from softtargets.distill.cache.plan import CacheSource, Plan, TopK
from softtargets.distill.cache.sequences import Ragged
from softtargets.distill.cache.shards import write_ragged
from softtargets.distill.cache.vllm import read_vllm
from softtargets.targets import Targets, dense

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
        self._files = CacheFiles(folder, self.plan, manifest)

    @classmethod
    def open(
        cls,
        folder: str | PathLike[str],
        *,
        teacher: str | None = None,
        data: str | None = None,
        num_classes: int | None = None,
        tokenizer: str | None = None,
    ) -> Self:
        """Open a finished cache. Checks that all files exist, but reads only the manifest.

        Args:
            folder: folder of the cache.
            teacher: required name of the teacher; None: any.
            data: required name of the data set; None: any.
            num_classes: required K; None: any.
            tokenizer: required name of the tokenizer of sequences; None: any.

        Raises:
            ValueError: if the folder, its manifest or a file is missing, unfinished, truncated, of another format, or
                of another teacher, data set, number of classes or tokenizer; it is named.
            TypeError: if folder is not a path.
        """
        path = path_of(folder)
        cache = cls(path, read_manifest(path))
        given = {"teacher": teacher, "data": data, "num_classes": num_classes, "tokenizer": tokenizer}
        for name, expected in given.items():
            found = getattr(cache.plan.source, name)
            if expected is not None and found != expected:
                remedy = "pass the folder of a matching cache, or write one to another folder"
                raise fail(f"{path}: {name}", repr(expected), repr(found), remedy)
        for name, entry in cache.manifest["files"].items():
            check_size(path / name, entry["bytes"])
        return cache

    @classmethod
    def from_vllm(
        cls,
        folder: str | PathLike[str],
        files: str | PathLike[str] | Sequence[str | PathLike[str]],
        source: CacheSource,
        *,
        keep: TopK,
        id_key: str | None = None,
        rows_per_shard: int = 65536,
    ) -> Self:
        """Write a cache of sequences from the JSON of vLLM's log-probabilities, and open it.

        The JSON may be that of ``LLM.generate`` (``RequestOutput``: prompt_token_ids, prompt_logprobs, and the
        token_ids and logprobs of one output), that of the server's completions and chat completions, or that of its
        batches. The server must be asked for token ids: return_token_ids and return_tokens_as_token_ids. The tokens of
        a sequence are those of the prompt and of the output; those with log-probabilities get a row.

        Args:
            folder: created if missing; must be empty or hold the same cache.
            files: JSON Lines (.jsonl), one request per line, or JSON with one request or a list of them.
            source: names of teacher, data and tokenizer, and K, the size of the vocabulary.
            keep: ``TopK(k)``, with k at most the prompt_logprobs or logprobs that vLLM was asked for. The temperature
                is the one that the log-probabilities were computed at, 1 unless vLLM was told otherwise.
            id_key: key of a record that holds its integer id, such as "custom_id"; None: ids count the records from 0.
            rows_per_shard: tokens after which a file is closed.

        Raises:
            ValueError: if a record lacks tokens or log-probabilities, has fewer than k at a position, or a token is not
                below K; the file, the record and the position are named.
            TypeError: if an argument has the wrong type.

        Notes:
            vLLM adds the token that was there to the k largest: it is dropped if it is not among them. The mass of the
            other classes is 1 - sum p. It is at least 1e-6, since float32 does not tell smaller ones from rounding.
        """
        return cls._imported(folder, source, keep, rows_per_shard, lambda plan: read_vllm(files, plan, id_key))

    @classmethod
    def from_parquet(
        cls,
        folder: str | PathLike[str],
        files: str | PathLike[str] | Sequence[str | PathLike[str]],
        source: CacheSource,
        *,
        keep: TopK,
        rows_per_shard: int = 65536,
    ) -> Self:
        """Write a cache of sequences from Parquet files, and open it.

        One row per sequence, with the columns:

        - `id`: integer.
        - `tokens`: list of integers, the L tokens.
        - `positions`: list of R integers, the place of the token that each row predicts; without it there are L - 1
          rows, for the tokens after the first.
        - `classes`: list of R lists of k or more integers.
        - `log_probs`: list of R lists of as many floats, natural logarithms.

        Args:
            folder: created if missing; must be empty or hold the same cache.
            files: Parquet files.
            source: names of teacher, data and tokenizer, and K, the size of the vocabulary.
            keep: ``TopK(k)``; the temperature is the one that the log-probabilities were computed at.
            rows_per_shard: tokens after which a file is closed.

        Raises:
            ValueError: if a column is missing, a list is short, or a token is not below K; the file, the row and the
                position are named.
            TypeError: if an argument has the wrong type.
        """
        return cls._imported(folder, source, keep, rows_per_shard, lambda plan: read_parquet(files, plan))

    @classmethod
    def _imported(
        cls,
        folder: str | PathLike[str],
        source: CacheSource,
        keep: TopK,
        rows_per_shard: int,
        read: Callable[[Plan], Iterator[Ragged]],
    ) -> Self:
        path = path_of(folder)
        if not isinstance(keep, TopK):
            raise fail_type("keep", "TopK", type(keep).__name__, "pass TopK(k=...)")
        plan = Plan(source, keep, None, rows_per_shard)
        if not plan.sequences:
            raise fail("source", "a CacheSource with a tokenizer", repr(source), "pass tokenizer=, a name")
        fill(path, plan, lambda plan: write_ragged(path, plan, read(plan)))
        return cls.open(path)

    def __len__(self) -> int:
        """Return the number of examples, or of sequences."""
        return self.manifest["num_examples"]

    def __repr__(self) -> str:
        plan = self.plan
        what = f"k={plan.k}" if plan.k is not None else f"n_draws={plan.n_draws}"
        kind = "sequences" if plan.sequences else "examples"
        return f"TeacherCache({str(self.folder)!r}, {len(self)} {kind}, {plan.source.num_classes} classes, {what})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.manifest)

    @property
    def ids(self) -> Tensor:
        """The (N,) int64 ids of the examples, ascending."""
        return self._files.index["ids"].clone()

    def targets(self, ids: Tensor) -> Targets:
        """Return the teacher's targets of some examples.

        Args:
            ids: (...) integers, in any order, repeats allowed.

        Returns:
            Targets of shape (...), float32, on the CPU, with the cache's temperature. Dense if k = K, otherwise
            factored, as from ``targets.top_k`` with the residual of the cache or from ``targets.sample``.

        Raises:
            ValueError: if an id is not in the cache (the first is named), or a file is missing or truncated.
            TypeError: if ids are not an integer tensor.
        """
        plan, columns = self.plan, self._files.rows(ids)
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

    def sequences(self, ids: Tensor) -> CachedSequences:
        """Return the tokens of some sequences, and the teacher's log-probabilities for them.

        Args:
            ids: (n,) integers, in any order, repeats allowed.

        Returns:
            The sequences one after the other, on the CPU.

        Raises:
            ValueError: if an id is not in the cache (the first is named), the cache is not of sequences, or a file is
                missing or truncated.
            TypeError: if ids are not an integer tensor.
        """
        return self._files.sequences(ids)

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
        return self._files.rows(ids)["logits"].float().log_softmax(-1)

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
