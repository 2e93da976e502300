"""The estimators of T by name; each registers where it is defined."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from softtargets._errors import fail, unknown
from softtargets.matrices import Transition
from softtargets.noise._joint import ConfidentJoint

__all__ = ["estimate_transition"]

F = TypeVar("F", bound=Callable[..., Transition | ConfidentJoint])


@dataclass(frozen=True, eq=False)
class Estimator:
    """An estimator of T from probabilities and observed labels.

    Args:
        name: of the estimator.
        label: how pages call it.
        function: takes probs, labels where it uses them, and settings by keyword.
        fixed: settings that this name fixes.
    """

    name: str
    label: str
    function: Callable[..., Transition | ConfidentJoint]
    fixed: dict[str, Any]

    @cached_property
    def uses_labels(self) -> bool:
        """Whether it uses the observed labels beside the probabilities."""
        return "labels" in inspect.signature(self.function).parameters

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """Names of the settings that can be chosen."""
        parameters = inspect.signature(self.function).parameters.values()
        names = (entry.name for entry in parameters if entry.kind is entry.KEYWORD_ONLY)
        return tuple(name for name in names if name not in self.fixed)

    def __call__(self, probs: Tensor, labels: Tensor, **settings: Any) -> Transition | ConfidentJoint:
        """Return what the function returns."""
        given = (probs, labels) if self.uses_labels else (probs,)
        return self.function(*given, **self.fixed, **settings)


# name -> estimator, in the order of their definition
ESTIMATORS: dict[str, Estimator] = {}


def estimator(name: str, *, label: str, **fixed: Any) -> Callable[[F], F]:
    """Register a function as an estimator of T; it may be registered under several names.

    Args:
        name: of the estimator.
        label: how pages call it.
        fixed: settings of the function that this name fixes.
    """

    def register(function: F) -> F:
        ESTIMATORS[name] = Estimator(name, label, function, fixed)
        return function

    return register


def estimate_transition(
    probs: Tensor, labels: Tensor, *, method: str = "confident_joint", **settings: Any
) -> Transition:
    """Estimate the transition with an estimator named by a string.

    Args:
        probs: (N, K) float, probabilities of the observed label; held out, where the estimator asks for that.
        labels: (N,) int64 observed labels in [0, K).
        method: name of the estimator: "confident_joint", "anchor_counts", "anchor_points", "anchor_points_97" (97th
            percentile) or "dual_t".
        settings: of that estimator, such as `percentile` of "anchor_points" and "dual_t".

    Returns:
        Transition, row = clean, column = observed.

    Raises:
        ValueError: for an unknown method (the nearest is named) or setting, and as the estimator does.
        TypeError: as the estimator does.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
        >>> estimate_transition(probs, torch.tensor([0, 1, 1]), method="anchor_points").to_dense().tolist()
        [[0.75, 0.25], [0.125, 0.875]]
    """
    if method not in ESTIMATORS:
        raise unknown("method", str(method), ESTIMATORS)
    chosen = ESTIMATORS[method]
    for name, value in settings.items():
        if name not in chosen.settings:
            known = ", ".join(chosen.settings) or "none"
            raise fail(name, f"a setting of '{method}', which has: {known}", repr(value), "leave it out")
    found = chosen(probs, labels, **settings)
    return found.transition if isinstance(found, ConfidentJoint) else found
