"""Observed labels by clean label, as a matrix of probabilities."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softtargets._checks import (
    check_fraction,
    check_num_classes,
    check_prior,
    check_stochastic,
    eager,
    values_visible,
)
from softtargets._errors import fail
from softtargets.matrices._forms import check_sparse
from softtargets.matrices._smearing import LabelMatrix

LARGEST_CONDITION = 1e10


@dataclass(frozen=True)
class Transition:
    """``T[clean, observed] = P(observed | clean)``: rows are clean classes and sum to 1. It acts on probabilities.

    In one of three forms, the least that says it: symmetric, ``(1 - redraw) I + redraw / K J``, in closed form, the
    identity among them; sparse, a few other classes for each class; or any row-stochastic matrix.

    Args:
        num_classes: K, at least 2.
        redraw: share of labels redrawn uniformly over all K classes (the inclusive rate; Lukasik et al.'s alpha),
            in [0, K / (K - 1)]: beyond 1 a label is less likely to stay than to become any one other.
        matrix: (K, K) float, rows sum to 1; if given, `redraw` plays no part.
        others: (K, W) int64, classes that a label of each class may become; a row of fewer is filled up with its own
            class at share 0. If given, `redraw` plays no part.
        shares: (K, W) float, their probabilities; what a row of them lacks to 1 is the share that stays.
    """

    num_classes: int
    redraw: float | Tensor = 0.0
    matrix: Tensor | None = None
    others: Tensor | None = None
    shares: Tensor | None = None

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        if self.others is not None or self.shares is not None:
            check_sparse(self.num_classes, self.others, self.shares, self.matrix)
        elif self.matrix is None:
            check_fraction("redraw", self.redraw, high=self.num_classes / (self.num_classes - 1))
        else:
            check_stochastic("transition", self.matrix)
            if self.matrix.shape[0] != self.num_classes:
                raise fail("transition", f"{self.num_classes} rows", self.matrix.shape[0], "fix num_classes")

    @classmethod
    def identity(cls, num_classes: int) -> "Transition":
        """No noise."""
        return cls(num_classes)

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
        check_stochastic("transition", transition)
        return cls(transition.shape[0], matrix=transition)

    @classmethod
    def columns_sum_to_one(cls, matrix: Tensor) -> "Transition":
        """Return a matrix whose columns are the clean classes, as cleanlab's noise matrix is, as a Transition.

        Example:
            >>> Transition.columns_sum_to_one(torch.tensor([[0.75, 0.5], [0.25, 0.5]])).to_dense()[0].tolist()
            [0.75, 0.25]
        """
        check_stochastic("matrix", matrix, "column")
        return cls(matrix.shape[0], matrix=matrix.T)

    @property
    def closed(self) -> bool:
        """Whether this is symmetric noise in closed form, which `redraw` says wholly."""
        return self.matrix is None and self.others is None

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the (K, K) matrix."""
        if self.matrix is not None:
            return self.matrix.to(dtype)
        if self.others is not None and self.shares is not None:
            diagonal = torch.diag_embed(self.diagonal(dtype))
            return diagonal.scatter_add(1, self.others, self.shares.to(dtype))
        # at the largest redraw the diagonal is 0, and rounding must not make it a negative probability
        return LabelMatrix(self.num_classes, 1 - self.redraw, self.redraw).to_dense(dtype).clamp(min=0.0)

    def diagonal(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the (K,) shares of labels that stay, by clean class."""
        if self.matrix is not None:
            return self.matrix.diagonal().to(dtype)
        if self.shares is not None:
            return (1 - self.shares.to(dtype).sum(1)).clamp(min=0.0)
        device = self.redraw.device if isinstance(self.redraw, Tensor) else None
        ones = torch.ones(self.num_classes, dtype=dtype, device=device)
        return (ones - self.redraw + self.redraw / self.num_classes).clamp(min=0.0)

    def __matmul__(self, then: "Transition") -> "Transition":
        """Return the transition of labels that go through this noise first and another after it."""
        _check_same_classes(self, then)
        if self.closed and then.closed:
            return Transition(self.num_classes, self.redraw + then.redraw - self.redraw * then.redraw)
        return Transition(self.num_classes, matrix=self.to_dense() @ then.to_dense())

    def noise_rate(self, class_prior: Tensor | None = None) -> Tensor:
        """Return the share of labels that differ from the clean one, () float64, a fraction.

        Args:
            class_prior: (K,) probabilities of the clean classes; None: uniform.
        """
        stays = self.diagonal()
        return 1 - (self._prior(class_prior).to(stays) * stays).sum()

    def observed_prior(self, class_prior: Tensor | None = None) -> Tensor:
        """Return the (K,) float64 probabilities of the observed classes, prior T.

        Args:
            class_prior: (K,) probabilities of the clean classes; None: uniform.
        """
        prior = self._prior(class_prior)
        if self.closed:
            return (1 - self.redraw) * prior + self.redraw / self.num_classes
        if self.others is not None and self.shares is not None:
            moved = prior[:, None] * self.shares.double()
            return (prior * self.diagonal()).scatter_add(0, self.others.flatten(), moved.flatten())
        return prior @ self.to_dense()

    def is_stationary(self, class_prior: Tensor | None = None, *, tolerance: float = 1e-6) -> bool:
        """Say whether the observed classes are as frequent as the clean ones, each to within `tolerance`."""
        change = self.observed_prior(class_prior) - self._prior(class_prior)
        return float(change.abs().max()) <= tolerance

    def stationary(self) -> Tensor:
        """Return the one class prior that this noise leaves as it is, (K,) float64.

        Raises:
            InputError: where it leaves more than one, as where some class always keeps its labels and another does too.
        """
        dense = self.to_dense()
        left, values, _ = torch.linalg.svd(dense - torch.eye(self.num_classes).to(dense))
        kept = int((values < 1e-10).sum())
        if kept > 1:
            got = f"{kept} independent ones"
            raise fail("transition", "one stationary prior", got, "ask is_stationary of the prior that is meant")
        return left[:, -1] / left[:, -1].sum()

    def total_variation(self, other: "Transition | Tensor") -> Tensor:
        """Return half the absolute difference to another transition, summed over each row: (K,) float64 in [0, 1]."""
        other = Transition.wrap(other)
        _check_same_classes(self, other)
        return (self.to_dense() - other.to_dense()).abs().sum(1) / 2

    def condition(self) -> float:
        """Return the condition number in the norm of row sums, in which T has norm 1; infinite where T is singular.

        It is the largest sum of absolute weights that backward correction gives to an example's losses.
        """
        if not self.closed:
            return _condition(*_solve(self.to_dense()))
        redraws = self.redraw.detach().flatten().tolist() if isinstance(self.redraw, Tensor) else [self.redraw]
        return max(_symmetric_condition(redraw, self.num_classes) for redraw in redraws)

    def inverse(self) -> LabelMatrix:
        """Return the smearing that undoes this noise: backward correction (Patrini et al. 2017, Thm. 1).

        Symmetric noise has ``keep = 1 / (1 - redraw)`` and ``rest = -redraw / (1 - redraw)``, which is label smoothing
        with a negative smoothing (Lukasik et al. 2020, Table 1). Otherwise T is solved for, never inverted blindly.

        Raises:
            InputError: where T is singular, or so ill-conditioned that its inverse would amplify rounding to noise.
        """
        remedy = "use forward correction, which needs no inverse"
        if self.closed:
            stays = 1 - self.redraw
            if not isinstance(stays, Tensor) or values_visible(stays):
                condition = self.condition()
                if condition == math.inf:
                    raise fail("transition", "invertible", "redraw = 1, where the label says nothing", remedy)
                _check_condition(condition, remedy)
            return LabelMatrix(self.num_classes, 1 / stays, -self.redraw / stays)
        given = self.matrix if self.shares is None else self.shares
        assert given is not None
        if not eager(given) or given.requires_grad or given.is_inference():
            return LabelMatrix(self.num_classes, table=_solved(self.to_dense(), remedy))
        # K^3 work for every batch, if it were not kept; the version tells of a tensor written to since
        kept = vars(self).get("_inverse")
        if kept is None or kept[0] != given._version:
            kept = (given._version, LabelMatrix(self.num_classes, table=_solved(self.to_dense(), remedy)))
            object.__setattr__(self, "_inverse", kept)
        return kept[1]

    def _prior(self, class_prior: Tensor | None) -> Tensor:
        """Return a class prior, uniform where None, in float64 beside the transition."""
        stays = self.diagonal().detach()
        if class_prior is None:
            return torch.full_like(stays, 1 / self.num_classes)
        check_prior("class_prior", class_prior, self.num_classes)
        return class_prior.to(stays)


def _check_same_classes(transition: Transition, other: Transition) -> None:
    if transition.num_classes != other.num_classes:
        raise fail("other", f"{transition.num_classes} classes", other.num_classes, "align the two transitions")


def _solve(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inverse and whether there is none."""
    eye = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve_ex(matrix, eye)


def _condition(inverse: Tensor, singular: Tensor) -> float:
    # in the norm of row sums, in which T itself, row-stochastic, has norm 1
    return float(torch.linalg.matrix_norm(inverse.detach(), torch.inf)) if int(singular) == 0 else math.inf


def _symmetric_condition(redraw: float, num_classes: int) -> float:
    # up to the sign of 1 - redraw, its inverse has 1 - share on the diagonal and -share beside it, over 1 - redraw
    share = redraw / num_classes
    return (1 - share + (num_classes - 1) * share) / abs(1 - redraw) if redraw != 1 else math.inf


def _solved(matrix: Tensor, remedy: str) -> Tensor:
    inverse, singular = _solve(matrix)
    if values_visible(matrix):
        _check_condition(_condition(inverse, singular), remedy)
    return inverse


def _check_condition(condition: float, remedy: str) -> None:
    if not condition < LARGEST_CONDITION:
        raise fail("transition", f"a condition number below {LARGEST_CONDITION:g}", f"{condition:.3g}", remedy)
