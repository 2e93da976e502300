"""Observed labels by clean label, as a matrix of probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softtargets._checks import (
    check_num_classes,
    check_prior,
    check_stochastic,
    eager,
    values_visible,
)
from softtargets._errors import fail
from softtargets._results import heat_map
from softtargets.matrices._forms import read_number, read_sparse, rendered, same_matrix
from softtargets.matrices._label_matrix import LabelMatrix

LARGEST_CONDITION = 1e10


@dataclass(frozen=True, eq=False, repr=False)
class Transition:
    """A noise transition, ``T[clean, observed] = P(observed | clean)``: rows are clean classes and sum to 1.

    It acts on probabilities and is stored in one of three forms: symmetric, ``(1 - redraw) I + redraw / K J``, in
    closed form (the identity included); sparse, a few other classes for each class; or any row-stochastic matrix. Two
    transitions are equal if their dense forms are bitwise equal; :meth:`total_variation` measures how much they differ.

    Args:
        num_classes: K, at least 2.
        redraw: share of labels redrawn uniformly over all K classes (the inclusive rate; Lukasik et al.'s alpha), one
            number in [0, K / (K - 1)]. Above 1 a label is less likely to stay than to become any given other class.
        matrix: (K, K) float, rows sum to 1; in place of `redraw`.
        others: (K, W) integers, classes that a label of each class may become, in place of `redraw`. Pad a row that has
            fewer with its own class at share 0.
        shares: (K, W) float, their probabilities; 1 minus the sum of a row is the probability that the label stays.
    """

    num_classes: int
    redraw: float | Tensor = 0.0
    matrix: Tensor | None = None
    others: Tensor | None = None
    shares: Tensor | None = None

    def __post_init__(self) -> None:
        check_num_classes(self.num_classes)
        size = int(self.num_classes)
        object.__setattr__(self, "num_classes", size)
        object.__setattr__(self, "redraw", read_number("redraw", self.redraw, low=0.0, high=size / (size - 1)))
        if self.others is not None or self.shares is not None:
            object.__setattr__(self, "others", read_sparse(size, self.others, self.shares, self.matrix))
        elif self.matrix is not None:
            check_stochastic("transition", self.matrix)
            if self.matrix.shape[0] != size:
                raise fail("transition", f"{size} rows", self.matrix.shape[0], "fix num_classes")
        else:
            return
        if isinstance(self.redraw, Tensor) or self.redraw != 0:
            remedy = "drop redraw, or the other form"
            raise fail("redraw", "0 if matrix or others is given", self.redraw, remedy)

    @classmethod
    def identity(cls, num_classes: int) -> "Transition":
        """No noise."""
        return cls(num_classes)

    @classmethod
    def symmetric(cls, rate: float | Tensor, num_classes: int, *, inclusive: bool = False) -> "Transition":
        """Symmetric noise in closed form; see :func:`softtargets.noise.symmetric`."""
        check_num_classes(num_classes)
        rate = read_number("rate", rate, low=0.0, high=1.0)
        return cls(num_classes, rate if inclusive else rate * num_classes / (num_classes - 1))

    @classmethod
    def wrap(cls, transition: "Transition | Tensor") -> "Transition":
        """Return a plain (K, K) tensor as a Transition, and a Transition unchanged."""
        if isinstance(transition, Transition):
            return transition
        check_stochastic("transition", transition)
        return cls(transition.shape[0], matrix=transition)

    @classmethod
    def columns_sum_to_one(cls, matrix: Tensor) -> "Transition":
        """Convert a matrix whose columns are the clean classes, such as cleanlab's noise matrix.

        Example:
            >>> Transition.columns_sum_to_one(torch.tensor([[0.75, 0.5], [0.25, 0.5]])).to_dense()[0].tolist()
            [0.75, 0.25]
        """
        check_stochastic("matrix", matrix, "column")
        return cls(matrix.shape[0], matrix=matrix.T)

    @property
    def closed(self) -> bool:
        """Whether this is symmetric noise in closed form, described by `redraw` alone."""
        return self.matrix is None and self.others is None

    def to_dense(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the transition as a (K, K) tensor."""
        if self.matrix is not None:
            return self.matrix.to(dtype)
        if self.others is not None and self.shares is not None:
            diagonal = torch.diag_embed(self.diagonal(dtype))
            return diagonal.scatter_add(1, self.others, self.shares.to(dtype))
        # at the largest redraw the diagonal is 0, and rounding must not make it a negative probability
        return LabelMatrix(self.num_classes, 1 - self.redraw, self.redraw).to_dense(dtype).clamp(min=0.0)

    def diagonal(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the (K,) fractions of labels that stay the same, by clean class: the diagonal."""
        if self.matrix is not None:
            return self.matrix.diagonal().to(dtype)
        if self.shares is not None:
            return (1 - self.shares.to(dtype).sum(1)).clamp(min=0.0)
        device = self.redraw.device if isinstance(self.redraw, Tensor) else None
        ones = torch.ones(self.num_classes, dtype=dtype, device=device)
        return (ones - self.redraw + self.redraw / self.num_classes).clamp(min=0.0)

    def __matmul__(self, then: "Transition | Tensor") -> "Transition":
        """Return the transition of this noise followed by another one."""
        then = Transition.wrap(then)
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
        """Return whether the observed classes have the probabilities of the clean ones, each to within `tolerance`."""
        change = self.observed_prior(class_prior) - self._prior(class_prior)
        return float(change.abs().max()) <= tolerance

    def stationary(self) -> Tensor:
        """Return the class prior that this noise does not change, (K,) float64.

        Raises:
            ValueError: if there is more than one, for example because two classes always keep their labels.
        """
        dense = self.to_dense()
        left, values, _ = torch.linalg.svd(dense - torch.eye(self.num_classes).to(dense))
        kept = int((values < 1e-10).sum())
        if kept > 1:
            got = f"{kept} independent ones"
            raise fail("transition", "one stationary prior", got, "check the intended prior with is_stationary")
        return left[:, -1] / left[:, -1].sum()

    def total_variation(self, other: "Transition | Tensor") -> Tensor:
        """Return the total variation distance to another transition by row: (K,) float64 in [0, 1].

        It is half the sum over the row of the absolute differences.
        """
        other = Transition.wrap(other)
        _check_same_classes(self, other)
        return (self.to_dense() - other.to_dense()).abs().sum(1) / 2

    def condition(self) -> float:
        """Return the condition number in the maximum row sum norm, in which T has norm 1; infinite if T is singular.

        It is the largest sum of absolute weights that backward correction gives to an example's losses.
        """
        if not self.closed:
            return _condition(*_solve(self.to_dense()))
        redraw = self.redraw.detach() if isinstance(self.redraw, Tensor) else self.redraw
        return _symmetric_condition(float(redraw), self.num_classes)

    def inverse(self) -> LabelMatrix:
        """Return the label matrix that undoes this noise: backward correction (Patrini et al. 2017, Thm. 1).

        Symmetric noise has ``keep = 1 / (1 - redraw)`` and ``rest = -redraw / (1 - redraw)``, which is label smoothing
        with a negative smoothing (Lukasik et al. 2020, Table 1). Otherwise a linear system is solved.

        Raises:
            ValueError: if T is singular, or so ill-conditioned that its inverse would amplify rounding errors.
        """
        remedy = "use forward correction, which needs no inverse"
        if self.closed:
            stays = 1 - self.redraw
            if not isinstance(stays, Tensor) or values_visible(stays):
                condition = self.condition()
                if condition == math.inf:
                    raise fail("transition", "invertible", "redraw = 1, where the label carries no information", remedy)
                _check_condition(condition, remedy)
            return LabelMatrix(self.num_classes, 1 / stays, -self.redraw / stays)
        given = self.matrix if self.shares is None else self.shares
        assert given is not None
        if not eager(given) or given.requires_grad or given.is_inference():
            return LabelMatrix(self.num_classes, table=_solved(self.to_dense(), remedy))
        # Kept, since it is K^3 work per batch; the version changes if the tensor is modified in place.
        kept = vars(self).get("_inverse")
        if kept is None or kept[0] != given._version:
            kept = (given._version, LabelMatrix(self.num_classes, table=_solved(self.to_dense(), remedy)))
            object.__setattr__(self, "_inverse", kept)
        return kept[1]

    def plot(self, ax: Any = None, *, class_names: Sequence[str] = ()) -> Any:
        """Plot the matrix as a heat map: a row is a clean class, a column an observed one.

        Args:
            ax: matplotlib axes. Default: those of a new figure.
            class_names: one for each class. Default: indices.

        Returns:
            The axes.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        return heat_map(self.to_dense().detach(), ax, class_names, x="observed class", y="clean class")

    def _prior(self, class_prior: Tensor | None) -> Tensor:
        """Return a class prior (None: uniform) in float64, on the device of the transition."""
        stays = self.diagonal().detach()
        if class_prior is None:
            return torch.full_like(stays, 1 / self.num_classes)
        check_prior("class_prior", class_prior, self.num_classes)
        return class_prior.to(stays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transition):
            return NotImplemented
        return self is other or same_matrix(self.to_dense(), other.to_dense())

    def __hash__(self) -> int:
        return hash((Transition, self.num_classes))

    def __repr__(self) -> str:
        if self.closed:
            return rendered("Transition", self.num_classes, redraw=self.redraw)
        return rendered("Transition", self.num_classes, matrix=self.matrix, others=self.others, shares=self.shares)


def _check_same_classes(transition: Transition, other: Transition) -> None:
    if transition.num_classes != other.num_classes:
        raise fail(
            "other", f"{transition.num_classes} classes", other.num_classes, "use transitions of the same classes"
        )


def _solve(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inverse, and a number that is not 0 if there is none."""
    eye = torch.eye(matrix.shape[0], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve_ex(matrix, eye)


def _condition(inverse: Tensor, singular: Tensor) -> float:
    # in the norm of row sums, in which T itself, row-stochastic, has norm 1
    return float(torch.linalg.matrix_norm(inverse.detach(), torch.inf)) if int(singular) == 0 else math.inf


def _symmetric_condition(redraw: float, num_classes: int) -> float:
    # the inverse has (1 - share) / (1 - redraw) on the diagonal and -share / (1 - redraw) off it
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
