"""What a teacher cache holds: whose probabilities, which classes of each example, and in which columns."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._checks import check_count, check_num_classes, check_prior
from softtargets._errors import fail, fail_type, unknown
from softtargets.distill._inputs import check_temperature
from softtargets.distill.cache.tensors import Layout, in_order
from softtargets.targets.checks import check_residual, check_tensor

__all__ = ["CacheSource", "Sampled", "TopK"]

DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class CacheSource:
    """Teacher and data of a teacher cache. A folder that was started with one source cannot be used with another.

    Args:
        teacher: name of the teacher, such as a run's id or a checksum of its weights.
        data: name of the data set.
        num_classes: K.
        num_examples: required number of examples, or of sequences; None: any number.
        tokenizer: of sequences, the name of the tokenizer whose tokens are the classes; None: the examples are not
            sequences.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if a name is empty or not a string, or a number is not an int.
    """

    teacher: str
    data: str
    num_classes: int
    num_examples: int | None = None
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        _check_name("teacher", self.teacher)
        _check_name("data", self.data)
        if self.tokenizer is not None:
            _check_name("tokenizer", self.tokenizer)
        check_num_classes(self.num_classes)
        if self.num_examples is not None:
            check_count("num_examples", self.num_examples, remedy="pass the number of examples, or None")


@dataclass(frozen=True, eq=False)
class TopK:
    """Keep the k largest probabilities of each example, and the total mass of the others.

    Args:
        k: number of classes to keep per example; None: all K.
        residual: what happens to the mass of the others: "uniform", "prior" or "drop", as in ``targets.top_k``.
        prior: (K,) float, probabilities, only with residual="prior"; at least 1e-6 must lie outside any example's k
            classes.
        temperature: T, above 0, at which the teacher's probabilities are softened.
        dtype: storage type, "float16" or "float32".

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument has the wrong type.
    """

    k: int | None = None
    residual: str = "uniform"
    prior: Tensor | None = None
    temperature: float = 1.0
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.k is not None:
            check_count("k", self.k, remedy="pass the number of classes to keep, or None for all")
        if self.prior is not None:
            check_tensor("prior", self.prior, "a floating-point tensor")
            check_prior("prior", self.prior)
        _check_numbers(self.temperature, self.dtype)


@dataclass(frozen=True)
class Sampled:
    """Keep classes sampled from each example's probabilities, as ``targets.sample`` does.

    Args:
        n_draws: number of draws per example.
        proposal_temperature: temperature of the draws, as in ``targets.sample``.
        temperature: T, above 0, at which the teacher's probabilities are softened.
        dtype: storage type, "float16" or "float32".

    Raises:
        ValueError: if an argument is out of range.
        TypeError: if an argument has the wrong type.
    """

    n_draws: int
    proposal_temperature: float = 1.0
    temperature: float = 1.0
    dtype: str = "float16"

    def __post_init__(self) -> None:
        check_count("n_draws", self.n_draws, remedy="pass the number of draws per example")
        check_temperature("proposal_temperature", self.proposal_temperature)
        _check_numbers(self.temperature, self.dtype)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that determines the bytes of a cache, besides the teacher's logits.

    Args:
        source: teacher and data.
        keep: what is kept of each example.
        seed: seed of the draws; None for TopK.
        rows_per_shard: examples per file, or of sequences the tokens after which a file is closed.
    """

    source: CacheSource
    keep: TopK | Sampled
    seed: int | None
    rows_per_shard: int

    def __post_init__(self) -> None:
        if not isinstance(self.source, CacheSource):
            remedy = "pass CacheSource(teacher=..., data=..., num_classes=...) as the third argument"
            raise fail_type("source", "a CacheSource", type(self.source).__name__, remedy)
        if not isinstance(self.keep, TopK | Sampled):
            remedy = "pass TopK(k=...) or Sampled(n_draws=...)"
            raise fail_type("keep", "TopK or Sampled", type(self.keep).__name__, remedy)
        check_count("rows_per_shard", self.rows_per_shard, remedy="pass the number of examples per file")
        if isinstance(self.keep, TopK):
            size = self.source.num_classes
            if self.keep.k is not None and self.keep.k > size:
                raise fail("k", f"at most {size}, the number of classes", self.keep.k, "None keeps them all")
            check_residual(self.keep.residual, _in_float64(self.keep.prior), size)
            if self.sequences and self.keep.residual != "uniform":
                remedy = "leave it out, and choose `tail` of divergence_loss when the cache is read"
                raise fail("residual", "'uniform' for sequences", f"'{self.keep.residual}'", remedy)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Create a plan from what :meth:`record` returned.

        Raises:
            KeyError, TypeError, ValueError: if it is anything else.
        """
        source = CacheSource(
            record["teacher"], record["data"], record["num_classes"], record["num_examples"], record["tokenizer"]
        )
        numbers = {"temperature": record["temperature"], "dtype": record["dtype"]}
        if record["kind"] == "sampled":
            keep = Sampled(record["draws"], record["proposal_temperature"], **numbers)
        else:
            prior = None if record["prior"] is None else torch.tensor(record["prior"], dtype=torch.float64)
            keep = TopK(record["k"], record["residual"], prior, **numbers)
        plan = cls(source, keep, record["seed"], record["rows_per_shard"])
        if plan.record() != record:
            raise fail("record", "the record of a plan", "a different record", "write the cache again")
        return plan

    def record(self) -> dict[str, Any]:
        """Return the plan as it is written to a cache's files: one flat dictionary for both kinds."""
        top, drawn = (self.keep, None) if isinstance(self.keep, TopK) else (None, self.keep)
        prior = None if top is None else _in_float64(top.prior)
        return {
            "teacher": self.source.teacher,
            "data": self.source.data,
            "num_classes": self.source.num_classes,
            "num_examples": self.source.num_examples,
            "tokenizer": self.source.tokenizer,
            "kind": "sampled" if top is None else "top_k",
            "k": self.k,
            "draws": self.n_draws,
            "residual": "uniform" if top is None else top.residual,
            "prior": None if prior is None else prior.tolist(),
            "temperature": self.keep.temperature,
            "proposal_temperature": 1.0 if drawn is None else drawn.proposal_temperature,
            "dtype": self.keep.dtype,
            "seed": self.seed,
            "rows_per_shard": self.rows_per_shard,
        }

    @property
    def sequences(self) -> bool:
        """Whether the examples are sequences of tokens."""
        return self.source.tokenizer is not None

    @property
    def k(self) -> int | None:
        """Number of classes kept per example; None for draws."""
        return (self.keep.k or self.source.num_classes) if isinstance(self.keep, TopK) else None

    @property
    def n_draws(self) -> int | None:
        """Number of draws per example; None for TopK."""
        return self.keep.n_draws if isinstance(self.keep, Sampled) else None

    @property
    def prior(self) -> Tensor | None:
        """The (K,) float64 prior of the residual, normalised."""
        prior = _in_float64(self.keep.prior) if isinstance(self.keep, TopK) else None
        return None if prior is None else prior / prior.sum()

    @property
    def complete(self) -> bool:
        """Whether all classes are kept."""
        return self.k == self.source.num_classes

    def columns(self) -> Layout:
        """Return the dtype and the shape per row of the columns that hold probabilities, in the order of a file."""
        number, width = DTYPES[self.keep.dtype], self.k or self.n_draws or 0
        columns: Layout = {}
        if isinstance(self.keep, TopK):
            columns["logits"] = (number, (width if self.complete else width + 1,))
        else:
            if self.sequences:
                columns["log_probs"] = (number, (width,))
            if self.keep.proposal_temperature != 1:  # otherwise every draw has weight 1 / n_draws
                columns["log_weights"] = (number, (width,))
        if not self.complete:
            columns["classes"] = (torch.int16 if self.source.num_classes <= 2**15 else torch.int32, (width,))
        return {name: columns[name] for name in in_order({name: dtype for name, (dtype, _) in columns.items()})}


def _in_float64(prior: Tensor | None) -> Tensor | None:
    return None if prior is None else prior.detach().double()


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise fail_type(argument, "a name", repr(value), "pass a non-empty string that identifies it")


def _check_numbers(temperature: float, dtype: str) -> None:
    check_temperature("temperature", temperature)
    if dtype not in DTYPES:
        raise unknown("dtype", str(dtype).removeprefix("torch."), tuple(DTYPES))
