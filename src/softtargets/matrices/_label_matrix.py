"""The target of each label, as a matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_num_classes, check_prior, check_square
from softtargets._errors import fail
from softtargets.matrices._forms import read_number, rendered, same_matrix


@dataclass(frozen=True, eq=False, repr=False)
class LabelMatrix:
    """A matrix whose row y is the target of label y: "label smearing" (Lukasik et al. 2020, Sec. 3.1, Table 1).

    Either structured, ``keep * I + rest * 1 prior^T``, with the uniform prior if `prior` is None, or any class table.
    Rows need not sum to 1 and may be negative, as those of backward correction are. Two matrices are equal if their
    dense forms are.

    Args:
        num_classes: K, at least 2.
        keep: weight of the label itself, one number.
        rest: weight spread over all classes by the prior, one number; may be negative (backward correction).
        prior: (K,) probabilities, or None for uniform.
        table: (K, K) float, in place of `keep`, `rest` and `prior`.
    """

    num_classes: int
    keep: float | Tensor = 1.0
    rest: float | Tensor = 0.0
    prior: Tensor | None = None
    table: Tensor | None = None

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        object.__setattr__(self, "num_classes", int(self.num_classes))
        for name in ("keep", "rest"):
            object.__setattr__(self, name, read_number(name, getattr(self, name)))
        if self.prior is not None:
            check_prior("prior", self.prior, self.num_classes)
        if self.table is None:
            return
        check_square("table", self.table)
        if self.table.shape[0] != self.num_classes:
            raise fail("table", f"{self.num_classes} rows, one per class", self.table.shape[0], "fix num_classes")
        for name, default in (("keep", 1.0), ("rest", 0.0), ("prior", None)):
            if getattr(self, name) is not default and getattr(self, name) != default:
                raise fail(name, "not given together with a table", getattr(self, name), f"drop {name} or the table")

    @classmethod
    def identity(cls, num_classes: int) -> "LabelMatrix":
        """Standard training: every label is its own target."""
        return cls(num_classes)

    @classmethod
    def uniform(cls, smoothing: float | Tensor, num_classes: int) -> "LabelMatrix":
        """Label smoothing, ``(1 - smoothing) I + smoothing / K J``; `smoothing` in [0, 1]."""
        check_fraction("smoothing", smoothing)
        return cls(num_classes, keep=1 - smoothing, rest=smoothing)

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the matrix as a (K, K) tensor."""
        if self.table is not None:
            return self.table.to(dtype)
        size = self.num_classes
        prior = torch.full((size,), 1 / size, dtype=dtype) if self.prior is None else self.prior.to(dtype)
        return self.keep * torch.eye(size, dtype=dtype, device=prior.device) + self.rest * prior.expand(size, size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelMatrix):
            return NotImplemented
        return self is other or same_matrix(self.to_dense(), other.to_dense())

    def __hash__(self) -> int:
        return hash((LabelMatrix, self.num_classes))

    def __repr__(self) -> str:
        if self.table is not None:
            return rendered("LabelMatrix", self.num_classes, table=self.table)
        return rendered("LabelMatrix", self.num_classes, keep=self.keep, rest=self.rest, prior=self.prior)
