"""The two structured K x K matrices of the algebra: transitions act on probabilities, smearings on targets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import (
    check_fraction,
    check_num_classes,
    check_prior,
    check_row_stochastic,
    check_square,
    eager,
    values_visible,
)
from softtargets._errors import fail

LARGEST_CONDITION = 1e10


@dataclass(frozen=True)
class Smearing:
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
                raise fail("table", f"{self.num_classes} rows, one per class", self.table.shape[0], "mend num_classes")
        if self.prior is not None:
            check_prior("prior", self.prior)
            if self.prior.shape[0] != self.num_classes:
                raise fail("prior", f"{self.num_classes} classes", self.prior.shape[0], "mend num_classes")

    @classmethod
    def identity(cls, num_classes: int) -> "Smearing":
        """Standard training: every label is its own target."""
        return cls(num_classes)

    @classmethod
    def uniform(cls, smoothing: float | Tensor, num_classes: int) -> "Smearing":
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


@dataclass(frozen=True)
class Transition:
    """``T[clean, observed] = P(observed | clean)``: rows are clean classes and sum to 1. It acts on probabilities.

    Either symmetric, ``(1 - redraw) I + redraw / K J``, kept in closed form, or any row-stochastic matrix.

    Args:
        num_classes: K, at least 2.
        redraw: share of labels redrawn uniformly over all K classes (the inclusive rate; Lukasik et al.'s alpha),
            in [0, K / (K - 1)]: beyond 1 a label is less likely to stay than to become any one other.
        matrix: (K, K) float, rows sum to 1; if given, `redraw` plays no part.
    """

    num_classes: int
    redraw: float | Tensor = 0.0
    matrix: Tensor | None = None

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        if self.matrix is None:
            check_fraction("redraw", self.redraw, high=self.num_classes / (self.num_classes - 1))
            return
        check_row_stochastic("transition", self.matrix)
        if self.matrix.shape[0] != self.num_classes:
            raise fail("transition", f"{self.num_classes} rows", self.matrix.shape[0], "mend num_classes")

    @classmethod
    def symmetric(cls, rate: float | Tensor, num_classes: int, *, inclusive: bool = False) -> "Transition":
        """Symmetric noise in closed form; see :func:`softtargets.noise.symmetric`."""
        check_num_classes(num_classes)
        check_fraction("rate", rate)
        return cls(num_classes, rate if inclusive else rate * num_classes / (num_classes - 1))

    @classmethod
    def wrap(cls, transition: "Transition | Tensor") -> "Transition":
        """Return a plain (K, K) tensor as a Transition, and a Transition as it is."""
        if isinstance(transition, Transition):
            return transition
        check_row_stochastic("transition", transition)
        return cls(transition.shape[0], matrix=transition)

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the (K, K) matrix."""
        if self.matrix is not None:
            return self.matrix.to(dtype)
        # at the largest redraw the diagonal is 0, and rounding must not make it a negative probability
        return Smearing(self.num_classes, 1 - self.redraw, self.redraw).to_dense(dtype).clamp(min=0.0)

    def noise_rate(self, class_prior: Tensor | None = None) -> Tensor:
        """Return the share of labels that differ from the clean one, () float64, a fraction.

        Args:
            class_prior: (K,) probabilities of the clean classes; None: uniform.
        """
        stays = self.to_dense().diagonal()
        prior = torch.full_like(stays, 1 / self.num_classes) if class_prior is None else class_prior.to(stays)
        return 1 - (prior * stays).sum()

    def inverse(self) -> Smearing:
        """Return the smearing that undoes this noise: backward correction (Patrini et al. 2017, Thm. 1).

        Symmetric noise has ``keep = 1 / (1 - redraw)`` and ``rest = -redraw / (1 - redraw)``, which is label smoothing
        with a negative smoothing (Lukasik et al. 2020, Table 1). Otherwise T is solved for, never inverted blindly.

        Raises:
            InputError: where T is singular, or so ill-conditioned that its inverse would amplify rounding to noise.
        """
        remedy = "use forward correction, which needs no inverse"
        if self.matrix is None:
            stays = 1 - self.redraw
            if not isinstance(stays, Tensor) or values_visible(stays):
                # the eigenvalues are 1 and, K - 1 times, 1 - redraw
                least = float(stays.detach().abs().min()) if isinstance(stays, Tensor) else abs(stays)
                if least == 0:
                    raise fail("transition", "invertible", "redraw = 1, where the label says nothing", remedy)
                _check_condition(1 / least, remedy)
            return Smearing(self.num_classes, 1 / stays, -self.redraw / stays)
        if not eager(self.matrix) or self.matrix.requires_grad or self.matrix.is_inference():
            return Smearing(self.num_classes, table=_solved(self.matrix.double(), remedy))
        # K^3 work for every batch, if it were not kept; the version tells of a matrix written to since
        kept = vars(self).get("_inverse")
        if kept is None or kept[0] != self.matrix._version:
            kept = (self.matrix._version, Smearing(self.num_classes, table=_solved(self.matrix.double(), remedy)))
            object.__setattr__(self, "_inverse", kept)
        return kept[1]


def _solved(matrix: Tensor, remedy: str) -> Tensor:
    eye = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
    inverse, singular = torch.linalg.solve_ex(matrix, eye)
    if values_visible(matrix):
        # in the norm of row sums, in which T itself, row-stochastic, has norm 1
        condition = float(torch.linalg.matrix_norm(inverse.detach(), torch.inf))
        _check_condition(condition if int(singular) == 0 else torch.inf, remedy)
    return inverse


def _check_condition(condition: float, remedy: str) -> None:
    if not condition < LARGEST_CONDITION:
        raise fail("transition", f"a condition number below {LARGEST_CONDITION:g}", f"{condition:.3g}", remedy)
