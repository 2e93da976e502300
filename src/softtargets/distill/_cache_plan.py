"""What a teacher cache is asked to hold: the arguments of ``write_cache``, checked."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_num_classes
from softtargets._errors import fail, fail_type, unknown
from softtargets.distill._cache_format import Layout
from softtargets.distill._inputs import check_temperature
from softtargets.targets._sparse import check_residual

KINDS, DTYPES = ("top_k", "sampled"), ("float16", "float32")


@dataclass(frozen=True)
class Plan:
    """What a cache holds: the arguments of ``write_cache``, where `k` is a number and a seed stands for the generator.

    Args:
        k: classes kept of each example; None under "sampled".
        prior: of the residual "prior".
        seed: of the draws; None under "top_k".
    """

    teacher: str
    data: str
    num_classes: int
    num_examples: int | None
    kind: str
    k: int | None
    draws: int | None
    residual: str
    prior: list[float] | None
    temperature: float
    proposal_temperature: float
    dtype: str
    seed: int | None
    rows_per_shard: int

    def __post_init__(self) -> None:
        _check_name("teacher", self.teacher)
        _check_name("data", self.data)
        check_num_classes(self.num_classes)
        if self.num_examples is not None:
            _check_count("num_examples", self.num_examples)
        _check_count("rows_per_shard", self.rows_per_shard)
        check_temperature("temperature", self.temperature)
        check_temperature("proposal_temperature", self.proposal_temperature)
        if self.kind not in KINDS:
            raise unknown("kind", str(self.kind), KINDS)
        if self.dtype not in DTYPES:
            raise unknown("dtype", str(self.dtype), DTYPES)
        if self.kind == "sampled":
            _check_count("draws", self.draws)
            _check_unused(self.kind, k=(self.k, None), residual=(self.residual, "uniform"))
        else:
            _check_count("k", self.k)
            _check_unused(self.kind, draws=(self.draws, None), proposal_temperature=(self.proposal_temperature, 1))
        if self.k is not None and self.k > self.num_classes:
            raise fail("k", f"at most {self.num_classes}, the number of classes", self.k, "None keeps them all")
        prior = None if self.prior is None else torch.tensor(self.prior, dtype=torch.float64)
        check_residual(self.residual, prior, self.num_classes)

    def prior_tensor(self) -> Tensor | None:
        """Return the (K,) float64 prior of the residual, divided by its sum."""
        if self.prior is None:
            return None
        prior = torch.tensor(self.prior, dtype=torch.float64)
        return prior / prior.sum()

    @property
    def complete(self) -> bool:
        """Whether every class of the teacher is kept."""
        return self.k == self.num_classes

    def layout(self) -> Layout:
        """Return the columns of a shard, wide numbers first, so that each column begins where its type may."""
        width = self.k or self.draws or 0
        number = torch.float16 if self.dtype == "float16" else torch.float32
        columns: Layout = {"ids": (torch.int64, ())}
        if self.kind == "top_k":
            columns["logits"] = (number, (width if self.complete else width + 1,))
        elif self.proposal_temperature != 1:  # else every draw weighs 1 / draws
            columns["log_weights"] = (number, (width,))
        if not self.complete:
            columns["classes"] = (torch.int16 if self.num_classes <= 2**15 else torch.int32, (width,))
        return dict(sorted(columns.items(), key=lambda item: -item[1][0].itemsize))


def _check_count(argument: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise fail(argument, "an int of at least 1", repr(value), "give a whole number")


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise fail_type(argument, "a name", repr(value), "name it, so that no other is taken for it")


def _check_unused(kind: str, **arguments: tuple[object, object]) -> None:
    """Require the default, given second, of arguments that have no part in this kind of cache."""
    for name, (value, default) in arguments.items():
        if value != default:
            raise fail(name, f"{default!r} with kind='{kind}'", repr(value), "leave it out, or choose the other kind")
