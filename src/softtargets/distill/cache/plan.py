"""What a teacher cache holds: of whom, which classes of each example, and the columns that follow from it."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from softtargets._checks import check_count, check_num_classes, check_prior
from softtargets._errors import fail, fail_type, unknown
from softtargets.distill._inputs import check_temperature
from softtargets.distill.cache.format import Layout
from softtargets.targets.checks import check_residual

__all__ = ["CacheSource", "Sampled", "TopK"]

DTYPES = {"float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class CacheSource:
    """Whose answers a teacher cache holds; a folder begun with one source is refused for another.

    Args:
        teacher: what the teacher is called: a run's id, or a checksum of its weights.
        data: what the data are called.
        num_classes: K.
        num_examples: how many examples there must be; None: as many as come.

    Raises:
        ValueError: where a number is out of range.
        TypeError: where a name is empty or not a string.
    """

    teacher: str
    data: str
    num_classes: int
    num_examples: int | None = None

    def __post_init__(self) -> None:
        _check_name("teacher", self.teacher)
        _check_name("data", self.data)
        check_num_classes(self.num_classes)
        if self.num_examples is not None:
            check_count("num_examples", self.num_examples, remedy="give a whole number")


@dataclass(frozen=True, eq=False)
class TopK:
    """Keep the k largest probabilities of each example, and the mass of all others as one number.

    Args:
        k: classes kept of each example; None: all K.
        residual: where the mass of the others goes: "uniform", "prior" or "drop", as in ``targets.top_k``.
        prior: (K,) probabilities, for the residual "prior" alone, at least 1e-6 of them outside any example's k.
        temperature: of the teacher, above 0.
        dtype: "float16" or "float32".

    Raises:
        ValueError: where an argument is out of range.
    """

    k: int | None = None
    residual: str = "uniform"
    prior: Tensor | None = None
    temperature: float = 1.0
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.k is not None:
            check_count("k", self.k, remedy="give a whole number")
        if self.prior is not None:
            check_prior("prior", self.prior)
        _check_numbers(self.temperature, self.dtype)


@dataclass(frozen=True)
class Sampled:
    """Keep classes drawn from each example's probabilities, as ``targets.sample`` draws them.

    Args:
        draws: of each example.
        proposal_temperature: of the draws, as in ``targets.sample``.
        temperature: of the teacher, above 0.
        dtype: "float16" or "float32".

    Raises:
        ValueError: where an argument is out of range.
    """

    draws: int
    proposal_temperature: float = 1.0
    temperature: float = 1.0
    dtype: str = "float16"

    def __post_init__(self) -> None:
        check_count("draws", self.draws, remedy="give a whole number")
        check_temperature("proposal_temperature", self.proposal_temperature)
        _check_numbers(self.temperature, self.dtype)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that the bytes of a cache depend on, besides the teacher's logits.

    Args:
        source: whose answers.
        keep: what is kept of each example.
        seed: of the draws; None of the k largest.
        rows_per_shard: examples in a file.
    """

    source: CacheSource
    keep: TopK | Sampled
    seed: int | None
    rows_per_shard: int

    def __post_init__(self) -> None:
        if not isinstance(self.keep, TopK | Sampled):
            raise fail_type("keep", "TopK or Sampled", type(self.keep).__name__, "choose one of both")
        check_count("rows_per_shard", self.rows_per_shard, remedy="give a whole number")
        if isinstance(self.keep, TopK):
            size = self.source.num_classes
            if self.keep.k is not None and self.keep.k > size:
                raise fail("k", f"at most {size}, the number of classes", self.keep.k, "None keeps them all")
            check_residual(self.keep.residual, _in_float64(self.keep.prior), size)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """Read what :meth:`record` returned.

        Raises:
            KeyError, TypeError, ValueError: for anything else.
        """
        source = CacheSource(record["teacher"], record["data"], record["num_classes"], record["num_examples"])
        numbers = {"temperature": record["temperature"], "dtype": record["dtype"]}
        if record["kind"] == "sampled":
            keep = Sampled(record["draws"], record["proposal_temperature"], **numbers)
        else:
            prior = None if record["prior"] is None else torch.tensor(record["prior"], dtype=torch.float64)
            keep = TopK(record["k"], record["residual"], prior, **numbers)
        plan = cls(source, keep, record["seed"], record["rows_per_shard"])
        if plan.record() != record:
            raise fail("record", "the record of a plan", "another", "write the cache again")
        return plan

    def record(self) -> dict[str, Any]:
        """Return the plan as it stands in a cache's files: one flat dictionary for both kinds."""
        top, drawn = (self.keep, None) if isinstance(self.keep, TopK) else (None, self.keep)
        prior = None if top is None else _in_float64(top.prior)
        return {
            "teacher": self.source.teacher,
            "data": self.source.data,
            "num_classes": self.source.num_classes,
            "num_examples": self.source.num_examples,
            "kind": "sampled" if top is None else "top_k",
            "k": self.k,
            "draws": self.draws,
            "residual": "uniform" if top is None else top.residual,
            "prior": None if prior is None else prior.tolist(),
            "temperature": self.keep.temperature,
            "proposal_temperature": 1.0 if drawn is None else drawn.proposal_temperature,
            "dtype": self.keep.dtype,
            "seed": self.seed,
            "rows_per_shard": self.rows_per_shard,
        }

    @property
    def k(self) -> int | None:
        """Number of classes kept of each example; None of draws."""
        return (self.keep.k or self.source.num_classes) if isinstance(self.keep, TopK) else None

    @property
    def draws(self) -> int | None:
        """Number of draws of each example; None of the k largest."""
        return self.keep.draws if isinstance(self.keep, Sampled) else None

    @property
    def prior(self) -> Tensor | None:
        """The (K,) float64 prior of the residual, divided by its sum."""
        prior = _in_float64(self.keep.prior) if isinstance(self.keep, TopK) else None
        return None if prior is None else prior / prior.sum()

    @property
    def complete(self) -> bool:
        """Whether every class of the teacher is kept."""
        return self.k == self.source.num_classes

    def layout(self) -> Layout:
        """Return the columns of a shard, wide numbers first, so that each column begins where its type may."""
        number, width = DTYPES[self.keep.dtype], self.k or self.draws or 0
        columns: Layout = {"ids": (torch.int64, ())}
        if isinstance(self.keep, TopK):
            columns["logits"] = (number, (width if self.complete else width + 1,))
        elif self.keep.proposal_temperature != 1:  # else every draw weighs 1 / draws
            columns["log_weights"] = (number, (width,))
        if not self.complete:
            columns["classes"] = (torch.int16 if self.source.num_classes <= 2**15 else torch.int32, (width,))
        return dict(sorted(columns.items(), key=lambda item: -item[1][0].itemsize))


def _in_float64(prior: Tensor | None) -> Tensor | None:
    return None if prior is None else prior.detach().double()


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise fail_type(argument, "a name", repr(value), "name it, so that no other is taken for it")


def _check_numbers(temperature: float, dtype: str) -> None:
    check_temperature("temperature", temperature)
    if dtype not in DTYPES:
        raise unknown("dtype", str(dtype), tuple(DTYPES))
