"""Targets by label, as a matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import check_fraction, check_num_classes, check_prior, check_square
from softtargets._errors import fail


@dataclass(frozen=True)
class LabelMatrix:
    """A matrix that acts on targets: row y is the target of label y (Lukasik et al. 2020, Sec. 3.1, Table 1).

    Structured: ``keep * I + rest * 1 prior^T``, with the uniform prior where `prior` is None. Or any class table.

    Args:
        num_classes: K, at least 2.
        keep: weight of the label itself.
        rest: weight spread over all classes by the prior; may be negative (backward correction).
        prior: (K,) probabilities, or None for uniform.
        table: (K, K) float; if given, `keep`, `rest` and `prior` play no part.
    """

    num_classes: int
    keep: float | Tensor = 1.0
    rest: float | Tensor = 0.0
    prior: Tensor | None = None
    table: Tensor | None = None

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        if self.table is not None:
            check_square("table", self.table)
            if self.table.shape[0] != self.num_classes:
                raise fail("table", f"{self.num_classes} rows, one per class", self.table.shape[0], "fix num_classes")
        if self.prior is not None:
            check_prior("prior", self.prior, self.num_classes)

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
        """Return the (K, K) matrix."""
        if self.table is not None:
            return self.table.to(dtype)
        size = self.num_classes
        prior = torch.full((size,), 1 / size, dtype=dtype) if self.prior is None else self.prior.to(dtype)
        return self.keep * torch.eye(size, dtype=dtype, device=prior.device) + self.rest * prior.expand(size, size)
